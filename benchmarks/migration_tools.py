"""The version-19 change, as in each tool's documentation.

Each function takes the path of a version-18 file, opens it and returns the job, which ends with the file closed and
the write-ahead log checkpointed. No tool has an operation that fills the junction table from the old column, so all
except Peewee use plain SQL for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from migration_verifier import JUNCTION, JUNCTION_INDEXES
from session_files import PRAGMAS, connect

Job = Callable[[], object]

FILL = (
    "INSERT INTO session_wallets (session_id, wallet_id, is_default, created_at)"
    " SELECT id, wallet_id, 1, created_at FROM sessions WHERE wallet_id IS NOT NULL"
)
DROP_INDEX = "DROP INDEX idx_sessions_wallet_id"
DROP_COLUMN = "ALTER TABLE sessions DROP COLUMN wallet_id"
RECORD = "INSERT INTO schema_version (version, applied_at, description) VALUES (19, 1800000000, 'version 19')"
CHECKPOINT = "PRAGMA wal_checkpoint(TRUNCATE)"


def plain(path: Path, *checks: str) -> Job:
    """The minimum of statements that create the tables, in one transaction, and these checks before the commit."""
    database = connect(path, foreign_keys=0)

    def job() -> None:
        database.execute("BEGIN IMMEDIATE")
        for statement in (JUNCTION, FILL, *JUNCTION_INDEXES, DROP_INDEX, DROP_COLUMN):
            database.execute(statement)
        for check in checks:
            if database.execute(check).fetchall() not in ([], [("ok",)]):
                raise SystemExit(f"{check} found something")
        database.execute(RECORD)
        database.execute("COMMIT")
        database.execute(CHECKPOINT)
        database.close()

    return job


def waiaas(path: Path, *, backup: bool = False) -> Job:
    import waiaas
    import waiaas.migrations.runner  # as the other tools are loaded before the job

    return lambda: waiaas.upgrade(path, backup=backup)


def playhouse(path: Path, *, context: bool = False, legacy: bool = False) -> Job:
    """Models create the table, `insert_from` fills it, and the migrator drops index and column."""
    from peewee import CompositeKey, ForeignKeyField, IntegerField, Model, SqliteDatabase, TextField, Value
    from playhouse.migrate import SqliteMigrator, migrate

    database = SqliteDatabase(path, pragmas=PRAGMAS)

    class Base(Model):
        class Meta:
            pass

    Base._meta.set_database(database)

    class Wallet(Base):
        id = TextField(primary_key=True)

        class Meta:
            table_name = "wallets"

    class Session(Base):
        id = TextField(primary_key=True)
        wallet_id = TextField()
        created_at = IntegerField()

        class Meta:
            table_name = "sessions"

    class SessionWallet(Base):
        session = ForeignKeyField(Session, on_delete="CASCADE", index=False)
        wallet = ForeignKeyField(Wallet, on_delete="CASCADE", index=False)
        is_default = IntegerField(constraints=[_default_zero()])
        created_at = IntegerField()

        class Meta:
            table_name = "session_wallets"
            primary_key = CompositeKey("session", "wallet")

    SessionWallet.add_index(SessionWallet.session, name="idx_session_wallets_session")
    SessionWallet.add_index(SessionWallet.wallet, name="idx_session_wallets_wallet")
    migrator = SqliteMigrator(database)

    def change() -> None:
        SessionWallet.create_table()
        fields = [SessionWallet.session, SessionWallet.wallet, SessionWallet.is_default, SessionWallet.created_at]
        query = Session.select(Session.id, Session.wallet_id, Value(1), Session.created_at)
        SessionWallet.insert_from(query, fields).execute()
        migrate(
            migrator.drop_index("sessions", "idx_sessions_wallet_id"),
            migrator.drop_column("sessions", "wallet_id", legacy=legacy),
        )
        database.execute_sql(RECORD)

    def job() -> None:
        if context:
            with migrator.migration_context():
                change()
        else:
            change()
        database.execute_sql(CHECKPOINT)
        database.close()

    database.connect()
    return job


def _default_zero() -> object:
    from peewee import SQL

    return SQL("DEFAULT 0")


def alembic(path: Path, *, foreign_keys: int = 0) -> Job:
    """`op` in a migration context as in `env.py`, with the column dropped in batch mode."""
    import sqlalchemy as sa
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    engine = sa.create_engine(f"sqlite:///{path}")

    @sa.event.listens_for(engine, "connect")
    def _set_pragmas(connection: object, _: object) -> None:
        for name, value in {**PRAGMAS, "foreign_keys": foreign_keys}.items():
            connection.execute(f"PRAGMA {name} = {value}")  # type: ignore[attr-defined]

    connection = engine.connect()

    def job() -> None:
        context = MigrationContext.configure(connection)
        op = Operations(context)
        with context.begin_transaction():
            op.create_table(
                "session_wallets",
                sa.Column("session_id", sa.Text, sa.ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
                sa.Column("wallet_id", sa.Text, sa.ForeignKey("wallets.id", ondelete="CASCADE"), nullable=False),
                sa.Column("is_default", sa.Integer, nullable=False, server_default=sa.text("0")),
                sa.Column("created_at", sa.Integer, nullable=False),
                sa.PrimaryKeyConstraint("session_id", "wallet_id"),
            )
            op.execute(FILL)
            op.create_index("idx_session_wallets_session", "session_wallets", ["session_id"])
            op.create_index("idx_session_wallets_wallet", "session_wallets", ["wallet_id"])
            with op.batch_alter_table("sessions") as batch:
                batch.drop_index("idx_sessions_wallet_id")
                batch.drop_column("wallet_id")
            op.execute(RECORD)
        connection.commit()
        connection.exec_driver_sql(CHECKPOINT)
        connection.close()
        engine.dispose()

    return job


def django(path: Path) -> Job:
    """SQL for the junction table, `remove_field` on a model with everything that Django can express."""
    from django_models import connection, session_model

    database = connection(path)
    session = session_model()

    def job() -> None:
        with database.schema_editor(atomic=True) as editor:
            for statement in (JUNCTION, FILL, *JUNCTION_INDEXES):
                editor.execute(statement, None)
            editor.remove_field(session, session._meta.get_field("wallet"))
            editor.execute(RECORD, None)
        with database.cursor() as cursor:
            cursor.execute(CHECKPOINT)
        database.close()

    return job


def sqlite_utils(path: Path) -> Job:
    """SQL for the junction table, `transform(drop=…)` for the column."""
    from sqlite_utils import Database

    database = Database(path)
    for name, value in PRAGMAS.items():
        database.execute(f"PRAGMA {name} = {value}")

    def job() -> None:
        for statement in (JUNCTION, FILL, *JUNCTION_INDEXES, DROP_INDEX):
            database.execute(statement)
        database["sessions"].transform(drop={"wallet_id"})
        database.execute(RECORD)
        database.conn.commit()
        database.execute(CHECKPOINT)
        database.close()

    return job


class Tool(NamedTuple):
    """How a tool is named in a table, its job, and the module that it needs in addition to the library's own."""

    title: str
    make: Callable[[Path], Job]
    needs: str | None = None


def _with(function: Callable[..., Job], *arguments: Any, **options: Any) -> Callable[[Path], Job]:
    return lambda path: function(path, *arguments, **options)


TOOLS = {
    "plain-whole": Tool(
        "sqlite3, ``quick_check`` and ``foreign_key_check``",
        _with(plain, "PRAGMA quick_check", "PRAGMA foreign_key_check"),
    ),
    "plain": Tool("sqlite3, ``foreign_key_check``", _with(plain, "PRAGMA foreign_key_check")),
    "plain-unchecked": Tool("sqlite3, nothing checked", plain),
    "waiaas": Tool("**waiaas**", waiaas),
    "waiaas-backup": Tool("**waiaas**, with the backup", _with(waiaas, backup=True)),
    "playhouse": Tool("playhouse.migrate", playhouse),
    "playhouse-context": Tool("playhouse.migrate in ``migration_context``", _with(playhouse, context=True)),
    "playhouse-rebuild": Tool(
        "playhouse.migrate, ``legacy=True``, in ``migration_context``", _with(playhouse, context=True, legacy=True)
    ),
    "alembic": Tool("Alembic batch mode", alembic, "alembic"),
    "alembic-keys": Tool(
        "Alembic batch mode, the daemon's ``foreign_keys=ON``", _with(alembic, foreign_keys=1), "alembic"
    ),
    "django": Tool("Django schema editor", django, "django"),
    "sqlite-utils": Tool("sqlite-utils ``transform``", sqlite_utils, "sqlite_utils"),
}
