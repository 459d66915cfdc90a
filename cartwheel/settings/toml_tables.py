"""The settings: one pydantic model is the validator and the reference (docs/settings.md).

The name of every duration has its unit. Unknown keys are refused.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

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

    file: str | None = Field(
        default=None, description="A file, relative to the project; `~` is the home folder."
    )
    command: str | None = Field(
        default=None, description="A shell command that prints it, e.g. `op read op://vault/item`."
    )
    env: str | None = Field(
        default=None, description="A variable of the environment that `fab` runs in."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Secret:
        given = [key for key in ("file", "command", "env") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError("a secret needs exactly one of file, command or env")
        return self


class App(Model):
    """The application."""

    name: Name = Field(
        description="Name on the host: in paths, units and the user's name.", examples=["shop"]
    )
    source: str = Field(
        min_length=1,
        description=(
            "A project folder, a folder with app.py and requirements.txt, a wheel, or"
            " NAME==VERSION."
        ),
        examples=["."],
    )
    entry: str = Field(
        default="app:app",
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.()]*$",
        description="WSGI or ASGI application for gunicorn: module:attribute.",
    )
    python: str = Field(
        default="3",
        pattern=r"^(3(\.\d+){0,2}|/[^\x00\s]+)$",
        description="Python on the host: a version (3, 3.11) or an absolute path.",
    )
    extras: tuple[str, ...] = Field(
        default=(), description="Extras of the app's package to install.", examples=[["postgres"]]
    )
    requirements: tuple[str, ...] = Field(
        default=(),
        description="Further requirements to lock and install, in addition to the app's own.",
        examples=[["gunicorn==23.0.0"]],
    )
    include: tuple[str, ...] = Field(
        default=(),
        description=(
            "Files and folders to include in the wheel although they look private or like data"
            " (docs/build.md): paths relative to app.source, for a built package relative to its"
            " root; `*` and `**` as in a shell."
        ),
        examples=[["data/words.db", "tests/keys/"]],
    )
    exclude: tuple[str, ...] = Field(
        default=(),
        description=(
            "Further files and folders to leave out of the wheel, in the same form; wins over"
            " app.include."
        ),
        examples=[["notes/", "**/*.psd"]],
    )
    roles: tuple[Role, ...] = Field(
        default=("web",),
        min_length=1,
        description=(
            "Hosts with one of these roles run the app, unless -H or --role says otherwise."
        ),
    )
    user: str | None = Field(
        default=None,
        pattern=r"^[a-z_][a-z0-9_-]{0,30}$",
        description=(
            "The app's user on the host; default: the app's name, followed by `-ENVIRONMENT` if"
            " there is one."
        ),
        examples=["shop"],
    )


class Tests(Model):
    """The app's own unit tests, run before anything is built."""

    command: str = Field(
        default="",
        description=(
            "Command for the app's own tests; empty: `python -m pytest -q` if there is a tests"
            " folder."
        ),
        examples=["python -m pytest -q tests/unit"],
    )
    requirements: tuple[str, ...] = Field(
        default=("pytest",), description="Requirements of the tests, in addition to the app's own."
    )
    skip: bool = Field(default=False, description="Deploy without running the tests.")
    timeout_seconds: Seconds = Field(default=600, description="Time limit.")


class Index(Model):
    """The package index. Without any of these settings pip's own configuration decides."""

    preset: str | None = Field(
        default=None,
        description="A well-known mirror by name, see docs/settings.md.",
        examples=["tuna"],
    )
    url: str | None = Field(
        default=None,
        description="Package index, instead of pip's default one.",
        examples=["https://pypi.example.org/simple"],
    )
    extra_urls: tuple[str, ...] = Field(
        default=(),
        description="Further package indexes.",
        examples=[["https://wheels.example.org/simple"]],
    )
    trusted_hosts: tuple[str, ...] = Field(
        default=(),
        description="Hosts that are used even without valid TLS.",
        examples=[["pypi.example.org"]],
    )
    username: str | None = Field(
        default=None, description="User name for the index.", examples=["deploy"]
    )
    password: Secret | None = Field(
        default=None,
        description="Password for the index.",
        examples=[{"file": "~/.config/index-password"}],
    )
    timeout_seconds: Seconds = Field(
        default=15, description="Time limit of one request to the index."
    )


class Artifacts(Model):
    """An artifact store for the fleet: wheels are published there once, and hosts fetch them."""

    kind: Literal["folder", "index"] = Field(
        default="folder",
        description=(
            "An HTTP folder that accepts PUT (files at URL/SHA256/NAME), or a package index that"
            " accepts uploads like those of twine."
        ),
    )
    url: str | None = Field(
        default=None,
        description=(
            "URL that hosts fetch from: the folder, or the simple index (https://HOST/simple)."
            " Without it wheels are uploaded to each host over SSH."
        ),
        examples=["https://files.example.org/wheels"],
    )
    upload_url: str | None = Field(
        default=None,
        description=(
            "URL that this machine publishes to; required for an index, default for a folder: url."
        ),
        examples=["https://upload.example.org/wheels"],
    )
    username: str | None = Field(
        default=None, description="User name for publishing.", examples=["deploy"]
    )
    password: Secret | None = Field(
        default=None, description="Password for publishing.", examples=[{"env": "STORE_PASSWORD"}]
    )
    read_username: str | None = Field(
        default=None,
        description="User name of the hosts; default: username.",
        examples=["reader"],
    )
    read_password: Secret | None = Field(
        default=None,
        description="Password of read_username.",
        examples=[{"env": "STORE_READ_PASSWORD"}],
    )
    timeout_seconds: Seconds = Field(
        default=15, description="Give up if the store is silent for this long, here or on a host."
    )


class Gunicorn(Model):
    """The application server."""

    workers: Annotated[int, Field(ge=1)] | str = Field(
        default="cpus * 2 + 1", description="Number of workers, or a formula over `cpus`."
    )
    max_workers: int = Field(default=8, ge=1, description="Upper limit for a formula.")
    threads: int = Field(default=1, ge=1, description="Threads per worker.")
    worker_class: str = Field(
        default="gthread",
        pattern=r"^[A-Za-z_][\w.:#-]*$",
        description="gunicorn's worker class, by name or module path.",
    )
    timeout_seconds: int = Field(
        default=30, ge=1, description="A worker that is silent for this long is replaced."
    )
    keepalive_seconds: int = Field(
        default=2, ge=0, description="How long a worker keeps an idle connection open."
    )
    max_requests: int = Field(
        default=0, ge=0, description="A worker is replaced after this many requests; 0: never."
    )
    max_requests_jitter: int = Field(
        default=0,
        ge=0,
        description="Random extra requests per worker, so that they do not all restart together.",
    )
    access_log: bool = Field(
        default=False, description="Log each request to the journal, in addition to nginx's log."
    )
    log_level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        default="info", description="Log level of gunicorn's own messages."
    )
    preload: bool = Field(
        default=False, description="Import the app once, before gunicorn forks its workers."
    )
    config_file: str | None = Field(
        default=None,
        description=(
            "The app's own gunicorn configuration, relative to the project, applied last;"
            " default: gunicorn_conf.py in app.source."
        ),
        examples=["deploy/gunicorn_conf.py"],
    )


class Web(Model):
    """The web server in front."""

    server_names: tuple[str, ...] = Field(
        default=(),
        description="Server names of the site; none: the host's default site.",
        examples=[["shop.example.org"]],
    )
    listen: int = Field(default=80, ge=1, le=65535, description="Port of the site.")
    client_max_body_size: str = Field(
        default="10m", pattern=r"^\d+[kmg]?$", description="Size limit of a request; 0: no limit."
    )
    static_url: UrlPath | None = Field(
        default=None,
        description="URL path that nginx serves from static_dir.",
        examples=["/static/"],
    )
    static_dir: str | None = Field(
        default=None,
        description="Folder relative to the installed packages, e.g. hello/static.",
        examples=["hello/static"],
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        description=(
            "Addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are trusted; hosts"
            " with the role balancer always are."
        ),
        examples=[["192.0.2.0/24"]],
    )


class Health(Model):
    """The health check of a release."""

    path: UrlPath = Field(
        default="/healthz",
        description="Path of the health check; must answer without login or redirect.",
    )
    host: str | None = Field(
        default=None,
        description="Host header; default: the first server name, else localhost.",
        examples=["shop.example.org"],
    )
    scheme: Literal["http", "https"] = Field(default="http", description="X-Forwarded-Proto.")
    status: int = Field(default=200, ge=100, le=599, description="Required status code.")
    count: int = Field(default=3, ge=1, description="Required number of good answers in a row.")
    span_seconds: Seconds = Field(
        default=0.3, description="Minimum time from the first to the last of these answers."
    )
    deadline_seconds: Seconds = Field(default=30, description="Give up after this long.")
    timeout_seconds: Seconds = Field(default=2, description="Time limit of one answer.")
    also: tuple[UrlPath, ...] = Field(
        default=(),
        description=(
            "Further paths that must answer with a status below 400 before and after the switch."
        ),
        examples=[["/"]],
    )


class Deploy(Model):
    """How a new release takes over."""

    keep_releases: int = Field(
        default=5, ge=2, le=100, description="Number of releases to keep; older ones are removed."
    )
    drain_seconds: Seconds = Field(
        default=30, description="No request shorter than this fails because of a deploy."
    )
    probation_seconds: Seconds = Field(
        default=1,
        description=(
            "Watch period: how long a release is watched after the switch; in a rollback at most"
            " half a second."
        ),
    )
    max_error_percent: float = Field(
        default=10,
        ge=0,
        le=100,
        description=(
            "The host rolls back if the share of 5xx answers rises by more than this many"
            " percentage points in the watch period; 100: never. In a rollback this is only"
            " reported."
        ),
    )
    error_min_requests: int = Field(
        default=5,
        ge=1,
        description=(
            "With fewer requests in the watch period max_error_percent is not checked; with few"
            " requests only clear failures count."
        ),
    )
    max_worker_restarts: int = Field(
        default=1,
        ge=0,
        description=(
            "The host rolls back if more workers die in the watch period; not checked if"
            " gunicorn.max_requests replaces workers anyway."
        ),
    )
    confirm_seconds: Seconds = Field(
        default=60, description="A switch that is not confirmed within this time is rolled back."
    )
    lease_seconds: Seconds = Field(
        default=15,
        description=(
            "After this long without a sign of life from the operator the connection is lost, and"
            " the host recovers."
        ),
    )
    migrate: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "Migration: a command of the new release, run on one host before any host switches."
        ),
        examples=["flask db upgrade"],
    )
    migrate_timeout_seconds: Seconds = Field(default=600, description="Time limit.")
    installer: Literal["pip", "uv"] = Field(
        default="pip",
        description=(
            "Program that installs packages on the host. uv is faster; `fab setup` installs it."
        ),
    )
    install_timeout_seconds: Seconds = Field(default=900, description="Time limit.")


class Fleet(Model):
    """How several hosts switch together."""

    canary: HostCount = Field(
        default=1, description="Hosts that switch first, alone: a number or a percentage."
    )
    batch: HostCount = Field(
        default="100%",
        description=(
            "Hosts that switch together after that; each batch must pass its watch period before"
            " the next one. Behind a balancer the default is 25%."
        ),
    )
    pause_seconds: Annotated[float, Field(ge=0, le=86400)] = Field(
        default=0,
        description="How long all switched hosts are watched in real traffic between two batches.",
    )
    max_failures: int = Field(
        default=0,
        ge=0,
        description=(
            "This many hosts may fail, and the others go on; with more all hosts roll back."
        ),
    )
    parallel: int = Field(
        default=64,
        ge=1,
        le=1000,
        description="Number of hosts to connect to and work on at once.",
    )
    uploads_at_once: int = Field(
        default=8, ge=1, description="Number of uploads at once; the other hosts wait."
    )
    upload_bytes_per_second: Annotated[int, Field(ge=1)] | Size | None = Field(
        default=None,
        description=(
            "Limit for all uploads together: a number, or a size like 20M (powers of 1024)."
        ),
        examples=["20M"],
    )

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

    kind: Literal["none", "nginx", "haproxy", "command", "http"] = Field(
        default="none",
        description=(
            "nginx and haproxy run on the hosts with the role balancer; use a command or an HTTP"
            " call for any other balancer."
        ),
    )
    drain_seconds: Seconds = Field(
        default=10,
        description="How long to wait at most for the running requests of a host that is out.",
    )
    timeout_seconds: Seconds = Field(
        default=30, description="Time limit of a command, a call, or putting a host back."
    )
    listen: int = Field(default=80, ge=1, le=65535, description="Port of kind nginx.")
    haproxy_socket: AbsolutePath = Field(
        default="/run/haproxy/admin.sock",
        description="HAProxy's stats socket, with level admin.",
    )
    haproxy_backend: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.:-]+$",
        description="HAProxy's backend that has the hosts as servers.",
        examples=["shop"],
    )
    command: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "A shell command, run here with CARTWHEEL_ACTION (`out` or `back`), CARTWHEEL_HOST,"
            " CARTWHEEL_NAME, CARTWHEEL_ADDRESS and CARTWHEEL_APP."
        ),
        examples=["bin/balancer"],
    )
    url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s]+$",
        description="URL to call; it may contain {action}, {host}, {name}, {address} and {app}.",
        examples=["https://lb.example.org/pool/{name}/{action}"],
    )
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(
        default="POST", description="Method of the call; 2xx means success."
    )
    headers: dict[str, str] | None = Field(
        default=None,
        description="Headers of the call; they may also contain {secret}.",
        examples=[{"Authorization": "Bearer {secret}"}],
    )
    secret: Secret | None = Field(
        default=None, description="Value of {secret}.", examples=[{"env": "LB_TOKEN"}]
    )


class Ssh(Model):
    """How to connect to hosts. fab's own options and ~/.ssh/config work too."""

    user: str | None = Field(default=None, description="The login user.", examples=["deploy"])
    port: int | None = Field(default=None, ge=1, le=65535, description="The port.", examples=[2222])
    identity: str | None = Field(
        default=None, description="A private key file.", examples=["~/.ssh/id_ed25519"]
    )
    gateway: str | None = Field(
        default=None, description="Jump host.", examples=["bastion.example.org"]
    )
    host_keys: Literal["strict", "accept-new"] = Field(
        default="strict", description="Whether unknown host keys are accepted."
    )
    known_hosts: str | None = Field(
        default=None,
        description="File to use instead of ~/.ssh/known_hosts.",
        examples=["config/known_hosts"],
    )
    python: str = Field(
        default="python3", description="The Python that runs Cartwheel's host side."
    )
    password: Secret | None = Field(
        default=None, description="The login password.", examples=[{"env": "SSH_PASSWORD"}]
    )
    sudo_password: Secret | None = Field(
        default=None, description="The password for sudo.", examples=[{"command": "pass show sudo"}]
    )
    connect_timeout_seconds: Seconds = Field(default=10, description="Time limit of connecting.")
    connect_attempts: int = Field(
        default=3,
        ge=1,
        le=10,
        description="Number of attempts if a connection is refused, with random pauses.",
    )


class Host(Model):
    """What `fab setup` prepares on a host, in addition to the app."""

    packages: tuple[str, ...] = Field(
        default=(), description="Further system packages.", examples=[["libpq5"]]
    )
    base: AbsolutePath = Field(default="/srv", description="Folder of all applications on a host.")


class Hardening(Model):
    """Restrictions of the app's processes."""

    memory_deny_write_execute: bool = Field(
        default=False,
        description=(
            "Forbid memory that is both writable and executable (breaks JIT and some C extensions)."
        ),
    )
    memory_max: str | None = Field(
        default=None,
        pattern=r"^\d+[KMGT]?$",
        description="Memory limit of one instance; two instances run during a deploy.",
        examples=["512M"],
    )
    read_write_paths: tuple[AbsolutePath, ...] = Field(
        default=(),
        description="Folders that the app may write to, in addition to its shared folder.",
        examples=[["/var/lib/shop"]],
    )


class HostVariables(Model):
    """Variables of a host, or of all hosts of a group."""

    roles: tuple[Role, ...] = Field(
        default=(),
        description="Roles of the host; default: `web`.",
        examples=[["web"]],
    )
    user: str | None = Field(default=None, description="The login user.", examples=["deploy"])
    port: int | None = Field(
        default=None, ge=1, le=65535, description="Port of its sshd.", examples=[2222]
    )
    identity: str | None = Field(
        default=None, description="A private key file.", examples=["~/.ssh/id_ed25519"]
    )
    gateway: str | None = Field(
        default=None,
        description="Jump host; `none`: connect directly.",
        examples=["bastion.example.org"],
    )
    python: str | None = Field(
        default=None,
        description="The Python that runs Cartwheel's host side on this host.",
        examples=["/usr/bin/python3.11"],
    )
    weight: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="Share of the balancer's traffic; default: 1.",
        examples=[2],
    )
    balancer_name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.:-]+$",
        description="Name of the host in the balancer; default: its name here.",
        examples=["web1"],
    )
    inner_address: str | None = Field(
        default=None,
        description=(
            "Address for the other hosts: HOST[:PORT]; default: its SSH address, and web.listen."
        ),
        examples=["10.0.0.1:80"],
    )


class InventoryHost(HostVariables):
    """One host: [inventory.hosts.NAME]."""

    address: str | None = Field(
        default=None,
        description="Address: [USER@]HOST[:PORT]; default: its name.",
        examples=["deploy@192.0.2.1:22"],
    )
    groups: tuple[Label, ...] = Field(
        default=(), description="Groups of the host.", examples=[["eu"]]
    )


class InventoryGroup(HostVariables):
    """Several hosts: [inventory.groups.NAME]. A host's own variables win."""

    hosts: tuple[str, ...] = Field(
        default=(), description="Hosts of the group.", examples=[["web1", "web2"]]
    )
    children: tuple[Label, ...] = Field(
        default=(), description="Groups whose hosts are also in this group.", examples=[["eu-west"]]
    )


class Inventory(Model):
    """Hosts with roles, groups and variables, and other sources of hosts."""

    hosts: dict[str, InventoryHost] = Field(
        default_factory=dict, description="Hosts by name, see below."
    )
    groups: dict[Label, InventoryGroup] = Field(
        default_factory=dict, description="Groups by name, see below."
    )
    command: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "An executable that prints Ansible's inventory JSON; it runs in the project's folder."
        ),
        examples=["bin/inventory"],
    )
    ssh_config: tuple[str, ...] = Field(
        default=(),
        description="Patterns: aliases of ~/.ssh/config that match one of them are hosts too.",
        examples=[["shop-*"]],
    )


class Hook(Model):
    """Your own command before or after a phase: [hooks.NAME] (docs/hooks.md)."""

    before: Phase | None = Field(
        default=None, description="Run before this phase.", examples=["migrate"]
    )
    after: Phase | None = Field(
        default=None, description="Or run after this phase.", examples=["run"]
    )
    where: Literal["here", "one-host", "hosts"] = Field(
        default="here",
        description=(
            "On this machine, in the project's folder; on the first host; or on every host, as"
            " the app's user."
        ),
    )
    command: str = Field(
        min_length=1, description="Command for `sh -c`.", examples=["bin/tell-the-team"]
    )
    timeout_seconds: Seconds = Field(default=60, description="Time limit.")
    on_failure: Literal["stop", "note"] = Field(
        default="stop",
        description=(
            "stop: as if the phase had failed; note: the failure is only reported. In a rollback,"
            " and after the run, it is always only reported."
        ),
    )
    kinds: tuple[Literal["deploy", "rollback", "restart"], ...] = Field(
        default=("deploy",), min_length=1, description="Tasks that run the hook."
    )

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


class Settings(Model):
    """All settings of one application in one environment."""

    app: App
    environment: Name | None = Field(
        default=None, description="Name of the environment: chosen with --env, not in a file."
    )
    hosts: tuple[str, ...] = Field(
        default=(),
        description="Hosts, if -H names none.",
        examples=[["web1.example.org", "deploy@192.0.2.1:2222"]],
    )
    inventory: Inventory = Inventory()
    tests: Tests = Tests()
    index: Index = Index()
    artifacts: Artifacts = Artifacts()
    gunicorn: Gunicorn = Gunicorn()
    web: Web = Web()
    health: Health = Health()
    deploy: Deploy = Deploy()
    fleet: Fleet = Fleet()
    balancer: Balancer = Balancer()
    ssh: Ssh = Ssh()
    host: Host = Host()
    hardening: Hardening = Hardening()
    hooks: dict[Name, Hook] = Field(
        default_factory=dict, description="Commands before and after phases by name, see below."
    )
    env: dict[str, str] = Field(
        default_factory=dict,
        description="Environment variables of the app.",
        examples=[{"LOG_FORMAT": "json"}],
    )
    env_file: str | None = Field(
        default=None,
        description="A dotenv file with more variables, relative to the project.",
        examples=[".env"],
    )
    secrets: dict[str, Secret] = Field(
        default_factory=dict,
        description="Environment variables of the app with secret values.",
        examples=[{"SECRET_KEY": {"file": "~/.config/shop/secret-key"}}],
    )

    @property
    def slug(self) -> str:
        """Application and environment together: APP in every path and unit name."""
        return f"{self.app.name}.{self.environment}" if self.environment else self.app.name

    @property
    def root(self) -> str:
        """The application's folder on a host, e.g. `/srv/shop.staging`."""
        return f"{self.host.base.rstrip('/')}/{self.slug}"
