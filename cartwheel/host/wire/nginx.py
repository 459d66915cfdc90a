"""Requests about a host's nginx."""

from __future__ import annotations

from dataclasses import dataclass

from cartwheel.host.wire.request import Request


@dataclass(frozen=True)
class Empty:
    """The answer of an operation that only succeeds or fails."""


@dataclass(frozen=True)
class TestNginx(Request[Empty]):
    """Ask nginx whether it accepts its configuration."""

    op = "nginx-test"


@dataclass(frozen=True)
class ReloadNginx(Request[Empty]):
    """Make nginx read its configuration anew."""

    op = "nginx-reload"
