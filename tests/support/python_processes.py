"""Python in separate processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import waiaas

_FOLDERS = (str(Path(waiaas.__file__).parents[1]), str(Path(__file__).parents[1]))
TRY_TO_WRITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
try:
    connection.execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError as error:
    print(error)
else:
    print("taken")
connection.close()
"""
#: In a program with a database: a thread takes the writer lock, and keeps it until `release` is called.
KEEP_THE_TURN = """
import threading
taken, free = threading.Event(), threading.Event()

def keep():
    with database.writer_lock():
        taken.set()
        free.wait()

def release():
    free.set()
    keeper.join()

keeper = threading.Thread(target=keep)
keeper.start()
taken.wait()
"""
#: Opens each path that it reads, and reports what it found or why it could not. As root it becomes nobody if
#: requested.
WORKER = """
import json, os, sys
import waiaas
import waiaas.migrations.runner  # before the other user, who may not be able to read Python's files
if "nobody" in sys.argv and os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    path, options = json.loads(line)
    try:
        database = waiaas.connect(path, **options).peewee
        answer = database.execute_sql("SELECT count(*), max(version) FROM schema_version").fetchone()
        database.close_all()
    except waiaas.WAIaaSError as error:
        answer = error.reason
    except Exception as error:
        answer = repr(error)
    print(json.dumps(answer), flush=True)
"""


def environment(**variables: str) -> dict[str, str]:
    """Return the variables of this process, with a PYTHONPATH to the library and `support`."""
    path = [*_FOLDERS, os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), **variables}


def start_python(*arguments: object, **variables: str) -> subprocess.Popen[str]:
    """Start Python with arguments, such as `-c` and code; its standard input and output are pipes of text."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=environment(**variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def run_python(code: str, *arguments: object) -> str:
    """Run code in a separate process and return its output."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Worker:
    """A separate process that opens files on demand."""

    def __init__(self, *arguments: str) -> None:
        self.process = start_python("-c", WORKER, *arguments)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.__exit__(None, None, None)

    def ask(self, path: Path, **options: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([str(path), options]) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())
