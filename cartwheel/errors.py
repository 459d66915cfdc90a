"""Every failure a user can cause: a number, an exit code, and what to do next.

The catalogue is the source of `docs/errors.md`. The host side names a problem by
its slug only, because it cannot import this module.
"""

from __future__ import annotations

import re
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
    remedy: str
    exit: Exit = Exit.FAILED


CATALOGUE: dict[str, Problem] = {
    # 1xx: usage and settings
    "usage": Problem(
        101,
        "The command line is wrong",
        "`fab --list` lists all tasks, and `fab --help` and a task's name its options.",
        Exit.USAGE,
    ),
    "no-hosts": Problem(
        102,
        "No host was given",
        "Name hosts with `-H a,b`, or list them in cartwheel.toml (`hosts`), or in"
        " .cartwheel/environments/NAME.toml for `--env NAME`.",
        Exit.USAGE,
    ),
    "settings": Problem(
        103,
        "The settings have mistakes",
        "Fix the lines named above; nothing was changed.",
        Exit.USAGE,
    ),
    "template": Problem(
        104,
        "A template cannot be rendered",
        "Fix the template at the line named above.",
        Exit.USAGE,
    ),
    "secret": Problem(
        105,
        "A secret could not be read",
        "Check the file or command named in the settings.",
        Exit.USAGE,
    ),
    "dry-run": Problem(
        106, "fab's own --dry flag cannot dry-run a deploy", "Use `fab plan` instead.", Exit.USAGE
    ),
    "not-fab": Problem(107, "This task runs under `fab` only", "Use `fab`, not `inv`.", Exit.USAGE),
    "same-host": Problem(
        109,
        "Two names mean the same host",
        "Name it once: leave one of the two out, or fix its address.",
        Exit.USAGE,
    ),
    "plan-file": Problem(
        110, "The plan file cannot be used", "Make a new one: `fab plan --out FILE`.", Exit.USAGE
    ),
    "plan-stale": Problem(
        111,
        "Something changed since the plan was made",
        "Nothing was changed. Make a new plan: `fab plan --out FILE`.",
    ),
    "inventory": Problem(
        108,
        "The inventory cannot be read",
        "Fix the file or line named above; if it is a program, run it by hand to see its error.",
        Exit.USAGE,
    ),
    "local-file": Problem(
        112,
        "A file on this machine cannot be read or written",
        "Check its owner, its permissions and the free space; $XDG_CACHE_HOME and $XDG_STATE_HOME"
        " name other folders for Cartwheel's own files.",
    ),
    "bad-certificate": Problem(
        113,
        "A certificate or its key cannot be used",
        "Fix the file named above; nothing was changed.",
        Exit.USAGE,
    ),
    "bad-users": Problem(
        114,
        "A file of users cannot be used",
        "Fix the line named above; nothing was changed. `openssl passwd -6` asks for a password and"
        " prints its hash.",
        Exit.USAGE,
    ),
    # 2xx: SSH
    "ssh-unreachable": Problem(
        201, "The host cannot be reached", "Check the name, the port and the network."
    ),
    "host-key-unknown": Problem(
        202,
        "The host's key is not known",
        "Compare fingerprints, then `fab hosts.trust -H HOST` (or ssh-keyscan into known_hosts).",
    ),
    "host-key-not-kept": Problem(
        910,
        "A host's key cannot be saved",
        "Name a file in UserKnownHostsFile or ssh.known_hosts that can be written.",
    ),
    "host-key-changed": Problem(
        203,
        "The host's key has changed",
        "This may be a man-in-the-middle attack. If the host was reinstalled, run `ssh-keygen -R"
        " HOST` and trust its new key.",
    ),
    "no-greeting": Problem(
        220,
        "The login does not run Cartwheel's command",
        "`ssh HOST true` must end by itself and print nothing: in the login's start-up files, use"
        " `exec`, `read` and menus only in interactive shells; or log in as another user.",
    ),
    "ssh-config": Problem(
        221,
        "ssh_config cannot be used",
        "Fix the line named above (`ssh -G HOST` shows how ssh reads it).",
        Exit.USAGE,
    ),
    "ssh-auth": Problem(
        204, "The host rejected the login", "Check the user, the key (`-i`) or the agent."
    ),
    "ssh-lost": Problem(
        205,
        "The connection was lost",
        "`fab status -H HOST` shows which release is live; the next `fab deploy` continues.",
    ),
    "sudo-missing": Problem(
        206, "The user may not use sudo", "Give the login user full sudo, or log in as root."
    ),
    "sudo-password": Problem(
        207,
        "sudo needs a password or rejected it",
        "Set ssh.sudo_password in the settings, or use `fab --prompt-for-sudo-password`.",
    ),
    "no-python": Problem(
        208,
        "The host has no usable Python",
        "`fab setup -H HOST` installs it; or name one that is there in ssh.python.",
    ),
    "host-side": Problem(
        209,
        "The host side stopped unexpectedly",
        "Run it again with `--debug`, and report it if it happens again.",
    ),
    "deadline": Problem(
        210, "A step took too long", "The log above shows what it was waiting for."
    ),
    # 3xx: build and index
    "source": Problem(301, "The application's source cannot be used", "Check app.source."),
    "tests-failed": Problem(
        302, "The application's own tests failed", "Fix them, or skip them with `--skip-tests`."
    ),
    "build-failed": Problem(303, "The wheel could not be built", "See the build's output above."),
    "index-unreachable": Problem(
        304, "The package index does not answer", "Check index.url, or choose another preset."
    ),
    "index-lacks": Problem(
        305,
        "The package index does not have a package",
        "Check the name and version, or use another index.",
    ),
    "lock-conflict": Problem(
        306,
        "The requirements cannot be satisfied together",
        "Relax one of the version requirements named above.",
    ),
    "hash-mismatch": Problem(
        307,
        "A package differs from the lock",
        "The index now serves a different file: check it, then run `fab build` again.",
    ),
    "wheel-corrupt": Problem(308, "The wheel is damaged", "Build it again."),
    "wheel-platform": Problem(
        309,
        "The wheel is for another platform",
        "Build one for the host's Python and architecture.",
    ),
    "store-unreachable": Problem(
        310,
        "The artifact store does not answer",
        "Check artifacts.url and the network; without it wheels are uploaded over SSH.",
    ),
    "store-refuses": Problem(
        311,
        "The artifact store refused",
        "Check the URLs, users and passwords under [artifacts], and their permissions in the"
        " store.",
    ),
    "version-taken": Problem(
        312,
        "The index has a different file of this version",
        "Change the app's version: an index keeps only the first file of a version, a folder all.",
    ),
    "store-damaged": Problem(
        313,
        "A file in the artifact store differs from what was published",
        "Remove the file from the store, then run it again.",
    ),
    "source-unusable": Problem(
        320,
        "A package cannot be built from its declared source",
        "Fix the line named above: a package with its own source is never taken from an index.",
    ),
    "not-pure": Problem(
        321,
        "A package from a path or repository is not pure Python",
        "Only py3-none-any wheels can be built here for hosts: publish its wheels on an index,"
        " and require it from there.",
    ),
    "git-source": Problem(
        322,
        "The git repository of a package cannot be read",
        "Check its address, your access to it, and the commit, tag or branch.",
    ),
    "source-conflict": Problem(
        323,
        "One package has two different sources",
        "Make both lines named above name the same source.",
    ),
    "left-out": Problem(
        330,
        "The new release would lack files of the live one",
        "Add the line above under [app]: include keeps the files, exclude drops them.",
    ),
    "private-file": Problem(
        331, "The wheel contains a private file", "Exclude the file named above from the package."
    ),
    "app-entry": Problem(
        332,
        "app.entry does not name the application",
        "Set app.entry as the line above says: module:attribute, or module:factory().",
        Exit.USAGE,
    ),
    "server-kind": Problem(
        333,
        "gunicorn would serve the application by the wrong protocol",
        'Set gunicorn.kind as the line above says: "wsgi", "asgi" or "uvicorn".',
        Exit.USAGE,
    ),
    "app-server": Problem(
        334,
        "The packages cannot serve the application",
        "Change the requirement or the setting that the line above names.",
    ),
    # 9xx: the lab
    "lab-platform": Problem(
        901,
        "Lab hosts cannot run on this machine",
        "The lab needs Linux, root and overlayfs; elsewhere point Cartwheel at any SSH host.",
        Exit.USAGE,
    ),
    "lab-tools": Problem(
        902,
        "The lab needs something that this machine lacks",
        "Run script/lab-packages as root.",
        Exit.USAGE,
    ),
    "lab-failed": Problem(
        903,
        "A lab host could not be created, started or stopped",
        "`fab lab.down` removes the lab; then try again.",
    ),
    "lab-unknown": Problem(
        904, "There is no such lab host", "`fab lab.list` shows the lab hosts.", Exit.USAGE
    ),
    "lab-off": Problem(905, "The lab host is off", "`fab lab.boot -H HOST` starts it."),
    "lab-missing": Problem(
        906, "The lab is not installed", "Install it: `pip install 'cartwheel[lab]'`.", Exit.USAGE
    ),
    "notify-missing": Problem(
        907,
        "Apprise is not installed",
        "Install it: `pip install 'cartwheel[notify]'`, or take [notify] out of the settings.",
        Exit.USAGE,
    ),
    "monitor": Problem(
        908,
        "The monitor does not do what it was asked",
        "`fab logs` with its host shows what it logged; `fab monitor.install` deploys it again.",
    ),
    "dashboard-missing": Problem(
        909,
        "The packages of `fab dashboard` are not installed",
        "Install them: `pip install 'cartwheel[dashboard]'`.",
        Exit.USAGE,
    ),
    "dashboard": Problem(
        911,
        "The dashboard does not start, or has ended by itself",
        "See its message; `fab dashboard` starts it again, with all that it has seen.",
    ),
    # 4xx: preparing a host
    "not-set-up": Problem(401, "The host is not set up", "`fab setup -H HOST` prepares it."),
    "not-ours": Problem(
        402,
        "A user or folder of that name exists",
        "Cartwheel did not create it, and does not take it over: choose another app.name or"
        " app.user, or remove it.",
    ),
    "packages": Problem(
        403,
        "System packages could not be installed",
        "Check the host's package sources, then run it again.",
    ),
    "package-manager": Problem(
        404,
        "The host's package manager is not supported",
        "Install the packages yourself; `fab setup` only supports apt so far.",
    ),
    "python-version": Problem(
        405,
        "The host does not have the required Python",
        "Install it, or set app.python to a version that the host has.",
    ),
    "account": Problem(406, "The app's user could not be created", "See the output above."),
    "no-systemd": Problem(
        407, "The host does not run systemd", "Cartwheel needs a host with systemd."
    ),
    "port-taken": Problem(
        408,
        "Another program uses the port",
        "Stop it, or choose another web.listen. If it is a web server that should stay, set"
        " web.server to its kind.",
    ),
    "host-state": Problem(
        409,
        "One of Cartwheel's files on the host is damaged",
        "Look at the file named above; `fab doctor -H HOST` shows other problems.",
        Exit.ATTENTION,
    ),
    "systemd": Problem(410, "systemd refused", "See its output above."),
    "missing-program": Problem(
        411, "A program is missing on the host", "`fab setup -H HOST` installs it."
    ),
    "disk-fails": Problem(
        412,
        "The host's disk has errors",
        "Look at the host's kernel log (`dmesg`) and repair the disk, then run it again.",
    ),
    "read-only": Problem(
        420,
        "The application writes to a read-only place",
        "Let it write to its shared folder, named above (also its HOME and working directory), or"
        " add the folder to hardening.folders.",
    ),
    "static-missing": Problem(
        421,
        "The release has no such static folder",
        "A folder of web.static, web.static_dir or web.error_pages is relative to the installed"
        " packages (PACKAGE/static); check that the wheel contains it.",
    ),
    "static-failed": Problem(
        422,
        "The command for static files failed",
        "See its output above, and run it by hand; it must fill the folder in STATIC_ROOT.",
    ),
    "static-unsafe": Problem(
        423,
        "The command for static files left something that is not served",
        "Have it write plain files and folders only, e.g. copies instead of links.",
    ),
    "media": Problem(
        424,
        "A folder of media cannot be used",
        "Make it a plain folder in shared/ that belongs to the app's user.",
    ),
    # 5xx: making a release
    "disk-full": Problem(
        501, "The host's disk is full", "Free some space; `fab prune -H HOST` removes old releases."
    ),
    "upload-damaged": Problem(502, "An upload arrived damaged", "Run it again."),
    "venv-failed": Problem(
        503,
        "The virtual environment could not be created",
        "`fab setup -H HOST` installs what is missing.",
    ),
    "install-failed": Problem(504, "The packages could not be installed", "See the output above."),
    "no-uv": Problem(
        505,
        "The host does not have uv",
        "`fab setup -H HOST` installs it; or set deploy.installer to pip.",
    ),
    "dependency-missing": Problem(
        506, "The installed packages do not fit together", "Fix the app's requirements."
    ),
    "import-failed": Problem(
        507,
        "The application cannot be imported",
        "See the log above; app.entry must name the WSGI or ASGI application (module:attribute).",
    ),
    "no-zone": Problem(
        519,
        "The host does not know the time zone of a timer",
        "Add `tzdata` to host.packages and run `fab packages`, or name a zone that the host has.",
    ),
    "no-program": Problem(
        518,
        "The program of a process is not there",
        "Add its package to the app's requirements, or to host.packages and run `fab packages`.",
    ),
    "unit-refused": Problem(
        508,
        "systemd rejects the rendered unit",
        "Check the settings under [hardening] and your own template.",
    ),
    "nginx-broken": Problem(
        509,
        "nginx's configuration was already broken",
        "Fix what is named above; nothing was changed.",
    ),
    "nginx-refuses": Problem(
        510,
        "nginx rejects the rendered site",
        "Check the settings under [web] and your own template.",
    ),
    "apache-broken": Problem(
        527,
        "Apache's configuration was already broken",
        "Fix what is named above; nothing was changed.",
    ),
    "apache-refuses": Problem(
        528,
        "Apache rejects the rendered site",
        "Check the settings under [web] and your own template.",
    ),
    "web-server-changed": Problem(
        529,
        "The app's site stands in another web server",
        "Set web.server back, or move the app: `fab uninstall -H HOST` (with `--keep-shared` its"
        " data stay), then `fab setup -H HOST` and `fab deploy -H HOST`.",
    ),
    "tls-not-served": Problem(
        522,
        "HTTPS does not show the new certificate",
        "The site is served as before. See what the web server has logged, whether something else"
        " has the port, and whether your own template of the site still has its line `include`.",
        Exit.ATTENTION,
    ),
    "maintenance-unseen": Problem(
        526,
        "Visitors do not get the page",
        "The site is open as before. A site that an earlier version wrote gets it with the next"
        " `fab deploy`; your own template of the site needs what Cartwheel's own has for it.",
    ),
    "acme": Problem(
        523,
        "The certificate authority gave no certificate",
        "What was served is served as before. The line above has the authority's words; fix what"
        " they name, then `fab deploy` or `fab tls.renew` asks again. The host itself asks again"
        " once an hour.",
        Exit.ATTENTION,
    ),
    "no-certbot": Problem(
        524,
        "The host does not have certbot",
        "`fab setup -H HOST` installs it.",
    ),
    "no-acme": Problem(
        525,
        "The host asks no certificate authority",
        "`fab deploy -H HOST` makes it ask, if tls.acme is true.",
    ),
    "server-name-taken": Problem(
        511,
        "Another site already has this server name",
        "Choose other web.server_names, or remove that site.",
    ),
    "server-name-needed": Problem(
        512,
        "The app needs a server name on this host",
        "Set web.server_names: another site already answers for all names.",
    ),
    "site-unread": Problem(
        515,
        "The web server does not read the folder of the sites",
        "nginx: add `include /etc/nginx/conf.d/*.conf;` to `http { }` in /etc/nginx/nginx.conf on"
        " HOST. Apache: add `IncludeOptional sites-enabled/*.conf` to /etc/apache2/apache2.conf;"
        " `fab setup -H HOST` writes what is missing there.",
    ),
    "web-server-masked": Problem(
        516,
        "The web server's unit is masked",
        "`systemctl unmask nginx`, or `apache2`, on HOST; then `fab deploy -H HOST` starts it.",
    ),
    "web-server-down": Problem(
        517,
        "The web server does not start or reload",
        "Its configuration is valid: fix what its unit says above (`systemctl status nginx`, or"
        " apache2).",
    ),
    "python-reach": Problem(
        520,
        "The app's user cannot run the Python interpreter",
        "Install Python where every user can read it, below /usr or /opt (`uv python install"
        " --install-dir /opt/python`), or set app.python to one that is readable.",
    ),
    "not-whole": Problem(
        521,
        "The release is damaged",
        "`fab deploy -H HOST` makes it again; `fab doctor -H HOST` shows what is missing.",
    ),
    # 6xx: the switch
    "start-failed": Problem(601, "The new release could not be started", "See its log above."),
    "unhealthy": Problem(
        602,
        "The new release failed its health check",
        "See its log above; [health] in the settings says what it is asked.",
    ),
    "not-ready": Problem(
        610,
        "A process of the new release did not get ready",
        "See its log above; its table under [processes] says when it counts as ready.",
    ),
    "reverted": Problem(
        603,
        "The host rolled back",
        "See the log above.",
        Exit.REVERTED,
    ),
    "facts-changed": Problem(604, "The host changed during the run", "Run it again."),
    "not-deployed": Problem(
        605, "The app is not deployed on this host", "`fab deploy -H HOST` deploys it."
    ),
    "no-rollback": Problem(
        606, "There is no release to go back to", "`fab releases -H HOST` lists its releases."
    ),
    "no-release": Problem(
        607, "There is no such release on the host", "`fab releases -H HOST` lists its releases."
    ),
    "other-prefix": Problem(
        614,
        "The release is below another path of its site",
        "Only a deploy changes the site: take the settings and the code that the release was made"
        " from, and `fab deploy -H HOST`. A release that is still on the host is not made again.",
    ),
    "migration-failed": Problem(
        608,
        "The migration failed",
        "See its output above. The migration may have changed data already.",
    ),
    "hook-failed": Problem(
        609,
        "A hook failed",
        "See its output above. Fix it, or skip all hooks once with `--skip-hooks`.",
    ),
    "not-well": Problem(620, "A host is not well", "`fab doctor -H HOST` shows what to do."),
    "no-timer": Problem(
        611,
        "The timer is not on this host",
        "`fab timer.list` shows which host has it; a deploy brings one that is new.",
    ),
    "no-run": Problem(
        612,
        "There is no such run of the timer",
        "`fab timer.list` lists the last runs; the output of 20 is kept.",
    ),
    "timer-busy": Problem(
        613,
        "The timer's job is under way",
        "Wait for its end: `fab logs --timer NAME --follow` shows it.",
    ),
    # 8xx: balancers
    "balancer": Problem(
        801,
        "The balancer failed or refused",
        "Check the balancer and the settings under [balancer]; `fab balancer.status` shows its"
        " state.",
    ),
    "balancer-empty": Problem(
        802,
        "This would empty the balancer",
        "Use a smaller `--batch`, or return hosts with `fab balancer.back -H HOST`.",
        Exit.USAGE,
    ),
    "balancer-stuck": Problem(
        803,
        "A host could not be returned to the balancer",
        "Run `fab balancer.back -H HOST`.",
        Exit.ATTENTION,
    ),
    # 7xx: locks and freezes
    "locked": Problem(
        701,
        "Another run is changing this application",
        "Try again later, or wait longer with `--wait SECONDS`.",
        Exit.LOCKED,
    ),
    "stopped": Problem(
        702,
        "The app was stopped on purpose",
        "Start it with `fab start -H HOST`, then deploy.",
        Exit.LOCKED,
    ),
    "held": Problem(
        703,
        "This application is frozen",
        "Ask the person named above first; `fab lock.release -H HOST` lifts the freeze.",
        Exit.LOCKED,
    ),
}


_HOST = re.compile(r"\bHOST\b")


def for_host(text: str, host: str) -> str:
    """`text` with this host (or several, comma-separated) in place of HOST."""
    return _HOST.sub(lambda _found: host, text)


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
        """What to do next; it names the host where the error has one."""
        hint = self._hint or self.problem.remedy
        return for_host(hint, self.host) if self.host else hint

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
