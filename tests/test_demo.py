"""The example file is created only if no other file exists."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from support.old_files import make_file

from waiaas import LATEST_SCHEMA_VERSION, WAIaaSError
from waiaas.demo import make_version_18


@pytest.mark.parametrize("version", [17, 18, LATEST_SCHEMA_VERSION])
def test_a_file_that_is_in_use_gets_no_example_rows(tmp_path: Path, version: int) -> None:
    """A file with rows is refused, and keeps its bytes and its version."""
    path = make_file(tmp_path / "wallets.db", version)
    before = path.read_bytes()
    with pytest.raises(WAIaaSError) as caught:
        make_version_18(path)
    assert caught.value.reason == "file_exists"
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_picture_shows_what_the_demo_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture in the README has the words of today's demo; `python docs/demo_picture.py` draws it again."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "docs"))
    picture = importlib.import_module("demo_picture")
    assert picture.PICTURE.read_text("utf-8") == picture.draw()
    assert picture.PICTURE.stat().st_size < 60_000
