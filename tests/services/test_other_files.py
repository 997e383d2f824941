"""Services work only on the file that was opened and on its own tables."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from support.application import Application, Scene
from support.service_set import ServiceSet

import waiaas
from waiaas import WAIaaSError

pytestmark = pytest.mark.sqlite("files that are replaced, and temporary tables that hide others")

DECISIONS: dict[str, Callable[[Scene], Any]] = {
    "authorize": lambda scene: scene.app.sessions.authorize(scene.session.token),
    "authenticate": lambda scene: scene.app.sessions.authenticate(scene.session.token),
    "resolve": lambda scene: scene.app.links.resolve(scene.session.id),
    "verify": lambda scene: scene.app.tokens.verify(scene.session.token),
    "kill switch": lambda scene: scene.app.kill_switch.state(),
}
READS: dict[str, Callable[[Scene], Any]] = {
    "get a session": lambda scene: scene.app.sessions.get(scene.session.id),
    "list sessions": lambda scene: scene.app.sessions.list(),
    "list links": lambda scene: scene.app.links.list(scene.session.id),
    "get a wallet": lambda scene: scene.app.wallets.get(scene.first),
    "list wallets": lambda scene: scene.app.wallets.list(),
}
CHANGES: dict[str, Callable[[Scene], Any]] = {
    "create": lambda scene: scene.app.session(scene.third),
    "renew": lambda scene: scene.app.sessions.renew(scene.session.token, actor="admin"),
    "revoke": lambda scene: scene.app.sessions.revoke(scene.session.id, actor="admin"),
    "link": lambda scene: scene.app.links.link(scene.session.id, scene.third, actor="admin"),
    "unlink": lambda scene: scene.app.links.unlink(scene.session.id, scene.second, actor="admin"),
    "set the default": lambda scene: scene.app.links.set_default(scene.session.id, scene.second, actor="admin"),
    "suspend": lambda scene: scene.app.wallets.suspend(scene.first, actor="admin"),
    "resume": lambda scene: scene.app.wallets.resume(scene.suspended, actor="admin"),
    "terminate": lambda scene: scene.app.wallets.terminate(scene.first, actor="admin"),
    "activate": lambda scene: scene.app.kill_switch.activate(actor="sam"),
    "rotate": lambda scene: scene.app.rotate(),
}
CALLS = {**DECISIONS, **READS, **CHANGES}


def reason_of(call: Callable[[], Any]) -> str | None:
    with pytest.raises(WAIaaSError) as caught:
        call()
    return caught.value.reason


class TestReplacedFile:
    """A path that leads to another file than the open connections."""

    @staticmethod
    def restore(scene: Scene, folder: Path) -> None:
        """Replace the file, by a rename as a restore does, with a copy in which the session is revoked."""
        copy = folder / "restored.db"
        scene.app.database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        shutil.copy(scene.app.path, copy)
        database = waiaas.connect(copy).peewee
        ServiceSet(database, scene.app.clock).sessions.revoke(scene.session.id, actor="admin")
        database.close_all()
        os.replace(copy, scene.app.path)

    @pytest.mark.parametrize("name", CALLS)
    def test_each_call_is_refused(self, scene: Scene, tmp_path: Path, name: str) -> None:
        """Connections opened before the file was replaced decide, show and change nothing."""
        for call in (*DECISIONS.values(), *READS.values()):
            call(scene)
        self.restore(scene, tmp_path)
        before = scene.app.path.read_bytes()
        assert reason_of(lambda: CALLS[name](scene)) == "file_replaced"
        assert scene.app.path.read_bytes() == before

    def test_a_transaction_that_holds_the_lock_is_refused_too(self, scene: Scene, tmp_path: Path) -> None:
        """A transaction that holds the write lock is refused too if the file was replaced after its first change."""
        with scene.app.database.atomic("IMMEDIATE"):
            scene.app.sessions.authorize(scene.session.token)
            os.replace(shutil.copy(scene.app.path, tmp_path / "copy.db"), scene.app.path)
            assert reason_of(lambda: scene.app.sessions.authorize(scene.session.token)) == "file_replaced"

    def test_a_deleted_file_decides_nothing(self, scene: Scene) -> None:
        """A deleted file is refused like a replaced one, and no new file is created."""
        scene.app.sessions.authorize(scene.session.token)
        scene.app.path.unlink()
        assert reason_of(lambda: scene.app.sessions.authorize(scene.session.token)) == "file_replaced"
        assert not scene.app.path.exists()

    def test_a_file_that_was_renamed_back_is_read_again(self, scene: Scene, tmp_path: Path) -> None:
        """A file that was renamed and renamed back is read again."""
        scene.app.path.rename(tmp_path / "elsewhere.db")
        assert reason_of(lambda: scene.app.sessions.authorize(scene.session.token)) == "file_replaced"
        (tmp_path / "elsewhere.db").rename(scene.app.path)
        assert scene.app.sessions.authorize(scene.session.token).session_id == scene.session.id


#: Temporary objects with the names of the library's tables.
SHADOWS = {
    "sessions": "CREATE TEMP TABLE sessions AS SELECT * FROM main.sessions",
    "Sessions": "CREATE TEMP TABLE Sessions AS SELECT * FROM main.sessions",
    "session_wallets": "CREATE TEMP VIEW session_wallets AS SELECT * FROM main.session_wallets",
    "wallets": "CREATE TEMP TABLE wallets AS SELECT * FROM main.wallets",
    "key_value_store": "CREATE TEMP TABLE key_value_store AS SELECT * FROM main.key_value_store",
    "audit_log": "CREATE TEMP TABLE audit_log AS SELECT * FROM main.audit_log",
    "transactions": "CREATE TEMP TABLE transactions AS SELECT * FROM main.transactions",
}


class TestTemporaryTables:
    """Temporary tables of another library on the same connection."""

    @pytest.mark.parametrize("shadow", SHADOWS)
    @pytest.mark.parametrize("name", {**READS, **CHANGES})
    def test_a_hidden_table_is_refused(self, scene: Scene, shadow: str, name: str) -> None:
        """A call that would read or change a temporary table instead is refused, and nothing is changed."""
        if name == "rotate":
            scene.app.clock.now += 300
        before = scene.app.rows()
        scene.app.execute(SHADOWS[shadow])
        call = {**CALLS, "rotate": lambda scene: scene.app.tokens.rotate(actor="admin")}[name]
        with pytest.raises(WAIaaSError) as caught:
            call(scene)
        assert (caught.value.code, caught.value.reason) == ("DATABASE_UNAVAILABLE", "hidden_table")
        assert caught.value.details is not None and caught.value.details["table"] == shadow
        assert scene.app.rows() == before

    @pytest.mark.parametrize("kind", ["waiaas", "in a transaction"])
    @pytest.mark.parametrize("name", DECISIONS)
    def test_a_decision_reads_the_tables_of_the_file(self, app: Application, kind: str, name: str) -> None:
        """No decision reads a temporary table, on either connection."""
        scene = Scene(app)
        database = app.database
        with closing(database):
            services = ServiceSet(database, app.clock)
            transaction = database.atomic("IMMEDIATE") if kind == "in a transaction" else nullcontext()
            for statement in SHADOWS.values():
                if "Sessions" not in statement:
                    database.execute_sql(statement)
            with transaction:
                database.execute_sql("UPDATE temp.sessions SET revoked_at = 1, token_hash = 'none'")
                database.execute_sql("UPDATE temp.wallets SET status = 'SUSPENDED'")
                database.execute_sql("UPDATE temp.key_value_store SET value = 'LOCKED'")
                calls = {
                    "authorize": lambda: services.sessions.authorize(scene.session.token).wallet.id == scene.first,
                    "authenticate": lambda: services.sessions.authenticate(scene.session.token).wallet_id,
                    "resolve": lambda: services.links.resolve(scene.session.id) == scene.first,
                    "verify": lambda: services.tokens.verify(scene.session.token),
                    "kill switch": lambda: services.kill_switch.state().state == "ACTIVE",
                }
                assert calls[name]()

    def test_a_temporary_table_with_another_name_is_ignored(self, scene: Scene) -> None:
        """Temporary tables with other names do not matter."""
        scene.app.execute("CREATE TEMP TABLE my_sessions (id)")
        assert scene.app.sessions.revoke(scene.session.id, actor="admin").status == "REVOKED"

    def test_an_attached_database_is_not_read(self, scene: Scene, tmp_path: Path) -> None:
        """Tables of an attached database are not read, even if they have the same names."""
        other = Application(tmp_path / "other.db", scene.app.clock)
        other.database.close_all()
        scene.app.execute("ATTACH ? AS other", str(other.path))
        scene.app.execute("INSERT INTO other.key_value_store VALUES ('kill_switch_state', 'LOCKED', 0)")
        with scene.app.database.atomic("IMMEDIATE"):
            assert scene.app.sessions.authorize(scene.session.token).session_id == scene.session.id
        assert scene.app.sessions.revoke(scene.session.id, actor="admin").status == "REVOKED"
