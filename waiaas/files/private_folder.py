"""A folder that only its user can enter, in which a copy of a database is made before it gets its name.

In a folder that several users can write, another user can replace any file with another one. So the copy
is made in a folder of mode 0700, and except for SQLite everything accesses the copy through descriptors: that of the
folder, and that of the copy.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from waiaas.files.folder_sync import sync_folder_descriptor
from waiaas.files.opening import descriptors_of
from waiaas.files.upgrade_lock import try_lock

_PRIVATE_MODE = 0o700
_BY_DESCRIPTOR = {os.open, os.mkdir, os.rename, os.unlink, os.rmdir, os.link} <= os.supports_dir_fd
_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_COPY = "copy"


class PrivateFolder:
    """A new folder of mode 0700 in another folder, removed at the end of the `with` block, and its one file.

    :ivar copy: the path of the file, for SQLite.
    :ivar descriptor: the file, open for reading and writing.
    """

    def __init__(self, parent: Path, prefix: str) -> None:
        """Create the folder, under a name that begins with `prefix`, and its empty file (mode 0600)."""
        self._parent = _Folder(parent)
        self._name = f"{prefix}{secrets.token_hex(8)}"
        self._folder: _Folder | None = None
        try:
            self._folder = self._parent.make_folder(self._name)
            self._folder.lock()
            self.copy = self._folder.path / _COPY
            self.descriptor = self._folder.make_file(_COPY)
        except BaseException:
            self.remove()
            self._parent.close()
            raise

    def __enter__(self) -> PrivateFolder:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the folder with everything that is still in it."""
        os.close(self.descriptor)
        self.remove()
        self._parent.close()

    def refuse_swapped(self, *, connections: int) -> None:
        """Raise FileNotFoundError if the path of the file does not lead to the file.

        :param connections: how many connections of SQLite have the file open. If the system lists the descriptors of a
            process, this also checks the connections.
        """
        own = os.fstat(self.descriptor)
        count = descriptors_of((own.st_dev, own.st_ino))
        if not os.path.samestat(os.stat(self.copy), own) or (count is not None and count < 1 + connections):
            raise FileNotFoundError("another file took its place")

    def move_out(self, name: str) -> None:
        """Move the file to a name in the parent folder; FileExistsError if there is such a file."""
        assert self._folder is not None
        try:
            self._folder.link(_COPY, self._parent, name)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            os.close(self._parent.make_file(name))
            self._folder.rename(_COPY, self._parent, name)

    def replace(self, name: str) -> None:
        """Move the file to a name in the parent folder, replacing the file of that name."""
        assert self._folder is not None
        self._folder.rename(_COPY, self._parent, name)

    def flush_parent(self) -> None:
        """Write the names in the parent folder to the disk."""
        self._parent.flush()

    def remove(self) -> None:
        """Remove the folder with everything that is still in it, before the end of the block."""
        if self._folder is not None:
            self._folder.remove_files()
            self._folder.close()  # and with it the lock
            self._folder = None
            self._parent.remove_empty_folder(self._name)


def remove_unused_folders(parent: Path, prefix: str) -> None:
    """Remove the private folders of killed processes of this user.

    A folder in use is locked and kept: it may belong to another database with the same name.
    """
    folder = _Folder(parent)
    try:
        for name in os.listdir(parent):
            if name.startswith(prefix) and folder.owns(name):
                folder.remove_folder(name)
    finally:
        folder.close()


class _Folder:
    """A folder that is accessed through its descriptor, or by its path if the system cannot do so (Windows)."""

    def __init__(self, path: Path, parent: _Folder | None = None) -> None:
        self.path = path
        self._descriptor: int | None = None
        if _BY_DESCRIPTOR and parent is not None:
            self._descriptor = os.open(path.name, os.O_RDONLY | _FOLDER, dir_fd=parent._descriptor)
        elif _BY_DESCRIPTOR:
            self._descriptor = os.open(path, os.O_RDONLY | (_FOLDER & ~getattr(os, "O_NOFOLLOW", 0)))

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def lock(self) -> bool:
        return self._descriptor is None or try_lock(self._descriptor)

    def flush(self) -> None:
        """Make the names in the folder durable if its file system supports it."""
        if self._descriptor is not None:
            sync_folder_descriptor(self._descriptor)

    def make_folder(self, name: str) -> _Folder:
        os.mkdir(self._at(name), _PRIVATE_MODE, dir_fd=self._descriptor)
        return _Folder(self.path / name, self)

    def make_file(self, name: str) -> int:
        return os.open(self._at(name), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._descriptor)

    def owns(self, name: str) -> bool:
        """Return whether a name is that of a folder of this user, and not of a link to one."""
        path = self.path / name
        return path.is_dir() and not path.is_symlink() and (os.name == "nt" or path.lstat().st_uid == os.geteuid())

    def remove_folder(self, name: str) -> None:
        """Remove a folder with its files, as far as possible."""
        with suppress(OSError):
            folder = _Folder(self.path / name, self)
            try:
                if folder.lock():
                    folder.remove_files()
            finally:
                folder.close()
            self.remove_empty_folder(name)

    def remove_empty_folder(self, name: str) -> None:
        with suppress(OSError):
            os.rmdir(self._at(name), dir_fd=self._descriptor)

    def remove_files(self) -> None:
        """Remove the files in the folder, as far as possible."""
        with suppress(OSError):
            for name in os.listdir(self.path if self._descriptor is None else self._descriptor):
                with suppress(OSError):
                    os.unlink(self._at(name), dir_fd=self._descriptor)

    def link(self, name: str, to: _Folder, new_name: str) -> None:
        os.link(self._at(name), to._at(new_name), src_dir_fd=self._descriptor, dst_dir_fd=to._descriptor)

    def rename(self, name: str, to: _Folder, new_name: str) -> None:
        os.replace(self._at(name), to._at(new_name), src_dir_fd=self._descriptor, dst_dir_fd=to._descriptor)

    def _at(self, name: str) -> str:
        return str(self.path / name) if self._descriptor is None else name
