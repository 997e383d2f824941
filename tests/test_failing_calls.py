"""Commands in which a file call fails: their answer agrees with the file, and the next upgrade succeeds."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.failing_calls import KINDS, Commands, Failure
from support.failing_scenarios import SCENARIOS, Trial

#: By kind of call, the errors beside EIO and ENOSPC that it can fail with: the name, and whether it lasts.
_ERRORS = {
    "write": (("EDQUOT", True), ("EFBIG", True), ("EINTR", False), ("short", True)),
    "read": (("EINTR", False), ("short", True)),
    "open": (("EMFILE", True), ("EACCES", True)),
    "sync": (("EINVAL", True), ("EDQUOT", True)),
    "map": (("ENOMEM", True),),
    "lock": (("ENOLCK", True),),
}
_ALWAYS = (("EIO", False), ("EIO", True), ("ENOSPC", False))
#: How many calls of one kind fail in the long form, each by itself; all if there are no more.
_CALLS = 16
#: What a test run has time for: how many failures of which scenarios.
_SHORT = {
    "upgrade 1 log": 6,
    "upgrade 18 journal": 8,
    "upgrade 18 log no backup": 8,
    "connect 18 journal": 4,
    "downgrade log": 4,
    "init": 6,
    "check 18 log": 3,
    "status 18 log left": 3,
}


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with Commands() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, if there is one: each command syncs its files a dozen times."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="waiaas-failing-", dir=memory) as name:
        yield Path(name)


def failures(trial: Trial, dice: random.Random, at_most: int) -> Iterator[Failure]:
    """The failures of each kind of call, each error at some of the calls that the command makes."""
    for kind in KINDS:
        count = trial.count(kind, "*")
        for error, is_lasting in (*_ALWAYS, *_ERRORS.get(kind, ())):
            for number in sorted(dice.sample(range(1, count + 1), min(count, at_most))):
                yield Failure((kind,), "*", number, error, is_lasting)


@pytest.mark.parametrize("name", _SHORT)
def test_the_answer_agrees_with_the_file(name: str, commands: Commands, folder: Path) -> None:
    """After a failed call, exit code and file agree, nothing is lost, and the next upgrade succeeds."""
    dice = random.Random(name)
    trial = Trial(SCENARIOS[name], folder, commands)
    some = dice.sample([*failures(trial, dice, 2)], _SHORT[name])
    assert [f"{failure}: {wrong}" for failure in some if (wrong := trial.run(failure)[1])] == []


@pytest.mark.stress
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_answer_agrees_with_the_file_at_length(
    name: str, commands: Commands, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every kind of call fails in every way, at many places of the command."""
    dice = random.Random(name)
    trial = Trial(SCENARIOS[name], folder, commands)
    runs = [(failure, *trial.run(failure)) for failure in failures(trial, dice, _CALLS)]
    with capsys.disabled():
        refused = sum(ended.code == 1 for _, ended, _ in runs)
        print(f"\n{name}: {len(runs)} failures, {sum(e.failed for _, e, _ in runs)} failed calls, {refused} refused")
    assert [f"{failure}: {wrong}" for failure, _, wrong in runs if wrong] == []
