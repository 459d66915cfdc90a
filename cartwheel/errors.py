"""Every failure a user can cause: a number, an exit code, and what to do next.

The catalogue is the source of `docs/errors.md`. The host side names a problem by
its slug only, because it cannot import this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every task (docs/errors.md)."""

    OK = 0
    FAILED = 1  # nothing changed
    USAGE = 2  # usage or settings
    REVERTED = 3  # failed, rolled back
    ATTENTION = 4  # a person has to look
    LOCKED = 5  # locked by another run, frozen, or stopped
    CHANGES = 10  # `fab plan --exit-code`: there is something to do
    INTERRUPTED = 130  # Ctrl-C; the hosts have recovered


@dataclass(frozen=True)
class Problem:
    """One row of the catalogue: `number` never changes, `remedy` says what to do."""

    number: int
    title: str
    exit: Exit
    remedy: str


CATALOGUE: dict[str, Problem] = {
    # 1xx: usage and settings
    "usage": Problem(101, "The command line is wrong", Exit.USAGE, "See `fab --help TASK`."),
    "no-hosts": Problem(
        102,
        "No host was given",
        Exit.USAGE,
        "Name hosts with `-H a,b`, or list them in config/environments/NAME.toml and use `--env"
        " NAME`.",
    ),
    "settings": Problem(
        103,
        "The settings have mistakes",
        Exit.USAGE,
        "Fix the lines named above; nothing was changed.",
    ),
    "template": Problem(
        104,
        "A template cannot be rendered",
        Exit.USAGE,
        "Fix the template at the line named above.",
    ),
    "secret": Problem(
        105,
        "A secret could not be read",
        Exit.USAGE,
        "Check the file or command named in the settings.",
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
    "same-host": Problem(
        109,
        "Two names mean the same host",
        Exit.USAGE,
        "Name it once: leave one of the two out, or fix its address.",
    ),
    "plan-file": Problem(
        110,
        "The plan file cannot be used",
        Exit.USAGE,
        "Make a new one: `fab plan --out FILE`.",
    ),
    "plan-stale": Problem(
        111,
        "Something changed since the plan was made",
        Exit.FAILED,
        "Nothing was changed. Make a new plan: `fab plan --out FILE`.",
    ),
    "inventory": Problem(
        108,
        "The inventory cannot be read",
        Exit.USAGE,
        "Fix the file or line named above; if it is a program, run it by hand to see its error.",
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
    "host-key-not-kept": Problem(
        910,
        "A host's key cannot be saved",
        Exit.FAILED,
        "Name a file in UserKnownHostsFile or ssh.known_hosts that can be written.",
    ),
    "host-key-changed": Problem(
        203,
        "The host's key has changed",
        Exit.FAILED,
        "This may be a man-in-the-middle attack. If the host was reinstalled, run `ssh-keygen -R"
        " HOST`"
        " and trust its new key.",
    ),
    "no-greeting": Problem(
        220,
        "The login does not run Cartwheel's command",
        Exit.FAILED,
        "`ssh HOST true` must end by itself and print nothing: in the login's start-up files, use"
        " `exec`, `read` and menus only in interactive shells; or log in as another user.",
    ),
    "ssh-config": Problem(
        221,
        "ssh_config cannot be used",
        Exit.USAGE,
        "Fix the line named above (`ssh -G HOST` shows how ssh reads it).",
    ),
    "ssh-auth": Problem(
        204,
        "The host rejected the login",
        Exit.FAILED,
        "Check the user, the key (`-i`) or the agent.",
    ),
    "ssh-lost": Problem(
        205,
        "The connection was lost",
        Exit.FAILED,
        "`fab status -H HOST` shows which release is live; the next `fab deploy` continues.",
    ),
    "sudo-missing": Problem(
        206,
        "The user may not use sudo",
        Exit.FAILED,
        "Give the login user full sudo, or log in as root.",
    ),
    "sudo-password": Problem(
        207,
        "sudo needs a password or rejected it",
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
        "Run it again with `--debug`, and report it if it happens again.",
    ),
    "deadline": Problem(
        210, "A step took too long", Exit.FAILED, "The log above shows what it was waiting for."
    ),
    # 3xx: build and index
    "source": Problem(
        301, "The application's source cannot be used", Exit.FAILED, "Check app.source."
    ),
    "tests-failed": Problem(
        302,
        "The application's own tests failed",
        Exit.FAILED,
        "Fix them, or skip them with `--skip-tests`.",
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
        "The package index does not have a package",
        Exit.FAILED,
        "Check the name and version, or use another index.",
    ),
    "lock-conflict": Problem(
        306,
        "The requirements cannot be satisfied together",
        Exit.FAILED,
        "Relax one of the version requirements named above.",
    ),
    "hash-mismatch": Problem(
        307,
        "A package differs from the lock",
        Exit.FAILED,
        "The index now serves a different file: check it, then run `fab build` again.",
    ),
    "wheel-corrupt": Problem(308, "The wheel is damaged", Exit.FAILED, "Build it again."),
    "wheel-platform": Problem(
        309,
        "The wheel is for another platform",
        Exit.FAILED,
        "Build one for the host's Python and architecture.",
    ),
    "store-unreachable": Problem(
        310,
        "The artifact store does not answer",
        Exit.FAILED,
        "Check artifacts.url and the network; without it wheels are uploaded over SSH.",
    ),
    "store-refuses": Problem(
        311,
        "The artifact store refused",
        Exit.FAILED,
        "Check the URLs, users and passwords under [artifacts], and their permissions in the"
        " store.",
    ),
    "version-taken": Problem(
        312,
        "The index has a different file of this version",
        Exit.FAILED,
        "Change the app's version: an index keeps only the first file of a version, a folder all.",
    ),
    "store-damaged": Problem(
        313,
        "A file in the artifact store differs from what was published",
        Exit.FAILED,
        "Remove the file from the store, then run it again.",
    ),
    "source-unusable": Problem(
        320,
        "A package cannot be built from its declared source",
        Exit.FAILED,
        "Fix the line named above: a package with its own source is never taken from an index.",
    ),
    "not-pure": Problem(
        321,
        "A package from a path or repository is not pure Python",
        Exit.FAILED,
        "Only py3-none-any wheels can be built here for hosts: publish its wheels on an index, and"
        " require it from there.",
    ),
    "git-source": Problem(
        322,
        "The git repository of a package cannot be read",
        Exit.FAILED,
        "Check its address, your access to it, and the commit, tag or branch.",
    ),
    "source-conflict": Problem(
        323,
        "One package has two different sources",
        Exit.FAILED,
        "Make both lines named above name the same source.",
    ),
    "left-out": Problem(
        330,
        "The new release would lack files of the live one",
        Exit.FAILED,
        "Add the line above under [app]: include keeps the files, exclude drops them.",
    ),
    "private-file": Problem(
        331,
        "The wheel contains a private file",
        Exit.FAILED,
        "Exclude the file named above from the package.",
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
        "The lab needs something that this machine lacks",
        Exit.USAGE,
        "Run script/lab-packages as root.",
    ),
    "lab-failed": Problem(
        903,
        "A lab host could not be created, started or stopped",
        Exit.FAILED,
        "`fab lab.down` removes the lab; then try again.",
    ),
    "lab-unknown": Problem(
        904, "There is no such lab host", Exit.USAGE, "`fab lab.list` shows the lab hosts."
    ),
    "lab-off": Problem(
        905, "The lab host is off", Exit.FAILED, "`fab lab.boot -H HOST` starts it."
    ),
    "lab-missing": Problem(
        906, "The lab is not installed", Exit.USAGE, "Install it: `pip install 'cartwheel[lab]'`."
    ),
    # 4xx: preparing a host
    "not-set-up": Problem(
        401, "The host is not set up", Exit.FAILED, "`fab setup -H HOST` prepares it."
    ),
    "not-ours": Problem(
        402,
        "A user or folder of that name exists",
        Exit.FAILED,
        "Cartwheel did not create it, and does not take it over: choose another app.name or"
        " app.user,"
        " or remove it.",
    ),
    "packages": Problem(
        403,
        "System packages could not be installed",
        Exit.FAILED,
        "Check the host's package sources, then run it again.",
    ),
    "package-manager": Problem(
        404,
        "The host's package manager is not supported",
        Exit.FAILED,
        "Install the packages yourself; `fab setup` only supports apt so far.",
    ),
    "python-version": Problem(
        405,
        "The host does not have the required Python",
        Exit.FAILED,
        "Install it, or set app.python to a version that the host has.",
    ),
    "account": Problem(
        406, "The app's user could not be created", Exit.FAILED, "See the output above."
    ),
    "no-systemd": Problem(
        407, "The host does not run systemd", Exit.FAILED, "Cartwheel needs a host with systemd."
    ),
    "port-taken": Problem(
        408,
        "Another program uses the port",
        Exit.FAILED,
        "Stop it, or choose another web.listen.",
    ),
    "host-state": Problem(
        409,
        "One of Cartwheel's files on the host is damaged",
        Exit.ATTENTION,
        "Look at the file named above; `fab doctor -H HOST` shows other problems.",
    ),
    "systemd": Problem(410, "systemd refused", Exit.FAILED, "See its output above."),
    "missing-program": Problem(
        411,
        "A program is missing on the host",
        Exit.FAILED,
        "`fab setup -H HOST` installs it.",
    ),
    "disk-fails": Problem(
        412,
        "The host's disk has errors",
        Exit.FAILED,
        "Look at the host's kernel log (`dmesg`) and repair the disk, then run it again.",
    ),
    "read-only": Problem(
        420,
        "The application writes to a read-only place",
        Exit.FAILED,
        "Let it write to its shared folder, named above (also its HOME and working directory), or"
        " add the folder to hardening.read_write_paths.",
    ),
    "static-missing": Problem(
        421,
        "The release has no such static folder",
        Exit.FAILED,
        "web.static_dir is relative to the installed packages (PACKAGE/static); check that the"
        " wheel"
        " contains it.",
    ),
    # 5xx: making a release
    "disk-full": Problem(
        501,
        "The host's disk is full",
        Exit.FAILED,
        "Free some space; `fab prune -H HOST` removes old releases.",
    ),
    "upload-damaged": Problem(502, "An upload arrived damaged", Exit.FAILED, "Run it again."),
    "venv-failed": Problem(
        503,
        "The virtual environment could not be created",
        Exit.FAILED,
        "`fab setup -H HOST` installs what is missing.",
    ),
    "install-failed": Problem(
        504, "The packages could not be installed", Exit.FAILED, "See the output above."
    ),
    "no-uv": Problem(
        505,
        "The host does not have uv",
        Exit.FAILED,
        "`fab setup -H HOST` installs it; or set deploy.installer to pip.",
    ),
    "dependency-missing": Problem(
        506,
        "The installed packages do not fit together",
        Exit.FAILED,
        "Fix the app's requirements.",
    ),
    "import-failed": Problem(
        507,
        "The application cannot be imported",
        Exit.FAILED,
        "See the log above; app.entry must name the WSGI or ASGI application (module:attribute).",
    ),
    "unit-refused": Problem(
        508,
        "systemd rejects the rendered unit",
        Exit.FAILED,
        "Check the settings under [hardening] and your own template.",
    ),
    "nginx-broken": Problem(
        509,
        "nginx's configuration was already broken",
        Exit.FAILED,
        "Fix the line named above; nothing was changed.",
    ),
    "nginx-refuses": Problem(
        510,
        "nginx rejects the rendered site",
        Exit.FAILED,
        "Check the settings under [web] and your own template.",
    ),
    "server-name-taken": Problem(
        511,
        "Another site already has this server name",
        Exit.FAILED,
        "Choose other web.server_names, or remove that site.",
    ),
    "server-name-needed": Problem(
        512,
        "The app needs a server name on this host",
        Exit.FAILED,
        "Set web.server_names: another site already answers for all names.",
    ),
    "still-answers": Problem(
        513,
        "The old instance is still answering requests",
        Exit.FAILED,
        "They are not cut off. Run it again once they are answered.",
    ),
    "python-reach": Problem(
        520,
        "The app's user cannot run the Python interpreter",
        Exit.FAILED,
        "Install Python where every user can read it, below /usr or /opt (`uv python install"
        " --install-dir /opt/python`), or set app.python to one that is readable.",
    ),
    "not-whole": Problem(
        521,
        "The release is damaged",
        Exit.FAILED,
        "`fab deploy -H HOST` makes it again; `fab doctor -H HOST` shows what is missing.",
    ),
    # 6xx: the switch
    "start-failed": Problem(
        601,
        "The new release could not be started",
        Exit.FAILED,
        "See its log above; the old release is live.",
    ),
    "unhealthy": Problem(
        602,
        "The new release failed its health check",
        Exit.FAILED,
        "See its log above; the old release is live.",
    ),
    "reverted": Problem(
        603,
        "The host rolled back to the old release",
        Exit.REVERTED,
        "See the log above; the old release is live.",
    ),
    "facts-changed": Problem(604, "The host changed during the run", Exit.FAILED, "Run it again."),
    "not-deployed": Problem(
        605, "The app is not deployed on this host", Exit.FAILED, "`fab deploy -H HOST` deploys it."
    ),
    "no-rollback": Problem(
        606,
        "There is no release to go back to",
        Exit.FAILED,
        "`fab releases -H HOST` lists its releases.",
    ),
    "no-release": Problem(
        607,
        "There is no such release on the host",
        Exit.FAILED,
        "`fab releases -H HOST` lists its releases.",
    ),
    "migration-failed": Problem(
        608,
        "The migration failed",
        Exit.FAILED,
        "See its output above; the old release is live. The migration may have changed data"
        " already.",
    ),
    "hook-failed": Problem(
        609,
        "A hook failed",
        Exit.FAILED,
        "See its output above. Fix it, or skip all hooks once with `--skip-hooks`.",
    ),
    "not-well": Problem(
        620,
        "A host is not well",
        Exit.FAILED,
        "`fab doctor -H HOST` shows what to do.",
    ),
    # 8xx: balancers
    "balancer": Problem(
        801,
        "The balancer failed or refused",
        Exit.FAILED,
        "Check the balancer and the settings under [balancer]; `fab balancer.status` shows its"
        " state.",
    ),
    "balancer-empty": Problem(
        802,
        "This would empty the balancer",
        Exit.USAGE,
        "Use a smaller `--batch`, or return hosts with `fab balancer.back -H HOST`.",
    ),
    "balancer-stuck": Problem(
        803,
        "A host could not be returned to the balancer",
        Exit.ATTENTION,
        "Run `fab balancer.back -H HOST`.",
    ),
    # 7xx: locks and freezes
    "locked": Problem(
        701,
        "Another run is changing this application",
        Exit.LOCKED,
        "Try again later, or wait longer with `--wait SECONDS`.",
    ),
    "stopped": Problem(
        702,
        "The app was stopped on purpose",
        Exit.LOCKED,
        "Start it with `fab start -H HOST`, then deploy.",
    ),
    "held": Problem(
        703,
        "This application is frozen",
        Exit.LOCKED,
        "Ask the person named above first; `fab lock.release -H HOST` lifts the freeze.",
    ),
}


class CartwheelError(Exception):
    """A failure from the catalogue. `str()` is the one line for the user.

    `detail` is longer text (a log, a tool's output) that is printed after the line.
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


def first_of(lines: Sequence[str]) -> str:
    """The message for several problems; the `detail` has all of them."""
    return lines[0] + (f" (and {len(lines) - 1} more)" if len(lines) > 1 else "")


class UsageError(CartwheelError):
    """A mistake in the command line, the settings, a template or a secret, before connecting."""


class ConnectError(CartwheelError):
    """The host could not be reached, trusted or used, or the connection was lost.

    `is_passing`: another attempt may succeed (after a refused or reset connection, a busy name
    server), as long as nothing was begun.
    """

    is_passing = False


class BuildError(CartwheelError):
    """Testing, building or locking the application failed on the operator's machine."""


class HostError(CartwheelError):
    """An operation on the host failed; raised from what the host side reported."""


class LabError(CartwheelError):
    """A disposable host could not be created, started or stopped."""
