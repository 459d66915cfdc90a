"""Records what the host side does to its disk, as a history for `disk`.

It is a witness of the fault harness: it sees each call before the call continues, and reads the
files in the meantime. Writes do not wait for the harness, so a file's data is read again at each
call while it may still change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from cartwheel_lab.faults.disk import Content, Enter, Fill, History, Sync, Writer
from cartwheel_lab.faults.points import Point
from cartwheel_lab.faults.shelf import Scope, Shelf
from cartwheel_lab.faults.syscalls import Call

_EMPTY_MODE = 0o600


@dataclass
class _Dirty:
    """A file or tree whose data may differ from the last record. A tree's data is known only when
    the tree is complete or removed: `at` is the place in the history where it began to change."""

    node: int
    path: str
    at: int = -1


@dataclass
class Recorder:
    """Pass `witness` to `harness.on`; start with `begin`, finish with `end`."""

    shelf: Shelf
    scope: Scope
    writer: Writer = field(default_factory=Writer)
    _mounts: dict[int, str] = field(default_factory=dict)
    _files: dict[int, _Dirty] = field(default_factory=dict)
    _trees: dict[int, _Dirty] = field(default_factory=dict)
    _unborn: dict[int, str] = field(default_factory=dict)
    _starts: list[int] = field(default_factory=list)

    def begin(self) -> None:
        """Record the current disk as durable."""
        state = self.shelf.scan(self.scope)
        for path in sorted(state):
            node = self.writer.add(path, state[path])
            self._mounts[node] = self.scope.mount_of(path)

    def witness(self, call: Call) -> None:
        self._observe()
        self._starts.append(len(self.writer.operations))
        action = _ACTIONS.get(call.kind)
        if action is not None:
            action(self, call)

    def end(self) -> History:
        """The complete history; later changes are not in it."""
        self._observe()
        for dirty in list(self._trees.values()):
            self._tree_is(dirty, self._look(dirty.path))
        for node, path in self._unborn.items():
            if self.writer.find(path) == node:  # the call failed, so it never existed
                self._undo(node, path)
        return self.writer.history()

    def _undo(self, node: int, path: str) -> None:
        for at, operation in enumerate(self.writer.operations):
            if isinstance(operation, Enter) and any(to == node for *_, to in operation.entries):
                self.writer.operations[at] = Enter(())
        del self.writer.now[self.writer.place(path)]

    def moments(self, points: Sequence[Point], label: str) -> list[int]:
        """How many operations were done when each message with this label passed. `points` are
        those of the session; every witnessed call is one of them."""
        found, calls = [], 0
        for point in points:
            if point.is_message and point.label == label:
                found.append(
                    self._starts[calls]
                    if calls < len(self._starts)
                    else len(self.writer.operations)
                )
            calls += not point.is_message
        return found

    # -- the meaning of the calls

    def _create(self, call: Call) -> None:
        path = call.paths[0]
        if self._in_tree(path) or not self._has_place(path):
            return
        node = self.writer.find(path)
        if node is None:
            node = self._new(path, Content("file", mode=_EMPTY_MODE))
            self.writer.enter((path, node))
        self._files[node] = _Dirty(node, path)

    def _mkdir(self, call: Call) -> None:
        path = call.paths[0]
        is_tree = self.scope.tree_of(path) == path
        if (self._in_tree(path) and not is_tree) or not self._has_place(path):
            return
        if self.writer.find(path) is None:
            node = self._new(path, Content("tree" if is_tree else "dir", mode=0o755))
            self.writer.enter((path, node))
            if is_tree:
                self._touch_tree(path)

    def _symlink(self, call: Call) -> None:
        target, path = call.paths
        if self._in_tree(path) or not self._has_place(path):
            return
        if self.writer.find(path) is None:
            self.writer.enter((path, self._new(path, Content("link", target))))

    def _link(self, call: Call) -> None:
        source, path = call.paths
        if self._in_tree(path) or not self._has_place(path):
            return
        node = self.writer.find(source)
        if node is not None and self.writer.find(path) is None:
            self.writer.enter((path, node))

    def _rename(self, call: Call) -> None:
        source, target = call.paths
        content = self._look(source)
        if content is None:
            return
        is_durable = self.writer.find(self.scope.tree_of(source) or source) not in self._trees
        inside = [self._in_tree(source) and not self._is_tree(source)]
        inside.append(self._in_tree(target) and not self._is_tree(target))
        if all(inside):
            return
        if inside[1] or not self._has_place(target):  # it leaves the scope
            self._forget(source)
            return
        node = None if inside[0] else self.writer.find(source)
        if node is None:  # it comes from outside the scope
            if self._is_tree(target):
                content = self.shelf.look_at_tree(source)
            is_durable &= inside[0]
            node = self._new(target, content if is_durable else replace(content, data=""))
            self.writer.enter((target, node))
            if content.kind in ("file", "tree") and not is_durable:
                self.writer.fill(node, content)
            return
        self.writer.enter((target, node), (source, None))
        self._moved(source, target)

    def _unlink(self, call: Call) -> None:
        path = call.paths[0]
        if not self._in_tree(path) or self.writer.find(path) is not None:
            self._forget(path)

    def _rmdir(self, call: Call) -> None:
        path = call.paths[0]
        node = self.writer.find(path)
        if self._in_tree(path) and not self._is_tree(path):
            return
        if node is None or any(self.shelf.real(path).iterdir()):
            return  # it will fail
        if self._is_tree(path):
            self._touch_tree(path)
            self._tree_is(self._trees[node], replace(self.writer.born[node], data=""))
        self._forget(path)

    def _fsync(self, call: Call) -> None:
        node = self.writer.find(call.paths[0])
        if node is not None and node not in self._trees:
            self.writer.sync(node)

    def _syncfs(self, call: Call) -> None:
        mount = self.scope.mount_of(call.paths[0])
        for dirty in list(self._trees.values()):
            if self._mounts[dirty.node] == mount:
                self._tree_is(dirty, self._look(dirty.path))
        self.writer.sync(*(node for node, one in self._mounts.items() if one == mount))

    # -- reading the disk

    def _look(self, path: str) -> Content | None:
        return self.shelf.look(path, self.scope)

    def _in_tree(self, path: str) -> bool:
        """Whether it is in a tree, which then counts as changed, or is a tree."""
        tree = self.scope.tree_of(path)
        if tree and path != tree:
            self._touch_tree(tree)
        return bool(tree)

    def _is_tree(self, path: str) -> bool:
        return self.scope.tree_of(path) == path

    def _has_place(self, path: str) -> bool:
        if not self.scope.follows(path):
            return False
        try:
            self.writer.place(path)
        except KeyError:
            return False
        return True

    def _new(self, path: str, content: Content) -> int:
        node = self.writer.new(content)
        self._mounts[node] = self.scope.mount_of(path)
        self._unborn[node] = path
        return node

    def _forget(self, path: str) -> None:
        node = self.writer.find(path)
        if node is not None:
            self.writer.enter((path, None))
            self._files.pop(node, None)
            self._trees.pop(node, None)

    def _moved(self, source: str, target: str) -> None:
        """Give every known path at or below `source` its new name."""

        def new(path: str) -> str:
            return target + path[len(source) :] if (path + "/").startswith(source + "/") else path

        for known in (self._files, self._trees):
            for node, dirty in known.items():
                known[node] = replace(dirty, path=new(dirty.path))
        self._unborn = {node: new(path) for node, path in self._unborn.items()}

    def _touch_tree(self, path: str) -> None:
        node = self.writer.find(path)
        if node is not None and node not in self._trees:
            self._trees[node] = _Dirty(node, path, len(self.writer.operations))
            self.writer.fill(node, self.writer.born[node])  # until `_tree_is` knows it

    def _tree_is(self, dirty: _Dirty, content: Content | None) -> None:
        if content is not None:
            self.writer.operations[dirty.at] = Fill(dirty.node, content)
        del self._trees[dirty.node]

    def _observe(self) -> None:
        for node, path in list(self._unborn.items()):
            content = self._look_at_new(node, path)
            if content is None:
                continue
            del self._unborn[node]
            self.writer.born[node] = replace(content, data=self.writer.born[node].data)
        for dirty in list(self._files.values()):
            content = self._look(dirty.path)
            if content is not None and content.kind == "file" and content != self._last(dirty.node):
                self.writer.fill(dirty.node, content)

    def _look_at_new(self, node: int, path: str) -> Content | None:
        if self.writer.born[node].kind == "link":
            del self._unborn[node]
            return None
        if self.writer.born[node].kind == "tree":
            real = self.shelf.real(path)
            if not real.is_dir():
                return None
            status = real.stat()
            return Content("tree", "", status.st_mode & 0o7777, status.st_uid, status.st_gid)
        return self._look(path)

    def _last(self, node: int) -> Content:
        for operation in reversed(self.writer.operations):
            if isinstance(operation, Fill) and operation.node == node:
                return operation.content
        return self.writer.born[node]


_ACTIONS: dict[str, Callable[[Recorder, Call], None]] = {
    "create": Recorder._create,
    "open": Recorder._create,
    "mkdir": Recorder._mkdir,
    "symlink": Recorder._symlink,
    "link": Recorder._link,
    "rename": Recorder._rename,
    "unlink": Recorder._unlink,
    "rmdir": Recorder._rmdir,
    "fsync": Recorder._fsync,
    "syncfs": Recorder._syncfs,
}


def syncs(history: History) -> int:
    return sum(isinstance(one, Sync) for one in history.operations)
