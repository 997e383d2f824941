"""The commands on an open database: sessions, wallets, links, tokens, the kill switch and the audit log."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command_line import only_object, run
from support.old_files import contents, make_file
from support.sqlite_files import execute

import waiaas
from waiaas.cli import records, target

UNKNOWN = "0190a3f0-9999-7abc-8def-0123456789ab"
# The commands that change something, with the ids of a session, its default wallet and another wallet.
ASKING = [
    "sessions revoke {session}",
    "sessions revoke --wallet {wallet}",
    "sessions revoke --all",
    "wallets terminate {wallet}",
    "links remove {session} {other}",
    "tokens rotate",
    "kill-switch activate",
]
OTHERS = [
    "sessions list",
    "sessions show {session}",
    "wallets list",
    "wallets show {wallet}",
    "wallets suspend {wallet}",
    "links list {session}",
    "links add {session} {third}",
    "links default {session} {other}",
    "kill-switch status",
]
ALL = ASKING + OTHERS


class Scene:
    """A database of three wallets; `session` has two of them, and the audit log has the changes of `admin`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # An hour ago, so that the signing key can be rotated again.
        with waiaas.connect(path, clock=lambda: _an_hour_ago()) as database:
            names = ("trading", "payments", "savings")
            options: dict[str, Any] = {"chain": "solana", "environment": "mainnet", "actor": "admin"}
            wallets = [database.wallets.create(name=name, public_key=name, **options).id for name in names]
            session = database.sessions.create(wallet_ids=wallets[:2], actor="admin")
            single = database.sessions.create(wallet_ids=wallets[:1], actor="admin")
        self.token, self.session, self.single = session.token, session.id, single.id
        self.wallet, self.other, self.third = wallets

    def words(self, command: str) -> list[str | Path]:
        """Return the arguments of a command, including the target."""
        names = {name: value for name, value in vars(self).items() if isinstance(value, str)}
        words = command.format(**names).split()
        groups = 1 if words[0] in ("audit", "prune") else 2
        return [*words[:groups], self.path, *words[groups:]]

    def run(self, command: str, **environment: str) -> Any:
        """Run a command on the database."""
        return run(*self.words(command), **environment)

    def code_of(self, token: str) -> str | None:
        """Return the code with which a token is refused."""
        with waiaas.connect(self.path) as database:
            try:
                database.sessions.authorize(token)
            except waiaas.WAIaaSError as error:
                return error.code
        return None


def _an_hour_ago() -> float:
    import time

    return time.time() - 3600


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("scene") / "wallets.db")


@pytest.fixture
def scene(original: Scene, tmp_path: Path) -> Iterator[Scene]:
    path, original_path = tmp_path / "wallets.db", original.path
    shutil.copy(original_path, path)
    original.path = path
    yield original
    original.path = original_path


class TestEveryCommand:
    @pytest.mark.parametrize("command", ALL)
    def test_json_output_is_one_object(self, scene: Scene, command: str) -> None:
        """With --json standard output is one object, and standard error is empty."""
        result = scene.run(f"{command} --json{' --yes' if command in ASKING else ''}")
        assert (result.exit_code, result.stderr) == (0, "")
        assert only_object(result.stdout)

    @pytest.mark.parametrize("command", [*ALL, "audit"])
    def test_finds_its_database_in_the_environment(self, scene: Scene, command: str) -> None:
        """WAIAAS_DATABASE is the database of a command without a target."""
        words = [word for word in scene.words(command) if word != scene.path]
        yes = ["--yes"] if command in ASKING else []
        result = run(*words, *yes, WAIAAS_DATABASE=str(scene.path))
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout

    @pytest.mark.parametrize("command", [*ALL, "audit"])
    @pytest.mark.parametrize(("version", "reason"), [(None, "file_not_found"), (18, "upgrade_pending")])
    def test_neither_creates_nor_upgrades(
        self, original: Scene, tmp_path: Path, command: str, version: int | None, reason: str
    ) -> None:
        """A missing file is not created, and an older one is refused and unchanged."""
        path = tmp_path / "wallets.db"
        if version is not None:
            make_file(path, version)
        before = contents(tmp_path)
        words = [path if word == original.path else word for word in original.words(command)]
        yes = ["--yes"] if command in ASKING else []
        result = run(*words, *yes, "--json")
        assert result.exit_code == 1
        assert only_object(result.stdout)["error"]["details"]["reason"] == reason
        assert contents(tmp_path) == before

    @pytest.mark.parametrize("path", ["", ":memory:", "mysql://app:secret@host/wallets"])
    def test_refuses_what_is_not_a_target(self, path: str) -> None:
        """An invalid target is a usage error, and a password in it is not printed."""
        result = run("sessions", "list", path)
        assert result.exit_code == 2
        assert "Invalid value for 'TARGET'" in result.stderr
        assert "secret" not in result.stderr

    @pytest.mark.parametrize(
        ("command", "code"),
        [
            (f"sessions show {UNKNOWN}", "SESSION_NOT_FOUND"),
            (f"sessions revoke {UNKNOWN}", "SESSION_NOT_FOUND"),
            (f"sessions revoke --wallet {UNKNOWN}", "WALLET_NOT_FOUND"),
            (f"wallets suspend {UNKNOWN}", "WALLET_NOT_FOUND"),
            ("wallets resume {wallet}", "INVALID_STATE_TRANSITION"),
            (f"links list {UNKNOWN}", "SESSION_NOT_FOUND"),
            ("links add {session} {wallet}", "WALLET_ALREADY_LINKED"),
            ("links remove {session} {wallet} --yes", "CANNOT_REMOVE_DEFAULT_WALLET"),
            ("links default {session} {third}", "WALLET_ACCESS_DENIED"),
            ("kill-switch recover", "KILL_SWITCH_NOT_ACTIVE"),
            ("sessions list --after \u007f", "ACTION_VALIDATION_FAILED"),
        ],
    )
    @pytest.mark.parametrize("lang", ["en", "ko"])
    def test_refusals_equal_those_of_python(self, scene: Scene, command: str, code: str, lang: str) -> None:
        """A refusal has the exception's code, text and hint, and the exit code 1."""
        result = run(*scene.words(command), "--json", "--lang", lang)
        error = only_object(result.stdout)["error"]
        expected = waiaas.WAIaaSError(code).to_dict(lang)
        assert (result.exit_code, error["code"], error["hint"]) == (1, code, expected["hint"])
        assert error["message"] in result.stderr

    @pytest.mark.parametrize(
        ("lang", "message"), [("en", "  reason: Must not be blank."), ("ko", "  reason: 비어 있거나")]
    )
    def test_names_the_values_that_are_wrong(self, scene: Scene, lang: str, message: str) -> None:
        """A refusal of a value names it and the rule that it breaks."""
        result = run(*scene.words("wallets suspend {wallet}"), "--reason", " ", "--lang", lang)
        assert result.exit_code == 1
        assert result.stderr.splitlines()[1].startswith(message)


class TestQuestions:
    @pytest.mark.parametrize(
        "command", ["wallets suspend {wallet}", "links default {session} {other}", "kill-switch escalate"]
    )
    @pytest.mark.parametrize("option", ["-y", "--yes"])
    def test_can_be_answered_before_where_there_are_none(self, scene: Scene, command: str, option: str) -> None:
        """Every command that changes something takes --yes, as a script passes it."""
        if "escalate" in command:
            scene.run("kill-switch activate --yes")
        assert scene.run(f"{command} {option}").exit_code == 0

    @pytest.mark.parametrize("command", ASKING)
    def test_without_a_terminal_are_usage_errors(self, scene: Scene, command: str) -> None:
        """Nothing is removed without confirmation: without a terminal, the command needs --yes."""
        before = scene.path.read_bytes()
        result = scene.run(command)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "pass --yes" in result.stderr
        assert scene.path.read_bytes() == before

    @pytest.mark.parametrize("command", ASKING)
    @pytest.mark.parametrize(("answer", "exit_code"), [("y\n", 0), ("n\n", 1), ("\n", 1), ("", 130)])
    def test_on_a_terminal_are_answered(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch, command: str, answer: str, exit_code: int
    ) -> None:
        """Only `y` continues; any other answer, and the end of the input, changes nothing."""
        monkeypatch.setattr(target, "is_interactive", lambda: True)
        before = scene.path.read_bytes()
        result = run(*scene.words(command), "--json", typed=answer)
        assert result.exit_code == exit_code
        assert result.stderr.count("[y/N]") == 1
        assert result.stderr.endswith("Nothing was changed.\n") == (exit_code != 0)
        assert (scene.path.read_bytes() == before) == (exit_code != 0)
        assert (result.stdout == "") == (exit_code != 0)

    def test_show_what_is_removed(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before many sessions are revoked, the question shows their number and the wallet."""
        monkeypatch.setattr(target, "is_interactive", lambda: True)
        asked = run(*scene.words("sessions revoke --wallet {wallet}"), typed="n\n").stderr
        assert "of the wallet trading: 2?" in asked

    @pytest.mark.parametrize("command", ["sessions revoke --wallet {wallet}", "wallets terminate {wallet}"])
    def test_escape_what_the_file_contains(self, scene: Scene, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
        """A name in the file cannot erase or change the question on the terminal."""
        monkeypatch.setattr(target, "is_interactive", lambda: True)
        execute(scene.path, "UPDATE wallets SET name = 'x' || char(13, 27) || '[2K' || char(8238) || 'y'")
        asked = run(*scene.words(command), typed="n\n").stderr
        assert r"x\r\x1b[2K\u202ey" in asked
        assert not {"\r", "\x1b", "\u202e"} & set(asked)


class TestSessionCommands:
    def test_revoke_ends_the_token(self, scene: Scene) -> None:
        """A token of a revoked session is refused, and the audit log has who revoked it."""
        result = scene.run("sessions revoke {session} --yes --actor alice")
        assert (result.exit_code, result.stderr) == (0, "")
        assert re.search("^status: +REVOKED$", result.stdout, re.MULTILINE)
        assert scene.code_of(scene.token) == "SESSION_REVOKED"
        assert "SESSION_REVOKED  alice" in scene.run("audit --session {session}").stdout

    def test_the_actor_is_the_user_of_the_system(self, scene: Scene) -> None:
        """Without --actor the audit log has the operating system's user, not the value of a variable."""
        scene.run("sessions revoke {session} --yes", LOGNAME="mallory", USER="mallory")
        with waiaas.connect(scene.path) as database:
            (entry,) = database.audit.list(event_type="SESSION_REVOKED")
        assert entry.actor == f"cli:{pwd.getpwuid(os.getuid()).pw_name}"

    def test_a_user_without_a_name_is_a_number(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        """In a container the user may have no name."""

        def unknown(_: int) -> None:
            raise KeyError

        monkeypatch.setattr(pwd, "getpwuid", unknown)
        assert scene.run("sessions revoke {session} --yes").exit_code == 0
        with waiaas.connect(scene.path) as database:
            (entry,) = database.audit.list(event_type="SESSION_REVOKED")
        assert entry.actor == f"cli:{os.getuid()}"

    @pytest.mark.parametrize("which", ["--all", "--wallet {wallet}"])
    def test_revoke_many(self, scene: Scene, which: str) -> None:
        """All active sessions of a wallet, or of all wallets, are revoked, and each is printed once."""
        result = scene.run(f"sessions revoke {which} --yes")
        assert result.stdout.splitlines() == [*sorted([scene.session, scene.single]), "Sessions revoked: 2"]
        assert scene.run("sessions list --status ACTIVE").stdout == "There are no sessions.\n"

    def test_revoke_of_a_wallet_keeps_other_sessions(self, scene: Scene) -> None:
        """A session that is not linked to the wallet stays active."""
        answer = only_object(scene.run("sessions revoke --wallet {other} --yes --json").stdout)
        assert answer == {"revoked": [scene.session]}
        listed = only_object(scene.run("sessions list --status active --json").stdout)
        assert [session["id"] for session in listed["sessions"]] == [scene.single]

    @pytest.mark.parametrize("ways", ["{session} --all", "--all --wallet {wallet}", "{session} --wallet {wallet}"])
    def test_revoke_accepts_one_way_to_select_sessions(self, scene: Scene, ways: str) -> None:
        """Two ways to select the sessions are a usage error, and nothing is revoked."""
        result = scene.run(f"sessions revoke {ways} --yes")
        assert result.exit_code == 2
        assert "only one of them" in result.stderr
        assert scene.code_of(scene.token) is None

    def test_revoke_needs_a_way_to_select_sessions(self, scene: Scene) -> None:
        """`sessions revoke TARGET` alone does not revoke all of them."""
        result = scene.run("sessions revoke --yes")
        assert result.exit_code == 2
        assert "Missing argument" in result.stderr
        assert scene.code_of(scene.token) is None

    def test_list_comes_in_pages(self, scene: Scene) -> None:
        """The end of a page shows the cursor of the next one."""
        first = scene.run("sessions list --limit 1").stdout
        assert first.splitlines()[-1] == f"There are more: --after {min(scene.session, scene.single)}"
        rest = scene.run(f"sessions list --limit 1 --after {min(scene.session, scene.single)}").stdout.splitlines()
        assert [line.split()[0] for line in rest] == ["SESSION", max(scene.session, scene.single)]

    def test_list_names_the_wallets(self, scene: Scene) -> None:
        """Each session is one line with its wallets, the default marked."""
        lines = scene.run("sessions list").stdout.splitlines()
        (line,) = (line for line in lines if line.startswith(scene.session))
        assert line.endswith("  trading (default), payments")

    @pytest.mark.parametrize("columns", [40, 200])
    def test_list_fits_a_narrow_terminal(self, scene: Scene, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
        """A terminal that is too narrow for the table gets a short line per value."""
        monkeypatch.setattr(records, "width", lambda: columns)
        shown = scene.run("sessions list --wallet {other}").stdout.splitlines()
        if columns == 40:
            assert [line.split(":")[0] for line in shown] == [scene.session, "  status", "  expires", "  wallets"]
            assert max(map(len, shown)) <= columns
        else:
            assert len(shown) == 2


class TestWallets:
    def test_suspend_and_resume(self, scene: Scene) -> None:
        """A suspended wallet is refused, with its reason shown, until it is resumed."""
        suspended = run(*scene.words("wallets suspend {wallet}"), "--reason", "key may be stolen").stdout
        assert re.search("^status: +SUSPENDED since .* UTC: key may be stolen$", suspended, re.MULTILINE)
        assert scene.code_of(scene.token) == "WALLET_SUSPENDED"
        assert re.search("^status: +ACTIVE$", scene.run("wallets resume {wallet}").stdout, re.MULTILINE)
        assert scene.code_of(scene.token) is None

    def test_terminate(self, scene: Scene) -> None:
        """A terminated wallet's sessions keep their other wallet or are revoked, and the list shows the status."""
        scene.run("wallets terminate {wallet} --yes")
        sessions = only_object(scene.run("sessions list --json").stdout)["sessions"]
        assert {session["id"]: session["status"] for session in sessions} == {
            scene.session: "ACTIVE",
            scene.single: "REVOKED",
        }
        lines = scene.run("wallets list --status terminated").stdout.splitlines()
        assert [line.split() for line in lines[1:]] == [[scene.wallet, "TERMINATED", "solana", "mainnet", "trading"]]


class TestLinks:
    def test_add_default_remove(self, scene: Scene) -> None:
        """A session gets a wallet, makes it the default, and its first one is removed."""
        scene.run("links add {session} {third}")
        scene.run("links default {session} {third}")
        answer = only_object(scene.run("links remove {session} {wallet} --yes --json").stdout)
        assert [(link["id"], link["isDefault"]) for link in answer["wallets"]] == [
            (scene.third, True),
            (scene.other, False),
        ]
        lines = scene.run("links list {session}").stdout.splitlines()
        assert [line.split() for line in lines[1:]] == [
            [scene.third, "ACTIVE", "default", "savings"],
            [scene.other, "ACTIVE", "payments"],
        ]


class TestTokens:
    def test_rotate(self, scene: Scene) -> None:
        """After a rotation, old tokens still work for a while, and a second rotation is refused at first."""
        assert scene.run("tokens rotate --yes").exit_code == 0
        assert scene.code_of(scene.token) is None
        again = scene.run("tokens rotate --yes --json")
        assert only_object(again.stdout)["error"]["code"] == "ROTATION_TOO_RECENT"


class TestKillSwitch:
    def test_from_activation_to_recovery(self, scene: Scene) -> None:
        """Each step changes the state, and the tokens stay invalid."""
        states = {}
        for step in ("activate --yes", "escalate", "recover"):
            states[step] = only_object(scene.run(f"kill-switch {step} --actor alice --json").stdout)["state"]
            assert (scene.code_of(scene.token) == "SYSTEM_LOCKED") == (step != "recover")
        assert states == {"activate --yes": "SUSPENDED", "escalate": "LOCKED", "recover": "ACTIVE"}
        assert scene.code_of(scene.token) == "SESSION_REVOKED"

    def test_status(self, scene: Scene) -> None:
        """The state is shown with its meaning: when it was set, and by whom."""
        assert scene.run("kill-switch status").stdout == "The kill switch is off (ACTIVE): tokens work.\n"
        scene.run("kill-switch activate --yes --actor alice")
        shown = scene.run("kill-switch status").stdout
        assert re.fullmatch(r"The kill switch is on \(SUSPENDED\) since .* UTC, by alice: no token works\.\n", shown)


class TestPrune:
    @pytest.fixture(autouse=True)
    def _end_a_session(self, scene: Scene) -> None:
        scene.run("sessions revoke {single} --yes")

    def test_removes_ended_sessions(self, scene: Scene) -> None:
        """A session that ended is removed, and the other one stays."""
        result = scene.run("prune --sessions 0 --yes")
        assert result.stdout == "Removed: 1 session and 0 audit entries.\n"
        assert [session["id"] for session in only_object(scene.run("sessions list --json").stdout)["sessions"]] == [
            scene.session
        ]

    @pytest.mark.parametrize(("answer", "exit_code"), [("y\n", 0), ("n\n", 1)])
    def test_asks_with_what_it_would_remove(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch, answer: str, exit_code: int
    ) -> None:
        """The question shows how many would be removed, and a no changes nothing."""
        monkeypatch.setattr(target, "is_interactive", lambda: True)
        before = scene.path.read_bytes()
        result = run(*scene.words("prune --sessions 0"), typed=answer)
        assert result.exit_code == exit_code
        assert "Permanently remove 1 session and 0 audit entries?" in result.stderr
        assert (scene.path.read_bytes() == before) == (exit_code != 0)

    def test_dry_run(self, scene: Scene) -> None:
        """--dry-run only counts, and asks nothing."""
        before = scene.path.read_bytes()
        answer = only_object(scene.run("prune --sessions 0 --audit 365 --dry-run --json").stdout)
        assert answer == {"sessions": 1, "auditEntries": 0, "auditEntriesKept": 0, "dryRun": True}
        assert scene.path.read_bytes() == before

    def test_exports(self, scene: Scene) -> None:
        """The export has the entries, the oldest first."""
        with waiaas.connect(scene.path, clock=lambda: 1_000_000_000) as database:
            database.sessions.revoke(scene.session, actor="alice")
        export = scene.path.with_name("audit.jsonl")
        answer = only_object(scene.run(f"prune --audit 365 --export {export} --yes --json").stdout)
        assert answer["auditEntries"] == 1
        (entry,) = map(json.loads, export.read_text("utf-8").splitlines())
        assert (entry["eventType"], entry["actor"], entry["timestamp"]) == ("SESSION_REVOKED", "alice", 1_000_000_000)

    @pytest.mark.parametrize("arguments", ["", "--sessions 1 --export audit.jsonl", "--sessions -1", "--audit x"])
    def test_usage_errors(self, scene: Scene, arguments: str) -> None:
        """Without a number of days, or with an export of nothing, the command is a usage error and removes nothing."""
        before = scene.path.read_bytes()
        assert scene.run(f"prune {arguments} --yes").exit_code == 2
        assert scene.path.read_bytes() == before


class TestAudit:
    @pytest.mark.parametrize(
        ("conditions", "events"),
        [
            ("--event SESSION_ISSUED --session {single}", ["SESSION_ISSUED"]),
            ("--wallet {third}", ["WALLET_CREATED"]),
            ("--actor nobody", []),
            ("--actor admin --event WALLET_CREATED", ["WALLET_CREATED"] * 3),
            ("--since 90m --event SESSION_ISSUED", ["SESSION_ISSUED"] * 2),
            ("--since 30m", []),
            ("--until 2020-01-01", []),
            ("--until 2020-01-01T09:30:00Z", []),
            ("--since 2020-01-01T09:30+09:00 --event SESSION_ISSUED", ["SESSION_ISSUED"] * 2),
        ],
    )
    def test_conditions(self, scene: Scene, conditions: str, events: list[str]) -> None:
        """Each condition excludes the entries that do not match; with --json each entry is a line."""
        lines = scene.run(f"audit {conditions} --json").stdout.splitlines()
        assert [json.loads(line)["eventType"] for line in lines] == events

    def test_text(self, scene: Scene) -> None:
        """An entry shows the event, the time and the actor, and below them its objects."""
        when, *about = scene.run("audit --event SESSION_ISSUED --session {single}").stdout.splitlines()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC  SESSION_ISSUED  admin", when)
        assert about[:2] == [f"  wallet {scene.wallet}", f"  session {scene.single}"]
        assert scene.run("audit --actor nobody").stdout == "There are no entries.\n"

    def test_pages(self, scene: Scene) -> None:
        """The newest entries come first; --after continues, and --all prints all pages."""
        ids = [json.loads(line)["id"] for line in scene.run("audit --all --json").stdout.splitlines()]
        assert ids == sorted(ids, reverse=True)
        assert len(ids) == 5
        page = scene.run("audit --limit 2").stdout.splitlines()
        assert page[-1] == f"There are more: --after {ids[1]}"
        rest = scene.run(f"audit --limit 200 --after {ids[1]} --json").stdout.splitlines()
        assert [json.loads(line)["id"] for line in rest] == ids[2:]

    @pytest.mark.parametrize("time", ["yesterday", "2026-13-01", "99999999d", "999999d", ""])
    def test_an_invalid_time(self, scene: Scene, time: str) -> None:
        """An invalid time is a usage error that shows the format."""
        result = run(*scene.words("audit"), "--since", time)
        assert result.exit_code == 2
        assert "2026-11-27T09:30" in result.stderr


def test_commands_work_on_a_server(postgresql_url: str) -> None:
    """A URL instead of a path is a PostgreSQL database."""
    with waiaas.connect(postgresql_url) as database:
        wallet = database.wallets.create(
            name="trading", chain="solana", environment="mainnet", public_key="k", actor="admin"
        )
        session = database.sessions.create(wallet_ids=[wallet.id], actor="admin")
    assert session.id in run("sessions", "list", postgresql_url).stdout
    assert run("sessions", "revoke", "--all", "--yes", WAIAAS_DATABASE=postgresql_url).exit_code == 0
    assert "SESSION_REVOKED" in run("audit", postgresql_url, "--session", session.id).stdout


class TestWrongUsage:
    def test_a_list_of_an_unknown_wallet_is_an_error(self, scene: Scene) -> None:
        """A mistyped id is not an empty list."""
        result = scene.run(f"sessions list --wallet {UNKNOWN}")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("Error: There is no such wallet.\n")

    def test_a_change_that_the_state_does_not_allow_shows_the_state(self, scene: Scene) -> None:
        """Which state it is in, and which one was asked for, is next to the error."""
        before = scene.path.read_bytes()
        result = scene.run("wallets resume {wallet}")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "\n  ACTIVE -> ACTIVE\n" in result.stderr
        assert scene.path.read_bytes() == before


class TestFileOfTheEnvironment:
    def test_is_used_by_every_command_on_a_file(self, scene: Scene) -> None:
        """`backup`, `backups`, `restore` and `rehearse` take the file from WAIAAS_DATABASE, as other commands do."""
        variables = {"WAIAAS_DATABASE": str(scene.path)}
        written = json.loads(run("backup", "--json", **variables).stdout)["path"]
        (listed,) = json.loads(run("backups", "--json", **variables).stdout)["backups"]
        assert listed["path"] == written
        scene.run("wallets suspend {wallet}")
        restored = run("restore", written, "--yes", "--json", **variables)
        assert (restored.exit_code, json.loads(restored.stdout)["path"]) == (0, str(scene.path))
        assert scene.run("wallets show {wallet}").stdout.count("ACTIVE") == 1
        assert run("rehearse", **variables).exit_code == 0

    @pytest.mark.parametrize("command", ["backup", "backups", "rehearse", "downgrade", "restore wallets.backup"])
    def test_is_not_a_server(self, command: str) -> None:
        """The URL of a PostgreSQL database is refused with what to use instead, and without its password."""
        result = run(*command.split(), WAIAAS_DATABASE="postgresql://app:secret@db/wallets")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "use pg_dump and pg_restore" in result.stderr
        assert "secret" not in result.stderr

    @pytest.mark.parametrize("command", ["links list", "wallets suspend", "links add {wallet}", "sessions show"])
    def test_is_missing_if_the_first_argument_is_an_id(self, scene: Scene, command: str) -> None:
        """An id instead of TARGET is not taken for it: TARGET is what is missing."""
        error = run(*command.format(wallet=scene.wallet).split(), scene.session).stderr
        assert "Missing argument 'TARGET'. Without TARGET, set the environment variable WAIAAS_DATABASE." in error
        error = run(*command.format(wallet=scene.wallet).split()[:2], scene.path).stderr
        assert "Missing argument 'TARGET'" not in error

    @pytest.mark.parametrize("command", ["backup", "backups", "rehearse", "downgrade"])
    def test_is_named_if_there_is_none(self, command: str) -> None:
        """Without a path the error names the argument that the command has, and the variable."""
        error = run(command).stderr
        assert "Missing argument 'PATH'. Without PATH, set the environment variable WAIAAS_DATABASE." in error
