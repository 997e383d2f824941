"""The commands `backup`, `restore`, `backups` and `health`, and where an upgrade puts its backup."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command_line import only_object, run
from support.old_files import make_file
from support.sqlite_files import dump, files

import waiaas
from waiaas.demo import make_version_18

LATEST = waiaas.LATEST_SCHEMA_VERSION


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_file(tmp_path / "wallets.db", LATEST)


def test_a_backup_is_created_listed_and_restored(path: Path) -> None:
    """The output contains version, size and path of the backup, and the path of the replaced file."""
    before = dump(path)
    written = run("backup", path)
    (backup,) = path.parent.glob(f"wallets.db.v{LATEST}-*.backup")
    assert written.stdout.splitlines()[1] == f"  backup: {backup}"
    assert run("backups", path).stdout.endswith(f"{backup.stat().st_size:,} bytes  {backup}\n")
    path.write_bytes(b"damaged")
    restored = run("restore", path, backup, "--yes")
    assert restored.stdout.splitlines()[0] == f"Restored {path} at schema version {LATEST} from {backup}."
    assert "wallets.db.damaged-" in restored.stdout
    assert dump(path) == before


def test_json_output_is_an_object(path: Path) -> None:
    """With --json each output is an object with the same content."""
    backup = only_object(run("backup", path, "--json").stdout)
    assert (backup["version"], backup["is_removed"]) == (LATEST, False)
    assert only_object(run("backups", path, "--json").stdout)["backups"] == [backup]
    restored = only_object(run("restore", path, backup["path"], "--yes", "--json").stdout)
    assert (restored["version"], restored["version_before"]) == (LATEST, LATEST)
    assert only_object(run("health", path, "--json").stdout)["ok"] is True


def test_a_backup_that_exists_already_is_shown_as_such(path: Path, tmp_path: Path) -> None:
    """A backup with the same content is not written twice; its age is that of its name."""
    earlier = tmp_path / f"wallets.db.v{LATEST}-20260102T030405Z.backup"
    Path(json.loads(run("backup", path, "--json").stdout)["path"]).rename(earlier)
    shown = run("backup", path)
    assert (shown.exit_code, shown.stdout.splitlines()[1]) == (0, f"  backup: {earlier} (existing, identical)")
    answer = json.loads(run("backup", path, "--json").stdout)
    assert (answer["path"], answer["is_earlier"]) == (str(earlier), True)
    assert answer["made_at"] == "2026-01-02T03:04:05+00:00"


def test_an_upgrade_after_a_restore_shows_the_same_backup(tmp_path: Path) -> None:
    """A file that is upgraded, restored and upgraded again needs one backup, which the answer shows as existing."""
    path = tmp_path / "old.db"
    make_version_18(path)
    first = json.loads(run("upgrade", path, "--json").stdout)
    assert first["backup_is_earlier"] is False
    assert run("restore", path, first["backup"], "--yes").exit_code == 0
    assert f"  backup: {first['backup']} (existing, identical)\n" in run("upgrade", path).stdout


def test_nothing_is_removed_without_confirmation(path: Path) -> None:
    """Without a terminal and without `--yes`, restoring, and removing old backups, are refused."""
    backup = waiaas.backup(path, clock=lambda: 1_800_000_000).path
    waiaas.restore(path, backup)
    before = files(path.parent)
    assert run("restore", path, backup).exit_code == 2
    assert run("backups", path, "--keep", "1").exit_code == 2
    assert files(path.parent) == before
    assert [line.split()[0] for line in run("backups", path, "--keep", "1", "--yes").stdout.splitlines()][
        1
    ] == "removed"
    assert len(waiaas.backups(path)) == 1


def test_health_has_an_exit_code_of_its_own(path: Path) -> None:
    """The exit code is 0 for a healthy database and 5 for any other, with the reason in the requested language."""
    old = make_file(path.with_name("old.db"), 18)
    fit, older, missing = run("health", path), run("health", old), run("health", "missing.db", "--lang", "ko")
    assert (fit.exit_code, older.exit_code, missing.exit_code) == (0, 5, 5)
    assert fit.stdout.startswith(f"{path} is ready for use.\n  schema version: {LATEST} of {LATEST}\n")
    assert "live sessions: " in fit.stdout
    assert f"schema version: 18 of {LATEST}" in older.stdout
    assert missing.stdout.startswith("오류: missing.db 파일이 없습니다.\n")


@pytest.mark.parametrize("command", ["upgrade", "downgrade"])
def test_the_backup_of_a_change_has_the_given_path(tmp_path: Path, command: str) -> None:
    """`--backup` names the backup or its folder, and excludes `--no-backup`."""
    path = make_file(tmp_path / "wallets.db", 18 if command == "upgrade" else LATEST)
    before = dump(path)
    assert run(command, path, "--backup", tmp_path / "copy.db", "--no-backup").exit_code == 2
    assert run(command, path, "--backup", "").exit_code == 2
    assert list(files(tmp_path)) == ["wallets.db"]
    assert run(command, path, "--backup", tmp_path / "copy.db").exit_code == 0
    assert dump(tmp_path / "copy.db") == before
