"""Migrations: from every schema version of a WAIaaS database to the latest, all or nothing.

The two numbers are literals so that a program which opens a database at the latest version loads no version module.
"""

#: The schema version that this library creates and works with.
LATEST_SCHEMA_VERSION = 19

#: The oldest schema version that `upgrade` takes.
MIN_COMPATIBLE_SCHEMA_VERSION = 1
