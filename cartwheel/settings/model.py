"""The settings: one pydantic model is the validator and the reference.

Every duration says its unit in its name. Unknown keys are refused.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# systemd escapes or refuses other characters in unit names; nginx, users and paths
# accept these (design: names in `[a-z0-9._]`). Names end up in socket paths of at
# most 107 bytes (unix(7)), hence the limits on length.
NAME = re.compile(r"^[a-z][a-z0-9]*([-.][a-z0-9]+)*$")
Name = Annotated[str, Field(pattern=NAME.pattern, max_length=24)]
AbsolutePath = Annotated[str, Field(pattern=r"^/[^\0\n]*$")]
UrlPath = Annotated[str, Field(pattern=r"^/[^\s]*$")]
Seconds = Annotated[float, Field(gt=0, le=86400)]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Secret(Model):
    """Where a secret comes from: exactly one of these. Its value is never in the settings."""

    file: str | None = None
    command: str | None = None
    env: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Secret:
        given = [key for key in ("file", "command", "env") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError("a secret needs exactly one of file, command or env")
        return self


class App(Model):
    name: Name
    source: str = Field(
        description="A project folder, a folder with app.py and requirements.txt, a wheel, or NAME==VERSION."
    )
    entry: str = Field(
        default="app:app",
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.()]*$",
        description="What gunicorn serves: module:attribute.",
    )
    python: str = Field(
        default="3",
        description="The interpreter on the host: a version (3, 3.11) or an absolute path.",
    )
    extras: tuple[str, ...] = ()
    requirements: tuple[str, ...] = Field(
        default=(), description="Further requirements to lock and install beside the app's own."
    )
    user: str | None = Field(
        default=None,
        pattern=r"^[a-z_][a-z0-9_-]{0,30}$",
        description="The app's user on the host; default: the app's name.",
    )


class Tests(Model):
    command: str = Field(
        default="",
        description="The app's own unit tests; empty: `python -m pytest -q` if it has a tests folder.",
    )
    requirements: tuple[str, ...] = ("pytest",)
    skip: bool = False
    timeout_seconds: Seconds = 600


class Index(Model):
    """Where packages come from. Without any setting pip's own configuration decides."""

    preset: str | None = Field(
        default=None, description="A well-known mirror by name, see docs/settings.md."
    )
    url: str | None = None
    extra_urls: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    username: str | None = None
    password: Secret | None = None
    timeout_seconds: Seconds = 15


class Gunicorn(Model):
    workers: int | str = Field(
        default="cpus * 2 + 1", description="A number, or a formula over `cpus`."
    )
    max_workers: int = Field(default=8, ge=1)
    threads: int = Field(default=1, ge=1)
    worker_class: str = "gthread"
    timeout_seconds: int = Field(default=30, ge=1)
    keepalive_seconds: int = Field(default=2, ge=0)
    max_requests: int = Field(default=0, ge=0)
    max_requests_jitter: int = Field(default=0, ge=0)
    access_log: bool = False
    log_level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    preload: bool = False
    config_file: str | None = Field(
        default=None, description="The app's own gunicorn configuration, honoured last."
    )


class Web(Model):
    server_names: tuple[str, ...] = ()
    listen: int = Field(default=80, ge=1, le=65535)
    client_max_body_size: str = Field(default="10m", pattern=r"^\d+[kmg]?$")
    static_url: UrlPath | None = None
    static_dir: str | None = Field(
        default=None, description="Relative to the app's installed package, e.g. hello/static."
    )


class Health(Model):
    path: UrlPath = "/healthz"
    host: str | None = Field(
        default=None, description="Host header; default: the first server name, else localhost."
    )
    scheme: Literal["http", "https"] = "http"
    status: int = Field(default=200, ge=100, le=599)
    count: int = Field(default=3, ge=1)
    span_seconds: Seconds = 0.3
    deadline_seconds: Seconds = 30
    timeout_seconds: Seconds = 2


class Deploy(Model):
    keep_releases: int = Field(default=5, ge=2, le=100)
    drain_seconds: Seconds = 30
    probation_seconds: Seconds = 1
    confirm_seconds: Seconds = Field(
        default=60, description="A switch that is not confirmed in this time goes back."
    )
    lease_seconds: Seconds = Field(
        default=15, description="Without a sign of the operator for this long, contact is lost."
    )
    installer: Literal["pip", "uv"] = "pip"
    install_timeout_seconds: Seconds = 900


class Ssh(Model):
    user: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    identity: str | None = None
    gateway: str | None = None
    host_keys: Literal["strict", "accept-new"] = "strict"
    known_hosts: str | None = None
    python: str = Field(
        default="python3", description="The Python that runs Cartwheel's host side."
    )
    password: Secret | None = None
    sudo_password: Secret | None = None
    connect_timeout_seconds: Seconds = 10


class Host(Model):
    """What `fab setup` prepares besides the app itself."""

    packages: tuple[str, ...] = ()
    base: AbsolutePath = "/srv"


class Hardening(Model):
    memory_deny_write_execute: bool = False
    memory_max: str | None = Field(default=None, pattern=r"^\d+[KMGT]?$")
    read_write_paths: tuple[AbsolutePath, ...] = ()


class Settings(Model):
    app: App
    environment: Name | None = None
    hosts: tuple[str, ...] = ()
    tests: Tests = Tests()
    index: Index = Index()
    gunicorn: Gunicorn = Gunicorn()
    web: Web = Web()
    health: Health = Health()
    deploy: Deploy = Deploy()
    ssh: Ssh = Ssh()
    host: Host = Host()
    hardening: Hardening = Hardening()
    env: dict[str, str] = Field(default_factory=dict)
    env_file: str | None = None
    secrets: dict[str, Secret] = Field(default_factory=dict)

    @property
    def slug(self) -> str:
        """Application and environment together: APP in every path and unit name."""
        return f"{self.app.name}.{self.environment}" if self.environment else self.app.name
