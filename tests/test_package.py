"""The wheel and the source distribution are installed in new environments, and used there.

`tox -e package` builds them into the folder `WAIAAS_DIST` and runs these tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.package

ROOT = Path(__file__).resolve().parent.parent
#: They need files of every folder of the source distribution.
SOME_TESTS = ("tests/errors", "tests/schemas", "tests/typing", "tests/test_docs.py", "tests/models")
GENERATED = {"_build", "__pycache__"}
UV = (sys.executable, "-m", "uv", "--quiet")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed, and return its output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TOX"))}
    done = subprocess.run(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def environment_with(folder: Path, *packages: str) -> Path:
    """Create a virtual environment with some packages, and return the folder of its programs.

    By uv, which takes a second where pip takes fifteen.
    """
    run(*UV, "venv", "--python", sys.executable, folder, cwd=ROOT)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    run(*UV, "pip", "install", "--python", programs / "python", *packages, cwd=folder)
    return programs


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The wheel that was built from the source distribution."""
    (wheel,) = Path(os.environ["WAIAAS_DIST"]).glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def with_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel and a user's other packages."""
    return environment_with(tmp_path_factory.mktemp("wheel"), str(wheel), "mypy")


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the source distribution."""
    (archive,) = Path(os.environ["WAIAAS_DIST"]).glob("*.tar.gz")
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(archive) as files:
        files.extractall(folder)
    (root,) = folder.iterdir()
    return root


def files_below(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not GENERATED & set(path.relative_to(folder).parts)
    }


def test_the_wheel_contains_only_the_package(wheel: Path) -> None:
    """The wheel has every file of the package, including py.typed, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {f"waiaas/{name}" for name in files_below(ROOT / "waiaas")}
    assert "waiaas/py.typed" in names


def test_the_demo_runs_from_the_wheel(with_wheel: Path, tmp_path: Path) -> None:
    """The demo works from the wheel alone."""
    output = run(with_wheel / "waiaas", "demo", cwd=tmp_path)
    assert "Upgraded" in output
    assert list(tmp_path.iterdir()) == []


def test_the_wheel_is_typed(with_wheel: Path, tmp_path: Path) -> None:
    """A user's program passes mypy in strict mode against the installed wheel, without configuration."""
    program = tmp_path / "use.py"
    program.write_bytes((ROOT / "tests/typing/use.py").read_bytes())
    assert "Success" in run(with_wheel / "mypy", "--strict", program, cwd=tmp_path)


def test_the_source_distribution_contains_everything(unpacked: Path) -> None:
    """Tests, pages and benchmarks are in it, as in the repository."""
    for folder in ("benchmarks", "docs", "tests", "waiaas"):
        assert files_below(ROOT / folder) == files_below(unpacked / folder)
    assert {"CHANGELOG.md", "LICENSE", "README.md", "setup.cfg", "pyproject.toml", "tox.ini"} <= files_below(unpacked)


def test_tests_pass_from_the_source_distribution(unpacked: Path, tmp_path: Path) -> None:
    """The source distribution alone can be installed and tested."""
    programs = environment_with(tmp_path / "environment", f"{unpacked}[test]")
    output = run(programs / "python", "-m", "pytest", "-q", "-n", "auto", "-m", "not slow", *SOME_TESTS, cwd=unpacked)
    assert " passed" in output
    assert " failed" not in output
