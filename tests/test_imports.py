"""Imports run one way: from what knows little to what knows more."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import waiaas

PACKAGE = Path(__file__).parent.parent / "waiaas"
FRONT_DOOR = PACKAGE / "__init__.py"
# What each part may import of the others; itself and the standard library go without saying.
MAY_IMPORT = {
    "vocabularies": set(),
    "paths": set(),
    "errors": {"paths"},
    "progress": {"errors"},
    "models": {"vocabularies"},
    "schemas": {"errors", "vocabularies"},
    "ddl": {"errors", "paths", "progress"},
    "files": {"ddl", "errors", "paths", "progress"},
    "backends": {"errors", "files", "models", "paths"},
    "migrations": {"backends", "ddl", "errors", "files", "models", "paths", "progress"},
    "database": {"backends", "ddl", "errors", "files", "migrations", "models", "paths", "progress"},
    "services": {"backends", "errors", "models", "paths", "schemas", "vocabularies"},
    "transfer": {
        *("backends", "database", "ddl", "errors", "files", "inspection", "migrations", "models", "progress"),
    },
    "openapi": {"errors", "schemas", ""},
    "inspection": {
        "backends",
        "database",
        "ddl",
        "errors",
        "files",
        "migrations",
        "models",
        "paths",
        "progress",
        "vocabularies",
    },
    "demo": {"database", "inspection", "models", "migrations"},
    "cli": {"database", "ddl", "demo", "errors", "files", "inspection", "migrations", "paths", "progress", ""},
    "__main__": {"cli"},
    "testing": {"database", "demo"},
}


def part_of(module: str) -> str:
    """`waiaas.errors.codes` belongs to `errors`; the package itself is the empty part."""
    return [*module.split("."), ""][1]


def imports_of(file: Path) -> set[str]:
    """Every module of the package that a file imports, in functions and under TYPE_CHECKING too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            module = str(node.module)
            names = {f"{module}.{alias.name}" for alias in node.names}
            found |= {name if is_module(name) else module for name in names}
    return {name for name in found if name.split(".")[0] == "waiaas"}


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_run_one_way(file: Path) -> None:
    """A module imports only what stands below it; the package's front door may import everything."""
    part = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if part == "__init__":
        return
    assert {part_of(name) for name in imports_of(file)} <= MAY_IMPORT[part] | {part}


@pytest.mark.slow
def test_no_import_circle() -> None:
    """No module imports itself by way of others, not for types nor inside of a function either."""
    files = {name_of(file): file for file in PACKAGE.rglob("*.py")}
    graph = {name: imports_of(file) & files.keys() - {name} for name, file in files.items()}
    # graphlib raises CycleError, which has the circle.
    assert set(TopologicalSorter(graph).static_order()) == files.keys()


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.slow
def test_only_the_history_names_a_version_module() -> None:
    """The runner, the plan and the checks reach a version through the history, so that a new one needs no change."""
    importers = {
        name_of(file) for file in PACKAGE.rglob("*.py") if any(".versions." in name for name in imports_of(file))
    }
    assert importers == {"waiaas.migrations.history"}


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("migrations/versions/v[0-9]*.py")), ids=lambda file: file.stem)
def test_a_version_module_speaks_in_literals(file: Path) -> None:
    """A shipped migration knows nothing of models, vocabularies or schemas: those are of today."""
    assert {part_of(name) for name in imports_of(file)} <= {"ddl", "errors", "migrations"}


@pytest.mark.slow
def test_what_only_opens_a_file_loads_no_services() -> None:
    """Services, schemas and the rehearsal are loaded at their first use; until then nothing of them, nor of PyJWT."""
    program = """
import sys, waiaas
later = ("inspection", "migrations.runner", "ddl.migrator", "schemas", "services")
assert not {f"waiaas.{name}" for name in later} & set(sys.modules) and "jwt" not in sys.modules
assert {*waiaas.__all__, *waiaas._LOADED_LATER} <= set(dir(waiaas))
assert waiaas.SessionService is waiaas.services.SessionService
assert all(hasattr(waiaas, name) for name in waiaas.__all__)
try:
    waiaas.no_such_name
except AttributeError as error:
    assert "no_such_name" in str(error)
else:
    raise AssertionError("an unknown name was found")
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_each_public_name_is_imported_or_loaded_later() -> None:
    """No public name is missing where it is loaded from, and type checkers find each in the same module."""
    (unseen,) = (node for node in ast.parse(FRONT_DOOR.read_text("utf-8")).body if isinstance(node, ast.If))
    imports = [node for node in unseen.body if isinstance(node, ast.ImportFrom)]
    by_module = {str(node.module).removeprefix("waiaas."): {alias.name for alias in node.names} for node in imports}
    assert by_module == {module: set(names) for module, names in waiaas._LOADED_LATER.items()}
    at_once = set(waiaas.__all__).difference(*by_module.values())
    assert at_once <= set(vars(waiaas))
    assert at_once.union(*by_module.values()) == set(waiaas.__all__)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "loaded"),
    [
        ("rehearse", "inspection.check inspection.rehearsal migrations.runner"),
        ("plan", "migrations.runner"),
        ("ErrorResponseSchema", "schemas"),
        ("SessionSettings", "schemas services"),
    ],
)
def test_a_name_loads_no_more_than_it_needs(name: str, loaded: str) -> None:
    """The first use of a name loads its own module and what that imports, and none of the others."""
    program = """
import sys, waiaas
getattr(waiaas, sys.argv[1])
print(*sorted(later for later in waiaas._LOADED_LATER if f"waiaas.{later}" in sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", program, name], capture_output=True, text=True)
    assert (run.stdout.strip(), run.stderr) == (loaded, "")
