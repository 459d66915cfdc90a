"""The disks that a power cut may leave: a pure model of names, data and their durability.

A history is a list of operations of programs. When the power fails, a file system may have written
any part of what was not yet synced, in any order (after ALICE: Pillai et al., "All File Systems Are
Not Created Equal", OSDI 2014). The model is as bad as POSIX allows: fsync of a file keeps its data
but not its name; a name is durable once its directory is synced; unsynced data may be absent, torn
or complete. Each call is atomic: a rename leaves the old file or the new one, never neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal

EXHAUSTIVE = 256
"""All combinations of unsynced changes are tried if there are at most this many."""

ROOT = 0
_VANISHED = -1

Kind = Literal["dir", "file", "link", "tree"]
Torn = Literal["", "names", "part"]


@dataclass(frozen=True)
class Content:
    """The content of a name. `data` is a key (file, tree; the bytes are kept elsewhere), or a
    link's target; "" is an empty file or tree. A tree is many files that are torn only together.

    `torn`: "part" has some of the data, "names" (a tree) lacks some names; `base` is the content
    that was durable before, and is not torn.
    """

    kind: Kind
    data: str = ""
    mode: int = 0
    uid: int = 0
    gid: int = 0
    torn: Torn = ""
    base: str = ""


@dataclass(frozen=True)
class Enter:
    """Names get other nodes (None: are removed), all at once: (directory, name, node)."""

    entries: tuple[tuple[int, str, int | None], ...]


@dataclass(frozen=True)
class Fill:
    """The content of a file or tree changes."""

    node: int
    content: Content


@dataclass(frozen=True)
class Sync:
    """These nodes become durable in their current state: a file's data, a directory's names."""

    nodes: frozenset[int]


Operation = Enter | Fill | Sync
State = Mapping[str, Content]
"""The content of a disk, by absolute path."""


@dataclass(frozen=True)
class History:
    """`born`: each node's content before any change of it is durable. `names`: the durable names
    at the beginning. The root directory is node 0."""

    born: Mapping[int, Content]
    names: Mapping[tuple[int, str], int]
    operations: tuple[Operation, ...]


@dataclass(frozen=True)
class Cut:
    """A state that a power cut may leave at any moment from `first` to `last`; both are numbers of
    finished operations."""

    state: State
    first: int
    last: int


_NAMED = Content("dir")  # stands for an Enter that is durable or not; its content is never read


@dataclass
class _Choice:
    """A change that is not durable yet: any of `options` may be on the disk. The first means that
    nothing was written, the last that everything was; `times` says since when each is possible."""

    node: int | None  # None: an Enter, by `at`
    at: int
    options: list[Content]
    times: list[int]


def cuts(history: History) -> Iterator[Cut]:
    """Every state that is tried, with repetitions (see `distinct`).

    The states just before each sync and at the end include all states that are possible at any
    moment in between.
    """
    since = 0
    for at, operation in enumerate((*history.operations, None)):
        if isinstance(operation, Sync) or operation is None:
            yield from _at(history, at, since)
            since = at + 1


def distinct(found: Iterator[Cut]) -> list[tuple[State, tuple[tuple[int, int], ...]]]:
    """Each different state once, with all time spans in which a power cut may leave it."""
    spans: dict[frozenset[tuple[str, Content]], list[tuple[int, int]]] = {}
    for cut in found:
        spans.setdefault(frozenset(cut.state.items()), []).append((cut.first, cut.last))
    return [(dict(key), tuple(sorted(set(value)))) for key, value in spans.items()]


def all_written(history: History) -> State:
    """The disk as programs see it at the end."""
    names, contents = dict(history.names), dict(history.born)
    for operation in history.operations:
        if isinstance(operation, Enter):
            _enter(names, operation)
        elif isinstance(operation, Fill):
            contents[operation.node] = operation.content
    return _walk(names, contents)


def _at(history: History, end: int, since: int) -> Iterator[Cut]:
    """The states at the moment `end`, without a sync since `since`."""
    durable, choices = _undecided(history, end)
    for picked in _combinations([len(choice.options) for choice in choices]):
        chosen = list(zip(choices, picked, strict=True))
        state = _written(history, end, durable, chosen)
        first = max((choice.times[pick] for choice, pick in chosen), default=0)
        yield Cut(state, max(first, since), end)


def _undecided(history: History, end: int) -> tuple[dict[int, Content], list[_Choice]]:
    """The durable content, and the changes that are not durable."""
    synced: dict[int, int] = {}
    for at, operation in enumerate(history.operations[:end]):
        if isinstance(operation, Sync):
            synced.update(dict.fromkeys(operation.nodes, at))
    durable = dict(history.born)
    choices: list[_Choice] = []
    files: dict[int, _Choice] = {}
    for at, operation in enumerate(history.operations[:end]):
        if isinstance(operation, Enter):
            if not all(synced.get(folder, _VANISHED) > at for folder, _, _ in operation.entries):
                choices.append(_Choice(None, at, [_NAMED, _NAMED], [0, at + 1]))
        elif isinstance(operation, Fill):
            if synced.get(operation.node, _VANISHED) > at:
                durable[operation.node] = operation.content
                continue
            choice = files.get(operation.node)
            if choice is None:
                choice = _Choice(operation.node, at, [durable[operation.node]], [0])
                files[operation.node] = choice
                choices.append(choice)
            options = _torn(durable[operation.node], operation.content)
            choice.options += options
            choice.times += [at + 1] * len(options)
    return durable, choices


def _torn(before: Content, after: Content) -> list[Content]:
    """The states of data while it is written: part of it, then all."""
    known: dict[str, tuple[Torn, ...]] = {"file": ("part",), "tree": ("names", "part")}
    ways = known.get(after.kind, ())
    if not after.data:
        ways = ways[:1] if before.data and after.kind == "tree" else ()
    return [
        *(replace(after, torn=way, base=before.data) for way in ways),
        after,
    ]


def _combinations(sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Which option of each choice to take. All combinations; if they are too many: everything up
    to each choice (including none and all), each one dropped, each one alone, with each option."""
    total = 1
    for size in sizes:
        total *= size
        if total > EXHAUSTIVE:
            yield from _some(sizes)
            return
    yield from product(*(range(size) for size in sizes))


def _some(sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    none, whole = [0] * len(sizes), [size - 1 for size in sizes]
    for at in range(len(sizes) + 1):
        yield (*whole[:at], *none[at:])
    for at, size in enumerate(sizes):
        for option in range(size):
            yield (*whole[:at], option, *whole[at + 1 :])
            yield (*none[:at], option, *none[at + 1 :])
            yield (*whole[:at], option, *none[at + 1 :])


def _written(
    history: History,
    end: int,
    durable: Mapping[int, Content],
    chosen: Sequence[tuple[_Choice, int]],
) -> State:
    contents = dict(durable)
    dropped = set()
    for choice, pick in chosen:
        if choice.node is None:
            if not pick:
                dropped.add(choice.at)
        else:
            contents[choice.node] = choice.options[pick]
    names = dict(history.names)
    for at, operation in enumerate(history.operations[:end]):
        if isinstance(operation, Enter) and at not in dropped:
            _enter(names, operation)
    return _walk(names, contents)


def _enter(names: dict[tuple[int, str], int], operation: Enter) -> None:
    for folder, name, node in operation.entries:
        if node is None:
            names.pop((folder, name), None)
        else:
            names[folder, name] = node


def _walk(names: Mapping[tuple[int, str], int], contents: Mapping[int, Content]) -> State:
    """All that can be reached from the root."""
    children: dict[int, list[tuple[str, int]]] = {}
    for (folder, name), node in names.items():
        children.setdefault(folder, []).append((name, node))
    state: dict[str, Content] = {}
    waiting = [("", ROOT)]
    while waiting:
        path, folder = waiting.pop()
        for name, node in children.get(folder, ()):
            state[f"{path}/{name}"] = contents[node]
            if contents[node].kind == "dir":
                waiting.append((f"{path}/{name}", node))
    return state


@dataclass
class Writer:
    """Builds a history, one operation after the other; also finds nodes by path."""

    born: dict[int, Content] = field(default_factory=lambda: {ROOT: Content("dir", mode=0o755)})
    names: dict[tuple[int, str], int] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    now: dict[tuple[int, str], int] = field(default_factory=dict)
    """The current names, as programs see them."""

    def history(self) -> History:
        return History(self.born, self.names, tuple(self.operations))

    def add(self, path: str, content: Content) -> int:
        """Add something that was durable before the history begins."""
        folder, name = self.place(path)
        node = self.new(content)
        self.names[folder, name] = self.now[folder, name] = node
        return node

    def new(self, content: Content) -> int:
        node = len(self.born)
        self.born[node] = content
        return node

    def find(self, path: str) -> int | None:
        """The node at a path; links are not followed."""
        node: int | None = ROOT
        for name in path.strip("/").split("/"):
            node = self.now.get((node, name)) if node is not None else None
        return node

    def place(self, path: str) -> tuple[int, str]:
        """The directory's node and the name. Raises KeyError if there is no such directory."""
        folder, _, name = path.rpartition("/")
        node = self.find(folder) if folder else ROOT
        if node is None:
            raise KeyError(folder)
        return node, name

    def enter(self, *entries: tuple[str, int | None]) -> None:
        placed = tuple((*self.place(path), node) for path, node in entries)
        operation = Enter(placed)
        self.operations.append(operation)
        _enter(self.now, operation)

    def fill(self, node: int, content: Content) -> None:
        self.operations.append(Fill(node, content))

    def sync(self, *nodes: int) -> None:
        self.operations.append(Sync(frozenset(nodes)))
