"""Why a database file was not opened, created, upgraded or downgraded.

Every such refusal carries the one code ``SCHEMA_INCOMPATIBLE``; its reason says which it is.
Build one with :func:`waiaas.errors.refusal`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Reason(NamedTuple):
    """A refusal, and whether trying again without changing the file may succeed."""

    name: str
    retryable: bool


_ROWS: Final = (
    # The file is not one that this library can take on.
    Reason("file_not_found", False),
    Reason("file_exists", False),
    Reason("not_a_database", False),
    Reason("other_program", False),
    Reason("schema_version_missing", False),
    Reason("schema_version_empty", False),
    Reason("code_too_old", False),
    Reason("empty_database", False),
    Reason("not_sqlite", False),
    Reason("upgrade_pending", False),
    # The surroundings do not let it work.
    Reason("inside_transaction", False),
    Reason("database_busy", True),
    Reason("read_only", False),
    Reason("cannot_open", False),
    Reason("log_unreadable", False),
    Reason("disk_full", True),
    Reason("io_error", True),
    Reason("too_many_files", True),
    Reason("out_of_memory", True),
    Reason("sqlite_error", False),
    Reason("corrupt", False),
    Reason("unreadable_value", False),
    Reason("backup_failed", False),
    Reason("token_key_unusable", False),
    Reason("no_room_to_rehearse", True),
    Reason("copy_failed", False),
    # The tables or their rows do not let a migration begin.
    Reason("unexpected_schema", False),
    Reason("strange_schema", False),
    Reason("leftover_table", False),
    Reason("dependent_object", False),
    Reason("dependent_on_table", False),
    Reason("value_not_allowed", False),
    Reason("foreign_key_elsewhere", False),
    Reason("orphan_sessions", False),
    Reason("links_lost", False),
    Reason("cannot_downgrade", False),
    # A migration began and was rolled back.
    Reason("rebuild_refused", False),
    Reason("foreign_key_violations", False),
    Reason("rows_lost", False),
    Reason("migration_failed", False),
)

#: Every reason by its name; read-only.
REASONS: Final[Mapping[str, Reason]] = MappingProxyType({row.name: row for row in _ROWS})
