"""Version 19: a session reaches many wallets, one of them its default.

The junction table `session_wallets` replaces the column `sessions.wallet_id`. Each session's wallet becomes its
default link, with the date of the session, so that the result depends on the file alone. A session whose wallet is
NULL gets no link and is reported. An orphan session, one that names a missing wallet, stops the upgrade, unless the
caller skips those.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from waiaas.ddl.schema import describe_table, stored_objects
from waiaas.ddl.sql import fold
from waiaas.errors import WAIaaSError, refusal
from waiaas.migrations.report import Facts, Forecast

if TYPE_CHECKING:
    from waiaas.migrations.migrator import VersionMigrator

VERSION = 19
DESCRIPTION = "Sessions reach many wallets: session_wallets takes the place of sessions.wallet_id"

_SESSION_WALLETS = """CREATE TABLE session_wallets (
  session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  wallet_id TEXT NOT NULL REFERENCES wallets (id) ON DELETE CASCADE,
  is_default INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (session_id, wallet_id)
)"""
_INDEXES = (
    "CREATE INDEX idx_session_wallets_session ON session_wallets (session_id)",
    "CREATE INDEX idx_session_wallets_wallet ON session_wallets (wallet_id)",
)
_FILL = {"session_id": "id", "wallet_id": "wallet_id", "is_default": "1", "created_at": "created_at"}
_OLD_INDEX = "idx_sessions_wallet_id"
_CHILDREN = {"transactions": ["session_id"]}
_NEEDED_COLUMNS = {"wallets": {"id"}, "sessions": {"id", "wallet_id", "created_at"}, "transactions": {"session_id"}}
_DROPPED_COLUMNS = (("sessions", "wallet_id"), ("sessions", "agent_id"))
# With the wallet's id first, as a foreign key compares: by the collation of the parent.
_WALLET_EXISTS = "EXISTS (SELECT 1 FROM main.wallets WHERE wallets.id = sessions.wallet_id)"

_WALLET_ID = "wallet_id TEXT NOT NULL REFERENCES wallets (id) ON DELETE CASCADE"
_WALLET_ID_OR_NULL = "wallet_id TEXT REFERENCES wallets (id) ON DELETE CASCADE"
_CREATE_OLD_INDEX = "CREATE INDEX idx_sessions_wallet_id ON sessions (wallet_id)"
# The default wallet, or else the one linked earliest; `id` is the session's.
_KEPT_WALLET = (
    "(SELECT kept.wallet_id FROM main.session_wallets AS kept WHERE kept.session_id = id"
    " ORDER BY kept.is_default DESC, kept.created_at, kept.wallet_id LIMIT 1)"
)


def obstacles(migrator: VersionMigrator) -> Iterator[WAIaaSError]:
    """Yield what would make `up` refuse, the fundamental first; nothing is changed."""
    yield from _leftovers(migrator)
    unexpected = list(_unexpected(migrator))
    if unexpected:
        yield from unexpected
        return
    if not migrator.options.skip_orphans:
        yield from _orphan_refusal(_orphan_sessions(migrator))
    sessions = migrator.table("sessions")
    for dependent in migrator.dependents(sessions, "wallet_id", drop_indexes=[_OLD_INDEX]):
        yield dependent.refusal(sessions.name, "wallet_id")
    yield from migrator.misdirected_foreign_keys("sessions", _CHILDREN)


def up(migrator: VersionMigrator) -> Facts:
    """Create and fill `session_wallets`, drop `sessions.wallet_id`, reconnect what refers to `sessions`."""
    orphans = _orphan_sessions(migrator) if migrator.options.skip_orphans else []
    unlinked = sorted([*_sessions_without_wallet(migrator), *(orphan["session_id"] for orphan in orphans)])
    for leftover in migrator.leftovers("sessions") + migrator.leftovers("session_wallets"):
        migrator.migrate(migrator.drop_table(leftover))
        migrator.result.leftovers_used.append(leftover)
    migrator.migrate(
        migrator.extract_junction(
            "sessions",
            "wallet_id",
            junction="session_wallets",
            definition=_SESSION_WALLETS,
            indexes=_INDEXES,
            fill=_FILL,
            where=_WALLET_EXISTS if orphans else "1",
            drop_indexes=[_OLD_INDEX],
        ),
        migrator.reconnect_foreign_keys("sessions", _CHILDREN),
    )
    return {"sessions_without_wallet": unlinked, "orphans_skipped": orphans}


def down(migrator: VersionMigrator) -> Facts:
    """Put each session's default wallet back into `sessions.wallet_id` and drop `session_wallets`.

    A session with more than one link is refused (`links_lost`), unless the caller drops the others. A session without
    a link has none: its `wallet_id` is NULL, which only such a file's column allows.
    """
    links = migrator.count("session_wallets")
    surplus = _surplus_links(migrator)
    if surplus and not migrator.options.drop_links:
        ids = sorted({link["session_id"] for link in surplus})
        raise refusal("links_lost", sessions=ids, count=len(ids))
    migrator.migrate(
        migrator.absorb_junction(
            "session_wallets",
            definition=[_SESSION_WALLETS, *_INDEXES],
            into="sessions",
            column=_WALLET_ID_OR_NULL if _unlinked_sessions(migrator) else _WALLET_ID,
            after="id",
            value=_KEPT_WALLET,
            indexes=[_CREATE_OLD_INDEX],
        )
    )
    restored = migrator.count("sessions", "wallet_id IS NOT NULL")
    if restored + len(surplus) != links:
        raise refusal("rows_lost", table="session_wallets", before=links, after=restored + len(surplus))
    return {"links_dropped": surplus, "sessions_without_wallet": _sessions_without_wallet(migrator)}


def forecast(migrator: VersionMigrator) -> Forecast:
    """Return what `up` would do to a database of any older version.

    In version 1 and 2 wallets were called agents.
    """
    sessions = describe_table(migrator.database, "sessions")
    if sessions is None or not sessions.column_names & {"wallet_id", "agent_id"}:
        return Forecast({}, dropped_columns=_DROPPED_COLUMNS)
    column, wallets = ("wallet_id", "wallets") if "wallet_id" in sessions.column_names else ("agent_id", "agents")
    if describe_table(migrator.database, wallets) is None:
        return Forecast({}, dropped_columns=_DROPPED_COLUMNS)
    unlinked = _sessions_without_wallet(migrator, column)
    orphans = _orphan_sessions(migrator, column, wallets)
    count = migrator.count("sessions")
    facts = {
        "sessions": count,
        "links_to_create": count - len(unlinked) - len(orphans),
        "sessions_without_wallet": unlinked,
        "orphan_sessions": orphans,
        "drop_column_by": "DROP COLUMN" if migrator.drops_in_place(sessions, column) else "table rebuild",
    }
    obstacles = [] if migrator.options.skip_orphans else [*_orphan_refusal(orphans)]
    return Forecast(facts, obstacles, dropped_columns=_DROPPED_COLUMNS)


def _sessions_without_wallet(migrator: VersionMigrator, column: str = "wallet_id") -> list[str]:
    """Return the ids of the sessions whose wallet is NULL."""
    return _ids(migrator, f"SELECT id FROM main.sessions WHERE {column} IS NULL")


def _orphan_sessions(
    migrator: VersionMigrator, column: str = "wallet_id", wallets: str = "wallets"
) -> list[dict[str, str]]:
    """Return the sessions that name a wallet which does not exist: their ids and that wallet's."""
    return _links(
        migrator,
        # Each wallet is looked up once, however many sessions name it.
        f"SELECT id, {column} FROM main.sessions WHERE {column} IN (SELECT named.{column}"
        f" FROM (SELECT DISTINCT {column} FROM main.sessions WHERE {column} IS NOT NULL) AS named"
        f" WHERE NOT EXISTS (SELECT 1 FROM main.{wallets} WHERE {wallets}.id = named.{column}))",
    )


def _orphan_refusal(orphans: list[dict[str, str]]) -> Iterator[WAIaaSError]:
    if orphans:
        ids = [orphan["session_id"] for orphan in orphans]
        yield refusal("orphan_sessions", sessions=ids, count=len(ids), orphans=orphans)


def _leftovers(migrator: VersionMigrator) -> Iterator[WAIaaSError]:
    """Refuse tables that an interrupted tool left; an empty one of the right shape is no obstacle."""
    junction = describe_table(migrator.database, "session_wallets")
    if junction is not None and not migrator.is_usable(junction, [_SESSION_WALLETS, *_INDEXES]):
        yield migrator.leftover(junction.name)
    sessions = describe_table(migrator.database, "sessions")
    old = sessions.column_names if sessions else frozenset()
    shapes = {"sessions": (old, old - {"wallet_id"}), "session_wallets": (frozenset(_FILL),)}
    for table, allowed in shapes.items():
        for name in migrator.leftovers(table):
            found = migrator.table(name)
            is_bare = not any(index.sql for index in found.indexes) and not migrator.dependents_on(found)
            if migrator.count(name) or found.column_names not in allowed or not is_bare:
                yield migrator.leftover(name)
    indexes = {"idx_session_wallets_session", "idx_session_wallets_wallet"}
    for stored in stored_objects(migrator.database, "index", "view", "trigger"):
        takes_index = fold(stored.name) in indexes and fold(stored.table) != "session_wallets"
        if takes_index or fold(stored.name) == "session_wallets":
            taken = f"the name {stored.name} is that of a {stored.kind} of your own"
            yield refusal("unexpected_schema", table="session_wallets", problem=taken)


def _unexpected(migrator: VersionMigrator) -> Iterator[WAIaaSError]:
    for name, columns in _NEEDED_COLUMNS.items():
        table = describe_table(migrator.database, name)
        missing = columns - (table.column_names if table else set())
        # SQLite allows NULL in a primary key that is not INTEGER (https://www.sqlite.org/quirks.html).
        nulls = sorted(columns & {"id", "created_at"}, reverse=True)
        if table is None:
            yield refusal("unexpected_schema", table=name, problem="it is missing")
        elif table.is_virtual:
            yield refusal("unexpected_schema", table=table.name, problem="it is a virtual table")
        elif missing:
            problem = f"it has no column {', '.join(sorted(missing))}"
            yield refusal("unexpected_schema", table=table.name, problem=problem)
        elif null := next((column for column in nulls if migrator.count(table.name, f"{column} IS NULL")), None):
            yield refusal("unexpected_schema", table=table.name, problem=f"it has a row whose {null} is NULL")


def _unlinked_sessions(migrator: VersionMigrator) -> list[str]:
    return _ids(
        migrator,
        "SELECT id FROM main.sessions WHERE id NOT IN (SELECT session_id FROM main.session_wallets)",
    )


def _surplus_links(migrator: VersionMigrator) -> list[dict[str, str]]:
    """The links besides the one that each session keeps."""
    return _links(
        migrator,
        "SELECT session_id, wallet_id FROM main.session_wallets AS link WHERE wallet_id <> (SELECT wallet_id"
        " FROM main.session_wallets AS kept WHERE kept.session_id = link.session_id"
        " ORDER BY kept.is_default DESC, kept.created_at, kept.wallet_id LIMIT 1)",
    )


def _ids(migrator: VersionMigrator, query: str) -> list[str]:
    return sorted(_text(id_) for (id_,) in migrator.database.execute_sql(query).fetchall())


def _links(migrator: VersionMigrator, query: str) -> list[dict[str, str]]:
    rows = migrator.database.execute_sql(query).fetchall()
    return [
        {"session_id": session, "wallet_id": wallet}
        for session, wallet in sorted((_text(session), _text(wallet)) for session, wallet in rows)
    ]


def _text(id_: object) -> str:
    """An id as text; a BLOB, which SQLite allows in a TEXT column, as SQL spells it."""
    return f"x'{id_.hex()}'" if isinstance(id_, bytes) else str(id_)
