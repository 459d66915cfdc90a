"""The settings: one pydantic model is the validator and the reference (docs/settings.md).

Every duration says its unit in its name. Unknown keys are refused.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# systemd escapes or refuses other characters in unit names; nginx, users and paths
# accept these (design: names in `[a-z0-9._]`). Names end up in socket paths of at
# most 107 bytes (unix(7)), hence the limits on length.
# A dot stands between application and environment, so neither holds one.
NAME_CHARACTERS = 24
NAME = re.compile(r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")
Name = Annotated[str, Field(pattern=NAME.pattern, max_length=NAME_CHARACTERS)]
# Of a role or a group: Ansible's groups may hold `_` and capitals too.
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
    """Where a secret comes from: exactly one of these. Its value is never in the settings."""

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
        description="Its name on the host: in paths, units and the user's name.", examples=["shop"]
    )
    source: str = Field(
        min_length=1,
        description="A project folder, a folder with app.py and requirements.txt, a wheel, or NAME==VERSION.",
        examples=["."],
    )
    entry: str = Field(
        default="app:app",
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.()]*$",
        description="What gunicorn serves: module:attribute.",
    )
    python: str = Field(
        default="3",
        pattern=r"^(3(\.\d+){0,2}|/[^\x00\s]+)$",
        description="The interpreter on the host: a version (3, 3.11) or an absolute path.",
    )
    extras: tuple[str, ...] = Field(
        default=(), description="Extras of the app's package to install.", examples=[["postgres"]]
    )
    requirements: tuple[str, ...] = Field(
        default=(),
        description="Further requirements to lock and install beside the app's own.",
        examples=[["gunicorn==23.0.0"]],
    )
    include: tuple[str, ...] = Field(
        default=(),
        description="Files and folders of a plain folder that its wheel carries although they look private or like data, and files that a built package may carry although they look private (docs/build.md): paths relative to app.source, in a package to its root; `*` and `**` as in a shell.",
        examples=[["data/words.db", "tests/keys/"]],
    )
    exclude: tuple[str, ...] = Field(
        default=(),
        description="Files and folders that stay out of the wheel besides, in the same form; it wins over app.include.",
        examples=[["notes/", "**/*.psd"]],
    )
    roles: tuple[Role, ...] = Field(
        default=("web",),
        min_length=1,
        description="Hosts with one of these roles run the app, where neither -H nor --role chooses.",
    )
    user: str | None = Field(
        default=None,
        pattern=r"^[a-z_][a-z0-9_-]{0,30}$",
        description="The app's user on the host; default: the app's name, with `-ENVIRONMENT` after it where there is one.",
        examples=["shop"],
    )


class Tests(Model):
    """The app's own unit tests, run before anything is built."""

    command: str = Field(
        default="",
        description="The app's own unit tests; empty: `python -m pytest -q` if it has a tests folder.",
        examples=["python -m pytest -q tests/unit"],
    )
    requirements: tuple[str, ...] = Field(
        default=("pytest",), description="What the tests need beside the app's own requirements."
    )
    skip: bool = Field(default=False, description="Deploy without running them.")
    timeout_seconds: Seconds = Field(default=600, description="Longer counts as failed.")


class Index(Model):
    """Where packages come from. Without any setting pip's own configuration decides."""

    preset: str | None = Field(
        default=None,
        description="A well-known mirror by name, see docs/settings.md.",
        examples=["tuna"],
    )
    url: str | None = Field(
        default=None,
        description="The index that pip asks instead of its default one.",
        examples=["https://pypi.example.org/simple"],
    )
    extra_urls: tuple[str, ...] = Field(
        default=(),
        description="Further indexes to look in.",
        examples=[["https://wheels.example.org/simple"]],
    )
    trusted_hosts: tuple[str, ...] = Field(
        default=(),
        description="Hosts that may be used without valid TLS.",
        examples=[["pypi.example.org"]],
    )
    username: str | None = Field(
        default=None, description="The user at the index.", examples=["deploy"]
    )
    password: Secret | None = Field(
        default=None, description="Its password.", examples=[{"file": "~/.config/index-password"}]
    )
    timeout_seconds: Seconds = Field(
        default=15, description="How long one request to the index may take."
    )


class Artifacts(Model):
    """A store that the fleet shares: wheels are published there once, and each host fetches them by hash. Without `url` they are uploaded to each host over SSH."""

    kind: Literal["folder", "index"] = Field(
        default="folder",
        description="An HTTP folder that takes PUT (files at URL/SHA256/NAME), or a package index that takes uploads as twine makes them.",
    )
    url: str | None = Field(
        default=None,
        description="Where hosts fetch: the folder, or the simple index (https://HOST/simple).",
        examples=["https://files.example.org/wheels"],
    )
    upload_url: str | None = Field(
        default=None,
        description="Where this machine publishes; default for a folder: url. An index needs it.",
        examples=["https://upload.example.org/wheels"],
    )
    username: str | None = Field(default=None, description="Who publishes.", examples=["deploy"])
    password: Secret | None = Field(
        default=None, description="Their password.", examples=[{"env": "STORE_PASSWORD"}]
    )
    read_username: str | None = Field(
        default=None,
        description="Who the hosts are at the store; default: who publishes.",
        examples=["reader"],
    )
    read_password: Secret | None = Field(
        default=None, description="Their password.", examples=[{"env": "STORE_READ_PASSWORD"}]
    )
    timeout_seconds: Seconds = Field(
        default=15, description="How long the store may be silent, here and on a host."
    )


class Gunicorn(Model):
    """The application server."""

    workers: Annotated[int, Field(ge=1)] | str = Field(
        default="cpus * 2 + 1", description="A number, or a formula over `cpus`."
    )
    max_workers: int = Field(default=8, ge=1, description="A formula never gives more than this.")
    threads: int = Field(default=1, ge=1, description="Threads of each worker.")
    worker_class: str = Field(
        default="gthread",
        pattern=r"^[A-Za-z_][\w.:#-]*$",
        description="gunicorn's kind of worker, by name or module path.",
    )
    timeout_seconds: int = Field(
        default=30, ge=1, description="A worker silent for this long is replaced."
    )
    keepalive_seconds: int = Field(
        default=2, ge=0, description="How long a worker keeps an idle connection."
    )
    max_requests: int = Field(
        default=0, ge=0, description="A worker is replaced after so many requests; 0: never."
    )
    max_requests_jitter: int = Field(
        default=0, ge=0, description="At most so many more, by chance, for each worker."
    )
    access_log: bool = Field(
        default=False, description="Log each request to the journal too, beside nginx's log."
    )
    log_level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        default="info", description="What gunicorn says of itself."
    )
    preload: bool = Field(
        default=False, description="Import the app once, before the workers are forked."
    )
    config_file: str | None = Field(
        default=None,
        description="The app's own gunicorn configuration, relative to the project, honoured last; default: gunicorn_conf.py in app.source.",
        examples=["deploy/gunicorn_conf.py"],
    )


class Web(Model):
    """The web server in front."""

    server_names: tuple[str, ...] = Field(
        default=(),
        description="The names the site answers to; none: the host's default site.",
        examples=[["shop.example.org"]],
    )
    listen: int = Field(default=80, ge=1, le=65535, description="The port.")
    client_max_body_size: str = Field(
        default="10m", pattern=r"^\d+[kmg]?$", description="The largest upload; 0: no limit."
    )
    static_url: UrlPath | None = Field(
        default=None,
        description="nginx serves what is below this path from static_dir.",
        examples=["/static/"],
    )
    static_dir: str | None = Field(
        default=None,
        description="Relative to the app's installed package, e.g. hello/static.",
        examples=["hello/static"],
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        description="Addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed; hosts with the role balancer are by themselves.",
        examples=[["192.0.2.0/24"]],
    )


class Health(Model):
    """How a release proves that it is well."""

    path: UrlPath = Field(default="/healthz", description="What is asked for.")
    host: str | None = Field(
        default=None,
        description="Host header; default: the first server name, else localhost.",
        examples=["shop.example.org"],
    )
    scheme: Literal["http", "https"] = Field(default="http", description="X-Forwarded-Proto.")
    status: int = Field(default=200, ge=100, le=599, description="The only good status.")
    count: int = Field(default=3, ge=1, description="So many good answers in a row are needed.")
    span_seconds: Seconds = Field(
        default=0.3, description="From the first of them to the last at least so long."
    )
    deadline_seconds: Seconds = Field(
        default=30, description="They are waited for so long at most."
    )
    timeout_seconds: Seconds = Field(default=2, description="How long one answer may take.")
    also: tuple[UrlPath, ...] = Field(
        default=(),
        description="Further paths that must answer with a status below 400 before and after the switch.",
        examples=[["/"]],
    )


class Deploy(Model):
    """How a release takes over."""

    keep_releases: int = Field(
        default=5, ge=2, le=100, description="Older ones are removed from the host."
    )
    drain_seconds: Seconds = Field(
        default=30, description="No request shorter than this fails because of a deploy."
    )
    probation_seconds: Seconds = Field(
        default=1,
        description="How long a release is watched after the switch; in a rollback half a second at most.",
    )
    max_error_percent: float = Field(
        default=10,
        ge=0,
        le=100,
        description="So many percent of real requests more than before the switch may fail with 5xx in this time, else the host goes back; 100: whatever happens. A rollback is only told of it.",
    )
    error_min_requests: int = Field(
        default=5,
        ge=1,
        description="With fewer requests in this time nothing is judged by them; with few, it takes clear failures.",
    )
    max_worker_restarts: int = Field(
        default=1,
        ge=0,
        description="So many workers may die in this time; not counted where gunicorn.max_requests replaces them anyway.",
    )
    confirm_seconds: Seconds = Field(
        default=60, description="A switch that is not confirmed in this time goes back."
    )
    lease_seconds: Seconds = Field(
        default=15, description="Without a sign of the operator for this long, contact is lost."
    )
    migrate: str | None = Field(
        default=None,
        min_length=1,
        description="A command of the new release, run on one host before any host switches, e.g. `flask db upgrade`.",
        examples=["flask db upgrade"],
    )
    migrate_timeout_seconds: Seconds = Field(default=600, description="Longer counts as failed.")
    installer: Literal["pip", "uv"] = Field(
        default="pip",
        description="What installs packages on the host. uv is faster; `fab setup` brings it.",
    )
    install_timeout_seconds: Seconds = Field(default=900, description="Longer counts as failed.")


class Fleet(Model):
    """How several hosts go together."""

    canary: HostCount = Field(
        default=1, description="So many hosts switch first, alone: a number or a percentage."
    )
    batch: HostCount = Field(
        default="100%",
        description="Then so many at a time; each batch proves itself before the next. Behind a balancer the default is 25%.",
    )
    pause_seconds: Annotated[float, Field(ge=0, le=86400)] = Field(
        default=0,
        description="So long all switched hosts are watched in their traffic between two batches.",
    )
    max_failures: int = Field(
        default=0,
        ge=0,
        description="So many hosts may fail, and the others go on; with more all go back.",
    )
    parallel: int = Field(
        default=64,
        ge=1,
        le=1000,
        description="So many hosts are connected to and worked on at once.",
    )
    uploads_at_once: int = Field(
        default=8, ge=1, description="So many hosts are sent a wheel at a time; others wait."
    )
    upload_bytes_per_second: Annotated[int, Field(ge=1)] | Size | None = Field(
        default=None,
        description="What uploads to all hosts together may take of the line: a number, or a size like 20M (powers of 1024).",
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
    """What stands before the hosts: each is taken out of it before its switch (docs/balancers.md)."""

    kind: Literal["none", "nginx", "haproxy", "command", "http"] = Field(
        default="none",
        description="nginx and haproxy are on the hosts with the role balancer; a command or an HTTP call reaches any other.",
    )
    drain_seconds: Seconds = Field(
        default=10,
        description="So long at most the requests under way to a host that is out are waited for.",
    )
    timeout_seconds: Seconds = Field(
        default=30, description="How long a command, a call, or coming back may take."
    )
    listen: int = Field(default=80, ge=1, le=65535, description="The port of kind nginx.")
    haproxy_socket: AbsolutePath = Field(
        default="/run/haproxy/admin.sock",
        description="HAProxy's stats socket, of level admin.",
    )
    haproxy_backend: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.:-]+$",
        description="The backend with the hosts as its servers.",
        examples=["shop"],
    )
    command: str | None = Field(
        default=None,
        min_length=1,
        description="A shell command, run here with CARTWHEEL_ACTION (`out` or `back`), CARTWHEEL_HOST, CARTWHEEL_NAME, CARTWHEEL_ADDRESS and CARTWHEEL_APP.",
        examples=["bin/balancer"],
    )
    url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s]+$",
        description="What is called; it may hold {action}, {host}, {name}, {address} and {app}.",
        examples=["https://lb.example.org/pool/{name}/{action}"],
    )
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(
        default="POST", description="How it is called; 2xx is well."
    )
    headers: dict[str, str] | None = Field(
        default=None,
        description="Headers of the call; they may hold {secret} too.",
        examples=[{"Authorization": "Bearer {secret}"}],
    )
    secret: Secret | None = Field(
        default=None, description="The value of {secret}.", examples=[{"env": "LB_TOKEN"}]
    )


class Ssh(Model):
    """How hosts are reached. fab's own flags and ~/.ssh/config work too."""

    user: str | None = Field(default=None, description="The login user.", examples=["deploy"])
    port: int | None = Field(default=None, ge=1, le=65535, description="The port.", examples=[2222])
    identity: str | None = Field(
        default=None, description="A private key file.", examples=["~/.ssh/id_ed25519"]
    )
    gateway: str | None = Field(
        default=None, description="A host to go through.", examples=["bastion.example.org"]
    )
    host_keys: Literal["strict", "accept-new"] = Field(
        default="strict", description="Whether the key of a host never seen before is taken."
    )
    known_hosts: str | None = Field(
        default=None,
        description="Another file than ~/.ssh/known_hosts.",
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
    connect_timeout_seconds: Seconds = Field(
        default=10, description="How long connecting may take."
    )
    connect_attempts: int = Field(
        default=3,
        ge=1,
        le=10,
        description="So often a refused connection is tried, with pauses of a chance length.",
    )


class Host(Model):
    """What `fab setup` prepares besides the app itself."""

    packages: tuple[str, ...] = Field(
        default=(), description="Further system packages.", examples=[["libpq5"]]
    )
    base: AbsolutePath = Field(default="/srv", description="The folder of all applications.")


class Hardening(Model):
    """What the app's processes may do."""

    memory_deny_write_execute: bool = Field(
        default=False,
        description="Refuse memory that is writable and executable (no JIT, some C extensions break).",
    )
    memory_max: str | None = Field(
        default=None,
        pattern=r"^\d+[KMGT]?$",
        description="Memory of one instance; two run during a deploy.",
        examples=["512M"],
    )
    read_write_paths: tuple[AbsolutePath, ...] = Field(
        default=(),
        description="Folders the app may write, beside its shared folder.",
        examples=[["/var/lib/shop"]],
    )


class HostVariables(Model):
    """What may be said about a host, or about all hosts of a group."""

    roles: tuple[Role, ...] = Field(
        default=(),
        description="What the host is for; without any word it is `web`.",
        examples=[["web"]],
    )
    user: str | None = Field(default=None, description="The login user.", examples=["deploy"])
    port: int | None = Field(
        default=None, ge=1, le=65535, description="The port of its sshd.", examples=[2222]
    )
    identity: str | None = Field(
        default=None, description="A private key file.", examples=["~/.ssh/id_ed25519"]
    )
    gateway: str | None = Field(
        default=None,
        description="A host to go through; `none`: straight.",
        examples=["bastion.example.org"],
    )
    python: str | None = Field(
        default=None,
        description="The Python that runs Cartwheel's host side there.",
        examples=["/usr/bin/python3.11"],
    )
    weight: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="Its share of a balancer's traffic; default: 1.",
        examples=[2],
    )
    balancer_name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.:-]+$",
        description="What a balancer calls it; default: its name.",
        examples=["web1"],
    )
    inner_address: str | None = Field(
        default=None,
        description="Where the other hosts find it: HOST[:PORT]; default: where SSH does, and web.listen.",
        examples=["10.0.0.1:80"],
    )


class InventoryHost(HostVariables):
    """One host: [inventory.hosts.NAME]."""

    address: str | None = Field(
        default=None,
        description="Where it is: [USER@]HOST[:PORT]; default: its name.",
        examples=["deploy@192.0.2.1:22"],
    )
    groups: tuple[Label, ...] = Field(
        default=(), description="Groups that it is in.", examples=[["eu"]]
    )


class InventoryGroup(HostVariables):
    """Several hosts: [inventory.groups.NAME]. What a host says itself wins."""

    hosts: tuple[str, ...] = Field(
        default=(), description="Its hosts.", examples=[["web1", "web2"]]
    )
    children: tuple[Label, ...] = Field(
        default=(), description="Groups whose hosts are in this one too.", examples=[["eu-west"]]
    )


class Inventory(Model):
    """Hosts with roles, groups and variables of their own, and where else hosts come from."""

    hosts: dict[str, InventoryHost] = Field(
        default_factory=dict, description="Hosts by name, see below."
    )
    groups: dict[Label, InventoryGroup] = Field(
        default_factory=dict, description="Groups by name, see below."
    )
    command: str | None = Field(
        default=None,
        min_length=1,
        description="An executable that prints Ansible's inventory JSON; it is run in the project's folder.",
        examples=["bin/inventory"],
    )
    ssh_config: tuple[str, ...] = Field(
        default=(),
        description="Patterns: the aliases of ~/.ssh/config that fit one are hosts too.",
        examples=[["shop-*"]],
    )


class Hook(Model):
    """A command of your own before or after a phase: [hooks.NAME] (docs/hooks.md)."""

    before: Phase | None = Field(
        default=None, description="It runs before this phase.", examples=["migrate"]
    )
    after: Phase | None = Field(
        default=None, description="Or it runs after this one.", examples=["run"]
    )
    where: Literal["here", "one-host", "hosts"] = Field(
        default="here",
        description="On this machine, in the project's folder; on the first host; or on every host, as the app's user.",
    )
    command: str = Field(
        min_length=1, description="What `sh -c` runs.", examples=["bin/tell-the-team"]
    )
    timeout_seconds: Seconds = Field(default=60, description="Longer counts as failed.")
    on_failure: Literal["stop", "note"] = Field(
        default="stop",
        description="stop: as if the phase had failed; note: it is only told. In a rollback, and after the run, it is only told.",
    )
    kinds: tuple[Literal["deploy", "rollback", "restart"], ...] = Field(
        default=("deploy",), min_length=1, description="The words that run it."
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
        default=None, description="The environment's name: chosen with --env, not in a file."
    )
    hosts: tuple[str, ...] = Field(
        default=(),
        description="The hosts, where -H names none.",
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
        description="A dotenv file with more of them, relative to the project.",
        examples=[".env"],
    )
    secrets: dict[str, Secret] = Field(
        default_factory=dict,
        description="Environment variables whose values are secret.",
        examples=[{"SECRET_KEY": {"file": "~/.config/shop/secret-key"}}],
    )

    @property
    def slug(self) -> str:
        """Application and environment together: APP in every path and unit name."""
        return f"{self.app.name}.{self.environment}" if self.environment else self.app.name

    @property
    def root(self) -> str:
        """Where the application lives on a host, e.g. `/srv/shop.staging`."""
        return f"{self.host.base.rstrip('/')}/{self.slug}"
