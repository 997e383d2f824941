"""The schema operations do not depend on WAIaaS."""

from __future__ import annotations

import subprocess
import sys

# The package itself is replaced, because it imports the rest.
PROGRAM = """
import sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from types import ModuleType

package = ModuleType("waiaas")
package.__path__ = list(find_spec("waiaas").submodule_search_locations)
sys.modules["waiaas"] = package


class Block(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.startswith("waiaas.") and name.split(".")[1] not in ("ddl", "errors", "paths", "progress"):
            raise ImportError(f"{name} is blocked")


sys.meta_path.insert(0, Block())

from pathlib import Path
import importlib

for file in Path(package.__path__[0], "ddl").glob("*.py"):
    importlib.import_module(f"waiaas.ddl.{file.stem}".removesuffix(".__init__"))

from peewee import SqliteDatabase
from waiaas.ddl import LosslessMigrator

database = SqliteDatabase(":memory:")
database.execute_sql("CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT)")
database.execute_sql("INSERT INTO note (body) VALUES ('one')")
migrator = LosslessMigrator(database)
with migrator.migration_context():
    migrator.migrate(migrator.change_columns("note", {"body": "body TEXT NOT NULL"}))
assert migrator.result.rows_written == 1
assert database.execute_sql("SELECT * FROM note").fetchall() == [(1, "one")]
database.close()
try:
    import waiaas.models
except ImportError as error:
    print(error)
"""


def test_the_operations_work_without_the_rest_of_the_package() -> None:
    """All modules of `waiaas.ddl` can be imported, and a table rebuilt, with every other module blocked."""
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert (run.stdout.strip(), run.stderr) == ("waiaas.models is blocked", "")
