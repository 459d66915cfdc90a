"""Finds the values of names in Python modules from their text. Runs nothing."""

from __future__ import annotations

import ast
import inspect
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

Interface = Literal["wsgi", "asgi"]

# The call that makes an application object, by framework, and its interface.
_MAKERS: dict[str, tuple[str, Interface]] = {
    "Flask": ("Flask", "wsgi"),
    "APIFlask": ("Flask", "wsgi"),
    "Bottle": ("Bottle", "wsgi"),
    "get_wsgi_application": ("Django", "wsgi"),
    "get_asgi_application": ("Django", "asgi"),
    "ProtocolTypeRouter": ("Channels", "asgi"),
    "make_wsgi_app": ("Pyramid", "wsgi"),
    "FastAPI": ("FastAPI", "asgi"),
    "Starlette": ("Starlette", "asgi"),
    "Quart": ("Quart", "asgi"),
    "Litestar": ("Litestar", "asgi"),
    "FastHTML": ("FastHTML", "asgi"),
    "Sanic": ("Sanic", "asgi"),
}
# Calls whose last name says too little.
_FULL_MAKERS: dict[str, tuple[str, Interface]] = {
    "bottle.app": ("Bottle", "wsgi"),
    "bottle.default_app": ("Bottle", "wsgi"),
    "connexion.App": ("Connexion", "asgi"),
    "connexion.AsyncApp": ("Connexion", "asgi"),
    "connexion.FlaskApp": ("Connexion", "asgi"),
    "falcon.API": ("Falcon", "wsgi"),
    "falcon.App": ("Falcon", "wsgi"),
    "falcon.asgi.App": ("Falcon", "asgi"),
    "flask_openapi3.OpenAPI": ("Flask", "wsgi"),
    "blacksheep.Application": ("BlackSheep", "asgi"),
}
# Calls that make an application of another one, of this interface.
_CONVERTERS: dict[str, Interface] = {
    "ASGIApp": "asgi",
    "ASGIMiddleware": "wsgi",
    "WSGIApp": "wsgi",
    "WSGIMiddleware": "asgi",
    "WsgiToAsgi": "asgi",
}
# The arguments of an application that is a function (PEP 3333; the ASGI specification).
_SIGNATURES: dict[tuple[str, ...], Interface] = {
    ("environ", "start_response"): "wsgi",
    ("scope", "receive", "send"): "asgi",
}
# How servers call an application: a function that takes none of these is something else.
_CALLS = (2, 3)
_CLASS = re.compile(r"(?:^|\.)[A-Z]")  # in a dotted name
_DASH = "Dash"  # its attribute `server` is a Flask application
_DEEPEST = 8  # imports of imports
# Calls that may add any name to a module.
_DYNAMIC = frozenset({"globals", "exec", "setattr"})


@dataclass(frozen=True)
class Served:
    """An application object; `framework` is "" if it is a plain function."""

    framework: str
    interface: Interface


@dataclass(frozen=True)
class Function:
    """A function without decorators; `makes` is what it returns, if that is an application."""

    signature: inspect.Signature
    makes: Served | None

    @property
    def is_application(self) -> bool:
        """Whether a server may call it as an application."""
        return any(self.takes(*[None] * count) for count in _CALLS)

    def takes(self, *args: object, **named: object) -> bool:
        try:
            self.signature.bind(*args, **named)
        except TypeError:
            return False
        return True


@dataclass(frozen=True)
class Unknown:
    """Something else, or something that only a run can tell."""


@dataclass(frozen=True)
class Missing:
    """The module has no such name; `there` are its names."""

    there: tuple[str, ...] = ()


Thing: TypeAlias = Served | Function | Unknown | Missing


@dataclass(frozen=True)
class Module:
    """One module, from `file`; `read` gives its text."""

    name: str
    file: str
    read: Callable[[], str]

    @property
    def is_package(self) -> bool:
        return PurePosixPath(self.file).name == "__init__.py"

    @cached_property
    def tree(self) -> ast.Module | None:
        """None if it is no Python of this version."""
        return parsed(self.read())

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All of its syntax tree."""
        return tuple(ast.walk(self.tree)) if self.tree else ()

    @cached_property
    def bindings(self) -> Mapping[str, list[ast.AST]]:
        """The statement that binds each of the module's names, in order."""
        found: dict[str, list[ast.AST]] = {}
        for name, node in bound(self.tree.body if self.tree else []):
            found.setdefault(name, []).append(node)
        for node in ast.walk(self.tree) if self.tree else ():
            for name in node.names if isinstance(node, ast.Global) else ():
                found.setdefault(name, []).append(node)
        return found

    @cached_property
    def is_dynamic(self) -> bool:
        """Whether it may have names that nobody can see in its text."""
        if self.tree is None or "__getattr__" in self.bindings:
            return True
        return any(
            (isinstance(node, ast.Name) and node.id in _DYNAMIC)
            or (isinstance(node, ast.Attribute) and node.attr == "modules")  # sys.modules
            for node in ast.walk(self.tree)
        )


@dataclass(frozen=True)
class Modules:
    """The modules of an application, by name."""

    modules: Mapping[str, Module] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Iterable[str], read: Callable[[str], str]) -> Modules:
        """From Python files, relative to a folder on the import path; each is read when it is
        needed."""
        found = (Module(module_name(file), file, partial(read, file)) for file in files)
        return cls({module.name: module for module in found})

    @classmethod
    def of_wheel(cls, wheel: Path) -> Modules:
        """The modules in a wheel."""
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.endswith(".py")]

        def read(name: str) -> str:
            with zipfile.ZipFile(wheel) as archive:
                return archive.read(name).decode("utf-8", "replace")

        return cls.of(names, read)

    def get(self, name: str) -> Module | None:
        return self.modules.get(name)

    def thing(self, module: str, name: str, depth: int = 0) -> Thing:
        """The value of `name` in a module of the application."""
        known = self.modules.get(module)
        if known is None or depth > _DEEPEST or known.tree is None:
            return Unknown()
        nodes = known.bindings.get(name)
        if nodes is None:
            return self._unbound(known, name, depth)
        things = {self._bound_to(known, node, name, depth) for node in nodes}
        return things.pop() if len(things) == 1 else Unknown()

    def guess(self, module: Module, call: ast.Call) -> Interface | None:
        """The interface that the result of an unknown call may have: that of the application which
        it gets, else what the module's name says. None: something of another package that is
        probably no application (Celery, Typer, a bot)."""
        if interface := _CONVERTERS.get(called_name(call)):
            return interface
        for given in (*call.args, *(one.value for one in call.keywords)):
            # A name may be bound twice: `app = Middleware(app)`.
            nodes = module.bindings.get(given.id, []) if isinstance(given, ast.Name) else [given]
            for thing in (self._bound_to(module, node, ast.unparse(given), 1) for node in nodes):
                if isinstance(thing, Served):
                    return thing.interface
        last = module.name.rpartition(".")[2]
        full, origin = _full_name(module, call.func)
        is_theirs = bool(origin) and origin not in self.modules
        if is_theirs and _CLASS.search(full) and last not in ("wsgi", "asgi"):
            return None
        return "asgi" if last == "asgi" else "wsgi"

    def _unbound(self, module: Module, name: str, depth: int) -> Thing:
        if module.is_dynamic or f"{module.name}.{name}" in self.modules:
            return Unknown()
        there = [one for one in module.bindings if one.isidentifier()]
        for node in module.bindings.get("*", []):
            origin = origin_of(module, node) if isinstance(node, ast.ImportFrom) else ""
            if origin not in self.modules:
                return Unknown()
            found = self.thing(origin, name, depth + 1)
            if not isinstance(found, Missing):
                return found
            there += found.there
        return Missing(tuple(dict.fromkeys(there)))

    def _bound_to(self, module: Module, node: ast.AST, name: str, depth: int) -> Thing:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return self._function(module, node, depth)
        if isinstance(node, ast.ImportFrom):
            return self._imported(module, node, name, depth)
        return self._value(module, node, depth) if isinstance(node, ast.expr) else Unknown()

    def _imported(self, module: Module, node: ast.ImportFrom, name: str, depth: int) -> Thing:
        origin = origin_of(module, node)
        given = next(one.name for one in node.names if (one.asname or one.name) == name)
        if origin not in self.modules or f"{origin}.{given}" in self.modules:
            return Unknown()
        found = self.thing(origin, given, depth + 1)
        return Unknown() if isinstance(found, Missing) else found

    def _value(self, module: Module, value: ast.expr, depth: int) -> Thing:
        if isinstance(value, ast.Name):
            named = self.thing(module.name, value.id, depth + 1)
            return Unknown() if isinstance(named, Missing) else named  # a built-in one
        if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name):
            of = module.bindings.get(value.value.id, [])
            is_dash = of and all(called_name(one) == _DASH for one in of)
            return Served("Dash", "wsgi") if is_dash and value.attr == "server" else Unknown()
        if not isinstance(value, ast.Call):
            return Unknown()
        if maker := maker_of(module, value):
            return maker
        if isinstance(value.func, ast.Name):
            called = self.thing(module.name, value.func.id, depth + 1)
            if isinstance(called, Function) and called.makes:
                return called.makes
        return Unknown()

    def _function(
        self, module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef, depth: int
    ) -> Thing:
        if node.decorator_list:
            return Unknown()
        names = tuple(argument.arg for argument in node.args.args)
        if (interface := _SIGNATURES.get(names)) is not None:
            return Served("", interface)
        makes = None
        if isinstance(node, ast.FunctionDef):
            makes = self._made_by(module, node, depth)
        return Function(_signature(node.args), makes)

    def _made_by(self, module: Module, function: ast.FunctionDef, depth: int) -> Served | None:
        """The application that a factory returns; None if it returns nothing or something else."""
        if not any(isinstance(node, ast.Return) and node.value for node in ast.walk(function)):
            return None
        for node in ast.walk(function):
            if isinstance(node, ast.Call):
                made = self._value(module, node, depth + 1)
                if isinstance(made, Served):
                    return made
        return None


def parsed(text: str) -> ast.Module | None:
    """The syntax tree of somebody's module, without warnings about its text; None if it is no
    Python of this version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def module_name(file: str) -> str:
    """`shop.web` of shop/web.py, and `shop` of shop/__init__.py."""
    parts = PurePosixPath(file).with_suffix("").parts
    named = parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts
    return ".".join(named)


def bound(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """Each name that these statements of a module bind, with what binds it; `*` for all names of
    another module."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.ImportFrom):
            yield from ((one.asname or one.name, node) for one in node.names)
        elif isinstance(node, ast.Import):
            yield from ((one.asname or one.name.partition(".")[0], node) for one in node.names)
        else:
            yield from _assigned(node)
            for inner in ("body", "orelse", "finalbody", "handlers", "cases"):
                for one in getattr(node, inner, []):
                    within = [one] if isinstance(one, ast.stmt) else one.body
                    yield from bound(within)


def _assigned(node: ast.stmt) -> Iterator[tuple[str, ast.AST]]:
    """The names that a statement itself assigns, not its inner statements: with the value where
    there is one for one name."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        targets = [node.target]
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        yield from ((one.id, node.value) for one in targets if isinstance(one, ast.Name))
        targets = [one for one in targets if not isinstance(one, ast.Name)]
        parts: list[ast.AST] = [*targets, node.value]
    elif isinstance(node, ast.AnnAssign):
        parts = []  # `name: type` alone binds nothing
    else:
        own = (ast.expr, ast.withitem)
        parts = [one for one in ast.iter_child_nodes(node) if isinstance(one, own)]
    for part in parts:
        for inner in ast.walk(part):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                yield inner.id, node


def origin_of(module: Module, node: ast.ImportFrom) -> str:
    """The module that a `from` names, relative ones resolved."""
    if not node.level:
        return node.module or ""
    parts = module.name.split(".") + (["__init__"] if module.is_package else [])
    above = parts[: -node.level]
    return ".".join([*above, *([node.module] if node.module else [])])


def maker_of(module: Module, call: ast.Call) -> Served | None:
    """The application that a framework's own call makes."""
    maker = _MAKERS.get(called_name(call)) or _FULL_MAKERS.get(_full_name(module, call.func)[0])
    return Served(*maker) if maker else None


def _full_name(module: Module, value: ast.expr) -> tuple[str, str]:
    """A dotted name with the module that it is imported from, and that module; "" if none."""
    head, dot, rest = ast.unparse(value).partition(".")
    for node in module.bindings.get(head, []):
        if isinstance(node, ast.ImportFrom):
            origin = origin_of(module, node)
            given = next(one.name for one in node.names if (one.asname or one.name) == head)
            return f"{origin}.{given}{dot}{rest}", origin
        if isinstance(node, ast.Import):
            given = next((one.name for one in node.names if one.asname == head), head)
            return f"{given}{dot}{rest}", given
    return f"{head}{dot}{rest}", ""


def full_call(module: Module, value: ast.AST) -> str:
    """The whole name of what a call calls: `celery.Celery`; "" if it is no call."""
    return _full_name(module, value.func)[0] if isinstance(value, ast.Call) else ""


def called_name(value: ast.AST) -> str:
    """The last name of a call: `Flask` of `flask.Flask(__name__)`."""
    func = value.func if isinstance(value, ast.Call) else None
    if isinstance(func, ast.Attribute):
        return func.attr
    return func.id if isinstance(func, ast.Name) else ""


def _signature(arguments: ast.arguments) -> inspect.Signature:
    """As Python itself reads it; of the defaults only that there are some."""
    none = ast.Constant(None)
    bare = {
        **dict(ast.iter_fields(arguments)),
        "defaults": [none] * len(arguments.defaults),
        "kw_defaults": [default and none for default in arguments.kw_defaults],
    }
    tree = ast.Expression(ast.Lambda(ast.arguments(**bare), none))
    code = compile(ast.fix_missing_locations(tree), "", "eval")
    return inspect.signature(eval(code))  # noqa: S307 - a function that nobody calls
