"""A process whose two threads change a file through the services, and report each change before and after it.

Run as `python service_writer.py FILE SEED`. Each line is `THREAD WORD JSON`: `asks` with the session or wallet of a
call, then its outcome.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
from pathlib import Path
from typing import Any

from support.concurrent_callers import Call, Services, new_session, new_wallet

from waiaas import WAIaaSError

#: When the first process begins, and how long each runs alone, in seconds.
START, SPAN = 1_800_000_000, 50_000_000
_STEP = 200_000
_OVER = {"SESSION_NOT_FOUND", "SESSION_REVOKED", "TOKEN_EXPIRED", "RENEWAL_LIMIT_REACHED"}
THREADS = 2


class Writer:
    """The changes of one thread, determined by the seed and by the other thread's changes."""

    def __init__(self, services: Services, name: str) -> None:
        self.services = services
        self.name = name
        self.dice = random.Random(name)
        self.tokens: dict[str, str] = {}
        self.wallets = [self.new_wallet() for _ in range(3)]

    def run(self) -> None:
        while True:
            self.services.now += _STEP
            self.change()

    def change(self) -> None:
        wallet, kind = self.dice.choice(self.wallets), self.dice.random()
        session = self.dice.choice([*self.tokens] or ["none"])
        if kind < 0.15:
            wallets = self.dice.sample(self.wallets, self.dice.randint(1, 3))
            self.report_token(self.call("session", None, new_session(*wallets)))
        elif kind < 0.5:
            self.report_token(self.call("session", session, ("sessions", "renew", self.tokens.get(session, ""))))
        elif kind < 0.53:
            self.call("revoked", session, ("sessions", "revoke", session))
        elif kind < 0.56:
            self.call("terminated", wallet, ("wallets", "terminate", wallet))
            self.wallets[self.wallets.index(wallet)] = self.new_wallet()
        else:
            method = self.dice.choice(["link", "unlink", "set_default"])
            self.call("changed", session, ("links", method, session, wallet))

    def new_wallet(self) -> str:
        wallet: str = self.call("wallet", None, new_wallet(f"{self.name} {self.dice.random()}")).id
        return wallet

    def report_token(self, issued: Any) -> None:
        if issued is not None:
            self.tokens[issued.id] = issued.token

    def call(self, word: str, about: str | None, call: Call) -> Any:
        """Make a call, and report its outcome once it has returned."""
        self.report("asks", about)
        try:
            made = self.services.make(call)
        except WAIaaSError as error:
            self.report("refused", error.code)
            if error.code in _OVER:
                self.tokens.pop(str(about), None)
            return None
        known = {"wallet": lambda: made.id, "session": lambda: [made.id, made.token]}
        self.report(word, known.get(word, lambda: about)())
        return made

    def report(self, word: str, value: Any) -> None:
        # One write, so that a line arrives all or nothing.
        os.write(1, f"{self.name} {word} {json.dumps(value)}\n".encode())


def main() -> None:
    """Write until the process is killed."""
    path, seed = Path(sys.argv[1]), int(sys.argv[2])
    services = Services(path, START + seed * SPAN)
    for number in range(THREADS):
        threading.Thread(target=lambda name: Writer(services, name).run(), args=(f"{seed}/{number}",)).start()


if __name__ == "__main__":
    main()
