"""The faults: how each is planted and undone, and which finding is right.

`plant` and `undo` are scripts that run on the host as root, after the words of `site.WORDS`; what
only the operator can do is a function. A mode (`mode NAME TEXT`) makes the shop misbehave, see
app/modes.py; all modes end by themselves after each fault.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.diagnosed.site import PAGES, USUAL, Site, Variant
from bench.diagnosed.visitors import Page
from tests.kit.fab import fab

Act = Callable[[Site], None]

SYNC = replace(USUAL, gunicorn='workers = 2\nworker_class = "sync"\ntimeout_seconds = 4')


@dataclass(frozen=True)
class Fault:
    """`right`: slugs of findings that name the cause; `says`: a pattern that such a finding must
    contain too, in its title, its evidence or the changes before it. `pages`: what visitors ask
    for; `more`: others, who come after the planting. `seconds`: how long they are there then.
    `recorded`: the host only gets the lines that a real one would have written. `fresh`: undone by
    the disk as it was. `clock_seconds`: how far the operator's clock is ahead."""

    name: str
    kind: str
    plant: str | Act
    right: tuple[str, ...]
    says: str = ""
    undo: str | Act = ""
    variant: Variant = USUAL
    pages: tuple[Page, ...] = PAGES
    more: tuple[Page, ...] = ()
    seconds: float = 10.0
    recorded: bool = False
    fresh: bool = False
    clock_seconds: float = 0.0

    def place_in(self, causes: list[dict[str, Any]]) -> int:
        """The place of the first finding that is right, from 1; 0: there is none."""
        for place, one in enumerate(causes, 1):
            if one["what"] in self.right and re.search(self.says, text_of(one), re.IGNORECASE):
                return place
        return 0


def text_of(cause: dict[str, Any]) -> str:
    changes = [f"{one['kind']} {one['detail']}" for one in cause["changes"]]
    return "\n".join([cause["title"], *cause["evidence"], *changes])


def only(*pages: Page) -> tuple[Page, ...]:
    """Usual visitors, but these instead of the usual ones of the same path."""
    paths = {page.path for page in pages}
    return (*(page for page in PAGES if page.path not in paths), *pages)


# --- recorded lines

# systemd-journal-remote writes a journal with any fields, also those that only the kernel and PID 1
# can write: the lines are those of real hosts, with the time, boot and unit of this one.
_RECORD = """
now=$(date +%s)000000 up=$(cut -d. -f1 /proc/uptime)000000
id=$(cat /etc/machine-id) boot=$(tr -d - </proc/sys/kernel/random/boot_id)
entry() {{
  at=$((now - $1 * 1000000)) monotonic=$((up - $1 * 1000000)); shift
  printf '__REALTIME_TIMESTAMP=%s\\n__MONOTONIC_TIMESTAMP=%s\\n_BOOT_ID=%s\\n_MACHINE_ID=%s\\n' \\
    $at $monotonic $boot $id
  printf '_HOSTNAME=lab1\\nPRIORITY=4\\n'
  printf '%s\\n' "$@"
  echo
}}
kernel() {{ entry "$1" _TRANSPORT=kernel SYSLOG_FACILITY=0 SYSLOG_IDENTIFIER=kernel "MESSAGE=$2"; }}
systemd() {{
  entry "$1" _TRANSPORT=journal SYSLOG_FACILITY=3 SYSLOG_IDENTIFIER=systemd _PID=1 _UID=0 \\
    _COMM=systemd _SYSTEMD_UNIT=init.scope "UNIT=$2" "MESSAGE=$3" ${{4:+"MESSAGE_ID=$4"}}
}}
{{
{lines}
}} | /lib/systemd/systemd-journal-remote -o /var/log/journal/$id/recorded.journal - 2>/dev/null
"""
_FORGET_RECORD = "rm -f /var/log/journal/*/recorded*"

# fab with a clock that is ahead: the same for it as a host's clock that is behind.
_CLOCK = """
import time
real = time.time
time.time = lambda: real() + {seconds}
"""


def clock(fault: Fault, folder: Path) -> dict[str, str]:
    """The environment of `fab diagnose`: with a clock of its own, if the fault is one of clocks."""
    if not fault.clock_seconds:
        return {}
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_CLOCK.format(seconds=fault.clock_seconds))
    return {"PYTHONPATH": str(folder)}


def recorded(name: str) -> str:
    """A script that puts these lines into the journal, as if they had just been written."""
    lines = (Path(__file__).with_name("recorded") / f"{name}.sh").read_text()
    return _RECORD.format(lines=lines.strip())


# --- what only the operator does


def deploys(variant: Variant, code: str = "") -> Act:
    def act(site: Site) -> None:
        site.deploy(variant, code=code)

    return act


def tasks(*commands: tuple[str, ...]) -> Act:
    def act(site: Site) -> None:
        for words in commands:
            site.fab(*words, code=None)

    return act


def fail_a_job(site: Site) -> None:
    site.sh("mode job 1")
    site.fab("timer.run", "--name", "tidy", "--follow", code=None)


def fill_disk(site: Site) -> None:
    site.host.fill_disk()


def no_inodes(site: Site) -> None:
    site.host.exhaust_inodes()


def free_disk(site: Site) -> None:
    site.host.free_disk()


def nearly_full(megabytes_left: int) -> str:
    """Leave that much room, then let the worker's log grow."""
    return (
        f"left=$(df --output=avail -m / | tail -1)\n"
        f"fallocate -l $((left - {megabytes_left}))M /var/backups.img\nmode fill 4\n"
    )


def kill_a_deploy(step: str, state: str) -> Act:
    """Kill `fab deploy` when this step is so far, and cut its connection to the host."""

    def act(site: Site) -> None:
        site.write(site.variant or USUAL)
        with fab(site.project, "deploy", "-H", site.host.name) as running:
            running.wait_for((step, state))
            running.process.send_signal(signal.SIGKILL)
        site.host.reset_connections()

    return act


def roll_forward(site: Site) -> None:
    site.deploy()


RESTART_ALL = "systemctl restart $web $worker"
BROKEN_RELEASE = """
@app.before_request
def discount():
    if request.path == "/cart":
        return jsonify(price=round("12.50" * 2.0))
"""
DEAF = "deaf\n"
UNDO_DEAF = "systemctl stop deaf\n"

FAULTS: tuple[Fault, ...] = (
    # --- memory
    Fault("worker killed", "memory", "mode kill 1", ("out-of-memory", "worker-died")),
    Fault(
        "MemoryError in one page",
        "memory",
        "mode memory 300000",
        ("out-of-memory", "exceptions"),
        "MemoryError",
    ),
    Fault(
        "kernel ends a worker of web",
        "memory",
        recorded("oom-kernel"),
        ("out-of-memory",),
        "gunicorn|web",
        _FORGET_RECORD,
        recorded=True,
    ),
    Fault(
        "memory limit of the worker",
        "memory",
        recorded("oom-cgroup"),
        ("out-of-memory",),
        "worker|python",
        _FORGET_RECORD,
        recorded=True,
    ),
    Fault(
        "systemd notes the end of web for memory",
        "memory",
        recorded("oom-unit"),
        ("out-of-memory",),
        "web",
        _FORGET_RECORD,
        recorded=True,
    ),
    Fault(
        "another program takes the memory",
        "memory",
        recorded("oom-other"),
        ("out-of-memory",),
        "convert",
        _FORGET_RECORD,
        recorded=True,
    ),
    # --- worker timeouts
    Fault(
        "timeout: a page sleeps",
        "worker timeout",
        "mode slow 30",
        ("worker-timeout",),
        undo=RESTART_ALL,
        variant=SYNC,
        seconds=14,
    ),
    Fault(
        "timeout: a page waits for a lock",
        "worker timeout",
        "mode lock 1; sleep 1",
        ("worker-timeout",),
        undo=RESTART_ALL,
        variant=SYNC,
        seconds=14,
    ),
    Fault(
        "timeout: a service never answers",
        "worker timeout",
        "mode patience 600\nsystemctl kill -s STOP prices",
        ("worker-timeout", "service-slow"),
        undo="systemctl kill -s CONT prices\n" + RESTART_ALL,
        variant=SYNC,
        seconds=14,
    ),
    # --- exceptions
    Fault("exception at one page", "exception", "mode raise orders", ("exceptions",), "total_of"),
    Fault("exception at every page", "exception", "mode raise all", ("exceptions",), "check_plan"),
    Fault(
        "exception in the worker",
        "exception",
        "mode worker-raise 1",
        ("exceptions",),
        "ZeroDivisionError",
    ),
    Fault(
        "a timer's job fails",
        "exception",
        fail_a_job,
        ("exceptions", "timer"),
        "tidy|job.py",
        tasks(("timer.run", "--name", "tidy", "--follow")),
        seconds=3,
    ),
    Fault(
        "a table is missing",
        "exception",
        "mode table orders_2025",
        ("exceptions", "schema"),
        "UndefinedTable|orders_2025",
    ),
    Fault(
        "a folder belongs to root",
        "exception",
        "mkdir -p $shared/uploads; chown root:root $shared/uploads; chmod 755 $shared/uploads",
        ("exceptions", "permission"),
        "PermissionError|uploads",
        "rm -rf $shared/uploads",
    ),
    Fault(
        "a release that is worse",
        "exception",
        deploys(USUAL, BROKEN_RELEASE),
        ("exceptions",),
        r"discount[\s\S]*deploy",
        roll_forward,
    ),
    Fault(
        "a package is removed",
        "exception",
        "dpkg --purge bc >/dev/null 2>&1",
        ("exceptions",),
        r"FileNotFoundError[\s\S]*packages",
        fresh=True,
    ),
    # --- slow
    Fault(
        "a page answers 503",
        "exception",
        "mode unavailable 1",
        ("answers-5xx",),
        "/report",
    ),
    Fault(
        "one page is slow",
        "slow",
        "mode slow 3",
        ("slow",),
        "/report",
        pages=only(Page("/report", clients=4)),
        seconds=15,
    ),
    Fault(
        "a locked table",
        "slow",
        "systemd-run -q --unit lock-orders sh -c 'while :; do"
        ' echo "BEGIN; LOCK TABLE orders; SELECT pg_sleep(3); COMMIT;" |'
        " runuser -u postgres -- psql -q shop; sleep 0.3; done'",
        ("slow",),
        "/orders",
        "systemctl stop lock-orders\n" + RESTART_ALL,
        seconds=15,
        pages=only(Page("/orders", clients=2), Page("/orders/*", clients=2)),
    ),
    Fault(
        "the database hangs",
        "service",
        "systemctl kill -s STOP postgresql@15-main",
        ("service-slow", "service-refuses"),
        "5432|DATABASE_URL",
        "systemctl kill -s CONT postgresql@15-main\n" + RESTART_ALL,
    ),
    Fault(
        "all workers are busy",
        "workers busy",
        "mode slow 8",
        ("workers-busy",),
        undo=RESTART_ALL,
        pages=only(Page("/report", clients=60, patience_seconds=40)),
        seconds=14,
    ),
    Fault(
        "one client floods the site",
        "workers busy",
        "earlier; mode slow 0.15",
        ("traffic",),
        r"127\.0\.99\.7",
        pages=tuple(replace(page, pause_seconds=2.0) for page in PAGES),
        more=(Page("/report", clients=60, pause_seconds=0.0, address="127.0.99.7"),),
        seconds=55,
    ),
    # --- limits
    Fault(
        "too few files for web",
        "limit",
        "mode leak 3",
        ("files-limit",),
        undo=RESTART_ALL,
        variant=replace(USUAL, tables='[hardening]\nunit = ["LimitNOFILE=96"]'),
    ),
    Fault(
        "too few files for the worker",
        "limit",
        "mode worker-leak 8",
        ("files-limit",),
        "worker",
        undo=RESTART_ALL,
        variant=replace(USUAL, tables='[processes.worker.hardening]\nunit = ["LimitNOFILE=64"]'),
    ),
    Fault(
        "too few threads",
        "limit",
        "mode threads 20",
        ("tasks-limit",),
        undo=RESTART_ALL,
        variant=replace(USUAL, tables='[hardening]\nunit = ["LimitNPROC=60", "TasksMax=60"]'),
    ),
    # --- disk
    Fault("the disk is full", "disk", fill_disk, ("disk-full", "disk"), undo=free_disk),
    Fault("no inodes", "disk", no_inodes, ("inodes-full", "disk"), "inode", undo=free_disk),
    Fault(
        "a log fills the disk soon",
        "disk",
        nearly_full(900),
        ("disk-soon", "disk-full"),
        r"debug\.log",
        "rm -f /var/backups.img $shared/debug.log",
    ),
    Fault(
        "a deleted file that is open",
        "disk",
        "left=$(df --output=avail -m / | tail -1)\nfallocate -l $((left - 650))M /var/backups.img\n"
        "mode deleted 600",
        ("disk-full", "disk-soon", "disk"),
        r"deleted|worker\.log",
        "systemctl restart $worker; rm -f /var/backups.img",
    ),
    # --- logs and the clock
    Fault("a flood of log lines", "log flood", "mode chatter 400", ("log-flood",)),
    Fault(
        "the clock is off",
        "clock",
        ":",
        ("clock",),
        seconds=2,
        recorded=True,
        clock_seconds=900.0,
    ),
    # --- names
    Fault(
        "a name was removed from /etc/hosts",
        "names",
        "sed 's/prices.internal//' /etc/hosts >/tmp/hosts; cat /tmp/hosts >/etc/hosts",
        ("service-unknown", "names"),
        "prices.internal",
        "echo '127.0.0.1 prices.internal' >>/etc/hosts; rm -f /tmp/hosts",
    ),
    Fault(
        "the name server is dead",
        "names",
        "sed 's/prices.internal//' /etc/hosts >/tmp/hosts; cat /tmp/hosts >/etc/hosts\n"
        + DEAF
        + "echo 'nameserver 127.0.0.9' >/etc/resolv.conf",
        ("service-unknown", "names"),
        undo="echo '127.0.0.1 prices.internal' >>/etc/hosts\n"
        "rm -f /tmp/hosts /etc/resolv.conf\n" + UNDO_DEAF + RESTART_ALL,
    ),
    # --- services
    Fault(
        "the database refuses",
        "service",
        "systemctl stop postgresql@15-main",
        ("service-refuses",),
        "5432|DATABASE_URL",
        "systemctl start postgresql@15-main",
    ),
    Fault(
        "the database cannot be reached",
        "service",
        DEAF + "sed 's/db.internal//' /etc/hosts >/tmp/hosts\n"
        "echo '127.0.0.9 db.internal' >>/tmp/hosts\n"
        "cat /tmp/hosts >/etc/hosts",
        ("service-slow", "service-refuses"),
        "5432|DATABASE_URL",
        "sed 's/127.0.0.9 db/127.0.0.1 db/' /etc/hosts >/tmp/hosts; cat /tmp/hosts >/etc/hosts\n"
        "rm -f /tmp/hosts\n" + UNDO_DEAF + RESTART_ALL,
        seconds=12,
    ),
    Fault(
        "the database rejects the password",
        "service",
        "sql -c \"ALTER USER shop PASSWORD 'another'\"",
        ("service-login", "service-refuses"),
        "password",
        "sql -c \"ALTER USER shop PASSWORD 'correct-horse'\"",
    ),
    Fault(
        "too many connections to the database",
        "service",
        "systemd-run -q --unit hog $python -c 'import psycopg, time\n"
        'held = []\nfor n in range(40):\n  try: held.append(psycopg.connect("'
        "postgresql://shop:correct-horse@db.internal:5432/shop"
        "\"))\n  except Exception: pass\ntime.sleep(600)'",
        ("service-crowded", "service-refuses"),
        "too many|remaining connection slots",
        "systemctl stop hog",
    ),
    Fault(
        "the database's name is unknown",
        "service",
        "sed -i 's/db.internal/db2.internal/' /srv/shop/current/env\n" + RESTART_ALL,
        ("service-unknown", "names"),
        r"db2\.internal",
        "sed -i 's/db2.internal/db.internal/' /srv/shop/current/env\n" + RESTART_ALL,
    ),
    Fault(
        "Redis refuses",
        "service",
        "systemctl stop redis-server",
        ("service-refuses",),
        "6379|REDIS_URL",
        "systemctl start redis-server",
    ),
    Fault(
        "Redis takes no writes",
        "service",
        "redis-cli config set maxmemory 1 >/dev/null",
        ("service-full", "exceptions", "service-refuses"),
        "maxmemory|OutOfMemoryError",
        "redis-cli config set maxmemory 0 >/dev/null",
    ),
    Fault(
        "an HTTP service refuses",
        "service",
        "systemctl stop prices",
        ("service-refuses",),
        "9000|PRICES_URL",
        "systemctl start prices",
    ),
    Fault(
        "MySQL refuses",
        "service",
        ":",
        ("service-refuses",),
        "3306",
        variant=replace(USUAL, env='LEGACY_HOST = "127.0.0.1"\nLEGACY_PORT = "3306"'),
        pages=(*PAGES, Page("/legacy")),
    ),
    # --- certificate
    Fault(
        "the certificate ends soon",
        "certificate",
        ":",
        ("certificate", "https"),
        "end|expire",
        variant=replace(USUAL, certificate_days=(-80, 2)),
        seconds=3,
    ),
    Fault(
        "the certificate has expired",
        "certificate",
        "sleep 25",
        ("certificate", "https"),
        "expired",
        variant=replace(USUAL, certificate_days=(-80, 35 / 86400)),
        seconds=3,
    ),
    # --- nginx
    Fault(
        "nginx may not open the socket",
        "web server",
        "chmod 700 $(dirname $socket)",
        ("web-errors-permission",),
        undo="chmod 750 $(dirname $socket)",
    ),
    Fault(
        "the socket is gone",
        "web server",
        "mv $socket $socket.away",
        ("web-errors-no-socket",),
        undo="mv $socket.away $socket",
    ),
    Fault(
        "the socket's queue is full",
        "web server",
        "mode slow 5",
        ("workers-busy", "web-errors-queue"),
        undo=RESTART_ALL,
        variant=replace(
            USUAL,
            gunicorn='workers = 1\nthreads = 1\nworker_class = "sync"\ntimeout_seconds = 60\n'
            'config_file = "gunicorn_backlog.py"',
        ),
        pages=only(Page("/report", clients=12, patience_seconds=20)),
    ),
    Fault(
        "nginx does not wait for the app",
        "web server",
        "mode slow 5",
        ("slow", "web-errors-timeout"),
        "/report",
        variant=replace(USUAL, web='[web.paths."/report"]\ntimeout_seconds = 2'),
    ),
    Fault(
        "uploads are too large",
        "web server",
        ":",
        ("web-errors-body",),
        variant=replace(USUAL, web='client_max_body_size = "10k"'),
    ),
    Fault(
        "nginx has too few files",
        "web server",
        "sed -i '1i worker_rlimit_nofile 14;' /etc/nginx/nginx.conf; systemctl reload nginx",
        ("files-limit", "web-errors-files"),
        undo="sed -i '/worker_rlimit_nofile 14/d' /etc/nginx/nginx.conf; systemctl restart nginx",
    ),
    Fault(
        "nginx is stopped",
        "web server",
        "systemctl stop nginx",
        ("nginx",),
        undo="systemctl start nginx",
    ),
    Fault(
        "nginx is masked",
        "web server",
        "systemctl -q mask --now nginx",
        ("nginx",),
        "mask",
        undo="systemctl -q unmask nginx; systemctl start nginx",
    ),
    Fault(
        "a mistake in nginx's configuration",
        "web server",
        "echo 'server { lisen 81; }' >/etc/nginx/conf.d/other.conf",
        ("nginx--t", "web-errors-configuration"),
        undo="rm /etc/nginx/conf.d/other.conf",
        seconds=3,
    ),
    # --- units
    Fault(
        "somebody stopped the app",
        "restarts",
        "systemctl stop $web",
        ("restarts", "stopped"),
        undo="systemctl start $web",
    ),
    Fault(
        "somebody restarts the app again and again",
        "restarts",
        "for n in 1 2 3 4 5 6; do systemctl restart $web; sleep 1; done",
        ("restarts",),
    ),
    Fault(
        "the app cannot start",
        "start",
        "sed -i '/^SHOP_CURRENCY/d' /srv/shop/current/env\n"
        "echo 'SHOP_CURRENCY=\"GBP\"' >>/srv/shop/current/env; systemctl restart $web || true",
        ("boot-failed",),
        "SHOP_CURRENCY",
        "sed -i '/^SHOP_CURRENCY/d' /srv/shop/current/env; systemctl restart $web",
    ),
    Fault(
        "the worker does not start",
        "start",
        "mode worker-crash 'no such queue'\n" + "systemctl restart $worker",
        ("boot-failed", "process-ill", "exceptions"),
        "worker",
        RESTART_ALL,
    ),
    Fault(
        "the worker ends again and again",
        "start",
        "mode worker-exit 1",
        ("process-ill", "restarts", "boot-failed", "worker-died"),
        "worker",
        RESTART_ALL,
    ),
    # --- the operator
    Fault(
        "a freeze",
        "deploy",
        tasks(("lock.hold", "--message", "the sale")),
        ("freeze",),
        undo=tasks(("lock.release",)),
        seconds=2,
    ),
    Fault(
        "a deploy was killed while it installed",
        "deploy",
        kill_a_deploy("install", "start"),
        ("cut-off", "leftover"),
        undo=roll_forward,
        seconds=3,
    ),
    Fault(
        "a deploy was killed in its switch",
        "deploy",
        kill_a_deploy("traffic", "done"),
        ("cut-off", "switch"),
        undo=roll_forward,
        seconds=25,
    ),
    Fault(
        "maintenance was left on",
        "deploy",
        tasks(("maintenance.on",)),
        ("maintenance",),
        undo=tasks(("maintenance.off",)),
        seconds=3,
    ),
)
