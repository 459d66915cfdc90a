"""The SSH options of the command line. No heavy imports: every task loads this."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cartwheel.hidden import Hidden


@dataclass(frozen=True)
class SshOptions:
    """fab's own SSH options, typed: they win over settings and ssh_config.

    `config_path` (-S) replaces the user's and the system's ssh_config.
    """

    identities: tuple[Path, ...] = ()
    config_path: Path | None = None
    connect_timeout_seconds: float | None = None
    password: Hidden | None = None
    passphrase: str | None = field(default=None, repr=False)
    sudo_password: Hidden | None = None
