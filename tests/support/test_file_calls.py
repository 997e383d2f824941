import os
import sys
from pathlib import Path

import pytest
from support.file_calls import Kind, record

pytestmark = pytest.mark.slow

_COMMAND = """
import os
descriptor = os.open("new", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o640)
os.write(descriptor, b"first")
os.pwrite(descriptor, b"second", 100)
os.writev(descriptor, [b"one", b"two"])
os.ftruncate(descriptor, 50)
os.fsync(descriptor)
os.link("new", "folder/linked")
os.symlink("linked", "folder/symbolic")
os.rename("new", "renamed")
os.unlink("folder/symbolic")
os.write(descriptor, b"after the rename")
os.mkdir("folder/inner")
os.rmdir("folder/inner")
os.chmod("renamed", 0o600)
os.mknod("node", 0o100600)
folder = os.open(".", os.O_RDONLY)
os.fsync(folder)
os.open("/dev/null", os.O_WRONLY)
os.write(1, b"done")
"""


def test_every_call_that_changes_a_file_or_name_is_recorded_in_order(tmp_path: Path) -> None:
    """The log has each change of a file in the folder, with its data, and the output."""
    (tmp_path / "folder").mkdir()
    recording = record([sys.executable, "-c", _COMMAND], tmp_path, cwd=tmp_path)
    assert recording.code == 0, recording.errors
    shown = [
        (
            call.kind.name,
            os.path.relpath(call.path, tmp_path) if call.kind != Kind.PRINT else "",
            call.other.replace(f"{tmp_path}/", ""),
            call.offset,
            call.data,
        )
        for call in recording.calls
    ]
    assert shown == [
        ("OPEN", "new", "", 0o640, b""),
        ("WRITE", "new", "", 0, b"first"),
        ("WRITE", "new", "", 100, b"second"),
        ("WRITE", "new", "", 5, b"one"),
        ("WRITE", "new", "", 8, b"two"),
        ("TRUNCATE", "new", "", 50, b""),
        ("SYNC", "new", "", 0, b""),
        ("LINK", "new", "folder/linked", 0, b""),
        ("SYMLINK", "folder/symbolic", "linked", 0, b""),
        ("RENAME", "new", "renamed", 0, b""),
        ("UNLINK", "folder/symbolic", "", 0, b""),
        ("WRITE", "renamed", "", 11, b"after the rename"),
        ("MKDIR", "folder/inner", "", 0o777, b""),
        ("RMDIR", "folder/inner", "", 0, b""),
        ("CHMOD", "renamed", "", 0o600, b""),
        ("OPEN", "node", "", 0o600, b""),
        ("OPEN", ".", "", tmp_path.stat().st_mode & 0o7777, b""),
        ("SYNC", ".", "", 0, b""),
        ("PRINT", "", "", -1, b"done"),
    ]
    assert [call.created for call in recording.calls if call.kind == Kind.OPEN] == [True, True, False]


def test_copies_by_cp_are_recorded(tmp_path: Path) -> None:
    """The data of a copy that the kernel could make by itself is in the log."""
    content = bytes(range(256)) * 1000
    (tmp_path / "old").write_bytes(content)
    recording = record(["cp", tmp_path / "old", tmp_path / "new"], tmp_path)
    assert recording.code == 0, recording.errors
    assert (tmp_path / "new").read_bytes() == content
    assert b"".join(call.data for call in recording.calls) == content
