"""Syncs a folder to the disk, so that the names in it survive a power failure."""

from __future__ import annotations

import errno
import os


def sync_folder_descriptor(folder: int) -> None:
    """Sync an open folder if its file system can; SQLite ignores the same errors (unixSync in its os_unix.c)."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
