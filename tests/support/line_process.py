"""A separate process that answers one line for each line it reads."""

from __future__ import annotations

from support.python_processes import start_python


class Remote:
    """Runs Python code that prints one line when it is ready and one for each line that it reads."""

    def __init__(self, code: str, *arguments: object) -> None:
        self._process = start_python("-c", code, *arguments)
        self.answer()

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.__exit__(None, None, None)

    def send(self, line: str) -> None:
        """Send a line without waiting for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        """Return the next line that the program prints."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the program ended with {self._process.wait()}"
        return line.rstrip("\n")

    def ask(self, line: str) -> str:
        """Send a line and return the answer."""
        self.send(line)
        return self.answer()
