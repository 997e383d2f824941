"""Leftovers of killed processes next to a database are removed; files in use, or of others, are kept."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import run, variables_of_a_program

from waiaas.files.leftovers import REHEARSAL, remove_leftovers
from waiaas.files.private_folder import PrivateFolder

# A rehearsal that stops once it has reported that its copy is made.
_REHEARSE = """
import sys, time
from waiaas.inspection.rehearsal import rehearse
def progress(each):
    if each.phase == "changing tables and rows":
        print("copied", flush=True)
        sys.stdin.read()
rehearse(sys.argv[1], progress=progress)
"""


def folders(path: Path) -> list[Path]:
    return sorted(path.parent.glob(".waiaas-rehearsal-*"))


@pytest.mark.slow
def test_the_next_rehearsal_removes_the_copy_of_a_killed_one(v18: Path) -> None:
    """A copy contains the signing key: it is removed once nobody uses it, and not during a rehearsal."""
    with subprocess.Popen(
        [sys.executable, "-c", _REHEARSE, v18],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=variables_of_a_program(),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"copied\n"
        (left,) = folders(v18)
        assert run("rehearse", v18).exit_code == 0
        assert folders(v18) == [left]
        process.send_signal(signal.SIGKILL)
    assert (left / "copy").exists()
    assert run("rehearse", v18).exit_code == 0
    assert folders(v18) == []


def test_similar_names_are_kept(tmp_path: Path) -> None:
    """Only this library's files are removed: folders of rehearsals, and the new files of version 0.1.0."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    (tmp_path / ".waiaas-rehearsal-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / ".waiaas-rehearsal-file").touch()
    (tmp_path / ".waiaas-notes").touch()
    (tmp_path / ".waiaas-0123456789abcdef-2").touch()
    kept = sorted(tmp_path.rglob("*"))
    (tmp_path / ".waiaas-0123456789abcdef").touch()
    (tmp_path / ".waiaas-rehearsal-a1b2").mkdir()
    (tmp_path / ".waiaas-rehearsal-a1b2" / "wallets.db").write_bytes(b"secret")
    remove_leftovers(str(tmp_path))
    assert sorted(tmp_path.rglob("*")) == kept


def test_a_folder_in_use_is_kept(tmp_path: Path) -> None:
    """A folder that its process has locked is not removed by others."""
    with PrivateFolder(tmp_path, REHEARSAL) as folder:
        remove_leftovers(str(tmp_path))
        assert folder.copy.exists()
        shutil.copytree(folder.copy.parent, tmp_path / f"{REHEARSAL}of-a-killed-process")
    remove_leftovers(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_folders_of_another_user_are_kept(tmp_path: Path) -> None:
    """Root does not remove another user's folder, because it cannot know that user's processes."""
    folder = tmp_path / ".waiaas-rehearsal-a1b2"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    remove_leftovers(str(tmp_path))
    assert folder.exists()


def test_a_new_database_removes_leftovers_of_a_power_failure(tmp_path: Path) -> None:
    """Version 0.1.0 could leave an empty file with a temporary name."""
    (tmp_path / ".waiaas-0123456789abcdef").touch()
    assert run("init", tmp_path / "wallets.db").exit_code == 0
    assert [file.name for file in tmp_path.iterdir()] == ["wallets.db"]
