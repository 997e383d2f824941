"""Imports run one way: from specific modules to general ones."""

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
# What each part may import of the others, besides itself and the standard library.
MAY_IMPORT = {
    "vocabularies": set(),
    "paths": set(),
    "errors": {"paths"},
    "progress": {"errors"},
    "report": {"errors"},
    "models": {"vocabularies"},
    "schemas": {"errors", "vocabularies"},
    "ddl": {"errors", "paths", "progress"},
    "files": {"ddl", "errors", "paths", "progress", "report"},
    "backends": {"errors", "files", "models", "paths"},
    "migrations": {"backends", "ddl", "errors", "files", "models", "paths", "progress", "report", "settings"},
    "settings": {"errors", "models"},
    "services": {"backends", "errors", "models", "paths", "progress", "schemas", "settings", "vocabularies"},
    "inspection": {
        *("backends", "ddl", "errors", "files", "migrations", "models", "paths", "progress", "report", "settings"),
        "vocabularies",
    },
    "transfer": {
        *("backends", "ddl", "errors", "files", "inspection", "migrations", "models", "paths", "progress", "report"),
    },
    "database": {
        *("backends", "errors", "inspection", "migrations", "models", "paths", "progress", "services", "settings"),
    },
    "maintenance": {
        *("backends", "database", "errors", "files", "inspection", "migrations", "paths", "progress", "settings"),
        "transfer",
    },
    "openapi": {"errors", "schemas", ""},
    "demo": {"database", "inspection", "models", "migrations"},
    "cli": {
        *(
            "backends",
            "database",
            "ddl",
            "demo",
            "errors",
            "files",
            "inspection",
            "maintenance",
            "migrations",
            "paths",
            "progress",
        ),
        *("schemas", "services", "transfer", "vocabularies", ""),
    },
    "__main__": {"cli"},
    "testing": {"database", "demo"},
}


def part_of(module: str) -> str:
    """Return the part of a module: `waiaas.errors.codes` is in `errors`, and the package itself is the empty part."""
    return [*module.split("."), ""][1]


def imports_of(file: Path) -> set[str]:
    """Return every module of the package that a file imports, including those in functions and under TYPE_CHECKING."""
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
    """A module imports only from lower parts; the package's front door may import everything."""
    part = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if part == "__init__":
        return
    assert {part_of(name) for name in imports_of(file)} <= MAY_IMPORT[part] | {part}


@pytest.mark.slow
def test_no_import_cycle() -> None:
    """No module imports itself through others, even for types or inside a function."""
    files = {name_of(file): file for file in PACKAGE.rglob("*.py")}
    graph = {name: imports_of(file) & files.keys() - {name} for name, file in files.items()}
    # graphlib raises CycleError, which contains the cycle.
    assert set(TopologicalSorter(graph).static_order()) == files.keys()


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.slow
def test_no_module_names_a_version_module() -> None:
    """The history finds the versions by their place, and everything else gets them from it."""
    importers = {
        name_of(file) for file in PACKAGE.rglob("*.py") if any(".versions." in name for name in imports_of(file))
    }
    assert importers == set()


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("migrations/versions/v[0-9]*.py")), ids=lambda file: file.stem)
def test_a_version_module_uses_literals(file: Path) -> None:
    """A shipped migration does not import models, vocabularies or schemas, because those change."""
    assert {part_of(name) for name in imports_of(file)} <= {"ddl", "errors", "migrations"}


@pytest.mark.slow
def test_opening_a_file_loads_no_services(tmp_path: Path) -> None:
    """Services, schemas, the upgrade and their packages are imported when they are used."""
    program = """
import sys, waiaas
later = ("jwt", "marshmallow", "playhouse", "waiaas.backends.postgresql", "waiaas.ddl.migrator",
         "waiaas.inspection.check", "waiaas.migrations.runner", "waiaas.schemas", "waiaas.services")
assert not set(later) & set(sys.modules), set(later) & set(sys.modules)
with waiaas.connect(sys.argv[1]) as database:
    assert not set(later) & set(sys.modules), set(later) & set(sys.modules)
    assert database.sessions is database.sessions
assert "marshmallow" in sys.modules
"""
    path = str(tmp_path / "wallets.db")
    run = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_the_front_door_has_plain_imports() -> None:
    """Each public name is imported by `waiaas/__init__.py` itself, where a type checker sees it."""
    body = ast.parse(FRONT_DOOR.read_text("utf-8")).body
    imported = {alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(waiaas.__all__) == imported
    assert "__getattr__" not in vars(waiaas)
