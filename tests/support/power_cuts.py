"""The states in which a power cut can leave the files of a command, built from its recorded file calls.

After `ALICE <https://www.usenix.org/conference/osdi14/technical-sessions/presentation/pillai>`_, CrashMonkey and
SQLite's own crash tests (https://www.sqlite.org/testing.html#crash_testing)::

    log = record_disk([sys.executable, "-m", "waiaas", "upgrade", path], folder)
    for state in states(log, "weak", seed=1, count=500):
        state.write(empty_folder)
        ...  # open the files; `state.printed` is what the command had already printed

Two models define what is on the disk in addition to synced data:

``weak``
    What POSIX allows. Of the changes of a file since it was last synced, any subset: writes torn at 512 or 4,096
    bytes, sizes without the data (zeros or garbage instead), missing truncations. Of the names that
    were created, renamed or removed since the folder was last synced, any subset; a renamed file may have both names.

``ordered``
    Like ext4 with ``data=ordered``. Names, sizes and truncations reach the disk in order, new data of a file
    before its new size. Overwritten data is free, as in the weak model, until the file is synced.

Bytes that no call wrote never change (SQLite's "powersafe overwrite", https://www.sqlite.org/psow.html), and a
reported sync is complete. The index of a write-ahead log (``-shm``) is omitted, because SQLite recreates it.
"""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from support.file_calls import Call, Kind, Recording, record

Model = Literal["weak", "ordered"]

_SECTORS = (512, 4096, 1 << 40)
_KEEP_SIZE = 1  # of fallocate
_EXCHANGE = 2  # of renameat2
_CANDIDATES_IN_VAIN = 10  # times the requested states


@dataclass(eq=False)
class _Node:
    """A file, folder or symbolic link, without its names."""

    mode: int
    content: bytes = b""
    """On the disk; of a symbolic link its target."""
    size: int = 0
    """The size that the running program sees."""
    names: dict[str, _Node] = field(default_factory=dict)
    """Of a folder, on the disk."""
    live: dict[str, _Node] = field(default_factory=dict)
    """Of a folder, as the running program sees them."""

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)


class _Data(NamedTuple):
    node: _Node
    offset: int
    data: bytes
    extends: bool


class _Size(NamedTuple):
    """A truncation, or an extension with zeros."""

    node: _Node
    size: int


class _Grow(NamedTuple):
    """A minimum size; parts that were never written are zeros or garbage."""

    node: _Node
    size: int


class _Name(NamedTuple):
    """A name that is created (`node`) or removed (None); for a rename also the old name."""

    folder: _Node
    name: str
    node: _Node | None
    old: tuple[_Node, str] | None = None


_Change = _Data | _Size | _Grow | _Name


class Log(NamedTuple):
    """A finished command: the files before it, and its file calls."""

    before: dict[str, tuple[int, int, bytes]]
    """Each path in the folder with its inode, mode and content."""
    folder: Path
    recording: Recording


@dataclass(frozen=True)
class State:
    """The result of a power cut."""

    position: int
    """How many of the command's calls were made."""
    is_end: bool
    """The command had ended."""
    printed: bytes
    """What the command had printed to its standard output."""
    files: dict[str, tuple[int, bytes | None]]
    """Each path with its mode, and its content (a symbolic link's target); None for a folder."""

    @property
    def key(self) -> frozenset[tuple[str, int, int]]:
        """Return a key that is equal for equal files. Python caches the hash of bytes."""
        return frozenset((path, mode, hash(content)) for path, (mode, content) in self.files.items())

    def write(self, folder: Path) -> None:
        """Create the files in an empty folder."""
        for path, (mode, content) in sorted(self.files.items()):
            target = folder / path
            if content is None:
                target.mkdir()
            elif stat.S_ISLNK(mode):
                target.symlink_to(os.fsdecode(content))
            else:
                target.write_bytes(content)
                target.chmod(stat.S_IMODE(mode))


def record_disk(command: Sequence[str | Path], folder: Path, **options: Any) -> Log:
    """Run a command to its end and record its changes to the files of a folder, all of which are synced before.

    :param command: the program and its arguments.
    :param folder: the watched folder.
    :param options: options of `subprocess.run`.
    """
    folder = folder.resolve()
    before = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        is_link, is_file = stat.S_ISLNK(status.st_mode), stat.S_ISREG(status.st_mode)
        content = os.fsencode(os.readlink(path)) if is_link else path.read_bytes() if is_file else b""
        before[str(path)] = (status.st_ino, status.st_mode, content)
    return Log(before, folder, record(command, folder, **options))


def states(log: Log, model: Model, *, seed: object, count: int, first: int = 0) -> Iterator[State]:
    """Yield different states that a power cut can leave, at most `count`.

    The same files count twice if the command had printed more by then, or had ended, because more must hold of them.

    At moments between two calls: the state with only the synced data, the state with everything, and then, at random
    moments, random subsets. It ends earlier if new states are hard to find.

    :param seed: the same seed and log give the same states.
    :param first: no power cut before this number of calls; ``len(log.recording.calls)`` leaves only the end.
    """
    dice = random.Random(f"{seed} {model}")
    seen: set[tuple[object, bool, bytes]] = set()
    in_vain = 0
    moments = range(first, len(log.recording.calls) + 1)
    for styles in _rounds(dice, moments, count):
        disk = _Disk(log, model)
        for position in range(moments.stop):
            if position:
                disk.make(log.recording.calls[position - 1])
            for style in styles.get(position, ()):
                state = disk.state(dice, style)
                key = (state.key, state.is_end, state.printed)
                if key in seen:
                    in_vain += 1
                    continue
                in_vain = 0
                seen.add(key)
                yield state
                if len(seen) == count:
                    return
        if in_vain > _CANDIDATES_IN_VAIN * count:
            return


def _rounds(dice: random.Random, moments: range, count: int) -> Iterator[dict[int, list[str]]]:
    """Yield the styles in which changes are chosen at each moment: first the two plain ones, then random ones."""
    some = dice.sample(moments, min(len(moments), count // 4 + 1))
    yield {moment: ["none", "all"] for moment in (*some, moments[-1])}
    while True:
        chosen: dict[int, list[str]] = {}
        for moment in dice.sample(moments, min(len(moments), 64)):
            chosen[moment] = [dice.choice(_STYLES) for _ in range(2)]
        # Nothing is synced after the last call: whatever was forgotten appears there.
        chosen[moments[-1]] = list(_STYLES)
        yield chosen


class _Disk:
    """The files as the running program sees them, the part that is on the disk, and the pending changes."""

    def __init__(self, log: Log, model: Model) -> None:
        self._folder = str(log.folder)
        self._model = model
        self._root = _Node(stat.S_IFDIR | 0o700)
        self._pending: list[_Change] = []
        self._by_inode: dict[int, _Node] = {}
        self._position = 0
        self._printed = b""
        self._calls = log.recording.calls
        for path, (inode, mode, content) in log.before.items():
            node = _Node(mode, content, len(content))
            folder, name = self._parent(path)
            folder.names[name] = folder.live[name] = self._by_inode[inode] = node

    def make(self, call: Call) -> None:
        """Apply a call to the program's view, and record what must reach the disk."""
        self._position += 1
        for change in self._changes(call):
            self._pending.append(change)
            if isinstance(change, _Name):
                if change.old:
                    folder, name = change.old
                    del folder.live[name]
                if change.node is None:
                    change.folder.live.pop(change.name, None)
                else:
                    change.folder.live[change.name] = change.node
            elif isinstance(change, _Size):
                change.node.size = change.size
            elif isinstance(change, _Data):
                change.node.size = max(change.node.size, change.offset + len(change.data))
            else:
                change.node.size = max(change.node.size, change.size)
        if call.kind == Kind.SYNC:
            node = self._find(call.path) if call.flags else self._by_inode[call.file]
            self._settle(node)
        elif call.kind == Kind.SYNC_ALL:
            _apply(self._pending)
            self._pending = []
        elif call.kind == Kind.PRINT:
            self._printed += call.data

    def state(self, dice: random.Random, style: str) -> State:
        """Return the files after a power cut now; the style determines how changes are chosen."""
        choose = _weak_choice if self._model == "weak" else _ordered_choice
        chosen = choose(self._pending, dice, style)
        contents = {node: (node.content, dict(node.names)) for node in _nodes(self._pending)}
        try:
            _apply(chosen, dice.randbytes(64) if self._model == "weak" and dice.random() < 0.3 else bytes(1))
            files = dict(_walk(self._root, ""))
        finally:
            for node, (content, names) in contents.items():
                node.content, node.names = content, names
        return State(self._position, self._position == len(self._calls), self._printed, files)

    def _changes(self, call: Call) -> Iterator[_Change]:
        if call.kind == Kind.OPEN:
            if call.created:
                folder, name = self._parent(call.path)
                node = self._by_inode[call.file] = _Node(stat.S_IFREG | call.offset)
                yield _Name(folder, name, node)
            elif not os.path.basename(call.path).endswith("-shm"):
                if call.file not in self._by_inode:
                    self._by_inode[call.file] = self._find(call.path)
                node = self._by_inode[call.file]
                if call.flags & os.O_TRUNC and node.size:
                    yield _Size(node, 0)
        elif call.kind in (Kind.WRITE, Kind.TRUNCATE, Kind.ALLOCATE):
            yield from self._changes_of_content(self._by_inode[call.file], call)
        elif call.kind == Kind.CHMOD:
            node = self._find(call.path) if call.file not in self._by_inode else self._by_inode[call.file]
            node.mode = stat.S_IFMT(node.mode) | call.offset
        elif call.kind in (Kind.UNLINK, Kind.RMDIR):
            yield _Name(*self._parent(call.path), None)
        elif call.kind == Kind.MKDIR:
            yield _Name(*self._parent(call.path), _Node(stat.S_IFDIR | call.offset))
        elif call.kind == Kind.SYMLINK:
            yield _Name(*self._parent(call.path), _Node(stat.S_IFLNK | 0o777, os.fsencode(call.other)))
        elif call.kind == Kind.LINK:
            yield _Name(*self._parent(call.other), self._find(call.path))
        elif call.kind == Kind.RENAME:
            if call.flags & _EXCHANGE:
                raise NotImplementedError("two names were exchanged")
            yield _Name(*self._parent(call.other), self._find(call.path), self._parent(call.path))

    @staticmethod
    def _changes_of_content(node: _Node, call: Call) -> Iterator[_Change]:
        if call.kind == Kind.WRITE and call.data:
            yield _Data(node, call.offset, call.data, call.offset + len(call.data) > node.size)
        elif call.kind == Kind.TRUNCATE:
            yield _Size(node, call.offset)
        elif call.kind == Kind.ALLOCATE and not call.flags & _KEEP_SIZE:
            yield _Grow(node, call.offset + call.length)

    def _settle(self, node: _Node) -> None:
        """Apply what a sync of a file or folder guarantees to the disk."""
        if self._model == "weak":
            done = [change for change in self._pending if _folder_or_node(change) is node]
            removals = [change.old for change in done if isinstance(change, _Name) and change.old]
            rest: list[_Change] = [change for change in self._pending if _folder_or_node(change) is not node]
            # The old name of a file from another folder belongs to that folder.
            rest += [_Name(folder, name, None) for folder, name in removals if folder is not node]
            done = [change._replace(old=None) if _comes_from_elsewhere(change) else change for change in done]
        else:
            last = {node: len(self._pending)}
            commits = max((number for number, each in enumerate(self._pending) if _is_of(each, node)), default=-1)
            for number, change in enumerate(self._pending[: commits + 1]):
                if _is_metadata(change):
                    last.setdefault(_folder_or_node(change), -1)
                    last[_folder_or_node(change)] = max(number, last[_folder_or_node(change)])
            # A commit of a file's size implies that all of the file's data was written before.
            is_done = [number <= last.get(_folder_or_node(each), -1) for number, each in enumerate(self._pending)]
            done = [each for each, is_one in zip(self._pending, is_done, strict=True) if is_one]
            rest = [each for each, is_one in zip(self._pending, is_done, strict=True) if not is_one]
        _apply(done)
        self._pending = rest

    def _parent(self, path: str) -> tuple[_Node, str]:
        folder, name = os.path.split(path)
        return self._find(folder), name

    def _find(self, path: str) -> _Node:
        node = self._root
        relative = os.path.relpath(path, self._folder)
        for name in relative.split(os.sep) if relative != os.curdir else ():
            node = node.live[name]
        return node


def _nodes(changes: Iterable[_Change]) -> set[_Node]:
    named = {change.old[0] for change in changes if isinstance(change, _Name) and change.old}
    return {change.folder if isinstance(change, _Name) else change.node for change in changes} | named


def _folder_or_node(change: _Change) -> _Node:
    return change.folder if isinstance(change, _Name) else change.node


def _comes_from_elsewhere(change: _Change) -> bool:
    return isinstance(change, _Name) and change.old is not None and change.old[0] is not change.folder


def _is_metadata(change: _Change) -> bool:
    return not isinstance(change, _Data) or change.extends


def _is_of(change: _Change, node: _Node) -> bool:
    """Return whether a sync of a file or folder commits a change of metadata: its own, or a name that it was given."""
    if isinstance(change, _Name):
        return node in (change.folder, change.node) or (change.old is not None and change.old[0] is node)
    return change.node is node and _is_metadata(change)


def _apply(changes: Iterable[_Change], filler: bytes = b"\0") -> None:
    """Apply changes to the disk; `filler` fills the parts of a file that have a size and no data."""
    contents: dict[_Node, bytearray] = {}
    for change in changes:
        if isinstance(change, _Name):
            if change.old:
                change.old[0].names.pop(change.old[1], None)
            if change.node is None:
                change.folder.names.pop(change.name, None)
            else:
                change.folder.names[change.name] = change.node
            continue
        content = contents.setdefault(change.node, bytearray(change.node.content))
        if isinstance(change, _Size):
            del content[change.size :]
            content.extend(bytes(change.size - len(content)))
        elif isinstance(change, _Grow):
            _grow(content, change.size, filler)
        else:
            _grow(content, change.offset, filler)
            content[change.offset : change.offset + len(change.data)] = change.data
    for node, content in contents.items():
        node.content = bytes(content)


def _grow(content: bytearray, size: int, filler: bytes) -> None:
    if size > len(content):
        missing = size - len(content)
        content.extend((filler * (missing // len(filler) + 1))[:missing])


def _walk(folder: _Node, prefix: str) -> Iterator[tuple[str, tuple[int, bytes | None]]]:
    for name, node in folder.names.items():
        if node.is_folder:
            yield f"{prefix}{name}", (node.mode, None)
            yield from _walk(node, f"{prefix}{name}/")
        elif not name.endswith("-shm"):
            yield f"{prefix}{name}", (node.mode, node.content)


_STYLES = (
    "none",
    "all",
    "lose one",
    "lose one",
    "lose few",
    "keep one",
    "keep few",
    "half",
    "prefix",
    "prefix",
    "node by node",
    "names apart",
)


def _kept(units: Sequence[_Node], dice: random.Random, style: str) -> list[bool]:
    """Select the units that reach the disk; each is given by the file or folder that it changes."""
    count = len(units)
    if style in ("none", "all"):
        return [style == "all"] * count
    if style in ("lose one", "keep one"):
        one = dice.randrange(count) if count else 0
        return [(number == one) == (style == "keep one") for number in range(count)]
    if style in ("lose few", "keep few", "half"):
        share = {"lose few": 0.95, "keep few": 0.05, "half": 0.5}[style]
        return [dice.random() < share for _ in units]
    if style == "prefix":
        cut = dice.randint(0, count)
        return [number < cut for number in range(count)]
    if style == "names apart":
        return [dice.random() < 0.5 if unit.is_folder else True for unit in units]
    numbers: dict[_Node, list[int]] = {}
    for number, unit in enumerate(units):
        numbers.setdefault(unit, []).append(number)
    kept = [False] * count
    for of_node in numbers.values():
        inner = dice.choice(("none", "all", "all", "lose one", "prefix"))
        for number, is_kept in zip(of_node, _kept([units[0]] * len(of_node), dice, inner), strict=True):
            kept[number] = is_kept
    return kept


def _weak_choice(pending: Sequence[_Change], dice: random.Random, style: str) -> list[_Change]:
    """Select any subset of the changes, with torn writes."""
    units: list[_Change] = [part for change in pending for part in _parts(change, dice.choice(_SECTORS))]
    kept = _kept([_folder_or_node(unit) for unit in units], dice, style)
    has_sizes = dice.random() < 0.5
    chosen: list[_Change] = []
    for unit, is_kept in zip(units, kept, strict=True):
        if is_kept:
            # A rename may have created the new name without removing the old one.
            is_half = isinstance(unit, _Name) and unit.old and style not in ("none", "all") and dice.random() < 0.3
            chosen.append(unit._replace(old=None) if isinstance(unit, _Name) and is_half else unit)
        elif isinstance(unit, _Data) and unit.extends and has_sizes and style != "none":
            chosen.append(_Grow(unit.node, unit.offset + len(unit.data)))
    return chosen


def _ordered_choice(pending: Sequence[_Change], dice: random.Random, style: str) -> list[_Change]:
    """Select the metadata up to a moment, new data with its size, and any subset of overwritten data."""
    metadata = [number for number, change in enumerate(pending) if _is_metadata(change)]
    committed = {"none": 0, "all": len(metadata)}.get(style, dice.randint(0, len(metadata)))
    until = metadata[committed - 1] if committed else -1
    sector = dice.choice(_SECTORS)
    data = [
        (number, part)
        for number, change in enumerate(pending)
        if not _is_metadata(change)
        for part in _parts(change, sector)
    ]
    kept = _kept([_folder_or_node(part) for _, part in data], dice, style)
    chosen = [(number, pending[number]) for number in metadata if number <= until]
    chosen += [each for each, is_kept in zip(data, kept, strict=True) if is_kept]
    return _without_extensions([change for _, change in sorted(chosen, key=lambda each: each[0])])


def _without_extensions(changes: Iterable[_Change]) -> list[_Change]:
    """Truncate data that would make a file longer than its size on the disk."""
    sizes: dict[_Node, int] = {}
    kept: list[_Change] = []
    for change in changes:
        if isinstance(change, _Data):
            size = sizes.get(change.node, len(change.node.content))
            end = change.offset + len(change.data)
            if change.extends:
                sizes[change.node] = max(size, end)
            elif end > size:
                change = change._replace(data=change.data[: max(0, size - change.offset)])
            if not change.data:
                continue
        elif isinstance(change, _Size):
            sizes[change.node] = change.size
        elif isinstance(change, _Grow):
            sizes[change.node] = max(change.size, sizes.get(change.node, len(change.node.content)))
        kept.append(change)
    return kept


def _parts(change: _Change, sector: int) -> Iterator[_Change]:
    """Return the parts into which a write can be torn; any other change is one part."""
    if not isinstance(change, _Data):
        yield change
        return
    start, end = change.offset, change.offset + len(change.data)
    while start < end:
        stop = min(end, (start // sector + 1) * sector)
        yield change._replace(offset=start, data=change.data[start - change.offset : stop - change.offset])
        start = stop
