"""The settings: one pydantic model is the validator and the reference (docs/settings.md).

The text below a setting is its description. The name of every duration has its unit. Unknown keys
are refused.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cartwheel.settings import entry as entries

# systemd escapes or refuses other characters in unit names; nginx, users and paths
# accept these (design: names in `[a-z0-9._]`). Names end up in socket paths of at
# most 107 bytes (unix(7)), hence the limits on length.
# A dot separates application and environment, so neither contains one.
NAME_CHARACTERS = 24
NAME = re.compile(r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")
Name = Annotated[str, Field(pattern=NAME.pattern, max_length=NAME_CHARACTERS)]
# A role or a group: Ansible's groups may contain `_` and capitals too.
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=64)]
Role = Label
UnitLine = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]+=[^\x00-\x1f]*$")]
FileName = Annotated[str, Field(pattern=r"^(shared/)?[A-Za-z0-9_][A-Za-z0-9._-]*$")]
AbsolutePath = Annotated[str, Field(pattern=r"^/[^\x00\n]*$")]
UrlPath = Annotated[str, Field(pattern=r"^/[^\s]*$")]
HostCount = Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^\d+%$")]
Seconds = Annotated[float, Field(gt=0, le=86400)]
Size = Annotated[str, Field(pattern=r"^[1-9]\d*[KMG]?$")]
Phase = Literal["run", "build", "prepare", "migrate", "switch", "confirm", "finish"]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Secret(Model):
    """The source of a secret: exactly one of these. Its value is never in the settings."""

    file: str | None = None
    """A file, relative to the project; `~` is the home folder."""
    command: str | None = None
    """A shell command that prints it, e.g. `op read op://vault/item`."""
    env: str | None = None
    """A variable of the environment that `fab` runs in."""

    @model_validator(mode="after")
    def _one_source(self) -> Secret:
        given = [key for key in ("file", "command", "env") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError("a secret needs exactly one of file, command or env")
        return self


class App(Model):
    """The application."""

    name: Name = Field(examples=["shop"])
    """Name on the host: in paths, units and the user's name."""
    source: str = Field(min_length=1, examples=["."])
    """A package, a plain folder, a wheel, or NAME==VERSION (docs/build.md)."""
    entry: str = "app:app"
    """WSGI or ASGI application for gunicorn: `module:attribute`, `module:factory("prod")`,
    `module:object.attribute`, or `module` alone, whose attribute is then `application`."""
    python: str = Field(default="3", pattern=r"^(3(\.\d+){0,2}|/[^\x00\s]+)$")
    """Python on the host: a version (3, 3.11) or an absolute path."""
    extras: tuple[str, ...] = Field(default=(), examples=[["postgres"]])
    """Extras of the app's package to install."""
    requirements: tuple[str, ...] = Field(default=(), examples=[["gunicorn==23.0.0"]])
    """Further requirements, in addition to the app's own; `-r FILE` replaces the files of a plain
    folder."""
    include: tuple[str, ...] = Field(default=(), examples=[["data/words.db", "tests/keys/"]])
    """Files and folders to include in the wheel although they look private or like data, or
    although a package's own build leaves them out (docs/build.md): paths relative to app.source;
    `*` and `**` as in a shell."""
    exclude: tuple[str, ...] = Field(default=(), examples=[["notes/", "**/*.psd"]])
    """Files and folders to leave out of the wheel too, in the same form; wins over app.include."""
    roles: tuple[Role, ...] = Field(default=("web",), min_length=1)
    """Hosts with one of these roles run the app, unless -H or --role says otherwise."""
    user: str | None = Field(default=None, pattern=r"^[a-z_][a-z0-9_-]{0,30}$", examples=["shop"])
    """The app's user on the host; default: the app's name, with `-ENVIRONMENT` if there is one."""

    @field_validator("entry")
    @classmethod
    def _entry_as_gunicorn(cls, text: str) -> str:
        entries.parse(text)
        return text


class Tests(Model):
    """The app's own unit tests, run before anything is built."""

    command: str = Field(default="", examples=["python -m pytest -q tests/unit"])
    """Command for the app's own tests; empty: `python -m pytest -q` if there is a tests folder."""
    requirements: tuple[str, ...] = ("pytest",)
    """Requirements of the tests, in addition to the app's own."""
    skip: bool = False
    """Deploy without running the tests."""
    timeout_seconds: Seconds = 600
    """Time limit."""


class Index(Model):
    """The package index. Without any of these settings pip's own configuration decides."""

    preset: str | None = Field(default=None, examples=["tuna"])
    """A well-known mirror by name, see docs/settings.md."""
    url: str | None = Field(default=None, examples=["https://pypi.example.org/simple"])
    """Package index, instead of pip's default one."""
    extra_urls: tuple[str, ...] = Field(
        default=(), examples=[["https://wheels.example.org/simple"]]
    )
    """Further package indexes."""
    trusted_hosts: tuple[str, ...] = Field(default=(), examples=[["pypi.example.org"]])
    """Hosts that are used even without valid TLS."""
    username: str | None = Field(default=None, examples=["deploy"])
    """User name for the index."""
    password: Secret | None = Field(default=None, examples=[{"file": "~/.config/index-password"}])
    """Password for the index."""
    timeout_seconds: Seconds = 15
    """Time limit of one request to the index."""


class Artifacts(Model):
    """An artifact store for the fleet: wheels are published there once, and hosts fetch them."""

    kind: Literal["folder", "index"] = "folder"
    """An HTTP folder that accepts PUT (files at URL/SHA256/NAME), or a package index that accepts
    uploads like those of twine."""
    url: str | None = Field(default=None, examples=["https://files.example.org/wheels"])
    """URL that hosts fetch from: the folder, or the simple index (https://HOST/simple). Without it
    wheels are uploaded to each host over SSH."""
    upload_url: str | None = Field(default=None, examples=["https://upload.example.org/wheels"])
    """URL that this machine publishes to; required for an index, default for a folder: url."""
    username: str | None = Field(default=None, examples=["deploy"])
    """User name for publishing."""
    password: Secret | None = Field(default=None, examples=[{"env": "STORE_PASSWORD"}])
    """Password for publishing."""
    read_username: str | None = Field(default=None, examples=["reader"])
    """User name of the hosts; default: username."""
    read_password: Secret | None = Field(default=None, examples=[{"env": "STORE_READ_PASSWORD"}])
    """Password of read_username."""
    timeout_seconds: Seconds = 15
    """Give up if the store is silent for this long, here or on a host."""


ServerKind = Literal["wsgi", "asgi", "uvicorn"]
WORKERS: dict[ServerKind, str] = {
    "wsgi": "gthread",
    "asgi": "asgi",
    "uvicorn": "uvicorn_worker.UvicornWorker",
}
_WSGI_WORKERS = frozenset(
    {"sync", "gthread", "gevent", "gevent_wsgi", "gevent_pywsgi", "eventlet", "tornado"}
)
_UVICORN_WORKERS = ("uvicorn.workers.", "uvicorn_worker.")


def kind_of_worker(worker_class: str) -> ServerKind | None:
    """The kind that a worker class serves; None for an unknown one."""
    if worker_class in _WSGI_WORKERS or worker_class.startswith("gunicorn.workers.g"):
        is_asgi = worker_class.startswith("gunicorn.workers.gasgi")
        return "asgi" if is_asgi else "wsgi"
    if worker_class == "asgi":
        return "asgi"
    return "uvicorn" if worker_class.startswith(_UVICORN_WORKERS) else None


class Gunicorn(Model):
    """The application server."""

    workers: Annotated[int, Field(ge=1)] | str = "cpus * 2 + 1"
    """Number of workers, or a formula over `cpus`."""
    max_workers: int = Field(default=8, ge=1)
    """Upper limit for a formula."""
    threads: int = Field(default=1, ge=1)
    """Threads per worker."""
    kind: Literal["wsgi", "asgi", "uvicorn"] | None = Field(default=None, examples=["asgi"])
    """How the app is served: `wsgi`, `asgi` by gunicorn's own worker (gunicorn 24 and Python 3.10
    on the host, or later), or `uvicorn` for ASGI by uvicorn's worker; default: what worker_class
    serves, else `wsgi`."""
    worker_class: str | None = Field(
        default=None, pattern=r"^[A-Za-z_][\w.:#-]*$", examples=["asgi"]
    )
    """gunicorn's worker class, by name or module path; default: that of kind (`gthread`, `asgi`,
    `uvicorn_worker.UvicornWorker`)."""
    lifespan: Literal["auto", "on", "off"] = "auto"
    """ASGI's start and end events. `on` if the app has them: then a start that fails in any way
    fails the deploy."""
    timeout_seconds: int = Field(default=30, ge=1)
    """A worker that is silent for this long is replaced."""
    keepalive_seconds: int = Field(default=2, ge=0)
    """How long a worker keeps an idle connection open."""
    max_requests: int = Field(default=0, ge=0)
    """A worker is replaced after this many requests; 0: never."""
    max_requests_jitter: int = Field(default=0, ge=0)
    """Random extra requests per worker, so that they do not all restart together."""
    access_log: bool = False
    """Log each request to the journal, in addition to nginx's log."""
    log_level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    """Log level of gunicorn's own messages."""
    preload: bool = False
    """Import the app once, before gunicorn forks its workers."""
    config_file: str | None = Field(default=None, examples=["deploy/gunicorn_conf.py"])
    """The app's own gunicorn configuration, relative to the project, applied last; default:
    gunicorn.conf.py or gunicorn_conf.py in app.source."""

    @property
    def serves(self) -> ServerKind:
        """The kind: as set, else that of the worker class."""
        return self.kind or kind_of_worker(self.worker_class or "") or "wsgi"

    @property
    def worker(self) -> str:
        """The worker class: as set, else that of the kind."""
        return self.worker_class or WORKERS[self.serves]


RateLimit = Annotated[str, Field(pattern=r"^[1-9]\d{0,5}/[sm]$")]


class WebPath(Model):
    """Rules for a path of the site and everything below it; the longest path decides."""

    allow: tuple[str, ...] = Field(default=(), examples=[["192.0.2.0/24", "2001:db8::/32"]])
    """Addresses or networks that may ask for it; all others get 403."""
    deny: tuple[str, ...] = Field(default=(), examples=[["198.51.100.7"]])
    """Addresses or networks that get 403. The narrowest network in allow and deny decides."""
    users: Secret | None = Field(default=None, examples=[{"file": "deploy/users"}])
    """Users who may ask for it, with a password: lines NAME:HASH (docs/door.md)."""
    public: bool = False
    """Whether allow, deny and users of a shorter path do not hold here."""
    rate_limit: RateLimit | None = Field(default=None, examples=["10/m"])
    """Number of requests of one client in a second (`s`) or minute (`m`); all others get 429."""
    client_max_body_size: str | None = Field(
        default=None, pattern=r"^\d+[kmg]?$", examples=["200m"]
    )
    """Size limit of a request; 0: no limit."""
    timeout_seconds: int | None = Field(default=None, ge=1, le=86400, examples=[300])
    """How long the web server waits for the app's answer; default: a minute, or what
    gunicorn.timeout_seconds and deploy.drain_seconds need."""

    @property
    def restricts(self) -> bool:
        """Whether it says who may ask, or how often."""
        return bool(self.allow or self.deny or self.users or self.rate_limit)

    @property
    def has_limits(self) -> bool:
        """Whether requests for it have limits of their own."""
        return self.client_max_body_size is not None or self.timeout_seconds is not None


class StaticFiles(Model):
    """A URL whose files the web server serves itself: [web.static] (docs/static.md)."""

    folder: str | None = Field(default=None, min_length=1, examples=["hello/static"])
    """A folder relative to the installed packages; a string alone means the same."""
    command: str | None = Field(
        default=None, min_length=1, examples=["python manage.py collectstatic --noinput"]
    )
    """Or a command that fills the folder STATIC_ROOT of each release, run on every host in the
    folder of the installed packages."""
    timeout_seconds: Seconds = 600
    """Time limit of the command."""
    immutable: bool = False
    """Whether the name of every file here changes with its content, so that browsers never ask
    again; otherwise each name decides."""

    @model_validator(mode="after")
    def _one_origin(self) -> StaticFiles:
        if (self.folder is None) == (self.command is None):
            raise ValueError("static files need exactly one of folder and command")
        return self


_StaticInput = dict[UrlPath, StaticFiles | str]


class Web(Model):
    """The web server in front."""

    server: Literal["nginx", "apache"] = "nginx"
    """Which web server; it stays the same as long as the app is on a host."""
    server_names: tuple[str, ...] = Field(default=(), examples=[["shop.example.org"]])
    """Server names of the site; none: the host's default site."""
    redirect_names: tuple[str, ...] = Field(default=(), examples=[["www.shop.example.org"]])
    """Names that are redirected to the first of server_names."""
    prefix: str = Field(
        default="", pattern=r"^((/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+)?$", examples=["/shop"]
    )
    """The path below which the app is, e.g. /shop; all other paths of the settings are without it,
    as the app knows them."""
    listen: int = Field(default=80, ge=1, le=65535)
    """Port of the site."""
    client_max_body_size: str = Field(default="10m", pattern=r"^\d+[kmg]?$")
    """Size limit of a request; 0: no limit."""
    static_url: UrlPath | None = Field(default=None, examples=["/static/"])
    """URL path that nginx serves from static_dir; an older form of web.static."""
    static_dir: str | None = Field(default=None, examples=["hello/static"])
    """Folder relative to the installed packages, e.g. hello/static."""
    static: dict[UrlPath, StaticFiles] = {}
    """URL paths whose files the web server serves itself, each with a folder relative to the
    installed packages, or a table with a command; see below."""
    media: dict[UrlPath, str] = {}
    """URL paths of what the app itself writes at run time, each with a folder in `shared/`."""
    gzip: bool = True
    """Whether text is compressed for browsers that take it."""
    trusted_proxies: tuple[str, ...] = Field(default=(), examples=[["192.0.2.0/24"]])
    """Addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are trusted; hosts with the
    role balancer always are."""
    header_timeout_seconds: int = Field(default=60, ge=1, le=3600)
    """How long a client may take for the head of a request."""
    body_timeout_seconds: int = Field(default=60, ge=1, le=3600)
    """How long a client may be silent while it sends the body of a request."""
    rate_limit: RateLimit | None = Field(default=None, examples=["20/s"])
    """Number of requests of one client in a second (`s`) or minute (`m`); all others get 429."""
    error_pages: str | None = Field(default=None, examples=["hello/errors"])
    """Folder relative to the installed packages with pages for what the web server itself answers:
    404.html, 429.html, 502.html, ..."""
    extra: str | None = Field(default=None, examples=["add_header X-Frame-Options DENY;"])
    """Lines of your own for the site, in the web server's words (docs/door.md)."""
    paths: dict[str, WebPath] = Field(default={})
    """Rules for paths: [web.paths."/admin/"]."""

    @property
    def names(self) -> tuple[str, ...]:
        """All names that visitors may ask for."""
        return (*self.server_names, *self.redirect_names)

    @field_validator("static", mode="before", json_schema_input_type=_StaticInput)
    @classmethod
    def _folder_alone(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        return {url: {"folder": one} if isinstance(one, str) else one for url, one in given.items()}


class Tls(Model):
    """HTTPS on the hosts that run web, or on the balancers in front of them (docs/tls.md)."""

    at: Literal["balancer", "hosts"] | None = Field(default=None, examples=["balancer"])
    """Where HTTPS ends, and so where certificates are; default: balancer with balancer.kind nginx,
    which has no other choice; else hosts."""
    certificate: str | None = Field(default=None, min_length=1, examples=["tls/shop.pem"])
    """The certificate and its chain as PEM, the site's own first: a file, relative to the project;
    `~` is the home folder. A deploy brings it to the hosts."""
    key: Secret | None = Field(default=None, examples=[{"file": "~/keys/shop.key"}])
    """Its private key, without a passphrase: a secret, or the path of a file."""
    host_certificate: AbsolutePath | None = Field(default=None, examples=["/etc/ssl/shop.pem"])
    """Or a certificate that something else puts on the hosts; a change there is noticed."""
    host_key: AbsolutePath | None = Field(default=None, examples=["/etc/ssl/private/shop.key"])
    """Its private key on the hosts."""
    acme: bool = False
    """Or one that each host asks a certificate authority for, and renews (ACME)."""
    directory: str = "https://acme-v02.api.letsencrypt.org/directory"
    """The directory of that authority; default: Let's Encrypt's."""
    mail: str | None = Field(default=None, examples=["ops@example.org"])
    """The address that it gets for its account; some send a mail before a certificate ends."""
    ca: str | None = Field(default=None, min_length=1, examples=["tls/root.pem"])
    """The roots of a private CA: the chain of the certificate must lead to one of them, and with
    tls.acme hosts trust them where they ask it; default: those of this machine."""
    listen: int = Field(default=443, ge=1, le=65535)
    """Port of HTTPS."""
    redirect: bool = True
    """Whether plain HTTP is redirected to HTTPS."""
    hsts_seconds: int = Field(default=0, ge=0)
    """How long browsers remember to use HTTPS only (Strict-Transport-Security); 0: not sent."""

    @field_validator("key", mode="before", json_schema_input_type=Secret | str | None)
    @classmethod
    def _path_of_key(cls, given: object) -> object:
        return {"file": given} if isinstance(given, str) else given

    @property
    def is_on(self) -> bool:
        return self.acme or self.certificate is not None or self.host_certificate is not None


class Health(Model):
    """The health check of a release."""

    path: UrlPath = "/healthz"
    """Path of the health check; must answer without login or redirect."""
    host: str | None = Field(default=None, examples=["shop.example.org"])
    """Host header; default: the first server name, else localhost."""
    scheme: Literal["http", "https"] = "http"
    """X-Forwarded-Proto."""
    status: int = Field(default=200, ge=100, le=599)
    """Required status code."""
    count: int = Field(default=3, ge=1)
    """Required number of good answers in a row."""
    span_seconds: Seconds = 0.3
    """Minimum time from the first to the last of these answers."""
    deadline_seconds: Seconds = 30
    """Give up after this long."""
    timeout_seconds: Seconds = 2
    """Time limit of one answer."""
    also: tuple[UrlPath, ...] = Field(default=(), examples=[["/"]])
    """Further paths that must answer with a status below 400 before and after the switch."""


class Deploy(Model):
    """How a new release takes over."""

    keep_releases: int = Field(default=5, ge=2, le=100)
    """Number of releases to keep; older ones are removed."""
    drain_seconds: Seconds = 30
    """No request shorter than this fails because of a deploy."""
    probation_seconds: Seconds = 1
    """Watch period: how long a release is watched after a switch; in a rollback at most 0.5 s."""
    max_error_percent: float = Field(default=10, ge=0, le=100)
    """The host rolls back if the share of 5xx answers rises by more than this many percentage
    points in the watch period; 100: never. In a rollback this is only reported."""
    error_min_requests: int = Field(default=5, ge=1)
    """With fewer requests in the watch period max_error_percent is not checked; with few requests
    only clear failures count."""
    max_worker_restarts: int = Field(default=1, ge=0)
    """The host rolls back if more workers die in the watch period; not checked if
    gunicorn.max_requests replaces workers anyway."""
    confirm_seconds: Seconds = 60
    """A switch that is not confirmed within this time is rolled back."""
    lease_seconds: Seconds = 15
    """Without a sign of life from the operator for this long, the host recovers by itself."""
    migrate: str | None = Field(
        default=None, min_length=1, examples=['cd "$CARTWHEEL_CODE" && flask --app shop db upgrade']
    )
    """Migration: a command of the new release, run on one host before any host switches."""
    migrate_timeout_seconds: Seconds = 600
    """Time limit."""
    installer: Literal["pip", "uv"] = "pip"
    """Program that installs packages on the host. uv is faster; `fab setup` installs it."""
    install_timeout_seconds: Seconds = 900
    """Time limit."""


class Fleet(Model):
    """How several hosts switch together."""

    canary: HostCount = 1
    """Hosts that switch first, alone: a number or a percentage."""
    batch: HostCount = "100%"
    """Hosts that switch together after that; each batch must pass its watch period before the next
    one. Behind a balancer the default is 25%."""
    pause_seconds: Annotated[float, Field(ge=0, le=86400)] = 0
    """How long all switched hosts are watched in real traffic between two batches."""
    max_failures: int = Field(default=0, ge=0)
    """This many hosts may fail, and the others go on; with more all hosts roll back."""
    parallel: int = Field(default=64, ge=1, le=1000)
    """Number of hosts to connect to and work on at once."""
    uploads_at_once: int = Field(default=8, ge=1)
    """Number of uploads at once; the other hosts wait."""
    upload_bytes_per_second: Annotated[int, Field(ge=1)] | Size | None = Field(
        default=None, examples=["20M"]
    )
    """Limit for all uploads together: a number, or a size like 20M (powers of 1024)."""

    @property
    def upload_rate(self) -> int | None:
        """`upload_bytes_per_second` as a number."""
        given = self.upload_bytes_per_second
        if not isinstance(given, str):
            return given
        digits = given.rstrip("KMG")
        return int(digits) << 10 * " KMG".index(given[len(digits) :] or " ")


class Balancer(Model):
    """The balancer: each host is taken out of it before its switch (docs/balancers.md)."""

    kind: Literal["none", "nginx", "haproxy", "command", "http"] = "none"
    """nginx and haproxy run on the hosts with the role balancer; use a command or an HTTP call for
    any other balancer."""
    drain_seconds: Seconds = 10
    """How long to wait at most for the running requests of a host that is out."""
    timeout_seconds: Seconds = 30
    """Time limit of a command, a call, or putting a host back."""
    listen: int = Field(default=80, ge=1, le=65535)
    """Port of kind nginx."""
    haproxy_socket: AbsolutePath = "/run/haproxy/admin.sock"
    """HAProxy's stats socket, with level admin."""
    haproxy_backend: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_.:-]+$", examples=["shop"]
    )
    """HAProxy's backend that has the hosts as servers."""
    command: str | None = Field(default=None, min_length=1, examples=["bin/balancer"])
    """A shell command, run here with CARTWHEEL_ACTION (`out` or `back`), CARTWHEEL_HOST,
    CARTWHEEL_NAME, CARTWHEEL_ADDRESS and CARTWHEEL_APP."""
    url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s]+$",
        examples=["https://lb.example.org/pool/{name}/{action}"],
    )
    """URL to call; it may contain {action}, {host}, {name}, {address} and {app}."""
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    """Method of the call; 2xx means success."""
    headers: dict[str, str] | None = Field(
        default=None, examples=[{"Authorization": "Bearer {secret}"}]
    )
    """Headers of the call; they may also contain {secret}."""
    secret: Secret | None = Field(default=None, examples=[{"env": "LB_TOKEN"}])
    """Value of {secret}."""


class Ssh(Model):
    """How to connect to hosts. fab's own options and ~/.ssh/config work too."""

    user: str | None = Field(default=None, examples=["deploy"])
    """The login user."""
    port: int | None = Field(default=None, ge=1, le=65535, examples=[2222])
    """The port."""
    identity: str | None = Field(default=None, examples=["~/.ssh/id_ed25519"])
    """A private key file."""
    gateway: str | None = Field(default=None, examples=["bastion.example.org"])
    """Jump host."""
    host_keys: Literal["strict", "accept-new"] = "strict"
    """Whether unknown host keys are accepted."""
    known_hosts: str | None = Field(default=None, examples=[".cartwheel/known_hosts"])
    """File to use instead of ~/.ssh/known_hosts."""
    python: str = "python3"
    """The Python that runs Cartwheel's host side."""
    password: Secret | None = Field(default=None, examples=[{"env": "SSH_PASSWORD"}])
    """The login password."""
    sudo_password: Secret | None = Field(default=None, examples=[{"command": "pass show sudo"}])
    """The password for sudo."""
    connect_timeout_seconds: Seconds = 10
    """Time limit of connecting."""
    connect_attempts: int = Field(default=3, ge=1, le=10)
    """Number of attempts if a connection is refused, with random pauses."""


class Host(Model):
    """What `fab setup` prepares on a host, in addition to the app."""

    packages: tuple[str, ...] = Field(default=(), examples=[["libpq5"]])
    """Further system packages."""
    base: AbsolutePath = "/srv"
    """Folder of all applications on a host."""


class Hardening(Model):
    """Restrictions of the app's processes."""

    memory_deny_write_execute: bool = False
    """Forbid memory that is both writable and executable (breaks JIT and some C extensions)."""
    memory_max: str | None = Field(default=None, pattern=r"^\d+[KMGT]?$", examples=["512M"])
    """Memory limit of one instance; two instances run during a deploy."""
    read_write_paths: tuple[AbsolutePath, ...] = Field(default=(), examples=[["/var/lib/shop"]])
    """Existing folders that the app may write to, in addition to its shared folder."""
    folders: tuple[AbsolutePath, ...] = Field(default=(), examples=[["/var/lib/shop"]])
    """Further folders that the app may write to; a deploy makes those that are missing, and they
    belong to the app's user."""
    allow: tuple[Literal["nice", "affinity", "netlink", "raw-sockets"], ...] = Field(
        default=(), examples=[["netlink"]]
    )
    """What the app may do besides: change priorities (`nice`) or processors (`affinity`), list
    network interfaces (`netlink`), send and receive raw packets (`raw-sockets`)."""
    unit: tuple[UnitLine, ...] = Field(default=(), examples=[["PrivateDevices=no"]])
    """Further lines for the [Service] section of the app's unit, after Cartwheel's own
    (systemd.exec(5), systemd.resource-control(5))."""


StopSignal = Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2"]


class ProcessHardening(Model):
    """What one process may do, in addition to [hardening]."""

    read_write_paths: tuple[AbsolutePath, ...] = Field(default=(), examples=[["/var/lib/shop"]])
    """Existing folders that it may write to as well."""
    allow: tuple[Literal["nice", "affinity", "netlink", "raw-sockets"], ...] = Field(
        default=(), examples=[["nice"]]
    )
    """As hardening.allow."""
    unit: tuple[UnitLine, ...] = Field(default=(), examples=[["PrivateDevices=no"]])
    """Further lines for the [Service] section of its unit."""


class Process(Model):
    """A process of the app besides web: [processes.NAME] (docs/processes.md). [processes.web] takes
    roles, env, memory_max and hardening."""

    command: str | None = Field(
        default=None, examples=["celery -A shop worker -n worker@$CARTWHEEL_INSTANCE"]
    )
    """Its program and arguments, as words of a shell; `$NAME` is a variable of its environment. No
    shell runs it, so that the program itself gets the stop signal."""
    roles: tuple[Role, ...] = Field(default=(), examples=[["worker"]])
    """Hosts with one of these roles run it; default: app.roles."""
    count: Annotated[int, Field(ge=1, le=100)] | str = Field(default=1, examples=["cpus * 2"])
    """Number of instances on each of them, or a formula over `cpus`."""
    overlap: bool = True
    """Whether old and new instances may run at once in a deploy; false: the old one ends first."""
    exclusive: bool = False
    """Whether only one may run in the whole fleet, never two at once (Celery beat, for example)."""
    on: str | None = Field(default=None, examples=["web1.example.org"])
    """The host of an exclusive process; default: the one that has it, else the first by name."""
    stop_signal: StopSignal | None = Field(default=None, examples=["SIGINT"])
    """The signal that asks it to finish its job and end; default: SIGTERM, SIGINT for Huey."""
    stop_seconds: Seconds = 60
    """How long its last job may take after that; then it is killed."""
    ready: str | None = Field(
        default=None,
        min_length=1,
        examples=["celery -A shop inspect ping -d worker@$CARTWHEEL_INSTANCE"],
    )
    """A shell command that ends with 0 once an instance is ready; default: it stays up."""
    ready_seconds: Seconds = 3
    """How long an instance must be up before it counts as ready."""
    env: dict[str, str] = Field(default={}, examples=[{"LOG_LEVEL": "debug"}])
    """Environment variables of its own, in addition to the app's."""
    memory_max: str | None = Field(default=None, pattern=r"^\d+[KMGT]?$", examples=["512M"])
    """Memory limit of one instance; default: hardening.memory_max."""
    hardening: ProcessHardening = ProcessHardening()


class Timer(Model):
    """A job that hosts start at certain times: [timers.NAME] (docs/timers.md)."""

    command: str = Field(min_length=1, examples=["flask --app shop cleanup"])
    """Its program and arguments, as words of a shell; `$NAME` is a variable of its environment. No
    shell runs it."""
    schedule: str = Field(min_length=1, examples=["0 3 * * *"])
    """When: cron's five fields, minute, hour, day of the month, month and day of the week, or
    @hourly, @daily, @weekly, @monthly or @yearly."""
    zone: str | None = Field(default=None, min_length=1, examples=["Europe/Berlin"])
    """Time zone of the schedule; default: the host's own."""
    roles: tuple[Role, ...] = Field(default=(), examples=[["worker"]])
    """Hosts with one of these roles have it; default: app.roles."""
    hosts: Literal["one", "all"] = "one"
    """Whether one of these hosts runs it, or all of them."""
    on: str | None = Field(default=None, examples=["web1.example.org"])
    """The host of a timer that one host runs; default: the one that has it, else the first by
    name."""
    timeout_seconds: Seconds = 3600
    """A job that takes longer is asked to stop, and killed after 30 seconds more."""
    catch_up: bool = True
    """Whether a run that was missed while the host was off is made up, once."""
    env: dict[str, str] = Field(default={}, examples=[{"LOG_LEVEL": "debug"}])
    """Environment variables of its own, in addition to the app's."""
    memory_max: str | None = Field(default=None, pattern=r"^\d+[KMGT]?$", examples=["512M"])
    """Memory limit; default: hardening.memory_max."""
    hardening: ProcessHardening = ProcessHardening()


class HostVariables(Model):
    """Variables of a host, or of all hosts of a group."""

    roles: tuple[Role, ...] = Field(default=(), examples=[["web"]])
    """Roles of the host; default: `web`."""
    user: str | None = Field(default=None, examples=["deploy"])
    """The login user."""
    port: int | None = Field(default=None, ge=1, le=65535, examples=[2222])
    """Port of its sshd."""
    identity: str | None = Field(default=None, examples=["~/.ssh/id_ed25519"])
    """A private key file."""
    gateway: str | None = Field(default=None, examples=["bastion.example.org"])
    """Jump host; `none`: connect directly."""
    python: str | None = Field(default=None, examples=["/usr/bin/python3.11"])
    """The Python that runs Cartwheel's host side on this host."""
    weight: int | None = Field(default=None, ge=1, le=256, examples=[2])
    """Share of the balancer's traffic; default: 1."""
    balancer_name: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_.:-]+$", examples=["web1"]
    )
    """Name of the host in the balancer; default: its name here."""
    inner_address: str | None = Field(default=None, examples=["10.0.0.1:80"])
    """Address for the other hosts: HOST[:PORT]; default: its SSH address, and web.listen."""
    monitor_address: str | None = Field(default=None, examples=["10.0.0.1:22"])
    """Where the monitor reaches its sshd: HOST[:PORT]; default: its SSH address."""


class InventoryHost(HostVariables):
    """One host: [inventory.hosts.NAME]."""

    address: str | None = Field(default=None, examples=["deploy@192.0.2.1:22"])
    """Address: [USER@]HOST[:PORT]; default: its name."""
    groups: tuple[Label, ...] = Field(default=(), examples=[["eu"]])
    """Groups of the host."""


class InventoryGroup(HostVariables):
    """Several hosts: [inventory.groups.NAME]. A host's own variables win."""

    hosts: tuple[str, ...] = Field(default=(), examples=[["web1", "web2"]])
    """Hosts of the group."""
    children: tuple[Label, ...] = Field(default=(), examples=[["eu-west"]])
    """Groups whose hosts are also in this group."""


class Inventory(Model):
    """Hosts with roles, groups and variables, and other sources of hosts."""

    hosts: dict[str, InventoryHost] = {}
    """Hosts by name, see below."""
    groups: dict[Label, InventoryGroup] = {}
    """Groups by name, see below."""
    command: str | None = Field(default=None, min_length=1, examples=["bin/inventory"])
    """An executable that prints Ansible's inventory JSON; it runs in the project's folder."""
    ssh_config: tuple[str, ...] = Field(default=(), examples=[["shop-*"]])
    """Patterns: aliases of ~/.ssh/config that match one of them are hosts too."""


class AppFile(Model):
    """A file of configuration as a part of the release: [files.NAME] (docs/settings.md)."""

    template: str | None = Field(default=None, min_length=1, examples=["deploy/isso.cfg.j2"])
    """A Jinja2 template, relative to the project."""
    secret: Secret | None = Field(default=None, examples=[{"file": "~/.config/shop/token.json"}])
    """Or a secret, which is the whole file."""
    mode: str = Field(default="0640", pattern=r"^0?[0-7]{3}$")
    """Its permissions."""
    owner: Literal["root", "app"] = "root"
    """Its owner: root, so that the app cannot change it, or the app's user; its group is the
    app's."""
    variable: str | None = Field(default=None, examples=["ISSO_SETTINGS"])
    """An environment variable of the app that gets its path."""

    @model_validator(mode="after")
    def _one_origin(self) -> AppFile:
        if (self.template is None) == (self.secret is None):
            raise ValueError("a file needs exactly one of template and secret")
        return self


class Hook(Model):
    """Your own command before or after a phase: [hooks.NAME] (docs/hooks.md)."""

    before: Phase | None = Field(default=None, examples=["migrate"])
    """Run before this phase."""
    after: Phase | None = Field(default=None, examples=["run"])
    """Or run after this phase."""
    where: Literal["here", "one-host", "hosts"] = "here"
    """On this machine, in the project's folder; or as the app's user on the first or every host."""
    command: str = Field(min_length=1, examples=["bin/tell-the-team"])
    """Command for `sh -c`."""
    timeout_seconds: Seconds = 60
    """Time limit."""
    on_failure: Literal["stop", "note"] = "stop"
    """stop: as if the phase had failed; note: the failure is only reported. In a rollback, and
    after the run, it is always only reported."""
    kinds: tuple[Literal["deploy", "rollback", "restart"], ...] = Field(
        default=("deploy",), min_length=1
    )
    """Tasks that run the hook."""

    @model_validator(mode="after")
    def _one_moment(self) -> Hook:
        if (self.before is None) == (self.after is None):
            raise ValueError("a hook needs exactly one of before and after")
        return self

    @property
    def moment(self) -> tuple[Literal["before", "after"], Phase]:
        """When it runs."""
        if self.before is not None:
            return "before", self.before
        assert self.after is not None  # noqa: S101 - see _one_moment
        return "after", self.after


class Notify(Model):
    """Messages to people about runs (docs/notify.md)."""

    to: dict[Name, Secret] = Field(default={}, examples=[{"ops": {"env": "OPS_CHAT"}}])
    """Messengers by a name of yours; each secret is an address that Apprise knows."""
    on: tuple[Literal["begun", "done", "failed"], ...] = ("done", "failed")
    """What is told; failed: also a run that went back. A run that changed nothing tells no end."""
    kinds: tuple[Literal["deploy", "rollback", "restart"], ...] = ("deploy", "rollback")
    """The tasks that tell."""


class Monitor(Model):
    """What a monitor watches, and when it tells the messengers of [notify] (docs/monitor.md)."""

    every_seconds: float = Field(default=20, ge=5, le=120)
    """How often each site and each host is looked at; rules count what happens in three minutes."""
    timeout_seconds: float = Field(default=5, ge=0.5, le=60)
    """A site or host that has not answered by then does not answer."""
    urls: tuple[Annotated[str, Field(pattern=r"^https?://[^\s/]+(/\S*)?$")], ...] = Field(
        default=(), examples=[["https://shop.example.org/healthz"]]
    )
    """What is asked from outside; default: health.path on the site's first name, or without a name
    on each host."""
    language: Literal["en", "zh"] = "en"
    """In which language the monitor tells people: English or Chinese. Its page has both."""
    heartbeat: Secret | None = Field(default=None, examples=[{"env": "HEARTBEAT_URL"}])
    """An address that the monitor gets each minute, so that somebody notices if it dies."""
    page: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", examples=["monitor.example.org"]
    )
    """The name of its page, which has HTTPS by one of the next settings; default: no page."""
    page_certificate: str | None = Field(default=None, min_length=1, examples=["tls/monitor.pem"])
    """The certificate of the page, as tls.certificate for the site."""
    page_key: Secret | None = Field(default=None, examples=[{"file": "~/keys/monitor.key"}])
    """Its private key, as tls.key."""
    page_host_certificate: AbsolutePath | None = Field(
        default=None, examples=["/etc/ssl/monitor.pem"]
    )
    """Or a certificate that something else puts on the monitor's host."""
    page_host_key: AbsolutePath | None = Field(
        default=None, examples=["/etc/ssl/private/monitor.key"]
    )
    """Its private key there."""
    page_acme: bool = False
    """Or one of a certificate authority, with tls.directory and tls.mail of the site."""
    page_ca: str | None = Field(default=None, min_length=1, examples=["tls/root.pem"])
    """The roots of a private CA for the page; default: tls.ca."""
    metrics: Secret | None = Field(default=None, examples=[{"env": "METRICS_TOKEN"}])
    """The bearer token with which a Prometheus reads /metrics of the monitor's page
    (docs/metrics.md); without it, that is closed."""
    errors_percent: float = Field(default=5, gt=0, le=100)
    """Share of 5xx answers, of at least 50 in three minutes."""
    slow_seconds: float = Field(default=1, gt=0, le=600)
    """Slow: 5 of 100 answers take longer than this, and three times as long as usual."""
    memory_percent: float = Field(default=5, ge=0, le=50)
    """Memory that is available at least."""
    disk_percent: float = Field(default=5, ge=0, le=50)
    """Room and inodes that are free at least; 20 GB are always room enough."""
    disk_hours: float = Field(default=24, ge=0, le=720)
    """A disk that will be full sooner is told."""
    certificate_days: float = Field(default=14, ge=0, le=90)
    """A certificate that ends sooner is told."""
    clock_seconds: float = Field(default=60, gt=0, le=3600)
    """How far a host's clock may be off."""
    history_days: float = Field(default=730, ge=0, le=3650)
    """How long hours are kept; minutes are kept for two months at most, single looks for two days.
    0: everything for two hours."""
    history_mb: int = Field(default=1024, ge=16, le=1 << 20)
    """How large the monitor's file for this project may get; the oldest looks go first."""

    @field_validator("page_key", mode="before", json_schema_input_type=Secret | str | None)
    @classmethod
    def _path_of_key(cls, given: object) -> object:
        return {"file": given} if isinstance(given, str) else given


class Settings(Model):
    """All settings of one application in one environment."""

    app: App
    environment: Name | None = None
    """Name of the environment: chosen with --env, not in a file."""
    hosts: tuple[str, ...] = Field(
        default=(), examples=[["web1.example.org", "deploy@192.0.2.1:2222"]]
    )
    """Hosts, if -H names none."""
    inventory: Inventory = Inventory()
    tests: Tests = Tests()
    index: Index = Index()
    artifacts: Artifacts = Artifacts()
    gunicorn: Gunicorn = Gunicorn()
    web: Web = Web()
    tls: Tls = Tls()
    health: Health = Health()
    deploy: Deploy = Deploy()
    fleet: Fleet = Fleet()
    balancer: Balancer = Balancer()
    ssh: Ssh = Ssh()
    host: Host = Host()
    hardening: Hardening = Hardening()
    files: dict[FileName, AppFile] = {}
    """Files of configuration by name, see below."""
    processes: dict[Name, Process] = {}
    """Processes besides web by name, see below."""
    timers: dict[Name, Timer] = {}
    """Timers by name, see below."""
    hooks: dict[Name, Hook] = {}
    """Commands before and after phases by name, see below."""
    notify: Notify = Notify()
    monitor: Monitor = Monitor()
    env: dict[str, str] = Field(default={}, examples=[{"LOG_FORMAT": "json"}])
    """Environment variables of the app."""
    env_file: str | None = Field(default=None, examples=[".env"])
    """A dotenv file with more variables, relative to the project."""
    secrets: dict[str, Secret] = Field(
        default={}, examples=[{"SECRET_KEY": {"file": "~/.config/shop/secret-key"}}]
    )
    """Environment variables of the app with secret values."""

    def roles_of(self, process: str) -> tuple[Role, ...]:
        """The roles of the hosts that run a process; web is one too."""
        known = self.processes.get(process)
        return (known.roles if known else ()) or self.app.roles

    @property
    def host_roles(self) -> tuple[Role, ...]:
        """The roles of all hosts that a deploy is about."""
        of_each = [self.roles_of(name) for name in ("web", *self.processes)]
        of_each += [self.roles_of_timer(name) for name in self.timers]
        return tuple(dict.fromkeys((*self.app.roles, *(role for one in of_each for role in one))))

    def roles_of_timer(self, timer: str) -> tuple[Role, ...]:
        """The roles of the hosts that a timer may be on."""
        return self.timers[timer].roles or self.app.roles

    @property
    def tls_end(self) -> Literal["app", "balancer"]:
        """The site in which TLS ends, where there is any: the application's, or the balancer's."""
        return "balancer" if self.balancer.kind == "nginx" else "app"

    @property
    def slug(self) -> str:
        """Application and environment together: APP in every path and unit name."""
        return f"{self.app.name}.{self.environment}" if self.environment else self.app.name

    @property
    def root(self) -> str:
        """The application's folder on a host, e.g. `/srv/shop.staging`."""
        return f"{self.host.base.rstrip('/')}/{self.slug}"
