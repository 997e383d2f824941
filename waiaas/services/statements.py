"""What statements are made of.

Those of the path that every request takes are built once, for that costs more than running them.
"""

from __future__ import annotations

from typing import Any, Final

from peewee import SQL, Database, Query, Value

from waiaas.migrations.faults import refusing

#: Stands for a parameter that is given each time the statement runs, in the order in which they stand in its SQL.
PARAMETER: Final = Value(None)

#: A true flag, written into the SQL itself.
TRUE: Final = SQL("1")

#: How many rows or ids go into one statement: SQLite takes at most 32,766 parameters in one
#: (https://www.sqlite.org/limits.html), and a row of the audit log has 10.
AT_ONCE: Final = 1000


def compiled(database: Database, query: Query) -> str:
    """Return the SQL of a query in the database's dialect; it has no other parameters than `PARAMETER`."""
    sql, _ = database.get_sql_context().sql(query).query()
    return str(sql)


def fetch(database: Database, sql: str, *parameters: object) -> Any:
    """Run a compiled statement and return its first row, or None; errors become refusals as in `refusing`."""
    try:
        return database.execute_sql(sql, parameters).fetchone()
    except Exception:
        # The context manager is entered only now: on this path its cost would count.
        with refusing(database):
            raise
