"""Undecodable rows do not block administration, and unreadable limits are never treated as no limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.application import NOW, Application, Scene
from support.service_set import ServiceSet

import waiaas
from waiaas import WAIaaSError
from waiaas.schemas import SessionResponseSchema, WalletResponseSchema

pytestmark = pytest.mark.sqlite("values of any type and bytes in any column")

ADMINISTRATION: dict[str, Callable[[Scene], Any]] = {
    "list sessions": lambda scene: scene.app.sessions.list(),
    "get a session": lambda scene: scene.app.sessions.get(scene.session.id),
    "list links": lambda scene: scene.app.links.list(scene.session.id),
    "list wallets": lambda scene: scene.app.wallets.list(),
    "get a wallet": lambda scene: scene.app.wallets.get(scene.first),
    "create": lambda scene: scene.app.session(scene.third),
    "renew": lambda scene: scene.app.sessions.renew(scene.session.token, actor="admin"),
    "link": lambda scene: scene.app.links.link(scene.session.id, scene.third, actor="admin"),
    "set the default": lambda scene: scene.app.links.set_default(scene.session.id, scene.second, actor="admin"),
    "unlink": lambda scene: scene.app.links.unlink(scene.session.id, scene.second, actor="admin"),
    "suspend": lambda scene: scene.app.wallets.suspend(scene.third, actor="admin"),
    "resume": lambda scene: scene.app.wallets.resume(scene.suspended, actor="admin"),
    "terminate": lambda scene: scene.app.wallets.terminate(scene.first, actor="admin"),
    "revoke": lambda scene: scene.app.sessions.revoke(scene.session.id, actor="admin"),
}


@pytest.mark.parametrize("name", ADMINISTRATION)
def test_a_wallet_name_that_is_not_utf_8_blocks_nothing(scene: Scene, name: str) -> None:
    """Every operation works if a name, a reason and a source are not UTF-8, which the daemon may store."""
    scene.app.execute("UPDATE wallets SET name = CAST(X'78ff' AS TEXT), suspension_reason = CAST(X'fe' AS TEXT)")
    scene.app.execute("UPDATE sessions SET source = CAST(X'ff' AS TEXT)")
    before = scene.app.query("SELECT id, CAST(name AS BLOB) FROM wallets ORDER BY id")
    ADMINISTRATION[name](scene)
    assert scene.app.query("SELECT id, CAST(name AS BLOB) FROM wallets ORDER BY id") == before
    assert scene.app.database.connection().text_factory is str


def test_it_is_shown_with_replacement_characters(scene: Scene) -> None:
    """Undecodable text is shown with U+FFFD, in the response too, and `check` reports the row."""
    scene.app.execute("UPDATE wallets SET name = CAST(X'78ff' AS TEXT) WHERE id = ?", scene.first)
    assert scene.app.wallets.get(scene.first).name == "x\ufffd"
    session = scene.app.sessions.get(scene.session.id)
    assert [wallet.name for wallet in session.wallets] == ["x\ufffd", "w1"]
    assert session.wallet_name == "x\ufffd"
    assert SessionResponseSchema().dump(session)["walletName"] == "x\ufffd"
    assert WalletResponseSchema().dump(scene.app.wallets.get(scene.first))["name"] == "x\ufffd"
    kinds = [(finding.kind, finding.where) for finding in waiaas.check(scene.app.database).findings]
    assert ("invalid_text", "wallets.name") in kinds


@pytest.mark.parametrize("column", ["name", "suspension_reason"])
def test_an_agent_keeps_its_access(scene: Scene, column: str) -> None:
    """Text of a wallet that is not UTF-8 removes no right: `authorize` shows replacement characters."""
    scene.app.execute(f"UPDATE wallets SET {column} = CAST(X'78ff' AS TEXT)")
    for wallet_id in (None, scene.second):
        wallet = scene.app.sessions.authorize(scene.session.token, wallet_id).wallet
        assert wallet.name == ("x\ufffd" if column == "name" else wallet.name)
    database = scene.app.database
    assert database.latest().text_factory is database.connection().text_factory is str
    with database.atomic("IMMEDIATE"):
        assert scene.app.sessions.authorize(scene.session.token).session_id == scene.session.id


NOT_UTF_8 = {
    "token_hash": ("sessions", "INVALID_TOKEN", None),
    "revoked_at": ("sessions", "SESSION_REVOKED", None),
    "expires_at": ("sessions", "SESSION_EXPIRED", None),
    "value": ("key_value_store", "DATABASE_UNAVAILABLE", "unreadable_value"),
    "id": ("wallets", "DATABASE_UNAVAILABLE", "unreadable_value"),
}


@pytest.mark.parametrize("column", NOT_UTF_8)
def test_other_text_that_is_not_utf_8_is_refused(scene: Scene, column: str) -> None:
    """A decision is refused if a value that it depends on is not UTF-8, and the error contains none of it."""
    table, code, reason = NOT_UTF_8[column]
    scene.app.execute("PRAGMA foreign_keys = OFF")
    scene.app.execute("PRAGMA ignore_check_constraints = ON")
    scene.app.execute(f"UPDATE {table} SET {column} = CAST(X'78ff' AS TEXT) WHERE rowid = 1")
    if table == "wallets":
        scene.app.execute("UPDATE session_wallets SET wallet_id = CAST(X'78ff' AS TEXT) WHERE is_default = 1")
    sessions = ServiceSet(scene.app.database, scene.app.clock).sessions
    for call in (sessions.authorize, sessions.authenticate):
        with pytest.raises(WAIaaSError) as caught:
            call(scene.session.token)
        assert (caught.value.code, caught.value.reason) == (code, reason)


@pytest.mark.parametrize(
    "column", ["created_at", "expires_at", "absolute_expires_at", "renewal_count", "max_renewals"]
)
@pytest.mark.parametrize("value", ["yesterday", b"\xff", 10**18, 1.5], ids=repr)
def test_values_of_other_types_block_nothing(scene: Scene, column: str, value: object) -> None:
    """A time or count of another type is shown as some time or count, and the session can be revoked."""
    scene.app.execute(f"UPDATE sessions SET {column} = ? WHERE id = ?", value, scene.session.id)
    shown = SessionResponseSchema().dump(scene.app.sessions.list().items, many=True)
    assert [each["id"] for each in shown] == [scene.session.id, scene.alone.id]
    assert scene.app.sessions.revoke(scene.session.id, actor="admin").status == "REVOKED"


@pytest.mark.parametrize("column", ["created_at", "updated_at", "suspended_at"])
@pytest.mark.parametrize("value", ["yesterday", b"\xff", 10**18, 1.5], ids=repr)
def test_a_time_of_a_wallet_that_is_not_a_number(scene: Scene, column: str, value: object) -> None:
    """A time that is not a number is shown as the last second of the year 9999."""
    scene.app.execute(f"UPDATE wallets SET {column} = ? WHERE id = ?", value, scene.first)
    wallet = scene.app.wallets.get(scene.first)
    shown = WalletResponseSchema().dump(wallet)
    key = column.replace("_at", "At")
    assert shown[key] == (1 if value == 1.5 else 253_402_300_799)
    assert shown in WalletResponseSchema().dump(scene.app.wallets.list().items, many=True)


LIMITS = {
    "not json": "{",
    "not utf-8": b'{"max": "1\xff"}',
    "a list": "[1]",
    "a number": "5",
    "text": '"none"',
    "5,000 digits": '{"max": ' + "9" * 5000 + "}",
    "empty": "",
    "too deep": '{"a":' * 100_000,
}


@pytest.mark.parametrize("stored", LIMITS.values(), ids=LIMITS)
def test_unreadable_limits(scene: Scene, stored: str | bytes) -> None:
    """Administrators can list and revoke the session, but reading its limits or renewing it is an error."""
    text = stored.encode() if isinstance(stored, str) else stored
    scene.app.execute("UPDATE sessions SET constraints = CAST(? AS TEXT) WHERE id = ?", text, scene.session.id)
    if len(text) == 5008:
        try:
            int("9" * 5000)
        except ValueError:
            pass
        else:
            pytest.skip("this Python reads numbers of any length")
    page = scene.app.sessions.list()
    first, second = page.items
    with pytest.raises(WAIaaSError) as caught:
        _ = first.constraints
    assert (caught.value.code, caught.value.reason) == ("DATABASE_UNAVAILABLE", "unreadable_value")
    assert caught.value.details is not None and caught.value.details["sessionId"] == scene.session.id
    assert caught.value.to_public_dict()["details"] == {"sessionId": scene.session.id}
    assert second.constraints is None
    shown = SessionResponseSchema().dump(page.items, many=True)
    assert [each["constraints"] for each in shown] == [{"unreadable": True}, None]
    row = "SELECT token_hash, renewal_count, hex(constraints) FROM sessions ORDER BY id"
    before = scene.app.query(row)
    with pytest.raises(WAIaaSError, match="constraints of session"):
        scene.app.sessions.renew(scene.session.token, actor="admin")
    assert scene.app.query(row) == before
    assert scene.app.sessions.revoke(scene.session.id, actor="admin").status == "REVOKED"


def test_limits_that_are_json_null(scene: Scene) -> None:
    """JSON `null` means no limits, as in the daemon."""
    scene.app.execute("UPDATE sessions SET constraints = 'null'")
    assert scene.app.sessions.get(scene.session.id).constraints is None


@pytest.mark.parametrize("table", ["wallets", "sessions"])
def test_an_id_that_is_not_utf_8_is_listed(scene: Scene, table: str) -> None:
    """Rows with undecodable ids are listed once each, and the next page starts after their bytes."""
    app = scene.app
    ids = [id_ for (id_,) in app.query(f"SELECT id FROM {table} ORDER BY id")]
    app.execute("PRAGMA foreign_keys = OFF")
    for position, raw in enumerate(("00ff", "78fe", "78ff")):
        values = app.query(f"SELECT * FROM {table} WHERE id = ?", ids[0])[0][1:]
        columns = [name for (name,) in app.query(f"SELECT name FROM pragma_table_info('{table}')")][1:]
        row = {**dict(zip(columns, values, strict=True)), "public_key": f"other-{position}"}
        marks = ", ".join(["?"] * len(columns))
        app.execute(
            f"INSERT INTO {table} (id, {', '.join(columns)}) VALUES (CAST(X'{raw}' AS TEXT), {marks})",
            *(row[name] for name in columns),
        )
    app.execute(f"UPDATE {table} SET id = ? WHERE id = ?", "x'ff'", ids[-1])
    service = app.wallets if table == "wallets" else app.sessions
    expected = ["\0\ufffd", *ids[:-1], "x'ff'", "x\ufffd", "x\ufffd"]
    for limit in (1, 2, 200):
        shown: list[str] = []
        after = None
        while len(shown) <= len(expected):
            page = service.list(limit=limit, after=after)
            shown += [item.id for item in page.items]
            after = page.next_after
            if after is None:
                break
        assert shown == expected


def test_a_termination_is_refused_for_an_undecodable_id(scene: Scene) -> None:
    """A wallet linked to a session with an undecodable id cannot be terminated, and nothing is changed."""
    scene.app.execute("PRAGMA foreign_keys = OFF")
    scene.app.execute(
        "UPDATE session_wallets SET session_id = CAST(X'78ff' AS TEXT) WHERE wallet_id = ?", scene.second
    )
    scene.app.execute("UPDATE sessions SET id = CAST(X'78ff' AS TEXT) WHERE id = ?", scene.session.id)
    before = scene.app.query("SELECT id, status FROM wallets")
    with pytest.raises(WAIaaSError) as caught:
        scene.app.wallets.terminate(scene.second, actor="admin")
    assert caught.value.reason == "unreadable_value"
    assert scene.app.query("SELECT id, status FROM wallets") == before


class TestOrder:
    """Links are listed in the order in which they were made."""

    @pytest.fixture
    def wallets(self, app: Application) -> list[str]:
        """Wallets in the reverse order of their ids."""
        return sorted((app.wallet() for _ in range(5)), reverse=True)

    def test_of_one_request(self, app: Application, wallets: list[str]) -> None:
        """Links of one request are listed in its order, the default first."""
        session = app.session(*wallets, defaultWalletId=wallets[3])
        expected = [wallets[3], *wallets[:3], wallets[4]]
        assert [wallet.id for wallet in session.wallets] == expected
        assert [wallet.id for wallet in app.links.list(session.id)] == expected
        assert [wallet.id for wallet in app.sessions.list().items[0].wallets] == expected

    def test_the_next_default_is_the_next_of_the_request(self, app: Application, wallets: list[str]) -> None:
        """When the default wallet is terminated, the next wallet in the order of the links becomes the default."""
        session = app.session(*wallets)
        for position, wallet in enumerate(wallets[:-1]):
            app.wallets.terminate(wallet, actor="admin")
            assert app.sessions.get(session.id).default_wallet_id == wallets[position + 1]
        app.wallets.terminate(wallets[-1], actor="admin")
        assert app.sessions.get(session.id).status == "REVOKED"

    def test_of_later_links(self, app: Application, wallets: list[str]) -> None:
        """A wallet that is linked later, or again, comes last, even if the clock was set back."""
        session = app.session(wallets[1], wallets[2])
        app.clock.now = NOW - 1000
        app.links.link(session.id, wallets[0], actor="admin")
        app.links.unlink(session.id, wallets[2], actor="admin")
        app.links.link(session.id, wallets[2], actor="admin")
        assert [wallet.id for wallet in app.links.list(session.id)] == [wallets[1], wallets[0], wallets[2]]
        app.wallets.terminate(wallets[1], actor="admin")
        assert app.sessions.get(session.id).default_wallet_id == wallets[0]
