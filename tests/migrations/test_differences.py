"""The tables of each version, and an upgrade that refuses to commit any others."""

from __future__ import annotations

from pathlib import Path

import pytest
from peewee import SchemaManager
from support.old_files import SHIPPED, create_statements, execute, make_file
from support.refusals import refused_upgrade

import waiaas
from waiaas import WAIaaSError
from waiaas.ddl.schema import described
from waiaas.migrations.differences import _DIGESTS, differences, digest, tables_of
from waiaas.migrations.opening import open_to_change


@pytest.mark.parametrize("version", SHIPPED)
def test_the_tables_of_a_version_equal_those_of_a_new_installation(version: int) -> None:
    """For each version, the first schema and the migrations create the tables of a new installation."""
    statements: dict[str, list[str]] = {}
    for statement in create_statements(version):
        table = statement.split(" ON ")[-1].split("(")[0] if " INDEX " in statement else statement.split()[2]
        statements.setdefault(table.strip(), []).append(statement)
    fresh = {table: described(*texts) for table, texts in statements.items()}
    assert list(differences(fresh, tables_of(version))) == []
    assert list(differences(tables_of(version), fresh)) == []


@pytest.mark.parametrize("older", [3, 5, 12, 16])
def test_a_file_with_the_tables_of_an_older_version_is_refused(tmp_path: Path, older: int) -> None:
    """A file marked as version 18 with an older version's tables is refused, and every difference is named."""
    path = make_file(tmp_path / "wallets.db", older)
    execute(path, *(f"INSERT INTO schema_version VALUES ({v}, 1, 'mislabelled')" for v in range(older + 1, 19)))
    error = refused_upgrade(path)
    assert error.reason == "unexpected_schema"
    assert "column sessions.source is missing" in (error.details or {})["differences"]


@pytest.mark.parametrize(
    ("statements", "named"),
    [
        (["DROP TABLE wc_store"], "table wc_store is missing"),
        (["DROP INDEX idx_wallets_public_key"], "index idx_wallets_public_key of wallets is missing"),
        (["ALTER TABLE telegram_users RENAME COLUMN username TO nick"], "column telegram_users.username is missing"),
        (
            ["DROP TABLE wc_store", "CREATE TABLE wc_store (key TEXT PRIMARY KEY, value BLOB NOT NULL)"],
            "column type of wc_store.value is BLOB, not TEXT",
        ),
        (
            ["DROP INDEX idx_wallets_status", "CREATE INDEX idx_wallets_status ON wallets (name)"],
            "index idx_wallets_status of wallets is",
        ),
    ],
)
def test_a_table_that_differs_from_version_19_is_refused(tmp_path: Path, statements: list[str], named: str) -> None:
    """A missing or different table, column or index that no migration touches is refused before the commit."""
    path = make_file(tmp_path / "wallets.db", 18)
    execute(path, *statements)
    error = refused_upgrade(path)
    assert error.reason == "unexpected_schema"
    assert named in error.message


def test_additions_of_users_are_kept(tmp_path: Path) -> None:
    """A user's own columns, tables, indexes, triggers and views do not block an upgrade."""
    path = make_file(tmp_path / "wallets.db", 18)
    execute(
        path,
        "ALTER TABLE wallets ADD COLUMN colour TEXT",
        "CREATE TABLE mine (id INTEGER PRIMARY KEY, wallet_id TEXT REFERENCES wallets (id))",
        "CREATE INDEX mine_by_colour ON wallets (colour)",
        "CREATE VIEW mine_too AS SELECT name FROM wallets",
        "CREATE TRIGGER mine_as_well AFTER INSERT ON wallets BEGIN SELECT 1; END",
    )
    with open_to_change(path) as database:
        assert waiaas.upgrade(database, backup=False).to_version == waiaas.LATEST_SCHEMA_VERSION
        kinds = {finding.kind for finding in waiaas.check(database).findings}
    assert kinds == {"extra_column", "extra_table", "extra_index", "extra_view", "unsafe_trigger"}


def test_a_file_at_the_latest_version_is_left_to_check(tmp_path: Path) -> None:
    """An upgrade of a file at the latest version refuses nothing; `check` reports what is missing."""
    path = make_file(tmp_path / "wallets.db", waiaas.LATEST_SCHEMA_VERSION)
    execute(path, "DROP INDEX idx_wallets_status")
    with open_to_change(path) as database:
        assert waiaas.upgrade(database).applied == []
        assert [finding.kind for finding in waiaas.check(database).findings] == ["missing_index"]


def test_a_downgrade_ends_with_the_tables_of_version_18(tmp_path: Path) -> None:
    """A downgrade of a file whose tables are not those of its version is refused, and the file is unchanged."""
    path = make_file(tmp_path / "wallets.db", waiaas.LATEST_SCHEMA_VERSION)
    execute(path, "DROP INDEX idx_wallets_status")
    before = path.read_bytes()
    with open_to_change(path) as database, pytest.raises(WAIaaSError) as caught:
        waiaas.downgrade(database, 18, backup=False)
    assert caught.value.reason == "unexpected_schema"
    assert path.read_bytes() == before


def test_the_known_digests_are_those_of_the_models() -> None:
    """Each table of the latest version has its digest, and there are no other digests."""
    found = sorted(map(digest, tables_of(waiaas.LATEST_SCHEMA_VERSION).values()))
    lines = [" ".join(found[first : first + 6]) for first in range(0, len(found), 6)]
    quoted = "\n".join(f'        "{line}{" " if line is not lines[-1] else ""}"' for line in lines)
    entry = f"    {waiaas.LATEST_SCHEMA_VERSION}: (\n{quoted}\n    )"
    if {waiaas.LATEST_SCHEMA_VERSION: " ".join(found)} != _DIGESTS:
        pytest.fail(f"replace the entry of _DIGESTS with:\n\n{entry}\n", pytrace=False)


def test_an_upgrade_does_not_recreate_known_tables_for_comparison(v18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a table that its owner has extended is compared with the model."""
    made: list[str] = []
    create_all = SchemaManager.create_all
    monkeypatch.setattr(
        SchemaManager, "create_all", lambda self, safe: (made.append(self.model.__name__), create_all(self, safe))
    )
    execute(v18, "ALTER TABLE policies ADD COLUMN remark")
    with open_to_change(v18) as database:
        waiaas.upgrade(database, backup=False)
    assert made == ["Policy"]
