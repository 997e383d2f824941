"""A TCP proxy between a client and a PostgreSQL server, which a test cuts or freezes at a chosen moment."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 65536


class Proxy:
    """Forwards bytes between clients and a server, until a test changes that."""

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        #: Set while bytes are forwarded; otherwise they are buffered.
        self.flows = threading.Event()
        self.flows.set()
        #: A connection ends when its client sends this, or when the server has answered it.
        self.cut_before: bytes | None = None
        self.cut_after: bytes | None = None
        self.sockets: list[socket.socket] = []

    @classmethod
    @contextmanager
    def before(cls, server_port: int) -> Iterator[Proxy]:
        """Run a proxy to a server on this machine for a block."""
        proxy = cls(server_port)
        acceptor = threading.Thread(target=proxy.accept, daemon=True)
        acceptor.start()
        try:
            yield proxy
        finally:
            proxy.stop()
            acceptor.join()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.server_port))
            except OSError:
                client.close()
                continue
            self.sockets += [client, server]
            was_sent = threading.Event()
            for pair, from_client in (((client, server), True), ((server, client), False)):
                threading.Thread(target=self.pass_on, args=(*pair, from_client, was_sent), daemon=True).start()

    def pass_on(
        self, source: socket.socket, target: socket.socket, from_client: bool, was_sent: threading.Event
    ) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                self.flows.wait()
                if from_client and self.cut_before and self.cut_before in data:
                    self.cut_before = None
                    break
                if from_client and self.cut_after and self.cut_after in data:
                    self.cut_after = None
                    was_sent.set()
                elif not from_client and was_sent.is_set():
                    break
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Close all open connections; new ones are forwarded."""
        while self.sockets:
            each = self.sockets.pop()
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def freeze(self) -> None:
        """Forward nothing, like a network that drops all packets."""
        self.flows.clear()

    def stop(self) -> None:
        """Close all connections and refuse new ones."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.flows.set()
        self.cut()
