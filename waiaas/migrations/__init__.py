"""Migrations: from every schema version of a WAIaaS database to the latest, all or nothing.

Each version is a module of `versions`, whose name begins with its number. The numbers are read from the names, so that
a program that opens a database at the latest version loads no version module.
"""

from pkgutil import iter_modules
from typing import Final

from waiaas.migrations import versions

#: The version modules by version, oldest first.
VERSION_MODULES: Final = {
    int(module.name[1:3]): module.name
    for module in sorted(iter_modules(versions.__path__), key=lambda module: module.name)
}

#: The schema version that this library creates and works with.
LATEST_SCHEMA_VERSION: Final = max(VERSION_MODULES)

#: The oldest schema version that `upgrade` takes.
MIN_COMPATIBLE_SCHEMA_VERSION: Final = 1
