"""Why a database was not opened, created, upgraded, downgraded, read or written.

Each reason has one error code: ``DATABASE_BUSY`` for a lock that was not free in time, ``DATABASE_UNAVAILABLE`` for a
database that cannot be read or written, and ``SCHEMA_INCOMPATIBLE`` for everything else.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Reason(NamedTuple):
    """Why a database was refused.

    ``retryable``: whether the same call may succeed later, although the database was not changed.
    ``refuses_upgrade``: whether tables or rows of the database do not allow an upgrade or downgrade.
    """

    name: str
    retryable: bool
    code: str = "SCHEMA_INCOMPATIBLE"
    refuses_upgrade: bool = False


# A reason with a star is retryable. `UPGRADE` is SCHEMA_INCOMPATIBLE and `refuses_upgrade`.
_TABLE: Final = """
DATABASE_UNAVAILABLE file_not_found not_a_file
SCHEMA_INCOMPATIBLE file_exists
DATABASE_UNAVAILABLE not_a_database
SCHEMA_INCOMPATIBLE other_program schema_version_missing schema_version_empty code_too_old empty_database not_a_path
SCHEMA_INCOMPATIBLE not_sqlite needs_file upgrade_pending
DATABASE_UNAVAILABLE database_closed inside_transaction connection_settings unfinished_query hidden_table change_undone
DATABASE_BUSY database_busy*
DATABASE_UNAVAILABLE read_only cannot_open log_unreadable log_without_database sidecar_not_a_file
DATABASE_UNAVAILABLE sidecar_of_another_user file_replaced file_in_use disk_full* io_error*
DATABASE_UNAVAILABLE no_room_for_temporary_files* clock_unusable too_many_files* out_of_memory* sqlite_error corrupt
DATABASE_UNAVAILABLE unreadable_value backup_failed file_open restore_failed token_key_unusable
DATABASE_UNAVAILABLE no_room_to_rehearse* copy_failed copy_left
DATABASE_UNAVAILABLE invalid_url driver_missing server_unavailable* connection_lost* commit_unknown
DATABASE_BUSY transaction_conflict* pool_exhausted*
DATABASE_UNAVAILABLE too_many_connections* access_denied database_not_found insufficient_privilege server_read_only*
DATABASE_UNAVAILABLE statement_canceled* unsuitable_database server_error
SCHEMA_INCOMPATIBLE move_refused target_not_empty
DATABASE_UNAVAILABLE source_changed copy_differs
UPGRADE unexpected_schema strange_schema leftover_table dependent_object dependent_on_table name_taken
UPGRADE value_not_allowed foreign_key_elsewhere orphan_sessions links_lost cannot_downgrade rebuild_refused
UPGRADE alter_refused name_exists foreign_key_violations rows_lost migration_failed
DATABASE_UNAVAILABLE not_synced log_not_written_back journal_mode_kept settings_not_restored
DATABASE_UNAVAILABLE rights_returned rights_not_compared
"""


def _reasons() -> Iterator[Reason]:
    for row in _TABLE.split("\n"):
        code, *names = row.split() or [""]
        is_upgrade = code == "UPGRADE"
        for name in names:
            code_of_row = "SCHEMA_INCOMPATIBLE" if is_upgrade else code
            yield Reason(name.rstrip("*"), name.endswith("*"), code_of_row, is_upgrade)


#: Every reason by its name; read-only.
REASONS: Final[Mapping[str, Reason]] = MappingProxyType({reason.name: reason for reason in _reasons()})
