"""Imports run one way: from what knows little to what knows more."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "waiaas"
# What each part may import of the others; itself and the standard library go without saying.
MAY_IMPORT = {
    "enums": set(),
    "errors": set(),
    "faults": {"errors"},
    "fields": set(),
    "models": {"enums", "fields"},
    "schemas": {"enums", "errors"},
    "transactions": {"errors", "faults"},
    "migrations": {"errors", "faults"},
    "database": {"errors", "faults", "migrations", "models", "transactions"},
    "services": {"enums", "errors", "faults", "fields", "models", "schemas", "transactions"},
    "openapi": {"errors", "schemas", ""},
    "integrity": {"errors", "faults", "models", "migrations"},
    "rehearsal": {"database", "errors", "faults", "integrity", "migrations"},
    "demo": {"database", "integrity", "models", "migrations"},
    "cli": {"database", "demo", "errors", "integrity", "migrations", "rehearsal", ""},
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


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("migrations/v[0-9]*.py")), ids=lambda file: file.stem)
def test_a_version_module_speaks_in_literals(file: Path) -> None:
    """A shipped migration knows nothing of models, vocabularies or schemas: those are of today."""
    assert {part_of(name) for name in imports_of(file)} <= {"errors", "migrations"}


def test_what_only_opens_a_file_loads_no_services() -> None:
    """Services, schemas and the rehearsal are loaded at their first use; until then nothing of them, nor of PyJWT."""
    program = """
import sys, waiaas
later = ("rehearsal", "schemas", "services")
assert not {f"waiaas.{name}" for name in later} & set(sys.modules) and "jwt" not in sys.modules
assert {*waiaas.__all__, *later} <= set(dir(waiaas))
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
