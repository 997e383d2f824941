"""The terminal: colour if requested, escaped characters, and progress."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import unicodedata
from pathlib import Path

import pytest
from support.command_line import (
    left_on_screen,
    on_a_terminal,
    only_object,
    program,
    run,
    signalled_at_question,
    variables_of_a_program,
)
from support.old_files import contents, execute, make_file, query, session_id, wallet_id

import waiaas
from waiaas import Progress
from waiaas.cli.messages import spoken
from waiaas.cli.terminal import ProgressLine, interrupted_by_signals, quoted

LATEST = waiaas.LATEST_SCHEMA_VERSION
ESCAPE = "\x1b["


class Terminal(io.StringIO):
    """A stream that reports to be a terminal, but not its width."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError(errno.ENOTTY, "no terminal after all")


@pytest.mark.slow
class TestColour:
    @pytest.mark.parametrize(
        ("environment", "coloured"),
        [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
        ids=str,
    )
    def test_of_an_error_on_a_terminal(self, tmp_path: Path, environment: dict[str, str], coloured: bool) -> None:
        """An error is coloured on a terminal, unless NO_COLOR is set or the terminal is dumb."""
        _, written = on_a_terminal("status", tmp_path / "wallets.db", **environment)
        assert (f"{ESCAPE}31m" in written) == coloured
        assert "Error:" in written

    @pytest.mark.parametrize(
        ("environment", "coloured"),
        [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
        ids=str,
    )
    def test_of_an_error_in_a_file(self, tmp_path: Path, environment: dict[str, str], coloured: bool) -> None:
        """Otherwise nothing is coloured unless FORCE_COLOR is set; NO_COLOR takes precedence."""
        result = program("status", tmp_path / "wallets.db", **environment)
        assert (f"{ESCAPE}31m" in result.stderr) == coloured

    def test_of_status(self, tmp_path: Path) -> None:
        """The status is green if the file is up to date, and yellow otherwise."""
        latest, old = make_file(tmp_path / "latest.db", LATEST), make_file(tmp_path / "old.db")
        assert run("status", latest, FORCE_COLOR="1").stdout.startswith(f"{ESCAPE}32m{latest}")
        assert run("status", old, FORCE_COLOR="1").stdout.startswith(f"{ESCAPE}33m{old}")

    def test_of_findings(self, tmp_path: Path) -> None:
        """Problems are red and notes yellow, and the verdict is red if there is a problem."""
        path = make_file(tmp_path / "wallets.db", LATEST)
        execute(path, "CREATE INDEX mine ON wallets (name)")
        note, hint, verdict = run("check", path, FORCE_COLOR="1").stdout.splitlines()
        assert note.startswith(f"{ESCAPE}33m{ESCAPE}1mnote:")
        assert hint.startswith(f"  {ESCAPE}36m{ESCAPE}1mWhat to do:")
        assert verdict.startswith(f"{ESCAPE}32m{path}: no problem")
        execute(path, "UPDATE transactions SET session_id = 'gone' WHERE rowid = 1")
        problem, *_, verdict = run("check", path, FORCE_COLOR="1").stdout.splitlines()
        assert problem.startswith(f"{ESCAPE}31m{ESCAPE}1mproblem:")
        assert verdict.startswith(f"{ESCAPE}31m{path}: 1 problem")
        problem, *_ = run("--lang", "ko", "check", path, FORCE_COLOR="1").stdout.splitlines()
        assert problem.startswith(f"{ESCAPE}31m{ESCAPE}1m문제:")

    def test_is_never_in_json(self, tmp_path: Path) -> None:
        """JSON output is never coloured."""
        path = make_file(tmp_path / "wallets.db")
        assert run("status", path, "--json", FORCE_COLOR="1").stdout == run("status", path, "--json").stdout


@pytest.mark.slow
class TestCharacters:
    NAME = "line\nbreak\x1b[31m\x9b\u202e.db"

    def test_control_characters_are_escaped(self, tmp_path: Path) -> None:
        """A name with line breaks and control characters stays on its line, and is escaped."""
        path = make_file(tmp_path / "wallets.db").rename(tmp_path / self.NAME)
        for command in ("status", "plan", "check", "upgrade"):
            result = run(command, path)
            assert r"line\nbreak\x1b[31m\x9b\u202e.db" in result.stdout
            assert not any(unicodedata.category(c) in ("Cc", "Cf") for c in result.stdout.replace("\n", ""))

    def test_of_an_error_too(self, tmp_path: Path) -> None:
        """An error has two lines, whatever the name of the file."""
        result = run("status", tmp_path / self.NAME)
        assert len(result.stderr.splitlines()) == 2
        assert r"line\nbreak\x1b" in result.stderr

    def test_of_wrong_usage_too(self, tmp_path: Path) -> None:
        """An argument that is not an option is escaped: it may be an id that came from elsewhere."""
        result = run("sessions", "show", tmp_path / "wallets.db", "--\x1b]0;title\x07")
        assert (result.exit_code, r"--\x1b]0;title\x07" in result.stderr) == (2, True)
        assert "\x1b" not in result.stderr

    def test_of_ids_in_the_file(self, tmp_path: Path) -> None:
        """Ids from the file are escaped too."""
        path = make_file(tmp_path / "wallets.db")
        execute(path, f"DELETE FROM wallets WHERE id = '{wallet_id(1)}'")
        execute(path, f"UPDATE sessions SET id = 'a' || char(27) || '[2J' WHERE id = '{session_id(2)}'")
        result = run("upgrade", path)
        assert r"a\x1b[2J" in result.stderr
        assert "\x1b" not in result.stderr

    @pytest.mark.skipif(sys.platform == "win32", reason="it is a shell's matter")
    @pytest.mark.parametrize(
        "name", ["my wallets.db", "it's.db", "-dash.db", NAME, os.fsdecode(b"caf\xe9.db"), "지갑.db"]
    )
    def test_of_a_command_can_be_pasted(self, tmp_path: Path, name: str) -> None:
        """A proposed path is exactly the file's name for a shell."""
        (tmp_path / name).touch()
        found = subprocess.run(
            ["bash", "-c", f"ls -d {quoted(name)}"], cwd=tmp_path, stdout=subprocess.PIPE, check=True
        ).stdout
        assert os.path.normpath(os.fsdecode(found.removesuffix(b"\n"))) == name

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1", "euc-kr", "utf-8"])
    def test_that_a_stream_cannot_encode_are_escaped(self, tmp_path: Path, encoding: str) -> None:
        """Characters that a stream cannot encode are escaped without a crash."""
        path = tmp_path / "é지갑.db"
        variables = {"WAIAAS_LANG": "ko", "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
        result = program("status", path, "--json", **variables, binary=True)
        answer = json.loads(result.stdout.decode("utf-8" if encoding == "ascii" else encoding))
        assert result.returncode == 1
        assert answer["error"]["details"]["path"] == str(path)
        assert answer["error"]["message"] == f"{path} 파일이 없습니다."
        assert b"Traceback" not in result.stderr
        assert len(result.stderr.splitlines()) == 2


@pytest.mark.slow
class TestOutput:
    def test_on_a_full_disk(self, tmp_path: Path) -> None:
        """If the output cannot be written, the command fails, and its change is kept."""
        path = make_file(tmp_path / "wallets.db")
        with open("/dev/full", "w") as full:
            result = program("upgrade", path, "--json", stdout=full)
        assert result.returncode == 4
        assert result.stderr == (
            "Error: The command did its work, but its answer could not be written: No space left on device.\n"
        )
        assert query(path, "SELECT max(version) FROM schema_version") == [(LATEST,)]

    @pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["status", "--help"]], ids=" ".join)
    def test_of_help_on_a_full_disk(self, arguments: list[str]) -> None:
        """Help and the version end like an answer."""
        with open("/dev/full", "w") as full:
            result = program(*arguments, stdout=full)
        assert result.returncode == 4
        assert result.stderr == (
            "Error: The command did its work, but its answer could not be written: No space left on device.\n"
        )

    @pytest.mark.parametrize("arguments", [["status", "--json"], ["check"], ["rehearse"]], ids=" ".join)
    def test_without_a_reader(self, tmp_path: Path, arguments: list[str]) -> None:
        """If the reader has closed the pipe, as `head` does, nothing is printed and the exit code is kept."""
        path = make_file(tmp_path / "wallets.db")
        reading, writing = os.pipe()
        os.close(reading)
        try:
            result = program(*arguments, path, stdout=writing)
        finally:
            os.close(writing)
        assert (result.returncode, result.stderr) == (4, "")

    def test_that_is_closed_fails(self, tmp_path: Path) -> None:
        """Without a standard output, the command fails as on a full disk, with an error message."""
        path = make_file(tmp_path / "wallets.db")
        execute(path, f"DELETE FROM wallets WHERE id = '{wallet_id(1)}'")
        done = subprocess.run(
            ["sh", "-c", f"{quoted(sys.executable)} -m waiaas upgrade {quoted(path)} --skip-orphans --json >&-"],
            env=variables_of_a_program(),
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.returncode == 4
        assert done.stderr == (
            "Error: The command did its work, but its answer could not be written: Bad file descriptor.\n"
        )
        assert query(path, "SELECT max(version) FROM schema_version") == [(LATEST,)]

    @pytest.mark.parametrize(("closed", "code"), [(">&-", 4), ("2>&-", 3), (">&- 2>&-", 4)])
    def test_that_is_closed(self, tmp_path: Path, closed: str, code: int) -> None:
        """Without standard streams, the program makes no other change, and its exit code reports the result."""
        path = make_file(tmp_path / "wallets.db")
        before = contents(tmp_path)
        done = program(code=f"import os; os._exit(os.system({_shell(path, closed)!r}) >> 8)")
        assert done.returncode == code
        assert contents(tmp_path) == before

    def test_that_is_closed_keeps_the_exit_code_of_a_refusal(self, tmp_path: Path) -> None:
        """A refusal keeps its exit code, even if it cannot be printed."""
        done = program(code=f"import os; os._exit(os.system({_shell(tmp_path / 'none.db', '--json >&-')!r}) >> 8)")
        assert done.returncode == 1
        assert done.stderr.startswith("Error: There is no file ")


def _shell(path: Path, closed: str) -> str:
    return f"{quoted(sys.executable)} -m waiaas status {quoted(path)} {closed}"


class TestProgressLine:
    def line(self, *moments: tuple[float, Progress]) -> str:
        """Return what is written for progress at these seconds."""
        times = iter(seconds for seconds, _ in moments)
        terminal = Terminal()
        line = ProgressLine(terminal, clock=lambda: next(times))
        for _, progress in moments:
            line(progress)
        return terminal.getvalue()

    @pytest.mark.parametrize(
        ("progress", "seconds", "expected"),
        [
            (Progress("copying", 19, 50, 200), 0.9, "version 19: copying 50 of 200"),
            (Progress("copying", 19, 50, 200), 30, "version 19: copying 50 of 200, 1:30 left"),
            (Progress("copying", None, 1_000, 1_001_000), 1, "copying 1,000 of 1,001,000, 16:40 left"),
            (Progress("copying", None, 200, 200), 61, "copying 200 of 200, 1:01 so far"),
            (Progress("copying", None, 0, 200), 61, "copying, 200 in all, 1:01 so far"),
            (Progress("copying"), 59.9, "copying, 0:59 so far"),
            (Progress("copying"), 0.5, "copying"),
        ],
    )
    def test_shows_what_is_known(self, progress: Progress, seconds: float, expected: str) -> None:
        """It shows rows done and time left if the number of rows is known, otherwise the elapsed time."""
        written = self.line((100, progress._replace(done=0)), (100 + seconds, progress))
        assert left_on_screen(written) == expected

    def test_is_in_the_language_of_the_command(self) -> None:
        """Version, phase with the name in it, counts and time are Korean where Korean was asked for."""
        progress = Progress("filling session_wallets", 19, 500, 2_000)
        with spoken("ko"):
            written = self.line((0, progress._replace(done=0)), (10, progress))
        assert "버전 19: session_wallets 테이블을 채우는 중, 2,000개 중 500개, 0:30 남음" in written

    def test_is_drawn_at_most_ten_times_per_second(self) -> None:
        """Several updates in a tenth of a second draw one line, but the last update of a phase is drawn."""
        written = self.line(*((number / 1000, Progress("copying", None, number, 90)) for number in range(1, 91)))
        assert written.count("\r") == 2
        assert left_on_screen(written) == "copying 90 of 90"

    def test_counts_the_time_of_each_phase(self) -> None:
        """The elapsed time is that of the current phase."""
        written = self.line((0, Progress("one")), (90, Progress("two")), (95, Progress("two")))
        assert left_on_screen(written) == "two, 0:05 so far"

    def test_is_gone_when_cleared(self) -> None:
        """A cleared line leaves nothing, and clearing twice writes nothing more."""
        terminal = Terminal()
        line = ProgressLine(terminal)
        line(Progress("copying 지갑"))
        line.clear()
        written = terminal.getvalue()
        line.clear()
        assert left_on_screen(written) == ""
        assert terminal.getvalue() == written

    def test_turns_wrapping_off(self) -> None:
        """Automatic wrapping is off while the line is written, so that the terminal truncates it."""
        assert self.line((0, Progress("가" * 100))) == f"\r{ESCAPE}?7l{'가' * 100}{ESCAPE}K{ESCAPE}?7h"

    def test_is_not_shown_on_a_terminal_without_control_sequences(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A dumb terminal would show the control sequences as text."""
        monkeypatch.setenv("TERM", "dumb")
        assert self.line((0, Progress("copying"))) == ""

    def test_ignores_a_closed_terminal(self) -> None:
        """A closed terminal does not stop an upgrade."""

        class Gone(Terminal):
            def write(self, _: str) -> int:
                raise OSError(errno.EIO, "Input/output error")

        ProgressLine(Gone())(Progress("copying"))


KILL = """
import os, signal, sys
from waiaas.cli import main
from waiaas.cli import terminal
from waiaas import progress as progress_module

progress_module._INSTRUCTIONS_PER_CALL, progress_module.SECONDS_BETWEEN_REPORTS = 1, 0
phase, number = sys.argv.pop(1), getattr(signal, sys.argv.pop(1))
draw, seen = terminal.ProgressLine.__call__, []

def kill(self, progress):
    draw(self, progress)
    seen.append(progress.phase)
    if progress.phase == phase and seen.count(phase) in (1, 2):
        os.kill(os.getpid(), number)

terminal.ProgressLine.__call__ = kill
main(prog_name="waiaas")
"""

ENDLESS_BACKUP = """
from waiaas.progress import Progress
from waiaas.files import backup

def copy_pages(path, copy, reporter):
    while True:
        reporter(Progress("backing up", None, 1, 2))

backup._copy = copy_pages
"""


@pytest.mark.slow
class TestSignals:
    @pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
    @pytest.mark.parametrize(
        ("arguments", "phase", "name", "code"),
        [
            (["upgrade"], "waiting for the write lock", "SIGINT", 130),
            (["upgrade"], "filling session_wallets", "SIGINT", 130),
            (["upgrade"], "indexing session_wallets", "SIGTERM", 143),
            (["upgrade"], "checking the foreign keys of session_wallets", "SIGINT", 130),
            (["rehearse"], "verifying the backup", "SIGINT", 130),
            (["rehearse"], "filling session_wallets", "SIGTERM", 143),
            (["rehearse"], "committing", "SIGINT", 130),
            (["rehearse"], "comparing sessions", "SIGHUP", 129),
            (["rehearse"], "checking the result", "SIGINT", 130),
            (["plan"], "planning", "SIGINT", 130),
            (["check"], "checking the file", "SIGINT", 130),
        ],
    )
    def test_stop_a_command(
        self, tmp_path: Path, arguments: list[str], phase: str, name: str, code: int, wal: bool
    ) -> None:
        """Stopped at any moment, a real process reports it, and leaves the file unchanged and no other file."""
        path = make_file(tmp_path / "wallets.db", wal=wal)
        before = contents(tmp_path)
        result = program(phase, name, *arguments, path, code=KILL)
        assert (result.returncode, result.stdout) == (code, "")
        assert result.stderr == f"Interrupted: {path} is unchanged.\n"
        assert contents(tmp_path) == before

    @pytest.mark.parametrize(
        ("phase", "name", "code"), [("backing up", "SIGINT", 130), ("verifying the backup", "SIGHUP", 129)]
    )
    def test_stop_a_backup(self, tmp_path: Path, phase: str, name: str, code: int) -> None:
        """Stopped while the backup is written before the change, a process removes the backup."""
        path = make_file(tmp_path / "wallets.db")
        before = contents(tmp_path)
        result = program(phase, name, "upgrade", path, code=KILL)
        assert (result.returncode, result.stderr) == (code, f"Interrupted: {path} is unchanged.\n")
        assert contents(tmp_path) == before

    @pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
    def test_stop_a_change_that_waits_for_its_backup(self, tmp_path: Path, name: str, code: int) -> None:
        """A backup that a thread is still writing when everything else is done is stopped too."""
        path = make_file(tmp_path / "wallets.db", wal=True)
        before = contents(tmp_path)
        result = program("backing up", name, "upgrade", path, code=f"{ENDLESS_BACKUP}\n{KILL}")
        assert (result.returncode, result.stderr) == (code, f"Interrupted: {path} is unchanged.\n")
        assert contents(tmp_path) == before

    def test_stop_a_downgrade(self, tmp_path: Path) -> None:
        """A downgrade is as safe as an upgrade."""
        path = make_file(tmp_path / "wallets.db", LATEST)
        before = contents(tmp_path)
        result = program("replacing sessions", "SIGINT", "--lang", "ko", "downgrade", path, code=KILL)
        assert (result.returncode, result.stderr) == (130, f"중단됨: {path} 파일은 변경되지 않았습니다.\n")
        assert contents(tmp_path) == before

    @pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
    def test_come_too_late_for_the_commit(self, tmp_path: Path, name: str) -> None:
        """Once the commit has begun, the upgrade completes and prints its report."""
        path = make_file(tmp_path / "wallets.db")
        result = program("committing", name, "upgrade", path, "--json", code=KILL)
        assert (result.returncode, result.stderr) == (0, "")
        answer = only_object(result.stdout)
        assert query(path, "SELECT max(version) FROM schema_version") == [(LATEST,)]
        assert query(Path(answer["backup"]), "SELECT max(version) FROM schema_version") == [(18,)]

    def test_that_were_ignored_stay_ignored(self, tmp_path: Path) -> None:
        """Under `nohup`, a hang-up stops nothing."""
        path = make_file(tmp_path / "wallets.db")
        ignoring = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{KILL}"
        assert program("backing up", "SIGHUP", "upgrade", path, code=ignoring).returncode == 0

    @pytest.mark.parametrize(
        ("number", "code", "interrupts_read"),
        [
            (signal.SIGTERM, 143, False),
            (signal.SIGINT, 130, False),
            (signal.SIGHUP, 129, False),
            *[pytest.param(signal.SIGTERM, 143, True, marks=pytest.mark.stress) for _ in range(20)],
        ],
    )
    def test_that_come_as_a_question_appears_end_it(
        self, tmp_path: Path, number: int, code: int, interrupts_read: bool
    ) -> None:
        """A signal at the very moment of a question is handled, also one that interrupts no read; nothing changes."""
        path = make_file(tmp_path / "wallets.db", LATEST, wal=True)
        before = contents(tmp_path)
        returned, shown = signalled_at_question(
            "kill-switch", "activate", path, number=number, interrupts_read=interrupts_read
        )
        assert (returned, shown.splitlines()[-1]) == (code, "Nothing was changed.")
        assert contents(tmp_path) == before

    def test_handlers_are_restored_after_the_command(self, tmp_path: Path) -> None:
        """A program that runs the command in its own process gets its signal handlers back."""
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        run("upgrade", make_file(tmp_path / "wallets.db"))
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize(
    "character", ["\x7f", "\x9b", "\x85", "\u202e", "\u2066", "\u200f", "\u2028", "\ufeff", "\U000e0001"], ids=ascii
)
def test_json_escapes_control_characters(tmp_path: Path, character: str) -> None:
    """Control and formatting characters of a path are escaped in --json and in lines, and the value is the path."""
    path = make_file(tmp_path / f"a{character}b.db", LATEST)
    for arguments in (["status"], ["upgrade"], ["check"], ["downgrade", "--no-backup"]):
        as_json, lines = run(*arguments, path, "--json"), run(*arguments, path)
        assert character not in as_json.stdout + as_json.stderr + lines.stdout + lines.stderr
        assert json.loads(as_json.stdout)["path"] == str(path)


_SLOW = "WITH n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 50000000) SELECT max(i) FROM n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals end no statement there")
def test_a_signal_just_before_a_statement_interrupts_it() -> None:
    """SQLite ignores an interrupt while no statement runs, so one interrupt is not enough."""
    came_early = threading.Event()
    connection = sqlite3.connect(":memory:", check_same_thread=False)

    class Interrupted:
        def interrupt(self) -> None:
            connection.interrupt()
            came_early.set()

    def run() -> None:
        with interrupted_by_signals(Interrupted()):  # type: ignore[arg-type]
            woken = signal.set_wakeup_fd(-1)
            signal.set_wakeup_fd(woken)
            os.write(woken, bytes([signal.SIGTERM]))
            assert came_early.wait(60)
            connection.execute(_SLOW)

    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        run()
    connection.close()
