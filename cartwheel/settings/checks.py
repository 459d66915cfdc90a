"""Checks over several settings: combinations that do not work."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cartwheel.host.layout import OLD_SLOTS
from cartwheel.settings import names
from cartwheel.settings.hosts import BALANCER_ROLE, Host, from_settings
from cartwheel.settings.phases import HERE_ONLY, has_phase
from cartwheel.settings.toml_tables import (
    NAME,
    Hardening,
    ProcessHardening,
    Settings,
    kind_of_worker,
)

from . import (
    formula,
    monitor_page,
    origin_checks,
    process_checks,
    served,
    timer_checks,
    tls_checks,
    web_checks,
)
from .layers import Key, Layer, Mistake, Place, Problem, why_not
from .mirrors import ALIASES, PRESETS
from .validation import dotted

if TYPE_CHECKING:
    from .loading import Placed

# sun_path without its final NUL (unix(7)).
SOCKET_PATH_BYTES = 107
# A release's name: a version, a digest and a counter (docs/architecture.md).
RELEASE_BYTES = 40
_LONGEST_SLOT = "99999"

VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
# Each of these would override what Cartwheel sets: gunicorn's socket, or its messages to systemd.
RESERVED_VARIABLES = {
    "GUNICORN_CMD_ARGS": "use the [gunicorn] table",
    "NOTIFY_SOCKET": "systemd sets it",
    "LISTEN_FDS": "systemd sets it",
    "LISTEN_PID": "systemd sets it",
    "RUNTIME_DIRECTORY": "systemd sets it",
}
RESERVED_PREFIX = "CARTWHEEL_"

# Users and groups of Debian's base system (base-passwd, systemd, udev) and of common services: an
# app never runs as one of them, and no new user can have the name of a group.
# fmt: off
RESERVED_USERS = frozenset(
    {
        "root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp",
        "proxy", "www-data", "backup", "list", "irc", "gnats", "nobody", "nogroup", "adm", "tty",
        "disk", "kmem", "dialout", "fax", "voice", "cdrom", "floppy", "tape", "sudo", "wheel",
        "audio", "dip", "operator", "src", "shadow", "utmp", "video", "sasl", "plugdev", "staff",
        "users", "input", "sgx", "kvm", "render", "crontab", "netdev", "ssh", "sshd", "_ssh",
        "_apt", "messagebus", "systemd-network", "systemd-resolve", "systemd-timesync",
        "systemd-journal", "systemd-coredump", "polkitd", "tcpdump", "bluetooth", "scanner",
        "lpadmin", "avahi", "pulse", "rtkit", "uuidd", "ntp", "bind", "dnsmasq", "ftp",
        "nginx", "apache", "haproxy", "varnish", "squid", "docker", "lxd", "libvirt", "postfix",
        "postdrop", "dovecot", "postgres", "mysql", "redis", "memcache", "mongodb", "rabbitmq",
        "elasticsearch", "grafana", "prometheus", "cartwheel",
    }
)
# fmt: on
# A second part of a unit's name: `cartwheel-shop.web.1.0.service` belongs to the app `shop`.
_UNIT_WORDS = frozenset({*OLD_SLOTS, "worker", "timer", "job"})

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_SERVER_NAME = re.compile(rf"^(\*\.)?{_LABEL}(\.{_LABEL})*$")
_HOST = re.compile(
    r"^([^@\s:/,]+@)?([A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?"
    r"|\[[0-9A-Fa-f:.%]+\]|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)(:\d{1,5})?$"
)
_PLAIN_PATH = re.compile(r"^(/[A-Za-z0-9][A-Za-z0-9._-]*)+/?$")
_HTTPS_PORT = 443
_WHOLE_PERCENT = 100


_SERVER_NAMES: Key = ("web", "server_names")


def check(settings: Settings, merged: Layer, faulty: set[Key]) -> list[Mistake]:
    """Every mistake that involves more than one key, or that a pattern cannot express.

    `faulty` are keys with known mistakes, which are not reported again.
    """
    problems = [problem for one in _CHECKS for problem in one(settings)]
    return [
        Mistake(merged.place(key) or Place("config"), f"{dotted(key)}: {message}")
        for key, message in problems
        if not any(key[: len(bad)] == bad or bad[: len(key)] == key for bad in faulty)
    ]


def check_beside(placed: Placed, others: Mapping[str, Placed]) -> list[Mistake]:
    """Every mistake that involves other applications, by name, in the same environment."""
    found: list[Mistake] = []
    for name, other in others.items():
        there = other.merged.place(_SERVER_NAMES)
        if there is not None and there == placed.merged.place(_SERVER_NAMES):
            continue  # it is in a file that all apps share, which may be on different hosts
        for key, what in _claimed_twice(placed.settings, other.settings):
            place = there or other.merged.place(("app",))
            message = f"{dotted(key)}: {what} the app {name} ({place})"
            found.append(Mistake(placed.merged.place(key) or Place("config"), message))
    return found


def _claimed_twice(one: Settings, other: Settings) -> Iterator[Problem]:
    hosts, others = _hosts_of(one), _hosts_of(other)
    known, shared = bool(hosts and others), bool(hosts & others)
    if one.web.listen != other.web.listen or (known and not shared):
        return
    for setting in ("server_names", "redirect_names"):
        for number, name in enumerate(getattr(one.web, setting)):
            if name in other.web.names:
                yield ("web", setting, number), f"{name} is also a server name of"
    if shared and not one.web.server_names and not other.web.server_names:
        yield _SERVER_NAMES, "is missing, but the host's default site already belongs to"


def _hosts_of(settings: Settings) -> set[str]:
    """The hosts that have a site; none if hosts do not come from the settings alone."""
    inventory = settings.inventory
    if inventory.command is not None or inventory.ssh_config:
        return set()
    roles = set(settings.roles_of("web"))
    return {host.name for host in _inventory_of(settings) if roles & set(host.roles)}


def _inventory_of(settings: Settings) -> list[Host]:
    return from_settings(settings, lambda _key: "")


def _names(settings: Settings) -> Iterator[Problem]:
    if settings.environment is not None and not NAME.match(settings.environment):
        yield ("environment",), "expected lower-case letters, digits and single `-` inside"
    if settings.environment in _UNIT_WORDS:
        yield ("environment",), f"{settings.environment!r} is reserved: it is a part of unit names"
    user = names.user(settings)
    if user in RESERVED_USERS:
        key = ("app", "user") if settings.app.user else ("app", "name")
        yield key, f"{user!r} is a user or group of the system; choose another app.user"
    base = settings.host.base
    if not _PLAIN_PATH.match(base) or ".." in base.split("/"):
        yield ("host", "base"), "expected a path of letters, digits, `.`, `_`, `-` and `/`"


def _socket_paths(settings: Settings) -> Iterator[Problem]:
    release = "r" * RELEASE_BYTES
    sockets = {
        ("app", "name"): f"/run/cartwheel/{settings.slug}/{release}/{_LONGEST_SLOT}/http.sock",
        ("host", "base"): f"{settings.root}/releases/{release}/http.sock",
    }
    for key, path in sockets.items():
        if (excess := len(path.encode()) - SOCKET_PATH_BYTES) > 0:
            shown = path.replace(release, "RELEASE")
            yield (
                key,
                f"too long by {excess}: a socket's path has at most {SOCKET_PATH_BYTES} bytes "
                f"({shown} with {RELEASE_BYTES} bytes of RELEASE)",
            )
            return


def _variables(settings: Settings) -> Iterator[Problem]:
    tables: dict[Key, Iterable[str]] = {("env",): settings.env, ("secrets",): settings.secrets}
    for process, one in settings.processes.items():
        tables["processes", process, "env"] = one.env
    for name, timer in settings.timers.items():
        tables["timers", name, "env"] = timer.env
    for table, given in tables.items():
        for name in given:
            if not VARIABLE.match(name):
                yield (*table, name), "expected a name of letters, digits and `_`"
            elif name in RESERVED_VARIABLES:
                yield (*table, name), f"is reserved: {RESERVED_VARIABLES[name]}"
            elif name.startswith(RESERVED_PREFIX):
                yield (*table, name), f"is reserved: Cartwheel sets {RESERVED_PREFIX}*"
    for name in settings.secrets.keys() & settings.env.keys():
        yield ("secrets", name), f"is also in [env]; keep one of env.{name} and secrets.{name}"


def _files(settings: Settings) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    variables: dict[str, str] = {}
    for name, one in settings.files.items():
        plain = name.removeprefix("shared/")
        if plain in seen:
            yield ("files", name), f"is also {seen[plain]}: a release has one file of this name"
        seen.setdefault(plain, name)
        if one.variable is None:
            continue
        key: Key = ("files", name, "variable")
        if not VARIABLE.match(one.variable):
            yield key, "expected a name of letters, digits and `_`"
        elif one.variable in RESERVED_VARIABLES or one.variable.startswith(RESERVED_PREFIX):
            yield key, f"{one.variable} is reserved"
        elif one.variable in (*settings.env, *settings.secrets, *variables):
            yield key, f"{one.variable} is also set elsewhere; keep one of them"
        variables.setdefault(one.variable, name)


def _workers(settings: Settings) -> Iterator[Problem]:
    workers = settings.gunicorn.workers
    if isinstance(workers, str) and (wrong := why_not(formula.check, workers)):
        yield ("gunicorn", "workers"), wrong


def _gunicorn(settings: Settings) -> Iterator[Problem]:
    gunicorn = settings.gunicorn
    known = kind_of_worker(gunicorn.worker_class or "")
    if gunicorn.kind is not None and known is not None and known != gunicorn.kind:
        yield (
            ("gunicorn", "worker_class"),
            f"{gunicorn.worker_class} serves {known}, but gunicorn.kind is {gunicorn.kind}: keep"
            " one of them",
        )
    elif gunicorn.lifespan != "auto" and gunicorn.serves == "wsgi":
        yield ("gunicorn", "lifespan"), 'is of ASGI: set gunicorn.kind to "asgi" or "uvicorn"'


def _index(settings: Settings) -> Iterator[Problem]:
    index = settings.index
    known = [*PRESETS, *ALIASES]
    if index.preset is not None and index.preset not in known:
        hint = _nearest(index.preset, known, f"known: {', '.join(PRESETS)}")
        yield ("index", "preset"), f"unknown preset {index.preset!r}; {hint}"
    if index.preset is not None and index.url is not None:
        yield ("index", "preset"), "index.url is also set; keep one of them"
    urls: list[tuple[Key, str | None]] = [(("index", "url"), index.url)]
    urls += [(("index", "extra_urls", n), url) for n, url in enumerate(index.extra_urls)]
    for key, url in urls:
        if url is not None:
            yield from _url(key, url)
    if index.password is not None and index.username is None:
        yield ("index", "password"), "index.username is missing"


def _artifacts(settings: Settings) -> Iterator[Problem]:
    store = settings.artifacts
    for name, url in (("url", store.url), ("upload_url", store.upload_url)):
        if url is None:
            continue
        yield from _url(("artifacts", name), url)
        if "?" in url or "#" in url:
            yield ("artifacts", name), "expected a URL without `?` and `#`"
    if store.url is None and store.upload_url is not None:
        yield ("artifacts", "upload_url"), "artifacts.url is missing: hosts fetch from there"
    if store.url is not None and store.kind == "index" and store.upload_url is None:
        yield ("artifacts", "url"), "artifacts.upload_url is missing: files are uploaded there"
    if store.password is not None and store.username is None:
        yield ("artifacts", "password"), "artifacts.username is missing"
    if store.read_password is not None and store.read_username is None:
        yield ("artifacts", "read_password"), "artifacts.read_username is missing"


def _url(key: Key, url: str) -> Iterator[Problem]:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        yield key, "expected a URL like https://HOST/simple"
        return
    if parts.scheme not in ("http", "https") or not host or re.search(r"\s", url):
        yield key, "expected a URL like https://HOST/simple"
    elif "@" in parts.netloc:
        yield key, f"holds credentials; use {key[0]}.username and {key[0]}.password"


def _web(settings: Settings) -> Iterator[Problem]:
    web = settings.web
    for table, port in (("web", web.listen), ("balancer", settings.balancer.listen)):
        if port == _HTTPS_PORT:
            yield (
                (table, "listen"),
                "443 is the port of HTTPS, and plain HTTP is served here; see [tls]",
            )
    for number, name in enumerate(web.server_names):
        if wrong := server_name_problem(name):
            yield ("web", "server_names", number), wrong
        elif name in web.server_names[:number]:
            yield ("web", "server_names", number), f"{name} is listed twice"


def server_name_problem(name: str) -> str:
    """The mistake in a server name; "" if there is none."""
    if _SERVER_NAME.match(name):
        return ""
    why = " in lower case" if _SERVER_NAME.match(name.lower()) else ", e.g. shop.example.org"
    return f"expected a host name{why}, got {name!r}"


def _health(settings: Settings) -> Iterator[Problem]:
    health, deploy = settings.health, settings.deploy
    if not health.path.isascii() or "#" in health.path:
        yield ("health", "path"), "expected the path of a URL, percent-encoded, without `#`"
    if health.host is not None and not re.match(r"^[A-Za-z0-9.:\[\]_-]+$", health.host):
        yield ("health", "host"), f"expected a host name, got {health.host!r}"
    if health.span_seconds >= health.deadline_seconds:
        yield ("health", "span_seconds"), "must be less than health.deadline_seconds"
    if deploy.probation_seconds >= deploy.confirm_seconds:
        yield ("deploy", "probation_seconds"), "must be less than deploy.confirm_seconds"


def _fleet(settings: Settings) -> Iterator[Problem]:
    if settings.fleet.batch in (0, "0%"):
        yield ("fleet", "batch"), "expected at least one host"
    for key in ("canary", "batch"):
        size = getattr(settings.fleet, key)
        if isinstance(size, str) and int(size.rstrip("%")) > _WHOLE_PERCENT:
            yield ("fleet", key), f"expected at most 100%, got {size!r}"


_NEEDED_BY_KIND = {"haproxy": "haproxy_backend", "command": "command", "http": "url"}
_PLACES = re.compile(r"\{([^{}]*)\}")
_IN_URL = frozenset({"action", "host", "name", "address", "app"})


def _balancer(settings: Settings) -> Iterator[Problem]:
    balancer = settings.balancer
    needed = _NEEDED_BY_KIND.get(balancer.kind)
    if needed and getattr(balancer, needed) is None:
        yield ("balancer", needed), f"is missing: balancer.kind is {balancer.kind}"
    yield from _where_tls_ends(settings)
    places: list[tuple[Key, str, frozenset[str]]] = [
        (("balancer", "url"), balancer.url or "", _IN_URL)
    ]
    for name, value in (balancer.headers or {}).items():
        places.append((("balancer", "headers", name), value, _IN_URL | {"secret"}))
        if "{secret}" in value and balancer.secret is None:
            yield ("balancer", "headers", name), "balancer.secret is missing"
    for key, text, known in places:
        for word in _PLACES.findall(text):
            if word not in known:
                yield key, f"there is no {{{word}}}; known: {', '.join(sorted(known))}"


def _where_tls_ends(settings: Settings) -> Iterator[Problem]:
    tls, balancer = settings.tls, settings.balancer
    if balancer.kind == "nginx":
        if tls.at == "hosts":
            yield (
                ("tls", "at"),
                "with balancer.kind nginx HTTPS ends at the balancers: expected balancer",
            )
        if tls.is_on and tls.listen == balancer.listen:
            port = balancer.listen
            yield ("tls", "listen"), f"balancer.listen is {port} too, the port of plain HTTP"
    elif tls.at == "balancer":
        trusted = (
            "" if balancer.kind == "haproxy" else ", name its addresses in web.trusted_proxies"
        )
        yield (
            ("tls", "at"),
            f"Cartwheel ends HTTPS only in a balancer of kind nginx, and balancer.kind is"
            f" {balancer.kind}: end it in yours, remove [tls]{trusted}, and set health.scheme to"
            " https; or set this to hosts",
        )


def _proxies(settings: Settings) -> Iterator[Problem]:
    for number, text in enumerate(settings.web.trusted_proxies):
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            yield ("web", "trusted_proxies", number), f"expected an address or a network: {error}"


def _hosts(settings: Settings) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for number, host in enumerate(settings.hosts):
        if wrong := host_problem(host):
            yield ("hosts", number), wrong
            continue
        plain = host.rpartition("@")[2].lower().removesuffix(":22")
        if plain in seen:
            yield ("hosts", number), f"{host} is listed twice (as {seen[plain]})"
        seen.setdefault(plain, host)


def host_problem(host: str) -> str:
    """The mistake in a host's name or address; "" if there is none."""
    return "" if _HOST.match(host) else f"expected [USER@]HOST[:PORT], got {host!r}"


def _inventory(settings: Settings) -> Iterator[Problem]:
    inventory = settings.inventory
    for name, host in inventory.hosts.items():
        key: Key = ("inventory", "hosts", name)
        if not _HOST.match(name) or "@" in name:
            yield key, f"expected the name of a host, got {name!r}"
        if host.address is not None and not _HOST.match(host.address):
            yield (*key, "address"), f"expected [USER@]HOST[:PORT], got {host.address!r}"
        for field in ("inner_address", "monitor_address"):
            at = getattr(host, field)
            if at is not None and (not _HOST.match(at) or "@" in at):
                yield (*key, field), f"expected HOST[:PORT], got {at!r}"
        for number, group in enumerate(host.groups):
            yield from _known_group((*key, "groups", number), group, settings)
    for name, table in inventory.groups.items():
        for number, host_name in enumerate(table.hosts):
            if not _HOST.match(host_name):
                key = ("inventory", "groups", name, "hosts", number)
                yield key, f"expected [USER@]HOST[:PORT], got {host_name!r}"
        for number, child in enumerate(table.children):
            key = ("inventory", "groups", name, "children", number)
            yield from _known_group(key, child, settings)
    for number, host_name in enumerate(settings.hosts):
        plain = host_name.rpartition("@")[2].partition(":")[0]
        if plain != host_name and plain in inventory.hosts:
            yield (
                ("hosts", number),
                f"{host_name} has a table [inventory.hosts.{plain}]; set user and port there",
            )


def _roles(settings: Settings) -> Iterator[Problem]:
    """A role that no host has, if all hosts come from the settings."""
    inventory = settings.inventory
    hosts = _inventory_of(settings)
    if not hosts or inventory.command is not None or inventory.ssh_config:
        return
    known = sorted({role for host in hosts for role in host.roles})
    tables: dict[Key, tuple[str, ...]] = {("app", "roles"): settings.app.roles}
    for name, process in settings.processes.items():
        tables["processes", name, "roles"] = process.roles
    for name, timer in settings.timers.items():
        tables["timers", name, "roles"] = timer.roles
    for key, roles in tables.items():
        for number, role in enumerate(roles):
            if role not in known:
                yield (*key, number), _no_host(role, known)
    chosen: dict[Key, tuple[str | None, tuple[str, ...]]] = {
        ("processes", name): (one.on, settings.roles_of(name))
        for name, one in settings.processes.items()
    }
    chosen |= {
        ("timers", name): (one.on, settings.roles_of_timer(name))
        for name, one in settings.timers.items()
    }
    for key, (on, wanted) in chosen.items():
        if on is not None and on not in {host.name for host in hosts}:
            near = _nearest(on, [host.name for host in hosts], "see [inventory]")
            yield (*key, "on"), f"there is no host {on}; {near}"
        if any(host.name == on and not {*wanted} & {*host.roles} for host in hosts):
            what = f"{on} does not run it: it has not the role {' or '.join(wanted)}"
            yield (*key, "on"), what
    if settings.balancer.kind in ("nginx", "haproxy") and BALANCER_ROLE not in known:
        yield ("balancer", "kind"), _no_host(BALANCER_ROLE, known)


def _no_host(role: str, known: list[str]) -> str:
    hint = _nearest(role, known, f"known: {', '.join(known)}")
    return f"no host has the role {role}; {hint}"


def _known_group(key: Key, group: str, settings: Settings) -> Iterator[Problem]:
    known = settings.inventory.groups
    if group not in known:
        hint = _nearest(group, known, f"add a table [inventory.groups.{group}]")
        yield key, f"there is no group {group}; {hint}"


def _nearest(word: str, known: Iterable[str], otherwise: str) -> str:
    """The nearest known word, or else what to do."""
    close = difflib.get_close_matches(word, list(known), 1)
    return f"did you mean {close[0]}?" if close else otherwise


def _hooks(settings: Settings) -> Iterator[Problem]:
    for name, hook in settings.hooks.items():
        side, phase = hook.moment
        if phase in HERE_ONLY and hook.where != "here":
            yield ("hooks", name, "where"), f"hooks of {phase} run only on your machine (here)"
        if phase == "migrate" and settings.deploy.migrate is None:
            yield ("hooks", name, side), "deploy.migrate is missing, so this hook would never run"
        never = [kind for kind in hook.kinds if not has_phase(kind, phase)]
        if never:
            yield ("hooks", name, "kinds"), f"a {never[0]} has no phase {phase}"


def _wheel(settings: Settings) -> Iterator[Problem]:
    for key in ("include", "exclude"):
        for number, path in enumerate(getattr(settings.app, key)):
            if not path or path.startswith(("/", "~")) or ".." in path.split("/"):
                yield ("app", key, number), "expected a path relative to app.source, without `..`"


# A folder of the app below one of these would open the system, or could not be seen by the app.
_NO_FOLDERS = frozenset(
    {"bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "proc", "root", "run"}
    | {"sbin", "sys", "tmp", "usr"}
)
# Deploys, switches and recovery rely on these lines of the unit.
_OWN_UNIT_LINES = frozenset(
    {"Type", "NotifyAccess", "ExecStart", "User", "Group", "SupplementaryGroups", "KillMode"}
    | {"WorkingDirectory", "RuntimeDirectory", "RuntimeDirectoryMode", "EnvironmentFile"}
    | {"SyslogIdentifier", "Slice", "Restart", "TimeoutStartSec", "TimeoutStopSec", "UMask"}
    | {
        "DynamicUser",
        "RootDirectory",
        "RootImage",
        "ExecStop",
        "ExecStopPost",
        "ExecReload",
        "RemainAfterExit",
    }
    | {"PIDFile", "StandardOutput", "StandardError", "WatchdogSec"}
)


def _hardenings(settings: Settings) -> Iterator[tuple[Key, Hardening | ProcessHardening]]:
    """[hardening], and that of each process and timer."""
    yield ("hardening",), settings.hardening
    for process, one in settings.processes.items():
        yield ("processes", process, "hardening"), one.hardening
    for timer, each in settings.timers.items():
        yield ("timers", timer, "hardening"), each.hardening


def _paths(settings: Settings) -> Iterator[Problem]:
    for table, each in _hardenings(settings):
        for name in ("read_write_paths", "folders"):
            for number, path in enumerate(getattr(each, name, ())):
                if ".." in path.split("/") or any(ord(char) < ord(" ") for char in path):
                    yield (*table, name, number), "expected an absolute path without `..`"
        for number, line in enumerate(each.unit):
            key = line.partition("=")[0]
            if key in _OWN_UNIT_LINES:
                yield (*table, "unit", number), f"{key} is Cartwheel's own"
    for number, path in enumerate(settings.hardening.folders):
        first, _, rest = path.strip("/").partition("/")
        is_own = f"{path}/".startswith(f"{settings.root}/")
        if not rest or first in _NO_FOLDERS or is_own:
            yield (
                ("hardening", "folders", number),
                f"{path} is no place for a folder of the app; use one like /var/lib/NAME",
            )


_CHECKS: tuple[Callable[[Settings], Iterator[Problem]], ...] = (
    _names,
    _socket_paths,
    _variables,
    _files,
    _workers,
    _gunicorn,
    _index,
    _artifacts,
    _web,
    served.problems,
    _health,
    _fleet,
    _balancer,
    _proxies,
    _hosts,
    _inventory,
    _roles,
    _hooks,
    process_checks.problems,
    timer_checks.problems,
    tls_checks.problems,
    monitor_page.problems,
    web_checks.problems,
    origin_checks.problems,
    _wheel,
    _paths,
)
