"""Requests about a host's web server."""

from __future__ import annotations

from dataclasses import dataclass

from cartwheel.host.wire.request import Request


@dataclass(frozen=True)
class WebServing:
    """The web server of this `kind`: its unit, in systemd's words ("": there is no web server);
    whether the application's site and the token of Cartwheel's probes are there. `folder`: whether
    the folder of the sites is there; `reads`: whether the web server reads it. `complaint`: its
    error about its configuration, or "". `shared`: whether the file that all sites share is as it
    should be."""

    kind: str
    active: str
    unit_file: str
    site: bool
    token: bool
    folder: bool
    reads: bool
    complaint: str
    shared: bool = True


@dataclass(frozen=True)
class Empty:
    """The empty answer of an operation that only succeeds or fails."""


@dataclass(frozen=True)
class TestWebServer(Request[Empty]):
    """Ask a web server of this kind whether it accepts its configuration."""

    op = "web-test"
    kind: str


@dataclass(frozen=True)
class ReloadWebServer(Request[Empty]):
    """Reload the configuration of a web server of this kind."""

    op = "web-reload"
    kind: str
