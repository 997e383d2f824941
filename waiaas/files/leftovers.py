"""Leftovers of processes that were killed, or stopped by a power failure, next to a database.

A rehearsal works in a private folder with a copy of the database, including the signing key, so it must not remain.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from waiaas.files.private_folder import remove_unused_folders

#: The prefix of the names of rehearsals' folders.
REHEARSAL = ".waiaas-rehearsal-"
# Version 0.1.0 created an empty file with such a name first, and then a link to it as the database.
_NEW_DATABASE = re.compile(r"\.waiaas-[0-9a-f]{16}")


def remove_leftovers(folder: str) -> None:
    """Remove leftovers of this user's processes from a folder unless a process uses them, as far as possible."""
    with suppress(OSError):
        remove_unused_folders(Path(folder), REHEARSAL)
        for path in (os.path.join(folder, name) for name in os.listdir(folder) if _NEW_DATABASE.fullmatch(name)):
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode) and hasattr(os, "geteuid") and status.st_uid == os.geteuid():
                os.unlink(path)
