"""Who may read and write a file that is made for another file: a backup, or a lock."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

_READ_AND_WRITE = 0o666
_FOR_THE_OWNER = 0o600
_ACCESS_LIST = "system.posix_acl_access"


def share_like(
    descriptor: int, original: os.stat_result, mask: int = _READ_AND_WRITE, *, has_list: bool = False
) -> None:
    """Give an open file the group and the permissions of another file, never more.

    Only the owner keeps permissions if the group cannot be given, or if the original has an access control list, whose
    mode does not show what its group may do. Root also gives the owner, as SQLite does with its own files. The bits
    setuid, setgid, sticky and execute are never copied.

    :param original: the status of the other file.
    :param mask: the permissions that may be given.
    :param has_list: whether the original has an access control list (`has_access_list`).
    """
    mode = stat.S_IMODE(original.st_mode) & mask
    if hasattr(os, "fchown"):
        own = os.fstat(descriptor)
        owner = original.st_uid if os.geteuid() == 0 else -1
        if own.st_gid != original.st_gid or owner not in (-1, own.st_uid):
            with suppress(OSError):
                os.fchown(descriptor, owner, original.st_gid)
        if has_list or os.fstat(descriptor).st_gid != original.st_gid:
            mode &= _FOR_THE_OWNER
        os.fchmod(descriptor, mode)


def has_access_list(path: str) -> bool:
    """Return whether a file has a POSIX access control list: its group's permissions are then the mask (acl(5))."""
    if not hasattr(os, "listxattr"):
        return False
    try:
        return _ACCESS_LIST in os.listxattr(path)
    except OSError:  # a file system without extended attributes
        return False
