"""Mutation testing: every small change of the code should make a test fail.

    python tests/support/mutation_testing.py waiaas/ddl/rebuild.py waiaas/inspection/check.py

Prints each change that no test detected, and the number of detected ones. The changes are mutmut's, also inside
decorated functions (mutmut itself skips those, and the schema operations are all decorated), and two additional ones:
a statement omitted, a condition negated. Each is tried in a fork of one pytest session, patched into the loaded
modules, with the tests that ran through its line. Tests that start processes do not count, because those would run the
unchanged code. `--seconds` limits the time for one change; `--results FILE` stores the results, and a second run
continues from there. Delete the lines of a file of results with `survived`, and a second run tries those again.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import difflib
import inspect
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import coverage
import libcst as cst
import pytest
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

ROOT = Path(__file__).resolve().parents[2]
# test_pinned compares the text itself: it detects every change, and does not test what the code does.
TESTS = (
    "tests/ddl",
    "tests/files",
    "tests/inspection",
    "tests/migrations",
    "tests/test_database.py",
    "tests/test_progress.py",
)
LEFT_OUT = ("tests/migrations/versions/test_pinned.py", "tests/migrations/test_stress.py")
# These start processes repeatedly, which would only be noticed by waiting for them.
SLOW = "kill_9 or disk_that or crash or bit_that or file_size_limit"
MEMORY = 3 << 30


class Mutant(NamedTuple):
    """A changed module: its path, the changed lines of the original, its text, and the change as a diff."""

    path: str
    lines: range
    source: str
    diff: str


class Mutator(cst.CSTVisitor):
    """Collects the changes of a module, each with the lines of the innermost statement around it."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[tuple[cst.CSTNode, cst.CSTNode, range]] = []
        self._statements: list[tuple[cst.CSTNode, range]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, (cst.Annotation, cst.Decorator, cst.ImportFrom, cst.Import)) or _is_docstring(node):
            return False
        if isinstance(node, cst.If) and "TYPE_CHECKING" in _code(node.test):
            return False
        if isinstance(node, cst.Assign) and _code(node.value).startswith(("TypeVar", "ParamSpec")):
            return False
        if isinstance(node, (cst.SimpleStatementLine, cst.BaseCompoundStatement)):
            self._statements.append((node, self._lines_of(node)))
        if self._statements:
            self.changes += [(node, changed, self._statements[-1][1]) for changed in _changes_of(node)]
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if self._statements and self._statements[-1][0] is original_node:
            self._statements.pop()

    def _lines_of(self, node: Any) -> range:
        position = self.get_metadata(PositionProvider, node)
        if isinstance(node, cst.SimpleStatementLine):
            return range(position.start.line, position.end.line + 1)
        body = self.get_metadata(PositionProvider, node.body)
        return range(position.start.line, max(body.start.line, position.start.line + 1))


def _code(node: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(node)


def _is_docstring(node: cst.CSTNode) -> bool:
    return (
        isinstance(node, cst.SimpleStatementLine)
        and isinstance(node.body[0], cst.Expr)
        and isinstance(node.body[0].value, cst.SimpleString)
    )


def _changes_of(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    for kind, operator in mutation_operators:
        if isinstance(node, kind):
            yield from (changed for changed in operator(node) if not _means_the_same(node, changed))
    if isinstance(node, (cst.Expr, cst.Raise)):
        yield cst.Pass()
    if isinstance(node, (cst.If, cst.While, cst.CompIf)):
        yield node.with_changes(test=cst.UnaryOperation(cst.Not(), _in_parentheses(node.test)))


def _means_the_same(node: cst.CSTNode, changed: cst.CSTNode) -> bool:
    """Return whether a text only differs in case, which SQLite ignores, or is prose, which tests need not pin."""
    if not (isinstance(node, cst.SimpleString) and isinstance(changed, cst.SimpleString)):
        return False
    words = node.value.strip("'\"").split()
    is_prose = len(words) > 1 and not any(word.isupper() and len(word) > 1 for word in words)
    return is_prose or node.value.lower() == changed.value.lower()


def _in_parentheses(expression: cst.BaseExpression) -> cst.BaseExpression:
    return expression.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


def mutants(path: str) -> Iterator[Mutant]:
    """Yield every change of a module, in the order of its lines."""
    text = (ROOT / path).read_text("utf-8")
    wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
    mutator = Mutator()
    wrapper.visit(mutator)
    for node, changed, lines in mutator.changes:
        source = wrapper.module.deep_replace(node, changed).code
        diff = "".join(list(difflib.unified_diff(text.splitlines(True), source.splitlines(True), n=0))[2:])
        if diff:
            yield Mutant(path, lines, source, diff)


class Session:
    """A pytest plugin: after collection it forks for each change instead of running the tests."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._items: dict[str, pytest.Item] = {}
        self._seconds: dict[str, float] = collections.defaultdict(float)
        self._with_processes: set[str] = set()
        self._tests_of: dict[str, dict[int, list[str]]] = {}
        self._ends_with_a_failure = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration
        if report.failed and self._ends_with_a_failure:
            os._exit(1)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        self._measure()
        tried = {}
        with contextlib.suppress(FileNotFoundError):
            tried = {(each["path"], each["diff"]): each["outcome"] for each in _records(self._options.results)}
        for module in self._options.modules:
            outcomes: collections.Counter[str] = collections.Counter()
            for mutant in mutants(module):
                outcome = tried.get((mutant.path, mutant.diff)) or self._try(mutant)
                outcomes[outcome] += 1
                if outcome in ("survived", "no tests"):
                    print(f"{mutant.path} {outcome}\n{mutant.diff}", flush=True)
            noticed = outcomes["killed"] + outcomes["timeout"]
            print(f"{module}: {noticed} of {outcomes.total()} changes noticed {dict(outcomes)}", flush=True)
        return True

    def _measure(self) -> None:
        """Run all tests unchanged: how long each takes, which start processes, and through which lines each goes."""
        kept = self._folder / "measured"
        measuring = coverage.Coverage(source=["waiaas"], data_file=str(self._folder / "coverage"))

        def work() -> None:
            start = subprocess.Popen.__init__
            running = ""

            def noted(*arguments: Any, **options: Any) -> None:
                self._with_processes.add(running)
                start(*arguments, **options)

            subprocess.Popen.__init__ = noted  # type: ignore[method-assign]
            self._ends_with_a_failure = True
            with measuring.collect():
                for running in self._items:
                    measuring.switch_context(running)
                    _run(self._items[running], None)
            data = measuring.get_data()
            tests_of = {os.path.relpath(file, ROOT): data.contexts_by_lineno(file) for file in data.measured_files()}
            kept.write_text(json.dumps([dict(self._seconds), sorted(self._with_processes), tests_of]))

        if _in_a_fork(work, seconds=3600):
            raise SystemExit("a test fails without any change")
        seconds, processes, tests_of = json.loads(kept.read_text())
        self._seconds.update(seconds)
        self._with_processes.update(processes)
        self._tests_of = {path: {int(line): tests for line, tests in each.items()} for path, each in tests_of.items()}

    def _tests_for(self, mutant: Mutant) -> list[str]:
        """Return the tests for a change: those through its lines, else those through its module, its own first."""
        lines = self._tests_of.get(mutant.path, {})
        through = {test for line in mutant.lines for test in lines.get(line, ())} - {""}
        found = through or {test for tests in lines.values() for test in tests} - {""}
        chosen, seconds = [], 0.0
        own = f"/test_{Path(mutant.path).stem}.py::"
        for test in sorted(found - self._with_processes, key=lambda test: (own not in test, self._seconds[test])):
            seconds += self._seconds[test]
            if seconds > self._options.seconds:
                break
            chosen.append(test)
        return chosen

    def _try(self, mutant: Mutant) -> str:
        """Return `survived`, or how the change was detected: `killed`, `timeout`; `no tests` if none runs there."""
        tests = self._tests_for(mutant)
        started = time.monotonic()

        def work() -> None:
            self._ends_with_a_failure = True
            put_in(mutant)
            items = [self._items[test] for test in tests]
            for item, following in zip(items, [*items[1:], None], strict=True):
                _run(item, following)

        status = _in_a_fork(work, seconds=20 + 10 * sum(self._seconds[test] for test in tests)) if tests else 0
        outcome = {0: "survived", -signal.SIGALRM: "timeout"}.get(status, "killed") if tests else "no tests"
        shutil.rmtree(self._folder / "tests", ignore_errors=True)
        (self._folder / "tests").mkdir()
        with self._options.results.open("a") as file:
            record = {"path": mutant.path, "diff": mutant.diff, "outcome": outcome, "tests": len(tests)}
            file.write(json.dumps({**record, "seconds": round(time.monotonic() - started, 2)}) + "\n")
        return outcome


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as file:
        yield from map(json.loads, file)


def _run(item: pytest.Item, following: pytest.Item | None) -> None:
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


def _in_a_fork(work: Callable[[], None], seconds: float) -> int:
    """Run work in a fork with a time limit, and return its exit status, negative if a signal ended it."""
    child = os.fork()
    if child == 0:
        try:
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
            signal.alarm(int(seconds))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def put_in(mutant: Mutant) -> None:
    """Patch the loaded module with the changed text: same functions and classes, other code in them."""
    name = mutant.path.removesuffix(".py").replace("/", ".")
    module = sys.modules[name]
    changed = ModuleType(name)
    changed.__dict__.update(__package__=module.__package__, __file__=module.__file__)
    exec(compile(mutant.source, str(module.__file__), "exec"), changed.__dict__)
    for key, value in vars(changed).items():
        old = vars(module).get(key)
        if not _graft(old, value, name) and old is not value and not key.startswith("__"):
            _replace_everywhere(key, old, value)


def _graft(old: Any, new: Any, module: str) -> bool:
    """Give a function or the methods of a class the code of another; return False for anything else."""
    if getattr(new, "__module__", None) != module:
        return False
    if isinstance(new, FunctionType):
        old.__code__, old.__defaults__, old.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__
    elif isinstance(new, type):
        for key, value in vars(new).items():
            if not _graft_member(vars(old).get(key), value, module) and not key.startswith("__"):
                with contextlib.suppress(AttributeError, TypeError):
                    setattr(old, key, value)
    elif hasattr(old, "cache_clear"):
        old.cache_clear()
    else:
        return False
    if hasattr(new, "__wrapped__"):
        _graft(old.__wrapped__, new.__wrapped__, module)
    return True


def _graft_member(old: Any, new: Any, module: str) -> bool:
    if isinstance(new, (staticmethod, classmethod)):
        return _graft(old.__func__, new.__func__, module)
    if isinstance(new, property):
        return _graft(old.fget, new.fget, module)
    return inspect.isroutine(new) and _graft(old, new, module)


def _replace_everywhere(key: str, old: Any, new: Any) -> None:
    """Give a constant its new value in every module that imported it."""
    for module in list(sys.modules.values()):
        ours = str(getattr(module, "__file__", "")).startswith(str(ROOT))
        if ours and vars(module).get(key) is old:
            setattr(module, key, new)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", help="default: ddl, migrations and the check")
    parser.add_argument("--seconds", type=float, default=600, help="of tests for each change (default: all there are)")
    parser.add_argument("--results", type=Path, default=Path(os.devnull), help="a file of JSON lines")
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    if not options.modules:
        migrations = [
            *sorted(Path("waiaas/ddl").glob("[!_]*.py")),
            *sorted(Path("waiaas/migrations").rglob("[!_]*.py")),
        ]
        options.modules = [*map(str, migrations), "waiaas/inspection/check.py"]
    with tempfile.TemporaryDirectory() as folder:
        left_out = [f"--ignore={file}" for file in LEFT_OUT]
        plugin = Session(options, Path(folder))
        arguments = ["-s", "-q", f"--basetemp={folder}/tests", "-k", f"not ({SLOW})", *left_out, *TESTS]
        pytest.main(arguments, plugins=[plugin])


if __name__ == "__main__":
    main()
