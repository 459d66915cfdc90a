"""Detects an application's name, Python version and entry in its sources. Runs nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from cartwheel.build.origins import pyproject
from cartwheel.build.source import source_files
from cartwheel.settings.toml_tables import NAME_CHARACTERS

Interface = Literal["wsgi", "asgi"]

# The call that makes an application object, by framework, and its interface.
_MAKERS: dict[str, tuple[str, Interface]] = {
    "Flask": ("Flask", "wsgi"),
    "Bottle": ("Bottle", "wsgi"),
    "get_wsgi_application": ("Django", "wsgi"),
    "get_asgi_application": ("Django", "asgi"),
    "FastAPI": ("FastAPI", "asgi"),
    "Starlette": ("Starlette", "asgi"),
    "Quart": ("Quart", "asgi"),
    "Litestar": ("Litestar", "asgi"),
}
# The arguments of an application that is a function (PEP 3333; the ASGI specification).
_SIGNATURES: dict[tuple[str, ...], Interface] = {
    ("environ", "start_response"): "wsgi",
    ("scope", "receive", "send"): "asgi",
}
_NOT_SERVED = frozenset({"tests", "test", "docs", "examples", "node_modules", "build", "dist"})
_USUAL_MODULES = ("wsgi", "app", "main", "asgi")
_HEALTH_PATHS = ("/healthz", "/health", "/healthcheck", "/livez", "/ping", "/up", "/status")
_MINORS = tuple(f"3.{minor}" for minor in range(9, 20))


@dataclass(frozen=True, order=True)
class Entry:
    """Something that gunicorn can serve. Ordered: the likeliest first."""

    rank: tuple[int, ...]
    entry: str
    framework: str
    interface: Interface
    file: str


@dataclass(frozen=True)
class Found:
    """What was detected; "" or none if the sources do not say it."""

    name: str
    requires_python: str
    python: str
    entries: tuple[Entry, ...]
    health_path: str

    @property
    def likeliest(self) -> str:
        """The most probable entry; "" if nothing was found."""
        return self.entries[0].entry if self.entries else ""


def detect(folder: Path) -> Found:
    """Read the application in `folder`. Raises BuildError("source") if it cannot be read."""
    about = pyproject(folder).at("project")
    requires = _text(about.get("requires-python"))
    sources = dict(_python_sources(folder))
    return Found(
        name=as_name(_text(about.get("name")) or folder.resolve().name),
        requires_python=requires,
        python=_only_minor(requires),
        entries=tuple(sorted(_entries(sources))),
        health_path=_health_path(sources.values()),
    )


def as_name(text: str) -> str:
    """`text` as a valid name of an application; "" if nothing is left of it."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-").lstrip("0123456789-")
    return words[:NAME_CHARACTERS].rstrip("-")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _python_sources(folder: Path) -> Iterator[tuple[str, str]]:
    for name, path in source_files(folder):
        if name.endswith(".py") and not _NOT_SERVED.intersection(PurePosixPath(name).parts[:-1]):
            yield name, path.read_text(encoding="utf-8", errors="replace")


def _only_minor(requires: str) -> str:
    """The only minor version of Python that is allowed; "" for several."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        allowed = SpecifierSet(requires)
    except InvalidSpecifier:
        return ""
    fitting = [minor for minor in _MINORS if any(f"{minor}.{n}" in allowed for n in (0, 5, 50))]
    return fitting[0] if len(fitting) == 1 else ""


def _health_path(sources: Iterable[str]) -> str:
    """A path in the sources that is typical for health checks."""
    text = "\n".join(sources)
    for path in _HEALTH_PATHS:
        if found := re.search(rf"""["']\^?({path}/?)\$?["']""", text):
            return found[1]
    return ""


# -- application objects


def _entries(sources: dict[str, str]) -> Iterator[Entry]:
    for name, text in sources.items():
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        module = _module(name)
        for attribute, framework, interface, kind in _served(tree):
            usual = module.rpartition(".")[2] in _USUAL_MODULES
            rank = (
                kind,
                interface == "asgi" and framework == "Django",
                not usual,
                module.count("."),
            )
            yield Entry(tuple(map(int, rank)), f"{module}:{attribute}", framework, interface, name)


def _module(name: str) -> str:
    parts = PurePosixPath(name).with_suffix("").parts
    inside = parts[1:] if parts[0] == "src" and len(parts) > 1 else parts
    named = inside[:-1] if inside[-1] == "__init__" and len(inside) > 1 else inside
    return ".".join(named)


def _served(tree: ast.Module) -> Iterator[tuple[str, str, Interface, int]]:
    """(attribute, framework, interface, certainty: 0 is an object, 1 a factory, 2 a function)."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            maker = _MAKERS.get(_called(node.value))
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if maker and isinstance(targets[0], ast.Name):
                yield targets[0].id, *maker, 0
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = tuple(argument.arg for argument in node.args.args)
            if (interface := _SIGNATURES.get(names)) is not None:
                yield node.name, "", interface, 2
            elif maker := _made_by(node):
                yield f"{node.name}()", *maker, 1


def _called(value: ast.expr) -> str:
    """The last name of a call: `Flask` of `flask.Flask(__name__)`."""
    if not isinstance(value, ast.Call):
        return ""
    return ast.unparse(value.func).rpartition(".")[2]


def _made_by(function: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[str, Interface] | None:
    """The framework and interface of a factory that needs no argument and returns something."""
    arguments = function.args
    if len(arguments.args) > len(arguments.defaults) or not isinstance(function, ast.FunctionDef):
        return None
    makers = [
        _MAKERS.get(_called(node)) for node in ast.walk(function) if isinstance(node, ast.Call)
    ]
    returns = any(isinstance(node, ast.Return) and node.value for node in ast.walk(function))
    return next(filter(None, makers), None) if returns else None
