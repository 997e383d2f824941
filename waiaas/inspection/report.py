"""The reports of a check, a rehearsal, a restore and a health check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from waiaas.ddl.sql import fold
from waiaas.errors import WAIaaSError
from waiaas.errors.texts import fill, texts_in
from waiaas.migrations import LATEST_SCHEMA_VERSION
from waiaas.migrations.report import UpgradeReport
from waiaas.report import Report

#: The tables that decide who may use which wallet.
TABLES_OF_RIGHTS = frozenset({"sessions", "wallets", "session_wallets", "key_value_store"})


@dataclass(frozen=True)
class Finding(Report):
    """One problem or note.

    `severity` is `problem`, or `note` for something that is merely not the library's own (an index that a user added).
    `kind` is one word, `where` the table, column or object, and `rows` the affected rows: ids of sessions, or rowids
    for `foreign_key_violation` and for values. `details` contains the other values of the message.

    The kinds: `damage` of the pages; `foreign_key_violation`, and `foreign_key_mismatch` if SQLite cannot check the
    key; `session_without_wallet`, `session_without_default` and `session_with_many_defaults`; `kill_switch_state`;
    `sequence_behind` (on PostgreSQL: the next number of a column is not a new one); `invalid_text` (not UTF-8),
    `invalid_time` (not Unix seconds of the years 1 to 9999) and `invalid_json`; in the tables that decide who may use
    which wallet, `not_text` (a BLOB), `invalid_count` (not an integer) and `invalid_limits` (constraints that are
    JSON, but not an object); `missing_table`, `missing_column`, `missing_foreign_key`, `missing_unique`,
    `missing_index` and `missing_check`; `column_type`, `not_null`, `column_default`, `primary_key`,
    `generated_column`, `autoincrement`, `table_options`, `index_differs` for differences from the models;
    `extra_table`, `extra_column`, `extra_foreign_key`, `extra_index`, `extra_check`, `extra_trigger` and `extra_view`,
    which are notes; `unsafe_trigger` (on a table that decides who may use which wallet, or writing to one), which is a
    problem.

    >>> finding = Finding("problem", "missing_index", "idx_wallets_status", details={"table": "wallets"})
    >>> finding.message
    'index idx_wallets_status of wallets is missing'
    >>> finding.to_dict("ko")["message"]
    'wallets 테이블의 idx_wallets_status 인덱스가 없습니다.'
    """

    severity: Literal["problem", "note"]
    kind: str
    where: str
    rows: list[Any] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """The message in English."""
        return self._texts("en")[0]

    @property
    def hint(self) -> str:
        """The next step, in English; findings of one kind have the same hint."""
        return self._texts("en")[1]

    def to_dict(self, lang: str = "en") -> dict[str, Any]:
        """Return the finding as plain values that ``json.dumps`` takes.

        :param lang: the language of message and hint, one of ``waiaas.errors.LANGUAGES``.
        :returns: the values by their names.
        :raises ValueError: if there is no such language.
        """
        message, hint = self._texts(lang)
        return {
            "severity": self.severity,
            "kind": self.kind,
            "where": self.where,
            "message": message,
            "hint": hint,
            "rows": _plain(self.rows),
            "details": dict(self.details),
        }

    def _texts(self, lang: str) -> tuple[str, str]:
        template, hint = texts_in(lang).findings[self.kind]
        values = {"where": self.where, "rows": _plain(self.rows), "count": len(self.rows)}
        return fill(template, {**values, **self.details}), hint


@dataclass(frozen=True)
class CheckReport(Report):
    """The result of `check`. `ok` is False if any finding is a problem."""

    COMPUTED = ("ok",)

    version: int
    latest_version: int
    findings: list[Finding]

    @property
    def ok(self) -> bool:
        """Whether there is no problem; notes do not count."""
        return not any(finding.severity == "problem" for finding in self.findings)


#: What can differ between two schemas; the options are those of a table, such as STRICT.
ChangeKind = Literal["table", "column", "constraint", "options", "index", "trigger", "view"]


@dataclass(frozen=True)
class SchemaChange:
    """One difference between the schemas before and after an upgrade.

    `kind` is `table`, `column`, `constraint`, `options` (of a table, such as STRICT), `index`, `trigger` or `view`,
    and `where` is its name. `before` and `after` are its SQL, or None if it does not exist; for a renamed table, the
    names.
    """

    kind: ChangeKind
    where: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class TableRows:
    """The number of rows of a table before and after an upgrade, None if there is no such table, and the differences.

    A row is `changed` if a value, or its type, differs in a column that both have. Rows are identified by SQLite's
    rowid, which the migrations keep; in a table without one, a changed row counts as removed and added.
    """

    table: str
    before: int | None
    after: int | None
    added: int
    removed: int
    changed: int

    @property
    def differs(self) -> bool:
        """Whether any row was added, removed or changed."""
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True)
class Rehearsal(Report):
    """The effects of an upgrade on a file, without changing it.

    `report` is what `upgrade` would return, including sessions that would be left without a wallet; its `backup` is
    None. `schema` contains the differences of the schema, `rows` each table with its rows, except SQLite's own tables.
    `foreign_key_violations_before` and `foreign_key_violations_after` count by table what `PRAGMA foreign_key_check`
    finds, and `check` is the result of `waiaas.check` on the upgraded copy. `copy_seconds` is the time of the copy, as
    long as a backup takes, and `upgrade_seconds` that of the upgrade without a backup, including the checkpoint of its
    write-ahead log; `seconds` is the total.
    """

    COMPUTED = ("ok", "unexpected")

    report: UpgradeReport
    schema: list[SchemaChange]
    rows: list[TableRows]
    foreign_key_violations_before: dict[str, int]
    foreign_key_violations_after: dict[str, int]
    check: CheckReport
    copy_seconds: float
    upgrade_seconds: float
    seconds: float

    @property
    def unexpected(self) -> list[TableRows]:
        """The tables with row differences that no step of the upgrade is meant to make.

        A step changes the rows that `report.rows_changed` counts, adds the links and records the versions. In your own
        tables, your own triggers may change further rows.
        """
        added = {"schema_version": len(self.report.applied), "session_wallets": self.report.links_created}
        has_triggers = any(finding.kind in ("extra_trigger", "unsafe_trigger") for finding in self.check.findings)
        own = {fold(finding.where) for finding in self.check.findings if finding.kind == "extra_table"}
        return [
            table
            for table in self.rows
            if not (has_triggers and fold(table.table) in own)
            and (
                table.removed > 0
                or table.added > added.get(fold(table.table), 0)
                or table.changed > self.report.rows_changed.get(fold(table.table), 0)
            )
        ]

    @property
    def ok(self) -> bool:
        """Whether the upgrade changed only the rows that it is meant to change: see `unexpected`."""
        return not self.unexpected


@dataclass(frozen=True)
class RestoreReport(Report):
    """The report of `restore`.

    :ivar version: the schema version of the file now.
    :ivar version_before: the schema version of the replaced file; None if it was missing, empty or damaged.
    :ivar kept: the path of the replaced file; None if there was no file.
    :ivar warnings: errors that did not prevent the restore, and the rights that came back with the backup.
    """

    path: str
    backup: str
    version: int
    version_before: int | None
    kept: str | None
    seconds: float
    warnings: list[WAIaaSError] = field(default_factory=list)


@dataclass(frozen=True)
class Health(Report):
    """The health of a database; an unknown value is None.

    :ivar version: the schema version.
    :ivar writable: whether the database can be written.
    :ivar lock_wait: how many seconds it took to get the write lock; None if it was not free within a second.
    :ivar log_size: the size of the write-ahead log in bytes.
    :ivar free_room: how many bytes are free on the disk.
    :ivar last_backup: when the newest backup next to the file was made (UTC).
    :ivar live_sessions: how many sessions are neither revoked nor expired.
    :ivar kill_switch: the state of the kill switch.
    :ivar error: why the database cannot be used.
    """

    COMPUTED = ("ok",)

    version: int | None = None
    latest_version: int = LATEST_SCHEMA_VERSION
    writable: bool = False
    lock_wait: float | None = None
    log_size: int | None = None
    free_room: int | None = None
    last_backup: datetime | None = None
    live_sessions: int | None = None
    kill_switch: str | None = None
    error: WAIaaSError | None = None

    @property
    def ok(self) -> bool:
        """Whether a program can work with the database: it is at the latest version, and can be written."""
        return self.error is None and self.version == self.latest_version and self.writable


def problem(kind: str, where: str, rows: Sequence[Any] = (), **details: Any) -> Finding:
    """Return a finding that is a problem."""
    return Finding("problem", kind, where, list(rows), details)


def note(kind: str, where: str, **details: Any) -> Finding:
    """Return a finding that is not a problem."""
    return Finding("note", kind, where, details=details)


def _plain(rows: list[Any]) -> list[Any]:
    """Write bytes, which an id in a corrupt file may be, as SQL does."""
    return [f"x'{row.hex()}'" if isinstance(row, bytes) else row for row in rows]
