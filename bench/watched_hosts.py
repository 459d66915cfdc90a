"""Pretended hosts for a monitor: real sshd, a forced command that answers with a HostLook.

Each host is a port of a real sshd on loopback, where the user `cartwheel-look` exists for sshd
alone (a mount namespace with its own /etc/passwd; needs root). The forced command writes down when
it was asked, and prints the host's answer with the present time. `freeze` stops sshd itself: the
kernel still accepts connections, and nobody answers. `hang` lets the command wait for ever.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import socket
import subprocess
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.look import (
    BOUNDS,
    PROTOCOL,
    AppLook,
    DiskLook,
    HostLook,
    ProcessLook,
    Requests,
    TimerLook,
)
from tests.kit.ports import free_port
from tests.kit.waiting import until
from tests.ssh.sshd import PRIVILEGE_SEPARATION_FOLDER, SSHD, keygen

USER = "cartwheel-look"
HOSTS_OF_AN_SSHD = 5  # sshd listens on 16 ports at most
_NOBODY = 65534
_GIB, _MIB = 1 << 30, 1 << 20
_DAY = 86400.0
# Of all looks: with a deploy in the journal, and with an answer of 5xx.
_DEPLOYED_SHARE, _FAILED_SHARE = 0.02, 0.1
# Answers change as often as a real host is asked.
_RENEWED_SECONDS = 20.0
_TIME = 4102444800.0  # stands for the present in an answer; nothing else is this number
_CURSOR_TIME = "4102444801"

_PROGRAM = """
port=${SSH_CONNECTION##* }
now=$(date +%s.%N)
case $SSH_ORIGINAL_COMMAND in
    state | "since 1/"*) ;;
    *) exit 2 ;;
esac
echo "$port $now" >>FOLDER/asked
if [ -e FOLDER/hanging/$port ]; then exec cat >/dev/null; fi
exec sed -e "s/TIME/$now/" -e "s/CURSOR/${now%.*}/" FOLDER/answers/$port
"""


@dataclass(frozen=True)
class WatchedHost:
    """A pretended host and the applications that it has."""

    name: str
    port: int
    apps: tuple[str, ...]


@dataclass
class WatchedHosts:
    """All of them, and the processes of their sshd by port."""

    folder: Path
    hosts: Sequence[WatchedHost]
    public_key: str
    servers: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    _frozen: set[int] = field(default_factory=set)

    def asked(self, since: float) -> dict[str, list[float]]:
        """When each host was asked, from then on, by the system's clock."""
        names = {one.port: one.name for one in self.hosts}
        found: dict[str, list[float]] = defaultdict(list)
        for line in (self.folder / "asked").read_text().splitlines():
            port, at = line.split()
            if float(at) >= since:
                found[names[int(port)]].append(float(at))
        return found

    def hang(self, hosts: Iterable[WatchedHost]) -> None:
        """Let their forced command wait until the monitor gives up."""
        for one in hosts:
            (self.folder / "hanging" / str(one.port)).touch()

    def freeze(self, hosts: Iterable[WatchedHost]) -> None:
        """Stop their sshd with all its sessions, also of hosts that share it."""
        for pid in {self.servers[one.port].pid for one in hosts}:
            self._frozen.add(pid)
            for each in _tree(pid):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGSTOP)

    def thaw(self) -> None:
        """All hosts answer again."""
        for path in (self.folder / "hanging").iterdir():
            path.unlink()
        for pid in self._frozen:
            for each in _tree(pid):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGCONT)
        self._frozen.clear()


@contextmanager
def watched_hosts(
    folder: Path, hosts: Sequence[tuple[str, tuple[str, ...]]], monitor_key: str
) -> Iterator[WatchedHosts]:
    """Start the hosts, given by name and applications; they let the monitor with that key look."""
    PRIVILEGE_SEPARATION_FOLDER.mkdir(mode=0o755, exist_ok=True)
    for name in ("answers", "hanging"):
        (folder / name).mkdir(parents=True)
    asked = folder / "asked"
    asked.touch()
    os.chown(asked, _NOBODY, _NOBODY)
    (folder / "look").write_text(_PROGRAM.replace("FOLDER", shlex.quote(str(folder))))
    command = f"/bin/sh {folder / 'look'}"
    (folder / "authorized_keys").write_text(f'restrict,command="{command}" {monitor_key}\n')
    ports: list[int] = []
    while len(ports) < len(hosts):
        port = free_port()
        if port not in ports:
            ports.append(port)
    every = [WatchedHost(name, port, apps) for (name, apps), port in zip(hosts, ports, strict=True)]
    key = keygen(folder / "host_key")
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    found = WatchedHosts(folder, every, public)
    ending = threading.Event()
    renewing = threading.Thread(target=_renew, args=(found, ending), daemon=True)
    try:
        _write_answers(found, random.Random(1), every)
        _start(found, key)
        renewing.start()
        yield found
    finally:
        ending.set()
        found.thaw()
        _stop(found)


def _start(found: WatchedHosts, key: Path) -> None:
    folder = found.folder
    for name, line in (
        ("passwd", f"{USER}:x:{_NOBODY}:{_NOBODY}::/:/bin/sh"),
        ("shadow", f"{USER}:*:19000::::::"),
    ):
        (folder / name).write_text(f"{Path('/etc', name).read_text().rstrip()}\n{line}\n")
    for first in range(0, len(found.hosts), HOSTS_OF_AN_SSHD):
        some = found.hosts[first : first + HOSTS_OF_AN_SSHD]
        config = folder / f"sshd_config.{first}"
        lines = (
            *(f"ListenAddress 127.0.0.1:{one.port}" for one in some),
            f"HostKey {key}",
            f"AuthorizedKeysFile {folder / 'authorized_keys'}",
            *("PidFile none", "StrictModes no", "UsePAM no", "PasswordAuthentication no"),
            *("KbdInteractiveAuthentication no", "MaxStartups 2000", "LogLevel ERROR"),
        )
        config.write_text("\n".join(lines) + "\n")
        binds = " && ".join(f"mount --bind {folder / n} /etc/{n}" for n in ("passwd", "shadow"))
        starting = f"{binds} && exec {SSHD} -D -e -f {config}"
        with (folder / "log").open("ab") as log:
            words = ["unshare", "--mount", "/bin/sh", "-c", starting]
            process = subprocess.Popen(words, stderr=log, start_new_session=True)
        found.servers.update({one.port: process for one in some})
    for one in found.hosts:
        until(partial(_answers, one.port), shown=(folder / "log").read_text)


def _stop(found: WatchedHosts) -> None:
    every = {process.pid: process for process in found.servers.values()}
    sessions = [pid for process in every for pid in _tree(process) if pid != process]
    for process in every.values():
        process.terminate()
    for pid in sessions:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    for process in every.values():
        process.wait(10)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _tree(pid: int) -> list[int]:
    """The process and all its descendants, parents first."""
    found = [pid]
    for one in found:
        with suppress(OSError):
            text = Path(f"/proc/{one}/task/{one}/children").read_text()
            found += [int(word) for word in text.split()]
    return found


def _renew(found: WatchedHosts, ending: threading.Event) -> None:
    chance = random.Random(2)
    pause = _RENEWED_SECONDS / len(found.hosts)
    while True:
        for one in found.hosts:
            if ending.wait(pause):
                return
            _write_answers(found, chance, [one])


def _write_answers(
    found: WatchedHosts, chance: random.Random, hosts: Iterable[WatchedHost]
) -> None:
    for one in hosts:
        text = json.dumps(to_json(_look(one, chance)))
        path = found.folder / "answers" / str(one.port)
        new = path.with_suffix(".new")
        new.write_text(text.replace(str(_TIME), "TIME").replace(_CURSOR_TIME, "CURSOR") + "\n")
        new.replace(path)


def _look(host: WatchedHost, chance: random.Random) -> HostLook:
    """What a busy and healthy host says to `since`."""
    places = "".join(f"/{app}:{chance.randrange(99)}:1311768:{chance.randrange(10**7)}"
                     for app in host.apps)  # fmt: skip
    return HostLook(
        protocol=PROTOCOL,
        version="0.1.0",
        time=_TIME,
        booted=1_790_000_000.0,
        cpus=4,
        load=round(chance.uniform(0.2, 3), 2),
        memory=8 * _GIB,
        memory_available=int(chance.uniform(0.3, 0.5) * 8 * _GIB),
        disks=(
            DiskLook("/", 80 * _GIB, int(chance.uniform(50, 50.2) * _GIB), 5_242_880, 4_900_000),
            DiskLook(
                "/srv", 200 * _GIB, int(chance.uniform(120, 121) * _GIB), 13_107_200, 12_800_000
            ),
        ),
        apps=tuple(_app(app, chance) for app in host.apps),
        cursor=f"1/{_CURSOR_TIME}{places}",
    )


def _app(app: str, chance: random.Random) -> AppLook:
    since = 1_790_500_000.0
    count = chance.randrange(100, 300)
    times = [0] * (len(BOUNDS) + 1)
    for _ in range(count):
        times[min(int(chance.expovariate(1.2)), 8)] += 1
    entry = Entry(41, since, "deploy", "1.4.2.5e1f0a4a", result="confirmed", who="ann")
    return AppLook(
        app=app,
        release="1.4.2.5e1f0a4a",
        version="1.4.2",
        since=since,
        front="",
        processes=tuple(
            ProcessLook(process, label, "active", "success", 0, since,
                        chance.randrange(80, 300) * _MIB)
            for process, label in (("web", "a"), ("worker", "1"), ("worker", "2"), ("beat", "1"))
        ),
        timers=(
            TimerLook("report", "done", "", 230, since + 3600),
            TimerLook("cleanup", "done", "", 5511, since + 7200),
        ),
        entries=(entry,) if chance.random() < _DEPLOYED_SHARE else (),
        requests=Requests(20.0, count, int(chance.random() < _FAILED_SHARE), tuple(times)),
        until=1_790_000_000.0 + 300 * _DAY,
        valid_from=1_790_000_000.0,
    )  # fmt: skip
