"""Detects an application's name, Python version and entry in its sources. Runs nothing."""

from __future__ import annotations

import ast
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from cartwheel.build.origins import pyproject
from cartwheel.build.source import find_source, source_files
from cartwheel.project import deploy_settings, django, pitfalls, procfile, queues
from cartwheel.project.django_values import Value, literal
from cartwheel.project.modules import (
    Function,
    Interface,
    Module,
    Modules,
    Served,
    maker_of,
    parsed,
)
from cartwheel.project.procfile import Cron
from cartwheel.project.proposal import Proposal, as_name
from cartwheel.project.static_files import static_in
from cartwheel.project.variables import needed_in

_NOT_SERVED = frozenset(
    {"tests", "test", "docs", "examples", "example", "samples", "node_modules", "build", "dist"}
    | {"scripts", "script", "tools", "bench", "benchmarks", "notebooks", "migrations", "alembic"}
)
_TEST_FILE = re.compile(r"conftest\.py|tests?\.py|test_.*\.py|.*_tests?\.py")
# Modules that make the application for another purpose than to serve it.
_BESIDE = re.compile(
    r"(?:^|_)(?:celery|workers?|tasks?|cli|shell|console|seed|manage|init_db|create_db|mock)(?:_|$)"
)
_USUAL_MODULES = ("wsgi", "app", "main", "asgi")
_SERVING_MODULES = frozenset(
    {*_USUAL_MODULES, "run", "server", "serve", "application", "api", "web"}
)
# Files that say what serves.
_SAYING = ("Procfile", "Dockerfile", "docker-compose.yml", "compose.yaml", "compose.yml")
HEALTH_PATHS = ("/healthz", "/health", "/healthcheck", "/livez", "/ping", "/up", "/status")
_REQUIREMENTS = ("requirements*.txt", "requirements/*.txt", "pyproject.toml", "Pipfile", "setup.*")
_MINORS = tuple(f"3.{minor}" for minor in range(9, 20))
# A folder with one of these is an application by itself.
_MANIFESTS = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile", "manage.py")
# A route for the site's root, as Flask, FastAPI and Django write it.
_ROOT_ROUTE = re.compile(
    r"""(?:route|get|api_route|add_url_rule|Route)\(\s*["']/["']|path\(\s*["']["']"""
)
# A part of the application's routes is below a path, in FastAPI, Flask and Django's words.
_PREFIX = re.compile(
    r"""(?:Router|Blueprint|include_router|register_blueprint)\([^\n]*\b(?:url_)?prefix="""
    r"""|\.mount\(|\bMount\(|path\(\s*r?["'][^"']+["']\s*,\s*include\("""
)
_ADMIN = re.compile(r"""path\(\s*["']([\w/-]*)["']\s*,\s*admin\.site\.urls""")
# Variables that a system, a shell or Cartwheel sets, for any program.
_USUAL = re.compile(
    r"HOME|PATH|USER|LOGNAME|SHELL|TERM|LANG|LC_\w+|TZ|PWD|TE?MP|TMPDIR|DISPLAY|EDITOR|BROWSER"
    r"|PYTHON\w+|CARTWHEEL_\w+|VIRTUAL_ENV|XDG_\w+|APPDATA|LOCALAPPDATA|USERPROFILE|WINDIR|\w+_PROXY|CI"
)
_WEBSOCKET = re.compile(r"\.websocket(?:_route)?\(|\bWebSocketRoute\(|WebsocketConsumer\b")
_UPGRADING = frozenset({"websockets", "wsproto", "uvicorn[standard]", "fastapi[standard]"})
_DJANGO = frozenset({"Django", "Channels"})
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
    certainty: int


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
    others: tuple[str, ...] = ()
    """The places of other applications in the sources."""
    processes: tuple[Proposal, ...] = ()
    """Those besides web."""
    release: str = ""
    """The Procfile's command for deploy.migrate."""
    cron: Cron = field(default_factory=Cron)
    without_app: tuple[str, ...] = ()
    """Requirements whose application object was not found."""
    django: django.Site | None = None
    static: tuple[tuple[str, str], ...] = ()
    """URL paths of static files, each with its folder among the installed packages."""
    has_websockets: bool = False
    can_upgrade: bool = False
    """Whether a package for websockets is required."""
    pitfalls: tuple[str, ...] = ()
    """Places in the sources that only work on a developer's machine, with what to do."""

    @property
    def likeliest(self) -> str:
        """The most probable entry; "" if nothing was found."""
        return self.entries[0].entry if self.entries else ""


def detect(folder: Path, top: Path | None = None) -> Found:
    """Read the application in `folder`; its Procfile may be in the project's folder, `top`. Raises
    BuildError("source") if it cannot be read."""
    about = pyproject(folder).at("project")
    requires = _text(about.get("requires-python"))
    files = dict(source_files(folder))
    sources = dict(_python_sources(files))
    said = "\n".join(_readable(folder / name) for name in _SAYING)
    required = queues.distributions("\n".join(_requirements(folder)))
    name = _text(about.get("name")) or folder.resolve().name
    found = _found(name, requires, sources, said, files=tuple(files), required=required)
    if found.django and _is_tested(files, required) and found.django.needs.databases:
        found = replace(found, django=replace(found.django, tests="python manage.py test"))
    if found.django and find_source(str(folder.resolve()), folder).kind == "project":
        # Its wheel has no manage.py.
        found = replace(
            found,
            migrate=found.migrate and "django-admin migrate --noinput",
            django=replace(found.django, manage="django-admin"),
        )
    return _with_processes(found, folder, top or folder)


def _is_tested(files: Mapping[str, Path], required: Collection[str]) -> bool:
    """Whether there are tests that Django's own command runs."""
    names = (PurePosixPath(file) for file in files)
    found = any(_TEST_FILE.fullmatch(one.name) or "tests" in one.parts for one in names)
    return found and "manage.py" in files and "pytest-django" not in required


def _requirements(folder: Path) -> Iterator[str]:
    """The texts that say what the folder requires."""
    for pattern in _REQUIREMENTS:
        yield from (_readable(path) for path in sorted(folder.glob(pattern)))


def _with_processes(found: Found, folder: Path, top: Path) -> Found:
    """What else runs: as Procfile and app.json say, and what the sources need beside that."""
    inside = str(folder.relative_to(top))
    texts = [_readable(place / "Procfile") for place in (folder, top)]
    files = {module.file for module in found.modules.modules.values()}
    declared = procfile.read(next(filter(None, texts), ""), files, inside)
    app_json = _readable(folder / "app.json") or _readable(top / "app.json")
    cron = procfile.cron(app_json, declared.processes, files, inside)
    timed = {one.command for one in cron.timers}
    running = [one for one in declared.processes if one.command not in timed]
    started = {kind for one in running for kind in one.kinds}
    more = [one for one in found.processes if not one.kinds <= started]
    names = {one.name for one in running}
    required = {
        queues.PROGRAMS[name]: name
        for text in _requirements(folder)
        for name in queues.required(text)
    }
    known = started | {kind for one in more for kind in one.kinds}
    alone = {kind for one in found.processes if not one.overlap for kind in one.kinds}
    processes = (
        *(replace(one, overlap=not alone & one.kinds) for one in running),
        *_named_apart(more, names),
    )
    commands = (*processes, *cron.timers)
    needed = {name for one in commands for name in one.variables if not _USUAL.fullmatch(name)}
    return replace(
        found,
        processes=processes,
        variables=tuple(sorted({*found.variables, *needed})),
        release=declared.release,
        cron=cron,
        without_app=tuple(name for kind, name in required.items() if kind not in known),
    )


def _named_apart(proposals: Iterable[Proposal], names: set[str]) -> Iterator[Proposal]:
    """The proposals, each with a name that no other process has."""
    for one in proposals:
        name = one.name
        if name in names:
            name = "-".join(sorted(kind.lower() for kind in one.kinds)).replace(" ", "-")
        names.add(name)
        yield replace(one, name=name, command=one.command.replace(f" {one.name}@", f" {name}@"))


def detect_wheel(wheel: Path, name: str, requires_python: str) -> Found:
    """Read the application in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        sources = {
            file: archive.read(file).decode("utf-8", "replace")
            for file in archive.namelist()
            if file.endswith(".py") and _is_served(file)
        }
    found = _found(name, requires_python, sources)
    return replace(found, django=found.django and django.as_it_is(found.django))


def source_of(project: Path, found: Found) -> str:
    """The folder of the likeliest application, relative to the project: the innermost one around
    its file that is an application by itself; "." if there is none."""
    for entry in found.entries[:1]:
        for folder in PurePosixPath(entry.file).parents[:-1]:
            if any((project / folder / name).is_file() for name in _MANIFESTS):
                return str(folder)
    return "."


def _found(
    name: str,
    requires: str,
    sources: Mapping[str, str],
    said: str = "",
    *,
    files: Sequence[str] = (),
    required: Collection[str] = (),
) -> Found:
    root = _import_root(sources)
    real = {file.removeprefix(root): file for file in sources}
    modules = Modules.of(real, lambda file: sources[real[file]])
    named = frozenset(_SAID_ENTRY.findall(said))
    entries = tuple(sorted(_entries(modules, real, named)))
    text = "\n".join(map(_code, sources.values()))
    framework = entries[0].framework if entries else ""
    serving = entries[0].entry.partition(":")[0] if entries else ""
    site = django.site(modules, real, serving, required) if framework in _DJANGO else None
    needed = needed_in(modules, site.unused if site else ())
    needed -= {deploy_settings.STATIC_ROOT} if site else frozenset()
    folders = {str(folder) for file in files for folder in PurePosixPath(file).parents}
    paths = {*files, *folders} - {"."}
    return Found(
        name=as_name(name),
        requires_python=requires,
        python=_only_minor(requires),
        entries=entries,
        health_path=_health_path(text, entries),
        variables=tuple(sorted(one for one in needed if not _USUAL.fullmatch(one))),
        hosts=_allowed(site.allowed) if site else next(_hosts(sources), None),
        migrate=_migrate(sources, text, entries),
        modules=modules,
        others=tuple(dict.fromkeys(_others(entries))),
        processes=tuple(_named_apart(queues.found_in(modules, text), set())),
        django=site,
        has_websockets=_WEBSOCKET.search(text) is not None,
        can_upgrade=not _UPGRADING.isdisjoint(required),
        static=() if site else tuple(dict(static_in(modules, real, files)).items()),
        pitfalls=tuple(pitfalls.advice(modules, real, paths, framework)),
    )


def _others(entries: Sequence[Entry]) -> Iterator[str]:
    """Applications that are not the likeliest one: neither another name for it, nor Django's second
    interface."""
    for entry in entries[1:]:
        first = entries[0]
        is_own = entry.framework and entry.certainty in (_OBJECT, _FACTORY)
        is_pair = {entry.framework, first.framework} <= {"Django", "Channels"}
        is_made_of = entry.certainty == _FACTORY and entry.framework == first.framework
        if is_own and not is_pair and not is_made_of and entry.file != first.file:
            yield f"{entry.file} ({entry.framework})"


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
    *folders, name = PurePosixPath(file).parts
    return not (_NOT_SERVED.intersection(folders) or _TEST_FILE.fullmatch(name))


def _readable(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _python_sources(files: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    for name, path in files.items():
        if name.endswith(".py") and _is_served(name):
            yield name, path.read_text(encoding="utf-8", errors="replace")


def _import_root(sources: Mapping[str, str]) -> str:
    """The folder, with a slash, that is on the import path once the application is installed; ""
    for the top. It is `src/`, or a folder whose modules import each other without its name."""
    imported = {top for text in sources.values() for top in _imported_tops(text)}
    tops = dict.fromkeys(file.partition("/")[0] for file in sources if "/" in file)
    for top in sorted(tops, key=lambda one: one != "src"):
        if top in imported or f"{top}/__init__.py" in sources:
            continue
        if top == "src":
            return "src/"
        inside = {file.split("/")[1].removesuffix(".py") for file in sources if _in(top, file)}
        outside = {file.split("/")[0].removesuffix(".py") for file in sources}
        using = {one for file in sources if _in(top, file) for one in _imported_tops(sources[file])}
        if using & (inside - outside):
            return f"{top}/"
    return ""


def _in(top: str, file: str) -> bool:
    return file.startswith(f"{top}/")


def _imported_tops(text: str) -> Iterator[str]:
    """The first names of all absolute imports."""
    for node in ast.walk(parsed(text) or ast.Module([], [])):
        if isinstance(node, ast.Import):
            yield from (one.name.partition(".")[0] for one in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


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
    framework = entries[0].framework if entries else ""
    has_prefix = _PREFIX.search(text) is not None
    for path in HEALTH_PATHS:
        # Django's patterns have no slash at the beginning.
        django = rf"""path\(\s*r?["']\^?{path[1:]}(?P<end>/?)\$?["']"""
        found = re.search(rf"""["']{path}(?P<end>/?)["']""", text) or re.search(django, text)
        on_app = rf"""\bapp(?:lication)?\.\w+\(\s*["']{path}/?["']"""  # below no prefix
        if found and (not has_prefix or re.search(on_app, text)):
            return path + found["end"]
    if _ROOT_ROUTE.search(text) and not has_prefix:
        return ""
    if framework == "FastAPI":
        return _documents(text)
    if framework in _DJANGO and (admin := _ADMIN.search(text)):
        return f"/{admin[1]}login/"
    return ""


def _documents(text: str) -> str:
    """FastAPI's description of the application, or its page; "" if neither is surely there."""
    if said := re.search(r"""\bopenapi_url=(["'])(/[\w./-]*)\1""", text):
        return said[2]
    if "openapi_url=" not in text:
        return "/openapi.json"
    return "" if re.search(r"\bdocs_url=|\bopenapi_url=None", text) else "/docs"


def _migrate(sources: Mapping[str, str], text: str, entries: tuple[Entry, ...]) -> str:
    """The usual migration of Django or Flask-Migrate, if the sources have one."""
    if "manage.py" in sources:
        return 'cd "$CARTWHEEL_CODE" && python manage.py migrate --noinput'
    if "flask_migrate" in text and entries:
        return f'cd "$CARTWHEEL_CODE" && flask --app {_flask_app(entries[0].entry)} db upgrade'
    return ""


def _flask_app(entry: str) -> str:
    """The entry as `flask --app` takes it, which finds `app` and `create_app` itself."""
    module, _, attribute = entry.partition(":")
    is_usual = attribute in ("app", "application", "create_app()")
    return module if is_usual else f"{module}:{attribute.removesuffix('()')}"


def _allowed(value: Value | None) -> Hosts | None:
    """The same for the value of the settings that serve."""
    allowed = _texts(value.literal) if value else ()
    return Hosts(allowed, value.place) if value and allowed is not None else None


def _hosts(sources: Mapping[str, str]) -> Iterator[Hosts]:
    """Django's ALLOWED_HOSTS where it is a list of literals."""
    for file, text in sources.items():
        if _ALLOWED_HOSTS not in text:
            continue
        tree = parsed(text)
        for node in tree.body if tree else ():
            targets = node.targets if isinstance(node, ast.Assign) else []
            if any(isinstance(one, ast.Name) and one.id == _ALLOWED_HOSTS for one in targets):
                allowed = _texts(literal(node.value))  # type: ignore[attr-defined]  # it has one
                if allowed is not None:
                    yield Hosts(allowed, f"{file}:{node.lineno}")


def _texts(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list | tuple):
        return None
    texts = tuple(one for one in value if isinstance(one, str))
    return texts if len(texts) == len(value) else None


# -- application objects

# How certain it is: an object, an import of one, a factory, what a factory made in a module that
# does not seem to serve, a plain function, a guess by names.
_OBJECT, _IMPORTED, _FACTORY, _MADE, _FUNCTION, _GUESS = range(6)
_GUESSED_NAMES = frozenset({"application", "app"})
_GUESSED_MODULES = frozenset({*_USUAL_MODULES, "run", "server"})
# `module:attribute`, also with `()` or a factory's arguments behind it.
_SAID_ENTRY = re.compile(r"(?<![\w./:-])[A-Za-z_][\w.]*:[A-Za-z_]\w*(?![\w./:-])")


def entries_in(modules: Modules) -> tuple[Entry, ...]:
    """Everything in these modules that gunicorn can serve, the likeliest first."""
    return tuple(sorted(_entries(modules, {})))


def _entries(
    modules: Modules, real: Mapping[str, str], said: frozenset[str] = frozenset()
) -> Iterator[Entry]:
    """`real` are the files in the source, by those on the import path; `said` are entries that
    other files name."""
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
                certainty = _IMPORTED if is_import else _certainty(module, nodes, thing)
                yield _entry(module, name, thing, certainty, file, said)
            elif isinstance(thing, Function) and thing.makes and not is_import and thing.takes():
                yield _entry(module, f"{name}()", thing.makes, _FACTORY, file, said)
            elif name in _GUESSED_NAMES and _last(module) in _GUESSED_MODULES:
                calls = [node for node in nodes if isinstance(node, ast.Call)]
                interface = modules.guess(module, calls[-1]) if calls else None
                if interface:
                    yield _entry(module, name, Served("", interface), _GUESS, file, said)


def _certainty(module: Module, nodes: Sequence[ast.AST], served: Served) -> int:
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    is_made = bool(calls) and not any(maker_of(module, call) for call in calls)
    if is_made and not module.is_package and _last(module) not in _SERVING_MODULES:
        return _MADE
    return _OBJECT if served.framework else _FUNCTION


def _last(module: Module) -> str:
    return module.name.rpartition(".")[2]


def _entry(
    module: Module,
    attribute: str,
    served: Served,
    certainty: int,
    file: str,
    said: frozenset[str],
) -> Entry:
    last, text = _last(module), f"{module.name}:{attribute}"
    is_second = served.framework == "Django" and served.interface == "asgi"
    rank = (
        not said.intersection((text, text.removesuffix("()"))),
        _BESIDE.search(last) is not None,
        certainty,
        is_second + (served.framework != "Channels"),
        last not in _USUAL_MODULES,
        module.name.count("."),
    )
    return Entry(tuple(map(int, rank)), text, served.framework, served.interface, file, certainty)
