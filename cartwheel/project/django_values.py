"""The values that the settings of a Django project give their names, as far as their text says it.
Runs nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from cartwheel.project.modules import Module, Modules, bound, origin_of
from cartwheel.project.variables import Read, reads_in

_DEEPEST = 8  # imports of imports
_DEEPEST_NAME = 3  # names in the value of a name


@dataclass(frozen=True)
class Value:
    """The last value of a name. `node` is None if no single expression gives it."""

    place: str
    module: Module
    node: ast.expr | None
    reads: tuple[Read, ...] = ()

    @property
    def literal(self) -> object:
        """Its value, if the text says it; else `...`."""
        return literal(self.node)


def _is_sure(module: Module, node: ast.AST) -> bool:
    """Whether a statement of the module itself, without a condition, assigns this value."""
    body = module.tree.body if module.tree else []
    return any(getattr(one, "value", None) is node for one in body)


def literal(node: ast.expr | None) -> object:
    """The value of an expression, if its text says it; else `...`."""
    try:
        return ast.literal_eval(node) if node is not None else ...
    except (ValueError, TypeError):
        return ...


@dataclass(frozen=True)
class Chain:
    """A settings module, with those that it imports everything of. `real` are the files in the
    source, by those on the import path."""

    modules: Modules
    top: Module
    real: Mapping[str, str]

    @cached_property
    def bound(self) -> tuple[tuple[Module, str, ast.AST], ...]:
        """What binds each name, in the order in which Python does it."""
        return tuple(self._bound(self.top, ()))

    @cached_property
    def parts(self) -> tuple[Module, ...]:
        """The modules."""
        return tuple({one.name: one for one, _name, _node in self.bound}.values()) or (self.top,)

    @cached_property
    def text(self) -> str:
        """Their code, without comments."""
        return "\n".join(ast.unparse(one.tree) for one in self.parts if one.tree)

    def get(self, name: str) -> Value | None:
        """The last value of a name; None if nothing binds it."""
        found = self.all(name)
        return found[-1] if found else None

    def all(self, name: str, depth: int = 0) -> list[Value]:
        """All values that a name may have in the end, in order: the last one that it gets without
        a condition, and those that it gets after that."""
        found = [(module, node) for module, bound, node in self.bound if bound == name]
        last = max((at for at, one in enumerate(found) if _is_sure(*one)), default=0)
        return [
            self._imported(module, node, name)
            if isinstance(node, ast.ImportFrom)
            else self._value(module, node, depth)
            for module, node in found[last:]
        ]

    def reads(self, value: Value, node: ast.AST, depth: int = 0) -> tuple[Read, ...]:
        """The variables that a part of a value reads, also by the names in it."""
        own = tuple(reads_in(self.modules, value.module, node))
        names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
        values = [
            one
            for name in sorted(names)
            for one in (self.all(name, depth + 1) if depth < _DEEPEST_NAME else ())
        ]
        return tuple(dict.fromkeys((*own, *(read for one in values for read in one.reads))))

    def _value(self, module: Module, node: ast.AST, depth: int) -> Value:
        value = node if isinstance(node, ast.expr) else None
        found = Value(self.place(module, node), module, value)
        is_value = isinstance(node, ast.expr | ast.AugAssign)
        return replace(found, reads=self.reads(found, node, depth)) if is_value else found

    def place(self, module: Module, node: ast.AST | None) -> str:
        file = self.real.get(module.file, module.file)
        return f"{file}:{getattr(node, 'lineno', 1)}" if node else file

    def uses(self, name: str) -> Iterator[str]:
        """The places where the modules use the value of a name."""
        for module in self.parts:
            for node in ast.walk(module.tree) if module.tree else ():
                is_name = isinstance(node, ast.Name) and node.id == name
                if is_name and isinstance(getattr(node, "ctx", None), ast.Load):
                    yield self.place(module, node)

    def _bound(
        self, module: Module, above: tuple[str, ...]
    ) -> Iterator[tuple[Module, str, ast.AST]]:
        for name, node in bound(module.tree.body if module.tree else []):
            if name == "*" and isinstance(node, ast.ImportFrom):
                origin = self.modules.get(origin_of(module, node))
                if origin and origin.name not in above and len(above) < _DEEPEST:
                    yield from self._bound(origin, (*above, module.name))
            else:
                yield module, name, node

    def _imported(self, module: Module, node: ast.ImportFrom, name: str) -> Value:
        origin = self.modules.get(origin_of(module, node))
        given = next((one.name for one in node.names if (one.asname or one.name) == name), name)
        found = Chain(self.modules, origin, self.real).get(given) if origin else None
        return found or Value(self.place(module, node), module, None)
