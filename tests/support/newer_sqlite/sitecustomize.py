"""Lets Python's own `sqlite3` work with the SQLite that the package pysqlite3 carries; used by `tox -e sqlite`.

Python loads this module at its start from PYTHONPATH, in each process of the tests. A symbol of a library that was
loaded for all is found before one of a library that `_sqlite3` names itself (dlopen(3), RTLD_GLOBAL). Peewee would
take pysqlite3 in the place of `sqlite3`, so it is hidden.
"""

import ctypes
import importlib.util
import os
import sys

_library = importlib.util.find_spec("pysqlite3")
if _library is not None and _library.submodule_search_locations:
    for _name in os.listdir(_library.submodule_search_locations[0]):
        if _name.startswith("_sqlite3") and _name.endswith(".so"):
            ctypes.CDLL(os.path.join(_library.submodule_search_locations[0], _name), ctypes.RTLD_GLOBAL)
    sys.modules["pysqlite3"] = None  # type: ignore[assignment]
