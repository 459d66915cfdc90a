"""Parses a host as typed: a name, `user@host:port`, `ssh://user@host:port`; pure."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from cartwheel.errors import UsageError

LAST_PORT = 65535
_PORT = r"0*[1-9][0-9]{0,4}"
_ADDRESS = re.compile(
    rf"""(?:(?P<user>\S+)@)?
        (?: \[(?P<bracketed>[^@\]\s]+)\](?::(?P<bracketed_port>{_PORT}))?
          | (?P<bare_v6>[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.%\w]*)
          | (?P<host>[^:@\[\]\s/]+)(?::(?P<port>{_PORT}))? )""",
    re.VERBOSE,
)
_URI = re.compile(
    rf"ssh://(?:(?P<user>[^@;\s]+)(?:;[^@]*)?@)?(?P<host>[A-Za-z0-9_.-]+)(?::(?P<port>{_PORT}))?/?"
)
# Names get into shell commands by tokens; ssh refuses the same characters.
_UNSAFE_HOST = re.compile(r"^-|[\s\x00-\x1f\x7f'\"`$\\;&<>|(){},]")
_UNSAFE_USER = re.compile(r"^-|[\x00-\x1f\x7f'\"`;&<>|(){}]|\s-|\\$")


@dataclass(frozen=True)
class Address:
    """A user's input: `user@host:port`, `[v6]:port`, `ssh://user@host:port`, or only a name."""

    host: str
    user: str | None = None
    port: int | None = None


def parse_address(text: str) -> Address:
    """As ssh(1) reads a destination, and `host:port`: the last `@` ends the user's name.

    Raises UsageError `usage` for text that is not an address.
    """
    is_uri = text.strip().startswith("ssh://")
    found = (_URI if is_uri else _ADDRESS).fullmatch(text.strip())
    parts = found.groupdict() if found else {}
    port = parts.get("port") or parts.get("bracketed_port")
    if not found or (port and int(port) > LAST_PORT):
        raise UsageError(
            "usage", f"'{text}' is not a host", hint="Write a name, or user@host:port."
        )
    host = parts["host"] or parts.get("bracketed") or parts.get("bare_v6") or ""
    user = parts["user"]
    if user and is_uri:
        user = os.fsdecode(unquote_to_bytes(user.replace("+", " ")))
    return Address(host, user, int(port) if port else None)


def unsafe_name(host: str, user: str | None = None) -> str | None:
    """The name that ssh refuses for its characters, or None."""
    if _UNSAFE_HOST.search(host):
        return host
    return user if user and _UNSAFE_USER.search(user) else None


def as_jump(at: Address) -> str:
    """One hop as ProxyJump takes it."""
    user = f"{at.user}@" if at.user else ""
    port = f":{at.port}" if at.port else ""
    return f"{user}[{at.host}]{port}" if ":" in at.host else f"{user}{at.host}{port}"
