"""What others than Cartwheel changed: packages, files in /etc, commands, services."""

from __future__ import annotations

import itertools
import os
import re
import time
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from cartwheel.host.diagnose import journal_entries, log_window, machine
from cartwheel.host.diagnose.found import Found, Window
from cartwheel.host.diagnose.journal_entries import Entry
from cartwheel.host.layout import Layout
from cartwheel.host.state import journal
from cartwheel.host.system import files
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.web.chosen import web_server
from cartwheel.host.wire.diagnosis import Change

_BEFORE_SECONDS = 86400.0  # as in `history`
_ASK_SECONDS = 2.5
_WALK_SECONDS = 1.0
_MOST_FILES = 8000
_MOST_ENTRIES = 400
_MOST_TEXT = 160
_TAIL_BYTES = 1 << 20
# More files at once are the work of a program: of the image's maker, of a configuration manager.
_MANY_FILES = 12
_TOGETHER_SECONDS = 120.0
# A deploy's entry is written at its end, and it changes the configuration late.
_DEPLOY_SECONDS = 90.0
_SLACK_SECONDS = 15.0
_ECHO_SECONDS = 10.0
# systemd's own limits for stops and starts are 90 s (systemd-system.conf(5)).
_DOWN_SECONDS, _UP_SECONDS = 120.0, 90.0


def look(ctx: Context, window: Window) -> Found:
    """Everything of the window and the day before it."""
    early = window.since - _BEFORE_SECONDS
    own = Own(ctx.at)
    unread: List[str] = []
    booted = machine.booted()
    runs = [run for run in apt_runs(_apt_texts(early)) if run.end >= early]
    found = [run.change for run in runs]
    found += dpkg_changes(_tail(Path("/var/log/dpkg.log")), runs, early)
    if booted >= early:
        found.append(Change(booted, "boot", f"the host booted; its kernel is {os.uname().release}"))
    try:
        entries, cut = by_journal(ctx.at, Window(early, window.until), own)
        found += [one for one in entries if not _by_package(one, runs) and not by_boot(one, booted)]
        unread += cut
    except OpError as error:
        unread.append(f"commands and services: {error.message}")
    written, all_read = _files(ctx.at, early)
    if not all_read:
        unread.append("files: not all of /etc")
    found += file_changes(written, runs, own, booted)
    return Found(changes=tuple(one for one in found if one.at >= early), unread=tuple(unread))


def _by_package(one: Change, runs: "Sequence[AptRun]") -> bool:
    """Whether the installation of a package did it."""
    return one.kind in ("account", "service") and any(run.covers(one.at) for run in runs)


def by_boot(one: Change, booted: float) -> bool:
    """Whether it is a service that a shutdown stopped, or the boot after it started."""
    if one.kind != "service":
        return False
    if one.detail.endswith("was stopped"):
        return booted - _DOWN_SECONDS <= one.at <= booted
    return booted - _DOWN_SECONDS <= one.at <= booted + _UP_SECONDS


_UNIT_BYTES = 1 << 20


class Own:
    """What Cartwheel itself changed, and when: that is in its own history."""

    def __init__(self, at: Layout) -> None:
        self._at = at
        ends = [entry.at for entry in journal.read(at.journal) if entry.at]
        self._deploys = [(end - _DEPLOY_SECONDS, end + _SLACK_SECONDS) for end in ends]
        self._set_up = (0.0, 0.0)
        self._site, self._app = str(web_server(at).site(at.app)), at.app
        try:
            set_up = os.stat(at.record).st_mtime
        except OSError:
            return
        self._set_up = (set_up - _DEPLOY_SECONDS, set_up + _SLACK_SECONDS)

    def was_deploying(self, at: float) -> bool:
        """Deploying, rolling back, restarting or setting up."""
        return any(start <= at <= end for start, end in (*self._deploys, self._set_up))

    def was_setting_up(self, at: float) -> bool:
        """It makes users and groups."""
        return self._set_up[0] <= at <= self._set_up[1]

    def wrote(self, path: str, at: float) -> bool:
        """Whether it wrote this file then."""
        name = os.path.basename(path)
        is_own = name.startswith("cartwheel") or path == self._site or self._app in name
        if (is_own and self.was_deploying(at)) or self.was_setting_up(at):
            return True
        return self._is_job(path)

    def _is_job(self, path: str) -> bool:
        """Whether it is what runs a timer's job, as it was deployed: each run writes it anew."""
        job = self._at.job_of(os.path.basename(path))
        if job is None:
            return False
        try:
            with open(path, "rb") as file:
                return file.read(_UNIT_BYTES) == self._at.job_source(*job).read_bytes()
        except OSError:
            return False


# --- packages -----------------------------------------------------------------------------


class AptRun:
    """One run of apt, from its history: when it began and ended, and what it changed."""

    def __init__(self, fields: Dict[str, str]) -> None:
        self.start = _local(fields.get("Start-Date", ""))
        self.end = max(self.start, _local(fields.get("End-Date", "")))
        done = [
            f"{word} {_packages(fields[name])}" for name, word in _DONE.items() if name in fields
        ]
        command = fields.get("Commandline", "")
        program = f" ({_short(command)})" if command else ""
        who = fields.get("Requested-By", "").partition(" ")[0]
        self.change = Change(self.start, "packages", f"{', '.join(done)}{program}", who)

    def covers(self, at: float) -> bool:
        """Whether something happened while it ran; its times are whole seconds."""
        return self.start - 2 <= at <= self.end + 5


_DONE = {
    "Install": "installed",
    "Reinstall": "installed again",
    "Upgrade": "upgraded",
    "Downgrade": "downgraded",
    "Remove": "removed",
    "Purge": "removed",
}
_SHOWN_PACKAGES = 6


def _packages(text: str) -> str:
    """`redis:amd64 (7.0-1), libjemalloc2:amd64 (5.3-1, automatic)`, the wanted ones first."""
    found = re.findall(r"([^\s,(]+?)(?::\w+)? \(([^)]*)\)", text)
    found.sort(key=lambda one: "automatic" in one[1])
    names = [f"{name} {_versions(versions)}" for name, versions in found]
    more = len(names) - _SHOWN_PACKAGES
    return ", ".join(names[:_SHOWN_PACKAGES]) + (f" and {more} more" if more > 0 else "")


def _versions(text: str) -> str:
    return " to ".join(one for one in text.split(", ") if one != "automatic")


def apt_runs(texts: Sequence[str]) -> List[AptRun]:
    """The runs in /var/log/apt/history.log and its older parts."""
    blocks = [block for text in texts for block in re.split(r"\n\s*\n", text)]
    found = []
    for block in blocks:
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "Start-Date" in fields and any(name in fields for name in _DONE):
            found.append(AptRun(fields))
    return found


def _apt_texts(early: float) -> List[str]:
    folder = Path("/var/log/apt")
    names = ("history.log", "history.log.1.gz", "history.log.2.gz")
    return [_tail(folder / name) for name in names if _is_newer(folder / name, early)]


def _is_newer(path: Path, early: float) -> bool:
    try:
        return path.stat().st_mtime >= early
    except OSError:
        return False


def _tail(path: Path) -> str:
    """Its last MiB, unpacked; "" if there is none."""
    try:
        fd = os.open(str(path), files.READ_FILE)
    except OSError:
        return ""
    try:
        if path.suffix == ".gz":
            data = log_window.unpacked(fd)[0][-_TAIL_BYTES:]
        else:
            data = os.pread(fd, _TAIL_BYTES, max(0, os.fstat(fd).st_size - _TAIL_BYTES))
    except OSError:
        return ""
    finally:
        os.close(fd)
    return data.decode("utf-8", "replace")


_DPKG = re.compile(
    r"(\S+ \S+) (install|upgrade|remove|purge) ([^\s:]+)\S* (\S+) (\S+)$", re.MULTILINE
)


def dpkg_changes(text: str, runs: Sequence[AptRun], early: float) -> List[Change]:
    """What dpkg did without apt, as in `dpkg -i`; what it did in one minute is one change."""
    found: Dict[int, List[str]] = {}
    for when, what, name, before, after in _DPKG.findall(text):
        at = _local(when)
        by_apt = any(run.start <= at <= run.end for run in runs)
        if at < early or by_apt:
            continue
        versions = (
            f"{before} to {after}" if what == "upgrade" else after if what == "install" else before
        )
        done = {"install": "installed", "upgrade": "upgraded"}.get(what, "removed")
        found.setdefault(int(at // 60) * 60, []).append(f"{done} {name} {versions}")
    return [
        Change(float(minute), "packages", _short(", ".join(done) + " (dpkg)"))
        for minute, done in found.items()
    ]


def _local(text: str) -> float:
    """`2026-11-30  16:42:22` in the host's own zone; 0.0 if it is no time."""
    try:
        return time.mktime(time.strptime(" ".join(text.split()), "%Y-%m-%d %H:%M:%S"))
    except (ValueError, OverflowError):
        return 0.0


def _short(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 3] + "..."


# --- systemd's journal --------------------------------------------------------------------


_STARTED, _STOPPED = "39f53479d3a045ac8e11786248231fbf", "9d1aaa27d60140bd96365438aad20286"
_RELOADED, _JUMPED = "7b05ebc668384222baa8881179cfda54", "c7a787079b354eaaa9e77b371893cd27"
_FAILED = "d9b373ed55a64feb8242e02dbe79a49c"
_UNIT_WORDS = {
    _STARTED: "was started",
    _STOPPED: "was stopped",
    _RELOADED: "was reloaded",
    _FAILED: "failed",
}
# What an app may need on its host, by the names of Debian's units.
_NEEDED = (
    *("mariadb", "mysql", "redis-server", "redis", "valkey-server", "memcached"),
    *("rabbitmq-server", "mongod", "elasticsearch", "opensearch", "haproxy", "docker"),
    *("nftables", "iptables", "netfilter-persistent", "ufw", "firewalld"),
    *("systemd-resolved", "systemd-networkd", "NetworkManager", "networking", "chrony"),
    *("systemd-timesyncd", "cron"),
)
_ACCOUNTS = ("useradd", "userdel", "usermod", "groupadd", "passwd", "chpasswd", "crontab")
_SUDO = re.compile(r"\s*(\S+) : (?=[A-Z]+=)(?:.* ; )?COMMAND=(.*)", re.DOTALL)
# These only show something, with most of their options.
_READERS = re.compile(
    r"(?:\S*/)?(?:ls|cat|less|more|tail|head|z?grep|df|du|netstat|ps|top|htop|id|true|whoami|lsof"
    r"|stat|free|uptime|last|who|w|list|systemctl (?:status|show|is-\S+|cat|list-\S+)"
    r"|\S+ -[tTSM]\Z"  # a web server's check of its configuration; `mount -t tmpfs` is none
    r"|find(?!.*\s-(?:delete|exec|ok|fprint|fls))"
    r"|journalctl(?!.*\s--(?:vacuum|rotate|flush|relinquish|smart-relinquish|setup-keys))"
    r"|dmesg(?!.*\s(?:-[a-z]*[cCDEn]|--(?:clear|read-clear|console)))"
    r"|ss(?!.*\s(?:-\w*K|--kill)))(?:\s|\Z)",
    re.DOTALL,
)
_PASSWORD = re.compile(r"(\bmysql\S*|\bmariadb\S*)(.*?\s-p)\S+")


def by_journal(at: Layout, window: Window, own: Own) -> Tuple[List[Change], List[str]]:
    """What the journal says that somebody did; and what of it was not read."""
    units = [f"{name}.service" for name in _NEEDED] + [web_server(at).unit, *_postgres()]
    words = ["_COMM=sudo"]
    for name in _ACCOUNTS:
        words += ["+", f"_COMM={name}"]
    words += ["+", f"MESSAGE_ID={_JUMPED}"]
    for message in _UNIT_WORDS:
        words += ["+", f"MESSAGE_ID={message}", *(f"UNIT={unit}" for unit in units)]
    read = journal_entries.read(window, words, _MOST_ENTRIES, _ASK_SECONDS)
    unread = []
    if read.cut is not None:
        ago = window.until - read.cut
        unread.append(f"commands and services older than {ago:.0f} s: there are too many")
    return journal_changes(read.entries, own), unread


def _postgres() -> List[str]:
    """The unit of each of Debian's clusters."""
    return [
        f"postgresql@{one.parent.parent.name}-{one.parent.name}.service"
        for one in sorted(Path("/etc/postgresql").glob("*/*/postgresql.conf"))
    ]


def journal_changes(entries: Sequence[Entry], own: Own) -> List[Change]:
    """Commands by sudo, accounts, starts and stops of what the app needs, jumps of the clock."""
    found = filter(None, (_change(entry, own) for entry in entries))
    return _without_echoes(sorted(found, key=lambda one: one.at))


def _without_echoes(found: Sequence[Change]) -> List[Change]:
    """A stop with a start is a restart; what follows from a command is not said once more."""
    kept: List[Change] = []
    for one in found:
        last = next((other for other in reversed(kept) if other.kind == "service"), None)
        unit = one.detail.partition(" ")[0]
        if one.kind != "service":
            kept.append(one)
        elif any(_asks_for(other, unit) for other in kept if one.at - other.at < _ECHO_SECONDS):
            continue
        elif last and last.detail == f"{unit} was stopped" and one.detail.endswith("was started"):
            kept[kept.index(last)] = Change(last.at, "service", f"{unit} was restarted")
        else:
            kept.append(one)
    return kept


def _asks_for(one: Change, unit: str) -> bool:
    name = unit.rpartition(".")[0].partition("@")[0]
    return one.kind == "command" and re.search(rf"\b{re.escape(name)}\b", one.detail) is not None


def _change(entry: Entry, own: Own) -> Optional[Change]:
    at, text, message, program = entry.at, entry.text, entry.message_id, entry.program
    if message == _JUMPED:
        return Change(at, "clock", "the clock was set: " + _short(text))
    if message in _UNIT_WORDS and entry.unit:
        if message == _RELOADED and own.was_deploying(at):
            return None
        return Change(at, "service", f"{entry.unit} {_UNIT_WORDS[message]}")
    if program == "sudo":
        return _command(at, text)
    return _account(at, program, text) if not own.was_setting_up(at) else None


def _account(at: float, program: str, text: str) -> Optional[Change]:
    if program == "crontab" and "REPLACE" in text:
        return Change(at, "command", _short(f"crontab: {text}"))
    if program in _ACCOUNTS and re.match(r"new user: name=|delete user '", text):
        return Change(at, "account", _short(text.partition(", UID")[0]))
    return None


def _command(at: float, text: str) -> Optional[Change]:
    """A line of sudo's: `alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/true`; one that
    was refused says first why."""
    found = _SUDO.match(text)
    if not found:
        return None
    who, command = found.groups()
    # Cartwheel itself comes by sudo where its login is not root.
    if _READERS.match(command) or "cartwheel" in command.lower():
        return None
    shown = _short(_PASSWORD.sub(r"\1\2***", command))
    return Change(at, "command", f"sudo {shown}", who)


# --- files --------------------------------------------------------------------------------

# They change by themselves, or with what is reported elsewhere.
_NOT = re.compile(
    r"/etc/(?:mtab|adjtime|ld\.so\.cache|\.pwd\.lock|machine-id|subuid|subgid|alternatives/|rc\d\.d/"
    r"|ssl/certs/|ca-certificates|mailcap|\.updated|\.resolv|(?:passwd|group|shadow|gshadow|subuid"
    r"|subgid)-\Z)|\.dpkg-\w+\Z|~\Z|\.sw[a-p]\Z|/\.git/"
)
_CONFIGURATION = re.compile(
    r"\.(?:env|toml|ya?ml|json|ini|cfg|conf|cnf|py|properties)\Z|/\.env\S*\Z"
)


def _files(at: Layout, early: float) -> Tuple[Dict[str, float], bool]:
    """Files of configuration that changed since then; whether all were seen."""
    found: Dict[str, float] = {}
    end, seen = time.monotonic() + _WALK_SECONDS, 0
    tops = ["/etc", "/var/spool/cron/crontabs"]
    for top in tops:
        for folder, folders, names in os.walk(top):
            folders.sort()
            for name in itertools.chain(names, folders):
                seen += 1
                if seen > _MOST_FILES or time.monotonic() > end:
                    return found, False
                _note(found, os.path.join(folder, name), early, name in folders)
    try:
        shared = os.listdir(at.shared)
    except OSError:
        shared = []
    for name in shared[:1000]:
        path = str(at.shared / name)
        if _CONFIGURATION.search(path):
            _note(found, path, early, os.path.isdir(path))
    return found, True


def _note(found: Dict[str, float], path: str, early: float, is_folder: bool) -> None:
    """A folder changes where a file is added or removed, and that file says so: but its mode or
    owner may have been changed."""
    try:
        about = os.lstat(path)
    except OSError:
        return
    changed = about.st_ctime
    if is_folder and abs(about.st_mtime - changed) < 1.0:
        return
    if changed >= early and not _NOT.search(path):
        found[path] = changed


def file_changes(
    written: Dict[str, float], runs: Sequence[AptRun], own: Own, booted: float
) -> List[Change]:
    """What neither a package nor Cartwheel nor the boot changed; many at once are one change."""
    rest = []
    for path, at in written.items():
        by_package = any(run.covers(at) for run in runs)
        by_boot = abs(at - booted) <= _SLACK_SECONDS
        if not by_package and not by_boot and not own.wrote(path, at):
            rest.append((at, path))
    groups: List[List[Tuple[float, str]]] = []
    for at, path in sorted(rest):
        if groups and at - groups[-1][0][0] < _TOGETHER_SECONDS:
            groups[-1].append((at, path))
        else:
            groups.append([(at, path)])
    found = []
    for group in groups:
        if len(group) > _MANY_FILES:
            some = ", ".join(path for _at, path in group[:3])
            found.append(Change(group[0][0], "file", f"{len(group)} files changed: {some}, ..."))
        else:
            found += [Change(at, "file", f"{path} changed") for at, path in group]
    return found
