"""Why a database was not opened, created, upgraded, downgraded, read or written.

Each reason has one error code: ``DATABASE_BUSY`` for a lock that was not free in time, ``DATABASE_UNAVAILABLE`` for a
database that cannot be read or written, and ``SCHEMA_INCOMPATIBLE`` for everything else.
Build a refusal with :func:`waiaas.errors.refusal`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Reason(NamedTuple):
    """Why a database was refused.

    ``retryable``: whether the same call may succeed later, although the database was not changed.
    ``refuses_upgrade``: whether the tables or rows of the database do not allow an upgrade or downgrade.
    """

    name: str
    retryable: bool
    code: str = "SCHEMA_INCOMPATIBLE"
    refuses_upgrade: bool = False


_BUSY: Final = "DATABASE_BUSY"
_UNAVAILABLE: Final = "DATABASE_UNAVAILABLE"

_REFUSES_UPGRADE: Final = (
    # The tables or their rows do not let a migration begin.
    "unexpected_schema",
    "strange_schema",
    "leftover_table",
    "dependent_object",
    "dependent_on_table",
    "name_taken",
    "value_not_allowed",
    "foreign_key_elsewhere",
    "orphan_sessions",
    "links_lost",
    "cannot_downgrade",
    # A migration began and was rolled back.
    "rebuild_refused",
    "alter_refused",
    "name_exists",
    "foreign_key_violations",
    "rows_lost",
    "migration_failed",
)

_ROWS: Final = (
    # The file is not one that this library can take on.
    Reason("file_not_found", False, _UNAVAILABLE),
    Reason("file_exists", False),
    Reason("not_a_database", False, _UNAVAILABLE),
    Reason("other_program", False),
    Reason("schema_version_missing", False),
    Reason("schema_version_empty", False),
    Reason("code_too_old", False),
    Reason("empty_database", False),
    Reason("not_a_path", False),
    Reason("not_sqlite", False),
    Reason("upgrade_pending", False),
    # The surroundings do not let it work.
    Reason("inside_transaction", False, _UNAVAILABLE),
    Reason("connection_settings", False, _UNAVAILABLE),
    Reason("unfinished_query", False, _UNAVAILABLE),
    Reason("hidden_table", False, _UNAVAILABLE),
    Reason("change_undone", False, _UNAVAILABLE),
    Reason("database_busy", True, _BUSY),
    Reason("read_only", False, _UNAVAILABLE),
    Reason("cannot_open", False, _UNAVAILABLE),
    Reason("log_unreadable", False, _UNAVAILABLE),
    Reason("log_without_database", False, _UNAVAILABLE),
    Reason("sidecar_not_a_file", False, _UNAVAILABLE),
    Reason("sidecar_of_another_user", False, _UNAVAILABLE),
    Reason("file_replaced", False, _UNAVAILABLE),
    Reason("file_in_use", False, _UNAVAILABLE),
    Reason("disk_full", True, _UNAVAILABLE),
    Reason("io_error", True, _UNAVAILABLE),
    Reason("no_room_for_temporary_files", True, _UNAVAILABLE),
    Reason("clock_unusable", False, _UNAVAILABLE),
    Reason("too_many_files", True, _UNAVAILABLE),
    Reason("out_of_memory", True, _UNAVAILABLE),
    Reason("sqlite_error", False, _UNAVAILABLE),
    Reason("corrupt", False, _UNAVAILABLE),
    Reason("unreadable_value", False, _UNAVAILABLE),
    Reason("backup_failed", False, _UNAVAILABLE),
    Reason("token_key_unusable", False, _UNAVAILABLE),
    Reason("no_room_to_rehearse", True, _UNAVAILABLE),
    Reason("copy_failed", False, _UNAVAILABLE),
    Reason("copy_left", False, _UNAVAILABLE),
    # A server cannot be used.
    Reason("invalid_url", False, _UNAVAILABLE),
    Reason("driver_missing", False, _UNAVAILABLE),
    Reason("server_unavailable", True, _UNAVAILABLE),
    Reason("connection_lost", True, _UNAVAILABLE),
    Reason("commit_unknown", False, _UNAVAILABLE),
    Reason("transaction_conflict", True, _BUSY),
    Reason("pool_exhausted", True, _BUSY),
    Reason("too_many_connections", True, _UNAVAILABLE),
    Reason("access_denied", False, _UNAVAILABLE),
    Reason("database_not_found", False, _UNAVAILABLE),
    Reason("insufficient_privilege", False, _UNAVAILABLE),
    Reason("server_read_only", True, _UNAVAILABLE),
    Reason("statement_canceled", True, _UNAVAILABLE),
    Reason("unsuitable_database", False, _UNAVAILABLE),
    Reason("server_error", False, _UNAVAILABLE),
    *(Reason(name, False, refuses_upgrade=True) for name in _REFUSES_UPGRADE),
    # Warnings: the change is done, and something after it failed.
    Reason("not_synced", False, _UNAVAILABLE),
    Reason("log_not_written_back", False, _UNAVAILABLE),
    Reason("journal_mode_kept", False, _UNAVAILABLE),
    Reason("settings_not_restored", False, _UNAVAILABLE),
)

#: Every reason by its name; read-only.
REASONS: Final[Mapping[str, Reason]] = MappingProxyType({row.name: row for row in _ROWS})
