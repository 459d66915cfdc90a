"""Every failure a user can cause: a number, an exit code, and what to do next.

The catalogue is the source of `docs/errors.md`. The host side names a problem by
its slug only, because it cannot import this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every task (docs/errors.md)."""

    OK = 0
    FAILED = 1  # nothing changed
    USAGE = 2  # usage or settings
    REVERTED = 3  # failed and put back
    ATTENTION = 4  # a person has to look
    LOCKED = 5  # locked or held by somebody else
    INTERRUPTED = 130  # Ctrl-C, put in order


@dataclass(frozen=True)
class Problem:
    """One row of the catalogue: `number` is stable for ever, `remedy` says what to do."""

    number: int
    title: str
    exit: Exit
    remedy: str


CATALOGUE: dict[str, Problem] = {
    # 1xx: usage and settings
    "usage": Problem(101, "The command line does not fit", Exit.USAGE, "See `fab --help TASK`."),
    "no-hosts": Problem(
        102,
        "No host was named",
        Exit.USAGE,
        "Name hosts with `-H a,b`, or list them in config/environments/NAME.toml and use `--env NAME`.",
    ),
    "settings": Problem(
        103,
        "The settings have mistakes",
        Exit.USAGE,
        "Mend the lines named above; nothing was changed.",
    ),
    "template": Problem(
        104,
        "A template cannot be rendered",
        Exit.USAGE,
        "Mend the template at the line named above.",
    ),
    "secret": Problem(
        105,
        "A secret could not be read",
        Exit.USAGE,
        "Check the file or command that the settings name.",
    ),
    "dry-run": Problem(
        106,
        "fab's own --dry flag cannot dry-run a deploy",
        Exit.USAGE,
        "Use `fab plan` instead.",
    ),
    "not-fab": Problem(
        107,
        "This task runs under `fab` only",
        Exit.USAGE,
        "Use `fab` with `-H HOST`, not `inv`.",
    ),
    # 2xx: SSH
    "ssh-unreachable": Problem(
        201,
        "The host cannot be reached",
        Exit.FAILED,
        "Check the name, the port and the network.",
    ),
    "host-key-unknown": Problem(
        202,
        "The host's key is not known",
        Exit.FAILED,
        "Compare fingerprints, then `fab hosts.trust -H HOST` (or ssh-keyscan into known_hosts).",
    ),
    "host-key-changed": Problem(
        203,
        "The host's key is not the one that is known",
        Exit.FAILED,
        "Somebody may be in between. If the host was reinstalled, `ssh-keygen -R HOST`, then trust it anew.",
    ),
    "ssh-auth": Problem(
        204,
        "The host does not let this user in",
        Exit.FAILED,
        "Check the user, the key (`-i`) or the agent.",
    ),
    "ssh-lost": Problem(
        205,
        "The connection was lost",
        Exit.FAILED,
        "`fab status -H HOST` shows what serves; the next `fab deploy` goes on.",
    ),
    "sudo-missing": Problem(
        206,
        "The user may not use sudo",
        Exit.FAILED,
        "Give the login user full sudo, or log in as root.",
    ),
    "sudo-password": Problem(
        207,
        "sudo wants another password",
        Exit.FAILED,
        "Set ssh.sudo_password in the settings, or use `fab --prompt-for-sudo-password`.",
    ),
    "no-python": Problem(
        208,
        "The host has no usable Python",
        Exit.FAILED,
        "`fab setup -H HOST` installs it.",
    ),
    "host-side": Problem(
        209,
        "The host side stopped unexpectedly",
        Exit.FAILED,
        "Run again with `--debug`; report it if it stays.",
    ),
    "deadline": Problem(
        210, "It took too long", Exit.FAILED, "See the log above for where it waits."
    ),
    # 3xx: build and index
    "source": Problem(
        301, "The application's source cannot be used", Exit.FAILED, "Check app.source."
    ),
    "tests-failed": Problem(
        302,
        "The application's own tests failed",
        Exit.FAILED,
        "Mend them, or skip them with `--skip-tests`.",
    ),
    "build-failed": Problem(
        303, "The wheel could not be built", Exit.FAILED, "See the build's output above."
    ),
    "index-unreachable": Problem(
        304,
        "The package index does not answer",
        Exit.FAILED,
        "Check index.url, or choose another preset.",
    ),
    "index-lacks": Problem(
        305,
        "The package index lacks a package",
        Exit.FAILED,
        "Check the name and version, or use another index.",
    ),
    "lock-conflict": Problem(
        306,
        "The requirements cannot be satisfied together",
        Exit.FAILED,
        "Loosen one of the versions named above.",
    ),
    "hash-mismatch": Problem(
        307,
        "A package is not the one that was locked",
        Exit.FAILED,
        "The index serves other bytes than before: check it, then `fab build` anew.",
    ),
    "wheel-corrupt": Problem(308, "The wheel is damaged", Exit.FAILED, "Build it anew."),
    "wheel-platform": Problem(
        309,
        "The wheel is for another platform",
        Exit.FAILED,
        "Build one for the host's Python and architecture.",
    ),
    # 9xx: the lab
    "lab-platform": Problem(
        901,
        "Lab hosts cannot run on this machine",
        Exit.USAGE,
        "The lab needs Linux, root and overlayfs; elsewhere point Cartwheel at any SSH host.",
    ),
    "lab-tools": Problem(
        902,
        "The lab lacks something on this machine",
        Exit.USAGE,
        "Run script/lab-packages as root.",
    ),
    "lab-failed": Problem(
        903,
        "A lab host could not be made, started or stopped",
        Exit.FAILED,
        "`fab lab.down` puts the lab in order; then try again.",
    ),
    "lab-unknown": Problem(
        904, "There is no such lab host", Exit.USAGE, "`fab lab.list` shows what there is."
    ),
    "lab-off": Problem(
        905, "The lab host is off", Exit.FAILED, "`fab lab.boot -H HOST` starts it."
    ),
}


class CartwheelError(Exception):
    """A failure with a place in the catalogue. `str()` is the one line for the user.

    `detail` is longer text (a log, tool output) that is printed after the line.
    """

    def __init__(
        self, slug: str, message: str, *, host: str = "", hint: str = "", detail: str = ""
    ) -> None:
        super().__init__(message)
        self.slug = slug
        self.message = message
        self.host = host
        self.detail = detail
        self._hint = hint

    @property
    def problem(self) -> Problem:
        return CATALOGUE[self.slug]

    @property
    def exit_code(self) -> int:
        return int(self.problem.exit)

    @property
    def hint(self) -> str:
        return self._hint or self.problem.remedy

    def __str__(self) -> str:
        where = f"{self.host}: " if self.host else ""
        return f"{where}{self.message} [CW{self.problem.number}]"


class UsageError(CartwheelError):
    """The command line, the settings, a template or a secret: found before connecting."""


class ConnectError(CartwheelError):
    """The host could not be reached, trusted, or used as wanted; or contact was lost."""


class BuildError(CartwheelError):
    """Testing, building or locking the application failed on the operator's machine."""


class HostError(CartwheelError):
    """An operation on the host failed; raised from what the host side reported."""


class LabError(CartwheelError):
    """A disposable host could not be made, started or stopped."""
