"""What a task is given: the hosts and fab's flags, and no way to run anything locally."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cartwheel.errors import UsageError
from cartwheel.ssh.options import SshOptions


@dataclass(frozen=True)
class FabContext:
    """One call of a task, for all hosts at once.

    `hosts` are the hosts of -H, stripped, without repetitions, in order; `project`
    is the folder of the fabfile; `debug` is fab's own --debug; `program` is `fab`, or `cartwheel`
    where there may be no fabfile. `names` are those that this fabfile gives Cartwheel's tasks.
    """

    task: str
    hosts: tuple[str, ...]
    project: Path
    ssh_options: SshOptions
    debug: bool = False
    program: str = "fab"
    names: Mapping[str, str] = field(default_factory=dict)

    def require_hosts(self, configured: Iterable[str] = ()) -> tuple[str, ...]:
        """The hosts to work on: those of -H if given, else those of the settings.

        Raises UsageError `no-hosts` if there are none.
        """
        hosts = self.hosts or unique(configured)
        if not hosts:
            typed = self.names.get(self.task, self.task)
            raise UsageError("no-hosts", f"`{typed}` needs a host, and none was given")
        return hosts


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """Host names, stripped, without empty ones and repetitions, in order."""
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def hosts_of(flag: str | None) -> tuple[str, ...]:
    """The hosts that -H names.

    Raises UsageError `no-hosts` for a flag that names none: `-H "$HOSTS"` with an
    empty variable must not fall back to every host of the settings.
    """
    if flag is None:
        return ()
    hosts = unique(flag.split(","))
    if not hosts:
        raise UsageError("no-hosts", "-H was given, but it names no host")
    return hosts
