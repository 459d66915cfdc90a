"""The files of one release: which template becomes which file, with which values."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from cartwheel.errors import UsageError
from cartwheel.host.layout import FIRST_SLOT, TEMPLATE_UNIT, Layout, first_of
from cartwheel.host.wire.instance import WEB
from cartwheel.host.wire.tls import CHAIN, KEY
from cartwheel.settings import entry, formula, names

from . import served
from .door import door_of
from .own_config import own_config
from .processes import job_files, own_env, process_files, sandbox
from .templates import Templates

if TYPE_CHECKING:
    from cartwheel.host.wire.facts import Facts
    from cartwheel.settings.toml_tables import Settings

OWN_CONFIG = "app.gunicorn.conf.py"

LOGROTATE = "/etc/logrotate.d"
# What visitors see while nobody answers them, by language; the site chooses.
PAGE = "maintenance.html.j2"
PAGES = {"en": "maintenance.html", "zh": "maintenance.zh.html"}
# The name of the web server's site among the files.
SITE = "site"

# systemd waits this much longer for a unit than its parts may take.
_STOP_MARGIN_SECONDS = 10
_START_MARGIN_SECONDS = 30
_BOOT_MARGIN_SECONDS = 60
# When visitors and robots should try a closed site again, if nobody says how long it takes.
_RETRY_SECONDS = 600
# How long web servers wait by default; it never waits shorter than a request may take.
_PROXY_SECONDS = 60
# A web server may take no variable of more than 46 characters; the longest has 21 before it.
_IDENT_MAX = 25
_SHORT_HEX = 7


@dataclass(frozen=True)
class TlsFacts:
    """What HTTPS depends on: the web server's version; whether other sites have the same port; and
    whether none of them is the default one there."""

    version: str = ""
    shares_port: bool = False
    default_free: bool = True

    @classmethod
    def of(cls, facts: Facts, settings: Settings) -> TlsFacts:
        """Our own sites do not count as others."""
        ours, port = names.our_sites(settings), settings.tls.listen
        others = [one for one in facts.servers if one.file not in ours and port in one.ports]
        return cls(
            version=facts.web_server or "",
            shares_port=bool(others),
            default_free=not any(port in one.default_ports for one in others),
        )


@dataclass(frozen=True)
class RenderFacts:
    """The facts of a host that rendering needs.

    `default_server_free`: no other site is the default one on the port (our own does not count).
    `tls`: as in `TlsFacts`. `python_in_home`: the app's interpreter, with all links followed, is
    in a home folder.
    `balancers` are the addresses of the balancers that pass requests on to the host; `siblings`,
    as ADDRESS:PORT, are the other hosts that a certificate authority may ask instead of it.
    `brotli`: the web server sends ready-made files (.br). `listens`: the ports that files of others
    let it listen on.
    """

    cpus: int
    systemd_version: int
    python_version: str
    default_server_free: bool
    ipv6: bool
    python_in_home: bool = False
    balancers: tuple[str, ...] = ()
    siblings: tuple[str, ...] = ()
    tls: TlsFacts = TlsFacts()
    brotli: bool = False
    listens: tuple[int, ...] = ()

    @classmethod
    def of(cls, facts: Facts, settings: Settings) -> RenderFacts:
        """The facts of a host that can take a release. Raises ValueError for another host."""
        if facts.python is None or facts.host.systemd is None:
            raise ValueError("the host cannot take a release")
        site = names.site_path(settings)
        taken = any(
            settings.web.listen in server.default_ports
            for server in facts.servers
            if server.file not in (site, names.default_site(settings))
        )
        return cls(
            cpus=facts.host.cpus,
            systemd_version=facts.host.systemd,
            python_version=facts.python.version,
            default_server_free=not taken,
            ipv6=facts.host.ipv6,
            python_in_home=facts.python.in_home,
            brotli=facts.brotli,
            listens=tuple(sorted({*facts.listens} & {settings.web.listen, settings.tls.listen})),
            tls=TlsFacts.of(facts, settings),
        )


@dataclass(frozen=True)
class RenderedFile:
    """One file for the host. A `shared` one is outside the release, where the next release's
    version replaces it."""

    path: str
    content: str
    shared: bool = False


# Two hosts that together use every branch of the templates.
SAMPLES = (
    RenderFacts(
        cpus=4,
        systemd_version=257,
        python_version="3.13.5",
        default_server_free=True,
        ipv6=True,
        tls=TlsFacts("1.26.3"),
        brotli=True,
    ),
    RenderFacts(
        cpus=1,
        systemd_version=247,
        python_version="3.9.2",
        default_server_free=False,
        ipv6=False,
        python_in_home=True,
        balancers=("192.0.2.1",),
        siblings=("192.0.2.2:80",),
        tls=TlsFacts("1.18.0", shares_port=True, default_free=False),
        listens=(80, 443),
    ),
)


def render_release(
    settings: Settings, facts: RenderFacts, release: str, project: Path
) -> dict[str, RenderedFile]:
    """Every rendered file of `release`, by name.

    `project` is the folder with the user's own templates, which win. Raises UsageError("template")
    with template, line and name, and UsageError("settings") for the app's own gunicorn
    configuration if it cannot be read.
    """
    at = Layout(settings.slug, Path(settings.host.base))
    own = own_config(settings, project)
    values = _values(settings, facts, release, at, has_own_config=own is not None)
    templates = Templates(project)
    folder = at.release(release)

    def of_release(name: str, template: str, **more: object) -> tuple[str, RenderedFile]:
        return name, RenderedFile(str(folder / name), templates.render(template, values | more))

    def of_host(name: str, template: str, path: str) -> tuple[str, RenderedFile]:
        return name, RenderedFile(path, templates.render(template, values), shared=True)

    files = dict(
        [
            of_release("gunicorn.conf.py", "gunicorn.conf.py.j2"),
            # %i is the slot of each instance (systemd.unit(5)).
            of_release(TEMPLATE_UNIT, "web.service.j2", slot="%i"),
            *(of_release(name, PAGE, lang=lang) for lang, name in PAGES.items()),
            of_host(SITE, names.web_server(settings).site_template, names.site_path(settings)),
            of_host("logrotate.conf", "logrotate.j2", f"{LOGROTATE}/cartwheel-{at.app}.conf"),
            of_host("boot.service", "boot.service.j2", str(at.boot_unit)),
        ]
    )
    _refuse_unused(settings, templates, values, files[SITE].content)
    of_processes = process_files(settings, at, templates, values)
    for name, text in {**of_processes, **job_files(settings, at, templates, values)}.items():
        files[name] = RenderedFile(str(folder / name), text)
    if own is not None:
        files[OWN_CONFIG] = RenderedFile(str(folder / OWN_CONFIG), own.text)
    return files


def _refuse_unused(
    settings: Settings, templates: Templates, values: dict[str, Any], site: str
) -> None:
    """A template of the user's own may be from before these settings, and rules that nobody holds
    are worse than none. Raises UsageError("template")."""
    web, kind = settings.web, names.web_server(settings)
    pieces = {"web.redirect_names": web.redirect_names, "web.extra": (web.extra or "",)}
    pieces["web.error_pages"] = (values["error_folder"] or "",)
    pieces["[web.static]"] = tuple(one.url for one in values["static"]) if web.static else ()
    pieces["[web.media]"] = tuple(one.url for one in values["media"])
    if values["door"].is_guarded:
        pieces["[web.paths] or web.rate_limit"] = (templates.render(kind.door_template, values),)
    limited = [path for path, rule in web.paths.items() if rule.has_limits]
    pieces["[web.paths]"] = tuple(path.rstrip("/") for path in limited)
    for setting, wanted in pieces.items():
        if not all(piece in site for piece in wanted):
            what = f"{kind.site_template}: your own template has nothing of {setting}"
            hint = f"Compare it with `fab templates.diff {kind.site_template}`."
            raise UsageError("template", what, hint=hint)


def render_tls(settings: Settings, facts: RenderFacts, project: Path) -> str:
    """What the site includes to serve HTTPS; "" without [tls]. Raises UsageError("template")."""
    if not settings.tls.is_on or settings.tls_end != "app":
        return ""
    return render_tls_for(settings, facts, project, {})


def render_tls_for(
    settings: Settings, facts: RenderFacts, project: Path, more: Mapping[str, object]
) -> str:
    """The same for a site whose template has other values for some names."""
    at, web = Layout(settings.slug, Path(settings.host.base)), names.web_server(settings)
    values = values_of(settings, facts)
    own = settings.tls.host_certificate is None
    tls = {
        "certificate": str(at.tls_live / CHAIN) if own else settings.tls.host_certificate,
        "key": str(at.tls_live / KEY) if own else settings.tls.host_key,
        "http2": web.http2(facts.tls.version, shares_port=facts.tls.shares_port),
        "is_default": not settings.web.server_names and facts.tls.default_free,
    }
    return Templates(project).render(web.tls_template, {**values, **more, "tls": tls})


def check_templates(settings: Settings, project: Path) -> None:
    """Render everything for the sample hosts.

    Call it before connecting. Raises as `render_release` does.
    """
    for facts in SAMPLES:
        render_release(settings, facts, "1.0.r1", project)
        render_tls(settings, facts, project)


def template_names(settings: Settings) -> list[str]:
    """Every name that a template may use."""
    return sorted(values_of(settings, SAMPLES[0]))


def workers(settings: Settings, cpus: int) -> int:
    """Number of workers on a host with `cpus` processors; `max_workers` limits a formula."""
    wanted = settings.gunicorn.workers
    if isinstance(wanted, int):
        return wanted
    try:
        return min(formula.evaluate(wanted, cpus), settings.gunicorn.max_workers)
    except ValueError as error:
        raise UsageError("settings", f"gunicorn.workers: {error}") from None


# Any: the names of a template have values of all kinds.
def _values(
    settings: Settings, facts: RenderFacts, release: str, at: Layout, *, has_own_config: bool
) -> dict[str, Any]:
    """All names that a template may use (docs/settings.md)."""
    graceful_seconds = math.ceil(settings.deploy.drain_seconds)
    start_seconds = math.ceil(settings.health.deadline_seconds) + _START_MARGIN_SECONDS
    return {
        "settings": settings,
        "entry": entry.parse(settings.app.entry),
        "facts": facts,
        "app": at.app,
        "ident": ident(at.app),
        "user": names.user(settings),
        "group": names.group(settings),
        "release": release,
        "root": str(at.root),
        "release_dir": str(at.release(release)),
        "packages": f"{at.release(release)}/{_packages(facts)}",
        "shared": str(at.shared),
        "run": str(at.socket(first_of(release)).parent.parent),
        "slot": FIRST_SLOT,
        "recover": str(at.lib / "recover"),
        "workers": workers(settings, facts.cpus),
        "own_config": OWN_CONFIG if has_own_config else None,
        "graceful_seconds": graceful_seconds,
        "start_seconds": start_seconds,
        "stop_seconds": graceful_seconds + _STOP_MARGIN_SECONDS,
        "boot_seconds": start_seconds + graceful_seconds + _BOOT_MARGIN_SECONDS,
        "proxy_seconds": proxy_seconds(settings),
        "health_uri": settings.web.prefix + unquote(settings.health.path.partition("?")[0]),
        "retry_seconds": _RETRY_SECONDS,
        **page_values(),
        "acme_webroot": str(at.acme_webroot) if settings.tls.acme else None,
        "siblings": facts.siblings if settings.tls.acme else (),
        "trusted_proxies": (*settings.web.trusted_proxies, *facts.balancers),
        "is_default": not settings.web.server_names and facts.default_server_free,
        "python_in_home": facts.python_in_home,
        "sandbox": sandbox(settings, WEB),
        "own_env": own_env(settings, WEB),
        **_static(settings, facts),
        "door": door_of(settings),
        "error_folder": _error_folder(settings, facts),
        "static": served.static(settings, _packages(facts)),
        "media": served.media(settings),
        "hashed_name": served.HASHED_NAME,
    }


# Any: as above.
def values_of(settings: Settings, facts: RenderFacts) -> dict[str, Any]:
    """What templates may use that are of no release."""
    at = Layout(settings.slug, Path(settings.host.base))
    return _values(settings, facts, "", at, has_own_config=False)


# Any: as above.
def page_values(message: str = "", *, is_announced: bool = False) -> dict[str, Any]:
    """What the page for visitors says besides `lang`."""
    return {"lang": "en", "message": message, "is_announced": is_announced}


def proxy_seconds(settings: Settings) -> int:
    """How long the web server waits for an answer."""
    drain_seconds = math.ceil(settings.deploy.drain_seconds)
    return max(_PROXY_SECONDS, drain_seconds, settings.gunicorn.timeout_seconds)


def _static(settings: Settings, facts: RenderFacts) -> dict[str, Any]:
    """Names of an earlier version, which users' own templates may still use."""
    web = settings.web
    if web.static_url is None or web.static_dir is None:
        return {"static_pattern": None, "static_files": None}
    prefix = re.escape(f"{web.prefix}{web.static_url.rstrip('/')}/")
    return {
        "static_pattern": f"^{prefix}(?<cartwheel_file>.+)$",
        "static_files": f"{_packages(facts)}/{web.static_dir.strip('/')}",
    }


def _error_folder(settings: Settings, facts: RenderFacts) -> str | None:
    folder = settings.web.error_pages
    return None if folder is None else f"{_packages(facts)}/{folder.strip('/')}"


def _packages(facts: RenderFacts) -> str:
    """The folder of packages in a release (sysconfig's scheme "venv")."""
    minor = ".".join(facts.python_version.split(".")[:2])
    return f"venv/lib/python{minor}/site-packages"


def ident(app: str) -> str:
    """`app` as part of a name in the web server's configuration: names of apps have no `_` and
    begin with a letter, so all results differ. A web server may refuse long ones."""
    plain = app.replace(".", "__").replace("-", "_")
    return plain if len(plain) <= _IDENT_MAX else short_ident(app)


def short_ident(app: str) -> str:
    """The same as a digest, which no name of an app is."""
    return "0" + hashlib.sha256(app.encode()).hexdigest()[:_SHORT_HEX]
