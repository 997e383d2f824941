"""The drivers that Peewee uses: `sqlite3` of the standard library, or `pysqlite3` if that is newer, and psycopg 3.

Import `sqlite3` only from here. Each of the two modules has its own copy of SQLite and its own exceptions. With two
copies in one process, closing a file in one drops the locks that the other has on it
(https://www.sqlite.org/howtocorrupt.html, section 2.2.1), and `except sqlite3.Error` of one misses the other's errors.
`PsycopgError` is the base of the errors of psycopg; without psycopg, nothing raises it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3 as sqlite3

    import psycopg

    PsycopgError = psycopg.Error
else:
    from peewee import psycopg
    from peewee import sqlite3 as sqlite3

    PsycopgError = psycopg.Error if psycopg else type("PsycopgError", (Exception,), {})
