"""Finds the settings of a Django project that serve, and what would go wrong with them on a host.
Runs nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from cartwheel.project import deploy_settings
from cartwheel.project.deploy_settings import Database, Needs
from cartwheel.project.django_values import Chain, Value, literal
from cartwheel.project.modules import Modules, called_name

# Settings for a developer's machine, and the names of those for production beside them.
_OF_DEVELOPERS = frozenset({"settings", "base", "common", "local", "dev", "develop", "development"})
_OF_PRODUCTION = ("production", "prod", "live")
_ELSEWHERE = re.compile(r"storages\.backends|S3\w*Storage|AzureStorage|GoogleCloudStorage")
_STATIC_FILES = "django.contrib.staticfiles"
_UPLOADS = frozenset({"FileField", "ImageField"})
_SQLITE, _FILE = "sqlite", "db.sqlite3"
_HERE = frozenset({"localhost", "127.0.0.1", "[::1]", "0.0.0.0", "testserver"})  # noqa: S104 - names, nothing binds
_YES = frozenset({"1", "true", "yes", "on", "y", "t"})
_PLAIN = re.compile(r"[\w.-]+")  # fits into the text of a module
_MEDIA_URL = "/media/"
_MOST_USES = 4


@dataclass(frozen=True)
class Problem:
    """What goes wrong on a host; `repaired` if deploy_settings.py prevents it."""

    place: str
    text: str
    repaired: bool = True

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


@dataclass(frozen=True)
class Names:
    """The variables that the project's own settings read; "" if there is none. `debug_off` is the
    value that switches it off, if it is on without a value."""

    secret_key: str = ""
    hosts: str = ""
    between_hosts: str = ","
    debug: str = ""
    debug_off: str | None = None


@dataclass(frozen=True)
class Site:
    """A Django project. `settings` is the module that serves, `said` where that was found."""

    settings: str
    said: str
    folder: str = ""
    """The folder of the source that is on the import path, with a slash; "" for the top."""
    problems: tuple[Problem, ...] = ()
    needs: Needs = field(default_factory=Needs)
    names: Names = field(default_factory=Names)
    allowed: Value | None = None
    has_origins: bool = False
    """Whether an earlier deploy_settings.py reads DJANGO_ORIGINS."""
    static_url: str = ""
    media_url: str = ""
    redirects: bool = False
    """Whether Django itself redirects what did not come over HTTPS."""
    has_database: bool = False
    manage: str = "python manage.py"
    """What runs Django's own commands."""
    tests: str = ""
    """The command of its tests, if it has some and they need no server for a database."""
    unused: frozenset[str] = frozenset()
    """Modules with settings for other machines."""

    @property
    def module(self) -> str:
        """deploy_settings.py beside the settings."""
        package = self.settings.rpartition(".")[0]
        return f"{package}.{deploy_settings.NAME}" if package else deploy_settings.NAME

    @property
    def file(self) -> str:
        """Its path in the source."""
        return f"{self.folder}{self.module.replace('.', '/')}.py"

    @property
    def text(self) -> str:
        return deploy_settings.text(self.settings, self.needs)


def site(
    modules: Modules, real: Mapping[str, str], entry: str, required: Collection[str] = ()
) -> Site | None:
    """The site of a Django project; None if its settings are not in the sources.

    `real` are the files in the source, by those on the import path. `entry` is the module that
    serves, `required` are the distributions that the project requires.
    """
    namings = tuple(_namings(modules, real, entry))
    serving = _serving(modules, namings)
    top = modules.get(serving)
    if top is None:
        return None
    chain = Chain(modules, top, real)
    needs = _needs(chain, "dj-database-url" in required)
    elsewhere = _ELSEWHERE.search(chain.text) is not None
    return Site(
        settings=serving,
        said=_said(serving, namings),
        folder=real.get(top.file, top.file).removesuffix(top.file),
        problems=(*_forced(namings, serving, needs), *_problems(chain, needs)),
        needs=needs,
        names=_names(chain),
        allowed=chain.get("ALLOWED_HOSTS"),
        has_origins=_first(chain.get("ORIGINS")) == deploy_settings.ORIGINS,
        static_url="" if elsewhere else _static_url(chain),
        media_url="" if elsewhere else _media_url(chain, needs),
        redirects=_may_be_on(chain.get("SECURE_SSL_REDIRECT")),
        has_database=chain.get("DATABASES") is not None,
        unused=frozenset(_unused(modules, chain)),
    )


def as_it_is(one: Site) -> Site:
    """The same, where nothing can be added to the sources."""
    problems = tuple(replace(problem, repaired=False) for problem in one.problems)
    return replace(one, needs=Needs(), problems=problems, static_url="", media_url="")


# -- which settings


@dataclass(frozen=True)
class _Naming:
    """A line that names the settings; `forced` if it does so whatever the environment says."""

    module: str
    place: str
    forced: bool


def _namings(modules: Modules, real: Mapping[str, str], entry: str) -> Iterator[_Naming]:
    """Where the settings are named: in the module that serves, then in others that start Django."""
    usual = ("wsgi", "asgi", "manage")
    starting = [one for one in modules.modules.values() if _last(one.name) in usual]
    for module in sorted(
        starting, key=lambda one: (one.name != entry, _last(one.name) == "manage")
    ):
        for node in module.nodes:
            for named, forced in _named_by(node):
                file = real.get(module.file, module.file)
                yield _Naming(named, f"{file}:{getattr(node, 'lineno', 1)}", forced)


def _named_by(node: ast.AST) -> Iterator[tuple[str, bool]]:
    """What `os.environ.setdefault("DJANGO_SETTINGS_MODULE", ...)` or an assignment names."""
    value: object = None
    if isinstance(node, ast.Call) and len(node.args) > 1:
        value = literal(node.args[1]) if literal(node.args[0]) == deploy_settings.SETTINGS else None
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        is_ours = literal(node.targets[0].slice) == deploy_settings.SETTINGS
        value = literal(node.value) if is_ours else None
    if isinstance(value, str):
        yield value, isinstance(node, ast.Assign)


def _serving(modules: Modules, namings: Collection[_Naming]) -> str:
    """The settings for a host: those that are named, those for production beside them, or the
    deploy_settings.py that is already there; "" if there are none."""
    known = [one.module for one in namings if one.module in modules.modules]
    named = next(iter(known), "") or _only_settings(modules)
    chosen = next(_of_production(modules, named), named)
    ours = _beside(chosen, deploy_settings.NAME)
    return ours if ours in modules.modules else chosen


def _only_settings(modules: Modules) -> str:
    found = [
        one.name
        for one in modules.modules.values()
        if _last(one.name) == "settings" and "ROOT_URLCONF" in one.bindings
    ]
    return found[0] if len(found) == 1 else ""


def _of_production(modules: Modules, named: str) -> Iterator[str]:
    """Settings for production beside those for a developer, if they are complete."""
    module = modules.get(named)
    if module is None or _last(named) not in _OF_DEVELOPERS:
        return
    for word in _OF_PRODUCTION:
        within = [f"{named}.{word}"] if module.is_package else [_beside(named, word)]
        for name in (
            *within,
            _beside(named, f"settings_{word}"),
            _beside(named, f"{word}_settings"),
        ):
            found = modules.get(name)
            if found and Chain(modules, found, {}).get("ROOT_URLCONF"):
                yield name


def _beside(module: str, name: str) -> str:
    package = module.rpartition(".")[0]
    return f"{package}.{name}" if package else name


def _last(module: str) -> str:
    return module.rpartition(".")[2]


def _said(serving: str, namings: Collection[_Naming]) -> str:
    """Which settings serve, and who names these or others."""
    named = {one.module: one.place for one in reversed(tuple(namings))}
    others = [f"{place} names {module}" for module, place in named.items() if module != serving]
    own = f"{named[serving]} names it" if serving in named else "beside those that are named"
    return "; ".join([f"{serving} serves, {own}", *others])


def _forced(namings: Collection[_Naming], serving: str, needs: Needs) -> Iterator[Problem]:
    for one in namings:
        if one.forced and (needs.any or one.module != serving):
            text = (
                "this sets DJANGO_SETTINGS_MODULE whatever the environment says: write"
                f' os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{one.module}")'
            )
            yield Problem(one.place, text, repaired=False)


def _unused(modules: Modules, chain: Chain) -> Iterator[str]:
    """Other settings beside those that serve: they import them, or the same ones."""
    used = {one.name for one in chain.parts}
    for module in modules.modules.values():
        if module.name not in used and _beside(module.name, "") == _beside(chain.top.name, ""):
            others = Chain(modules, module, {}).parts
            if len(others) > 1 and any(one.name in used for one in others):
                yield module.name


# -- what they lack


def _needs(chain: Chain, has_url: bool) -> Needs:
    """What deploy_settings.py has to add."""
    if _last(chain.top.name) == deploy_settings.NAME:
        return Needs()
    get = chain.get
    keys = chain.all("SECRET_KEY")
    elsewhere = _ELSEWHERE.search(chain.text) is not None
    is_whole = get("ROOT_URLCONF") is not None
    media = not elsewhere and _needs_media(chain)
    return Needs(
        debug=_literal(get("DEBUG")) is True,
        secret_key=_first(*keys) == "" and any(isinstance(one.literal, str) for one in keys),
        hosts=is_whole and _names_no_host(get("ALLOWED_HOSTS")),
        static=not elsewhere and bool(_static_url(chain)) and not _reads(get("STATIC_ROOT")),
        media=media,
        media_url=media and not _url(get("MEDIA_URL")),
        databases=tuple(_databases(chain, has_url)),
        servers=tuple(_with_password(chain)),
        proxy=get("SECURE_PROXY_SSL_HEADER") is None,
        origins=get("CSRF_TRUSTED_ORIGINS") is None,
        cookies=not (get("SESSION_COOKIE_SECURE") or get("CSRF_COOKIE_SECURE")),
    )


def _names_no_host(allowed: Value | None) -> bool:
    hosts = _literal(allowed)
    return allowed is None or (isinstance(hosts, list | tuple) and _HERE.issuperset(hosts))


def _needs_media(chain: Chain) -> bool:
    """Whether uploads would go to a folder that is part of the release."""
    root = chain.get("MEDIA_ROOT")
    if root is None:
        nodes = (node for one in chain.modules.modules.values() for node in one.nodes)
        return any(called_name(node) in _UPLOADS for node in nodes)
    return not (root.reads or _is_outside(root.node))


def _is_outside(node: ast.expr | None) -> bool:
    """Whether a path is at a fixed place of the host."""
    path = literal(node)
    return isinstance(path, str) and PurePosixPath(path).is_absolute()


def _databases(chain: Chain, has_url: bool) -> Iterator[Database]:
    """The SQLite databases that are part of the release, the last one of each alias."""
    found = {}
    values = [(value, *one) for value in chain.all("DATABASES") for one in _named(chain, value)]
    for value, alias, node in values:
        name = _entry(node, "NAME") or node
        reads = chain.reads(value, name)
        defaults = [one for one in reads if one.default and _SQLITE in ast.unparse(one.default)]
        is_only = sum(other == alias for _value, other, _node in values) == 1
        if defaults:
            found[alias] = Database(alias, _FILE, unless=defaults[0].name)
        elif _is_sqlite(node) and not (reads or _is_outside(name)):
            with_url = is_only and has_url and alias == "default"
            found[alias] = Database(alias, _file(name), with_url=with_url, is_only=is_only)
    yield from found.values()


def _named(chain: Chain, value: Value) -> Iterator[tuple[str, ast.expr]]:
    """The databases in a value of DATABASES; a name stands for each of its own values."""
    for alias, node in _entries(value):
        values = chain.all(node.id) if isinstance(node, ast.Name) else [replace(value, node=node)]
        yield from ((alias, one.node) for one in values if one.node is not None)


def _is_sqlite(node: ast.expr) -> bool:
    """Whether a dictionary names a file of SQLite."""
    engine, name = _entry(node, "ENGINE"), _entry(node, "NAME")
    is_file = name is not None and ":memory:" not in ast.unparse(name)
    return engine is not None and is_file and "sqlite3" in ast.unparse(engine)


def _file(path: ast.expr) -> str:
    """The last name in a path."""
    texts = [
        (one.lineno, one.col_offset, one.value)
        for one in ast.walk(path)
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    ]
    name = PurePosixPath(max(texts)[2]).name if texts else _FILE
    return name if _PLAIN.fullmatch(name) else _FILE


def _with_password(chain: Chain) -> Iterator[str]:
    for alias, node in _entries(chain.get("DATABASES")):
        password = literal(_entry(node, "PASSWORD"))
        if isinstance(password, str) and password:
            yield alias


def _entries(value: Value | None) -> Iterator[tuple[str, ast.expr]]:
    """The entries of a dictionary, by their names."""
    node = value.node if value else None
    for key, entry in (
        zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ()
    ):
        name = literal(key)
        if isinstance(name, str) and _PLAIN.fullmatch(name):
            yield name, entry


def _entry(node: ast.expr, name: str) -> ast.expr | None:
    """An entry of an inner dictionary."""
    pairs = zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ()
    return next((value for key, value in pairs if literal(key) == name), None)


def _static_url(chain: Chain) -> str:
    return _url(chain.get("STATIC_URL")) if _STATIC_FILES in chain.text else ""


def _media_url(chain: Chain, needs: Needs) -> str:
    """The URL of uploads in the shared folder."""
    root = chain.get("MEDIA_ROOT")
    is_shared = root is not None and root.node is not None and "SHARED" in ast.unparse(root.node)
    if not (needs.media or is_shared):
        return ""
    return _url(chain.get("MEDIA_URL")) or _MEDIA_URL


def _url(value: Value | None) -> str:
    """A URL path on this site, as [web.static] takes it; "" if it is none."""
    path = _literal(value)
    if not isinstance(path, str) or "//" in path or not path.strip("/"):
        return ""
    return f"/{path.strip('/')}/"


def _literal(value: Value | None) -> object:
    return value.literal if value else ...


def _reads(value: Value | None) -> bool:
    return value is not None and bool(value.reads)


# -- what a person reads of it


def _problems(chain: Chain, needs: Needs) -> Iterator[Problem]:
    def at(*names: str) -> str:
        found = next(filter(None, map(chain.get, names)), None)
        return found.place if found else chain.place(chain.top, None)

    if needs.secret_key:
        text = "SECRET_KEY is in the sources: everybody who can read them can forge a login"
        yield Problem(at("SECRET_KEY"), text)
    if needs.debug:
        text = "DEBUG is True: error pages show the settings and the sources to every visitor"
        yield Problem(at("DEBUG"), text)
    if needs.hosts:
        text = "ALLOWED_HOSTS names no host, so Django answers every request with 400"
        yield Problem(at("ALLOWED_HOSTS"), text)
    if needs.static:
        text = "is not the folder of a release" if chain.get("STATIC_ROOT") else "is missing"
        text = f"STATIC_ROOT {text}: static files are not collected, so the admin has no CSS"
        yield Problem(at("STATIC_ROOT", "STATIC_URL"), text)
    for one in needs.databases:
        text = f"{one.file} is inside the release: read-only, and gone with the next one"
        yield Problem(at("DATABASES"), text)
    for alias in needs.servers:
        text = f"the password of the database {alias} is in the sources"
        yield Problem(at("DATABASES"), text)
    if needs.media:
        text = "uploads go to a folder inside the release: read-only, and gone with the next one"
        yield Problem(at("MEDIA_ROOT", "MEDIA_URL"), text)
    if needs.proxy:
        text = (
            "SECURE_PROXY_SSL_HEADER is missing, so over HTTPS Django refuses forms and logins: add"
            ' ("HTTP_X_FORWARDED_PROTO", "https")'
        )
        yield Problem(at("SECURE_PROXY_SSL_HEADER"), text, repaired=needs.any)
    yield from _only_a_run_decides(chain)
    yield from _without_mapping(chain)
    yield from _used_before(chain, needs)


def _without_mapping(chain: Chain) -> Iterator[Problem]:
    """Why neither [web.static] nor [web.media] is proposed."""
    url = chain.get("STATIC_URL")
    if _ELSEWHERE.search(chain.text):
        text = "the settings name a store for files, so neither [web.static] nor [web.media] is set"
        yield Problem(chain.place(chain.top, None), text, repaired=False)
    elif url and url.literal is ... and _STATIC_FILES in chain.text:
        text = "STATIC_URL is known only in a run: write [web.static] for it, and read STATIC_ROOT"
        yield Problem(url.place, text, repaired=False)


def _only_a_run_decides(chain: Chain) -> Iterator[Problem]:
    debug = chain.get("DEBUG")
    if debug and debug.literal is ... and not debug.reads:
        yield Problem(debug.place, "make sure that DEBUG is False on a host", repaired=False)


def _used_before(chain: Chain, needs: Needs) -> Iterator[Problem]:
    """Uses of a value in the settings themselves, before deploy_settings.py changes it."""
    changed = [("DEBUG", needs.debug), ("SECRET_KEY", needs.secret_key)]
    for name in (name for name, is_changed in changed if is_changed):
        for place in list(chain.uses(name))[:_MOST_USES]:
            text = f"this uses {name} as the sources have it: set the result in deploy_settings.py"
            yield Problem(place, text, repaired=False)


# -- the variables that they read themselves


def _names(chain: Chain) -> Names:
    hosts, debug = chain.get("ALLOWED_HOSTS"), chain.get("DEBUG")
    return Names(
        secret_key=_first(*chain.all("SECRET_KEY")),
        hosts=_first(hosts),
        between_hosts=_between(hosts),
        debug=_first(debug),
        debug_off=_off(debug),
    )


def _first(*values: Value | None) -> str:
    """The first variable that they read; "" if they read none."""
    reads = (read for one in values if one for read in one.reads)
    return next((read.name for read in reads if read.name), "")


def _between(value: Value | None) -> str:
    """What separates hosts in their variable: the argument of `.split()`."""
    for node in ast.walk(value.node) if value and value.node else ():
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".split"):
            said = literal(node.args[0]) if node.args else " "
            return said if isinstance(said, str) else ","
    return ","


def _off(debug: Value | None) -> str | None:
    """A value that switches DEBUG off; None if it is off without one, or reads none."""
    if debug is None or debug.node is None or not debug.reads:
        return None
    if isinstance(debug.node, ast.Compare) and isinstance(debug.node.ops[0], ast.NotEq):
        return str(literal(debug.node.comparators[0]))
    if not _is_yes(literal(debug.reads[0].default)):
        return None
    said = ast.unparse(debug.node)
    return "0" if "int(" in said else "" if said.startswith("bool(") else "False"


def _is_yes(default: object) -> bool:
    return default is not ... and str(default).lower() in _YES


def _may_be_on(value: Value | None) -> bool:
    said = _literal(value)
    reads = value.reads if value else ()
    return said is True or any(_is_yes(literal(one.default)) for one in reads)
