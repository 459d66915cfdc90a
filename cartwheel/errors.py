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
    REVERTED = 3  # failed and put back
    ATTENTION = 4  # a person has to look
    LOCKED = 5  # locked or held by somebody else
    CHANGES = 10  # `fab plan --exit-code`: there is something to do
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
    "same-host": Problem(
        109,
        "Two names mean one host",
        Exit.USAGE,
        "Name it once: leave one of the two out, or mend its address.",
    ),
    "plan-file": Problem(
        110,
        "The plan's file cannot be used",
        Exit.USAGE,
        "Make it anew: `fab plan --out FILE`.",
    ),
    "plan-stale": Problem(
        111,
        "The plan is stale",
        Exit.FAILED,
        "Nothing was changed. Look again: `fab plan --out FILE`.",
    ),
    "inventory": Problem(
        108,
        "The inventory cannot be read",
        Exit.USAGE,
        "Run the command that is named above by hand, and mend what it says.",
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
        "A host's key cannot be kept",
        Exit.FAILED,
        "Name a file in UserKnownHostsFile or ssh.known_hosts that can be written.",
    ),
    "host-key-changed": Problem(
        203,
        "The host's key is not the one that is known",
        Exit.FAILED,
        "Somebody may be in between. If the host was reinstalled, `ssh-keygen -R HOST`, then trust it anew.",
    ),
    "no-greeting": Problem(
        220,
        "The login does not start our command",
        Exit.FAILED,
        "`ssh HOST true` must end by itself and print nothing: in start-up files keep `exec`, `read`"
        " and menus for interactive shells, or log in as another user.",
    ),
    "ssh-config": Problem(
        221,
        "ssh_config cannot be followed",
        Exit.USAGE,
        "Fix the line named above (`ssh -G HOST` shows what ssh makes of it).",
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
    "store-unreachable": Problem(
        310,
        "The artifact store does not answer",
        Exit.FAILED,
        "Check artifacts.url and the network; without it wheels are uploaded over SSH.",
    ),
    "store-refuses": Problem(
        311,
        "The artifact store refuses",
        Exit.FAILED,
        "Check the addresses, names and passwords under [artifacts], and their rights at the store.",
    ),
    "version-taken": Problem(
        312,
        "The index has another file of this version",
        Exit.FAILED,
        "Change the app's version: an index keeps the first file of each; a folder keeps them all.",
    ),
    "store-damaged": Problem(
        313,
        "The artifact store has other bytes than were published",
        Exit.FAILED,
        "Remove that file from the store, then run it again.",
    ),
    "source-unusable": Problem(
        320,
        "A package that has a source of its own cannot be made from it",
        Exit.FAILED,
        "Mend the line named above: no index is asked for such a name.",
    ),
    "not-pure": Problem(
        321,
        "A package from beside the project is not a pure wheel",
        Exit.FAILED,
        "Only py3-none-any can be built here for hosts: publish its wheels on an index, and ask for it there.",
    ),
    "git-source": Problem(
        322,
        "A git repository that a package comes from cannot be read",
        Exit.FAILED,
        "Check its address, your access to it, and the commit, tag or branch.",
    ),
    "source-conflict": Problem(
        323,
        "Two sources are named for one package",
        Exit.FAILED,
        "Let both lines named above name the same one.",
    ),
    "left-out": Problem(
        330,
        "The serving release carries what the new one would lack",
        Exit.FAILED,
        "Put the line above under [app]: include carries it on, exclude goes without it.",
    ),
    "private-file": Problem(
        331,
        "The wheel would carry what must stay here",
        Exit.FAILED,
        "Leave it out of the package.",
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
    "lab-missing": Problem(
        906, "The lab is not installed", Exit.USAGE, "Install it: `pip install 'cartwheel[lab]'`."
    ),
    # 4xx: preparing a host
    "not-set-up": Problem(
        401, "The host is not set up", Exit.FAILED, "`fab setup -H HOST` prepares it."
    ),
    "not-ours": Problem(
        402,
        "Something of that name is there already",
        Exit.FAILED,
        "Cartwheel does not take over what it did not make: choose another app.name or app.user, or remove it.",
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
        "Install the packages yourself; `fab setup` needs apt so far.",
    ),
    "python-version": Problem(
        405,
        "The host lacks the wanted Python",
        Exit.FAILED,
        "Install it, or set app.python to one that is there.",
    ),
    "account": Problem(
        406, "The app's user could not be made", Exit.FAILED, "See the output above."
    ),
    "no-systemd": Problem(
        407, "The host does not run systemd", Exit.FAILED, "Cartwheel needs a host with systemd."
    ),
    "port-taken": Problem(
        408,
        "The port is held by another program",
        Exit.FAILED,
        "Stop it, or choose another web.listen.",
    ),
    "host-state": Problem(
        409,
        "A file of Cartwheel on the host is damaged",
        Exit.ATTENTION,
        "Look at the file named above; `fab doctor -H HOST` says what else is wrong.",
    ),
    "systemd": Problem(410, "systemd does not do as told", Exit.FAILED, "See its output above."),
    "missing-program": Problem(
        411,
        "A program is missing on the host",
        Exit.FAILED,
        "`fab setup -H HOST` installs what is needed.",
    ),
    "disk-fails": Problem(
        412,
        "The host's disk fails",
        Exit.FAILED,
        "Look at the host's kernel log (`dmesg`) and mend its disk, then run it again.",
    ),
    "read-only": Problem(
        420,
        "The application writes where it may not",
        Exit.FAILED,
        "Keep what it writes in its shared folder, named above (also its HOME and working "
        "directory), or name another folder in hardening.read_write_paths.",
    ),
    "static-missing": Problem(
        421,
        "What nginx is to serve is not in the release",
        Exit.FAILED,
        "web.static_dir begins at the top of the installed packages (PACKAGE/static); check that "
        "the wheel contains it.",
    ),
    # 5xx: making a release
    "disk-full": Problem(
        501,
        "The host has no room left",
        Exit.FAILED,
        "Make room; `fab prune -H HOST` removes old releases.",
    ),
    "upload-damaged": Problem(502, "An upload did not arrive whole", Exit.FAILED, "Run it again."),
    "venv-failed": Problem(
        503,
        "The virtual environment could not be made",
        Exit.FAILED,
        "`fab setup -H HOST` installs what it needs.",
    ),
    "install-failed": Problem(
        504, "The packages could not be installed", Exit.FAILED, "See the output above."
    ),
    "no-uv": Problem(
        505,
        "uv is not on the host",
        Exit.FAILED,
        "`fab setup -H HOST` brings it; or set deploy.installer to pip.",
    ),
    "dependency-missing": Problem(
        506,
        "The installed packages do not fit together",
        Exit.FAILED,
        "Mend the app's requirements.",
    ),
    "import-failed": Problem(
        507,
        "The application does not import",
        Exit.FAILED,
        "See the log above; app.entry names what gunicorn serves.",
    ),
    "unit-refused": Problem(
        508,
        "systemd refuses the rendered unit",
        Exit.FAILED,
        "Check the settings under [hardening] and your own template.",
    ),
    "nginx-broken": Problem(
        509,
        "nginx's configuration was broken before",
        Exit.FAILED,
        "Mend the line named above; nothing was changed.",
    ),
    "nginx-refuses": Problem(
        510,
        "nginx refuses the rendered site",
        Exit.FAILED,
        "Check the settings under [web] and your own template.",
    ),
    "server-name-taken": Problem(
        511,
        "Another site has this server name",
        Exit.FAILED,
        "Choose other web.server_names, or remove that site.",
    ),
    "server-name-needed": Problem(
        512,
        "The app needs a server name here",
        Exit.FAILED,
        "Set web.server_names: another site answers for all names.",
    ),
    "still-answers": Problem(
        513,
        "Requests under way take longer than could be waited for",
        Exit.FAILED,
        "Nothing cuts them off. Run it again once they are answered.",
    ),
    "python-reach": Problem(
        520,
        "The app's user cannot run the interpreter",
        Exit.FAILED,
        "Install Python where every user can read it, below /usr or /opt (`uv python install --install-dir /opt/python`), or set app.python to one that is.",
    ),
    "not-whole": Problem(
        521,
        "The release is not whole",
        Exit.FAILED,
        "`fab deploy -H HOST` makes it anew; `fab doctor -H HOST` says what is missing.",
    ),
    # 6xx: the switch
    "start-failed": Problem(
        601,
        "The new release could not be started",
        Exit.FAILED,
        "See its log above; the old release serves.",
    ),
    "unhealthy": Problem(
        602,
        "The new release did not prove itself",
        Exit.FAILED,
        "See its log above; the old release serves.",
    ),
    "reverted": Problem(
        603,
        "The host went back to the old release",
        Exit.REVERTED,
        "See the log above; the old release serves.",
    ),
    "facts-changed": Problem(604, "The host changed in the meantime", Exit.FAILED, "Run it again."),
    "not-deployed": Problem(
        605, "The app is not deployed on this host", Exit.FAILED, "`fab deploy -H HOST` deploys it."
    ),
    "no-rollback": Problem(
        606,
        "There is no release to go back to",
        Exit.FAILED,
        "`fab releases -H HOST` lists what is there.",
    ),
    "no-release": Problem(
        607,
        "There is no such release on the host",
        Exit.FAILED,
        "`fab releases -H HOST` lists what is there.",
    ),
    "migration-failed": Problem(
        608,
        "The migration failed",
        Exit.FAILED,
        "See its output above; the old release serves. What it did before it failed stays done.",
    ),
    "hook-failed": Problem(
        609,
        "A hook failed",
        Exit.FAILED,
        "See its output above. Mend it, or leave hooks out once with `--skip-hooks`.",
    ),
    "not-well": Problem(
        620,
        "A host is not well",
        Exit.FAILED,
        "`fab doctor -H HOST` says what to do next.",
    ),
    # 8xx: balancers
    "balancer": Problem(
        801,
        "The balancer does not do as told",
        Exit.FAILED,
        "Check the balancer and the settings under [balancer]; `fab balancer.status` shows what it says.",
    ),
    "balancer-empty": Problem(
        802,
        "No host would be left in the balancer",
        Exit.USAGE,
        "Use a smaller `--batch`, or put hosts back with `fab balancer.back -H HOST`.",
    ),
    "balancer-stuck": Problem(
        803,
        "A host could not be put back into the balancer",
        Exit.ATTENTION,
        "`fab balancer.back -H HOST` puts it back.",
    ),
    # 7xx: locks and holds
    "locked": Problem(
        701,
        "Somebody else is changing this application",
        Exit.LOCKED,
        "Wait for them, or use `--wait SECONDS`.",
    ),
    "stopped": Problem(
        702,
        "The app was stopped on purpose",
        Exit.LOCKED,
        "`fab start -H HOST` starts it; then deploy.",
    ),
    "held": Problem(
        703,
        "Somebody holds this application on purpose",
        Exit.LOCKED,
        "`fab lock.release -H HOST` lifts it; ask whoever holds it first.",
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


def first_of(lines: Sequence[str]) -> str:
    """The message of several problems, of which the `detail` has all."""
    return lines[0] + (f" (and {len(lines) - 1} more)" if len(lines) > 1 else "")


class UsageError(CartwheelError):
    """The command line, the settings, a template or a secret: found before connecting."""


class ConnectError(CartwheelError):
    """The host could not be reached, trusted, or used as wanted; or contact was lost.

    `is_passing`: it may well go another time (a refused or reset connection, a busy name
    server), as long as nothing was begun.
    """

    is_passing = False


class BuildError(CartwheelError):
    """Testing, building or locking the application failed on the operator's machine."""


class HostError(CartwheelError):
    """An operation on the host failed; raised from what the host side reported."""


class LabError(CartwheelError):
    """A disposable host could not be made, started or stopped."""
