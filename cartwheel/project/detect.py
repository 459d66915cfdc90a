"""Detects an application's name, Python version and entry in its sources. Runs nothing."""

from __future__ import annotations

import ast
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from cartwheel.build.origins import pyproject
from cartwheel.build.source import source_files
from cartwheel.project.modules import Function, Interface, Module, Modules, Served, parsed
from cartwheel.settings.toml_tables import NAME_CHARACTERS

_NOT_SERVED = frozenset({"tests", "test", "docs", "examples", "node_modules", "build", "dist"})
_USUAL_MODULES = ("wsgi", "app", "main", "asgi")
_HEALTH_PATHS = ("/healthz", "/health", "/healthcheck", "/livez", "/ping", "/up", "/status")
_MINORS = tuple(f"3.{minor}" for minor in range(9, 20))
# A folder with one of these is an application by itself.
_MANIFESTS = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile", "manage.py")
# A route for the site's root, as Flask, FastAPI and Django write it.
_ROOT_ROUTE = re.compile(
    r"""(?:route|get|api_route|add_url_rule|Route)\(\s*["']/["']|path\(\s*["']["']"""
)
_ADMIN = re.compile(r"""path\(\s*["']([\w/-]*)["']\s*,\s*admin\.site\.urls""")
# Variables that a system or a shell sets, for any program.
_USUAL = re.compile(
    r"HOME|PATH|USER|LOGNAME|SHELL|TERM|LANG|LC_\w+|TZ|PWD|TE?MP|TMPDIR|DISPLAY|EDITOR|BROWSER"
    r"|PYTHON\w+|VIRTUAL_ENV|XDG_\w+|APPDATA|LOCALAPPDATA|USERPROFILE|WINDIR|\w+_PROXY|CI"
)
_NEEDED_VARIABLE = re.compile(r"""\bos\.environ\[\s*["']([A-Za-z_]\w*)["']\s*\](?!\s*=[^=])""")
_ALLOWED_HOSTS = "ALLOWED_HOSTS"
_ANY_HOST = "*"


@dataclass(frozen=True, order=True)
class Entry:
    """Something that gunicorn can serve. Ordered: the likeliest first."""

    rank: tuple[int, ...]
    entry: str
    framework: str
    interface: Interface
    file: str


@dataclass(frozen=True)
class Hosts:
    """Django's list of the hosts that it answers, and its place."""

    allowed: tuple[str, ...]
    place: str

    def admits(self, name: str) -> bool:
        """Whether Django answers requests for this server name (django.http.request)."""
        wanted = name.lower()
        return any(
            one == _ANY_HOST
            or one.lower() == wanted
            or (one.startswith(".") and wanted.endswith(one.lower()))
            for one in self.allowed
        )


@dataclass(frozen=True)
class Found:
    """What was detected; "" or none if the sources do not say it. `variables` are those of the
    environment that the sources read without a default."""

    name: str
    requires_python: str = ""
    python: str = ""
    entries: tuple[Entry, ...] = ()
    health_path: str = ""
    variables: tuple[str, ...] = ()
    hosts: Hosts | None = None
    migrate: str = ""
    """A command for deploy.migrate."""
    modules: Modules = field(default_factory=Modules)

    @property
    def likeliest(self) -> str:
        """The most probable entry; "" if nothing was found."""
        return self.entries[0].entry if self.entries else ""


def detect(folder: Path) -> Found:
    """Read the application in `folder`. Raises BuildError("source") if it cannot be read."""
    about = pyproject(folder).at("project")
    requires = _text(about.get("requires-python"))
    sources = dict(_python_sources(folder))
    return _found(_text(about.get("name")) or folder.resolve().name, requires, sources)


def detect_wheel(wheel: Path, name: str, requires_python: str) -> Found:
    """Read the application in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        sources = {
            file: archive.read(file).decode("utf-8", "replace")
            for file in archive.namelist()
            if file.endswith(".py") and _is_served(file)
        }
    return _found(name, requires_python, sources)


def source_of(project: Path, found: Found) -> str:
    """The folder of the likeliest application, relative to the project: the innermost one around
    its file that is an application by itself; "." if there is none."""
    for entry in found.entries[:1]:
        for folder in PurePosixPath(entry.file).parents[:-1]:
            if any((project / folder / name).is_file() for name in _MANIFESTS):
                return str(folder)
    return "."


def as_name(text: str) -> str:
    """`text` as a valid name of an application; "" if nothing is left of it."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-").lstrip("0123456789-")
    return words[:NAME_CHARACTERS].rstrip("-")


def _found(name: str, requires: str, sources: Mapping[str, str]) -> Found:
    placed = {_on_path(file): text for file, text in sources.items()}
    modules = Modules.of(placed, placed.__getitem__)
    real = {_on_path(file): file for file in sources}
    entries = tuple(sorted(_entries(modules, real)))
    text = "\n".join(map(_code, sources.values()))
    return Found(
        name=as_name(name),
        requires_python=requires,
        python=_only_minor(requires),
        entries=entries,
        health_path=_health_path(text, entries),
        variables=tuple(
            sorted({one for one in _NEEDED_VARIABLE.findall(text) if not _USUAL.fullmatch(one)})
        ),
        hosts=next(_hosts(sources), None),
        migrate=_migrate(sources, text, entries),
        modules=modules,
    )


def _code(text: str) -> str:
    """A module without comments and docstrings, which show how something could be written."""
    tree = parsed(text)
    if tree is None:
        return ""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            body[:] = [one for one in body if not _is_text(one)]
    return ast.unparse(tree)


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _is_served(file: str) -> bool:
    return not _NOT_SERVED.intersection(PurePosixPath(file).parts[:-1])


def _python_sources(folder: Path) -> Iterator[tuple[str, str]]:
    for name, path in source_files(folder):
        if name.endswith(".py") and _is_served(name):
            yield name, path.read_text(encoding="utf-8", errors="replace")


def _on_path(file: str) -> str:
    """The file, relative to the folder that is on the import path once it is installed."""
    return file.removeprefix("src/")


def _only_minor(requires: str) -> str:
    """The only minor version of Python that is allowed; "" for several."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        allowed = SpecifierSet(requires)
    except InvalidSpecifier:
        return ""
    fitting = [minor for minor in _MINORS if any(f"{minor}.{n}" in allowed for n in (0, 5, 50))]
    return fitting[0] if len(fitting) == 1 else ""


def _health_path(text: str, entries: tuple[Entry, ...]) -> str:
    """A path in the sources that is typical for health checks, else one that surely answers."""
    for path in _HEALTH_PATHS:
        # Django's patterns have no slash at the beginning.
        django = rf"""path\(\s*r?["']\^?{path[1:]}(?P<end>/?)\$?["']"""
        found = re.search(rf"""["']{path}(?P<end>/?)["']""", text) or re.search(django, text)
        if found:
            return path + found["end"]
    framework = entries[0].framework if entries else ""
    if _ROOT_ROUTE.search(text):
        return ""
    if framework == "FastAPI":
        return "/openapi.json"
    if framework == "Django" and (admin := _ADMIN.search(text)):
        return f"/{admin[1]}login/"
    return ""


def _migrate(sources: Mapping[str, str], text: str, entries: tuple[Entry, ...]) -> str:
    """The usual migration of Django or Flask-Migrate, if the sources have one."""
    if "manage.py" in sources:
        return 'cd "$CARTWHEEL_CODE" && python manage.py migrate'
    if "flask_migrate" in text and entries:
        return f'cd "$CARTWHEEL_CODE" && flask --app {_flask_app(entries[0].entry)} db upgrade'
    return ""


def _flask_app(entry: str) -> str:
    """The entry as `flask --app` takes it, which finds `app` and `create_app` itself."""
    module, _, attribute = entry.partition(":")
    is_usual = attribute in ("app", "application", "create_app()")
    return module if is_usual else f"{module}:{attribute.removesuffix('()')}"


def _hosts(sources: Mapping[str, str]) -> Iterator[Hosts]:
    """Django's ALLOWED_HOSTS where it is a list of literals."""
    for file, text in sources.items():
        if _ALLOWED_HOSTS not in text:
            continue
        tree = parsed(text)
        for node in tree.body if tree else ():
            targets = node.targets if isinstance(node, ast.Assign) else []
            if any(isinstance(one, ast.Name) and one.id == _ALLOWED_HOSTS for one in targets):
                allowed = _literal(node)
                if allowed is not None:
                    yield Hosts(allowed, f"{file}:{node.lineno}")


def _literal(node: ast.stmt) -> tuple[str, ...] | None:
    try:
        value = ast.literal_eval(node.value)  # type: ignore[attr-defined]  # an assignment has one
    except (ValueError, TypeError):
        return None
    texts = isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
    return tuple(value) if texts else None


# -- application objects

# How certain it is: an object, an import of one, a factory, a plain function, a guess by names.
_OBJECT, _IMPORTED, _FACTORY, _FUNCTION, _GUESS = range(5)
_GUESSED_NAMES = frozenset({"application", "app"})
_GUESSED_MODULES = frozenset({*_USUAL_MODULES, "run", "server"})


def entries_in(modules: Modules) -> tuple[Entry, ...]:
    """Everything in these modules that gunicorn can serve, the likeliest first."""
    return tuple(sorted(_entries(modules, {})))


def _entries(modules: Modules, real: Mapping[str, str]) -> Iterator[Entry]:
    """`real` are the files in the source, by those on the import path."""
    for module in modules.modules.values():
        file = real.get(module.file, module.file)
        if not _is_served(file):
            continue
        for name, nodes in module.bindings.items():
            thing = modules.thing(module.name, name)
            is_import = any(isinstance(node, ast.ImportFrom) for node in nodes)
            if name.startswith("_"):
                continue
            if isinstance(thing, Served):
                certainty = _OBJECT if thing.framework else _FUNCTION
                certainty = _IMPORTED if is_import else certainty
                yield _entry(module, name, thing, certainty, file)
            elif isinstance(thing, Function) and thing.makes and not is_import and thing.takes():
                yield _entry(module, f"{name}()", thing.makes, _FACTORY, file)
            elif name in _GUESSED_NAMES and any(isinstance(node, ast.Call) for node in nodes):
                last = module.name.rpartition(".")[2]
                if last in _GUESSED_MODULES:
                    guess = Served("", "asgi" if last == "asgi" else "wsgi")
                    yield _entry(module, name, guess, _GUESS, file)


def _entry(module: Module, attribute: str, served: Served, certainty: int, file: str) -> Entry:
    usual = module.name.rpartition(".")[2] in _USUAL_MODULES
    is_second = served.framework == "Django" and served.interface == "asgi"
    rank = (certainty, is_second, not usual, module.name.count("."))
    text = f"{module.name}:{attribute}"
    return Entry(tuple(map(int, rank)), text, served.framework, served.interface, file)
