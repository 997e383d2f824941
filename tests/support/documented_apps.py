"""The applications of the how-to pages."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

PASSWORD = "only for these tests"
ADMIN = {"X-Master-Password": PASSWORD}


def load_app(name: str) -> ModuleType:
    """Import the module that a page shows."""
    path = Path(__file__).parents[2] / "docs" / "how-to" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
