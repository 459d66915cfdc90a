"""Disposable real hosts on this machine: systemd, sshd, apt, each in its own namespaces.

A lab belongs to one person and one checkout. Everything that it owns can be found from its record
and from traces (a mark in the environment of its processes, mounts below its folder), so the next
`up` or `down` cleans up after a killed `up`.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import cartwheel
from cartwheel import places, writing
from cartwheel.errors import LabError
from cartwheel.events import Emit, Event, silent
from cartwheel_lab import base, depot, forwarder, listing, machine, nspawn, procs, record

Step = Callable[[str], None]
"""Called with a name before each step that creates something; tests kill the process in it."""

STATE_VARIABLE = places.LAB_VARIABLE

_RUNTIME = Path("/run/cartwheel-lab")  # sockets: their paths may have 107 bytes at most
_SSH_PORT = 22
_FIRST_ADDRESS = 10  # lab1 is 127.0.1.11: Debian gives 127.0.1.1 to the machine's own name
_FORWARDER = "import sys; from cartwheel_lab import forwarder; forwarder.main(sys.argv[1])"
_STARTED_SECONDS = 9.0
_POLL_SECONDS = 0.02
_SAID_CHARACTERS = 500
# Import path of the programs that a lab starts: the lab and the engine, two folders in a clone.
_PACKAGE_ROOTS = [str(Path(file).resolve().parents[1]) for file in (cartwheel.__file__, __file__)]


def _nothing(_step: str) -> None:
    return None


@dataclass(frozen=True)
class _Kind:
    """Hosts of one kind are alike; each kind has its own hosts."""

    suite: str
    python: bool
    disk_mb: int
    packages: str


@dataclass(frozen=True)
class LabHost:
    """One lab host as its users see it. All `users` accept the lab's key; `ops` also a password.

    `root`; `deploy` (sudo without password); `ops` (sudo with `ops_password`); `guest` (no sudo).
    `interpreter`, if set, runs the host side instead of `ssh.python`. `disk_mb` is the size of a
    disk in memory, which can get full; with 0 the host uses this machine's disk.
    """

    name: str
    address: str
    port: int
    http_port: int
    https_port: int
    suite: str
    python: bool
    state: Literal["on", "off"]
    identity: Path
    known_hosts: Path
    ops_password: str
    lab: Path
    user: str = "root"
    users: tuple[str, ...] = ("root", "deploy", "ops", "guest")
    interpreter: str = ""
    disk_mb: int = 0

    def url(self, path: str = "/") -> str:
        """The host's web server as seen from here."""
        port = "" if self.http_port == 80 else f":{self.http_port}"  # noqa: PLR2004 - HTTP's port
        return f"http://{self.address}{port}{path}"

    def server_names(self) -> list[str]:
        """The server names of Cartwheel's sites; a site without one answers at `url`."""
        if self.state == "off":
            return []
        sites = "/etc/nginx/conf.d/cartwheel-*.conf /etc/apache2/cartwheel/cartwheel-*.conf"
        words = "s/^ *\\(server_name\\|ServerName\\|ServerAlias\\) //p"
        said = self.sh(f"sed -n '{words}' {sites} 2>/dev/null || :")
        every = dict.fromkeys(said.replace(";", " ").split())
        return [name for name in every if name not in ("_", "*") and ".invalid" not in name]

    def ssh_command(self, *command: str, user: str = "") -> list[str]:
        """An `ssh` command line that reaches the host with the lab's key and known_hosts."""
        options = [
            "-o",
            f"UserKnownHostsFile={self.known_hosts}",
            "-o",
            "GlobalKnownHostsFile=none",
        ]
        options += ["-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes"]
        options += ["-i", str(self.identity), "-p", str(self.port)]
        return ["ssh", *options, f"{user or self.user}@{self.address}", *command]

    # access to the host without ssh

    @property
    def init(self) -> procs.Process:
        """The host's PID 1 as this machine sees it. Raises LabError when the host is off."""
        known = record.load(self.lab / "lab.json").hosts.get(self.name)
        process = record.as_process(known.init) if known else None
        if process is None or not process.alive:
            raise LabError("lab-off", "the host is off", host=self.name)
        return process

    def exec(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        timeout: float = 60.0,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command as root inside all of the host's namespaces."""
        return nspawn.enter(self.init, argv, input=input, timeout=timeout)

    def sh(self, script: str, *, timeout: float = 60.0) -> str:
        """Run a shell script as root in the host; its output. Raises LabError on failure."""
        done = self.exec(["sh", "-euc", script], timeout=timeout)
        if done.returncode:
            text = (done.stdout + done.stderr).decode(errors="replace")
            said = text.strip()[-_SAID_CHARACTERS:]
            raise LabError(
                "lab-failed",
                f"exit {done.returncode}, output {said!r}: {script}",
                host=self.name,
                detail=text,
            )
        return done.stdout.decode()

    def path(self, inside: str) -> Path:
        """A file of the host as a path on this machine (through its PID 1's root)."""
        return Path(f"/proc/{self.init.pid}/root") / inside.lstrip("/")

    def popen_in_netns(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program of this machine in the host's network, so without the forwarder."""
        return subprocess.Popen(["nsenter", "-n", "-t", str(self.init.pid), *argv], **options)

    # its network

    @property
    def _control(self) -> Path:
        return _runtime(self.lab) / f"{self.name}.ctl"

    def _tell(self, **message: Any) -> dict[str, Any]:
        try:
            return forwarder.call(self._control, message)
        except OSError as error:
            raise LabError("lab-off", f"no forwarder: {error}", host=self.name) from error

    def network(
        self,
        *,
        delay_ms: float | None = None,
        bytes_per_second: float | None = None,
        services: bool | None = None,
    ) -> None:
        """Change the line: round-trip delay, throughput in each direction (0: no limit),
        and whether the package index and the apt proxy answer inside the host."""
        wanted = {"delay_ms": delay_ms, "bytes_per_second": bytes_per_second, "services": services}
        self._tell(op="network", **{k: v for k, v in wanted.items() if v is not None})

    def reset_connections(self) -> None:
        """Reset (RST) all connections now; new ones are accepted."""
        self._tell(op="reset")

    def cut(self) -> None:
        """Reset all connections and refuse new ones until `restore`."""
        self._tell(op="network", link="cut")

    def black_hole(self) -> None:
        """Drop every segment, without an acknowledgement or error, until `restore`."""
        self._tell(op="network", link="black-hole")

    def restore(self) -> None:
        """Let the line work again; TCP resends what a black hole dropped. The delay stays."""
        self._tell(op="network", link="up")

    def line(self) -> dict[str, Any]:
        """The state of the line (link, delay_ms, bytes_per_second, services, connections), and
        the bytes that it has carried so far (to_host, from_host)."""
        return self._tell(op="status")

    # the disk

    def fill_disk(self) -> None:
        """Leave no free space, until `free_disk`. Needs a disk in memory."""
        self._limit_disk(room=False, inodes=True)

    def exhaust_inodes(self) -> None:
        """Leave no free inodes, until `free_disk`. Needs a disk in memory."""
        self._limit_disk(room=True, inodes=False)

    def free_disk(self) -> None:
        """Give the disk its free space and inodes back."""
        self._limit_disk(room=True, inodes=True)

    def _limit_disk(self, *, room: bool, inodes: bool) -> None:
        if not self.disk_mb:
            raise LabError(
                "lab-failed",
                "the host has no disk of its own",
                host=self.name,
                hint="Start a host that has one: `fab lab.up --disk-mb 2000`.",
            )
        home = self.lab / "hosts" / self.name
        nspawn.limit_disk(home, room=room, inodes=inodes, disk_mb=self.disk_mb)

    # power

    def power_cut(self) -> None:
        """Kill everything on the host at once. The disk stays; the line stops answering.

        Unlike a real power cut, this keeps data that was written but not yet synced.
        """
        Lab(self.lab).power_cut([self.name])

    def boot(self) -> None:
        """Start the host again from its disk, and wait until it is up."""
        Lab(self.lab).boot([self.name])

    def reset(self) -> None:
        """Give the host a fresh disk (same address and keys) and boot it; takes seconds."""
        Lab(self.lab).reset([self.name])


def default_cache() -> Path:
    """The folder for base trees and packages: the person's own cache, also under sudo."""
    if "XDG_CACHE_HOME" in os.environ:
        return places.cache_dir()
    return places.person().home / ".cache" / "cartwheel"


def inventory(project: Path, *, state: Path | None = None) -> dict[str, LabHost]:
    """The lab's hosts by name, from one small file. Empty if there is no lab."""
    folder = (state or places.lab_dir(project)).absolute()
    try:
        known = record.load(folder / "lab.json")
    except LabError as error:
        if isinstance(error.__cause__, PermissionError):
            return {}
        raise
    return {name: _view(folder, known, host) for name, host in known.hosts.items() if host.number}


def _view(folder: Path, known: record.Record, host: record.HostRecord) -> LabHost:
    init = record.as_process(host.init)
    return LabHost(
        name=host.name,
        address=host.address,
        port=host.ports.get("ssh", _SSH_PORT),
        http_port=host.ports.get("http", 80),
        https_port=host.ports.get("https", 443),
        suite=host.suite,
        python=host.python,
        state="on" if host.state == "on" and init and init.alive else "off",
        identity=folder / "id_ed25519",
        known_hosts=folder / "known_hosts",
        ops_password=known.ops_password,
        lab=folder,
        interpreter=host.interpreter,
        disk_mb=host.disk_mb,
    )


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _kind(host: record.HostRecord) -> _Kind:
    return _Kind(host.suite, host.python, host.disk_mb, host.packages)


def _runtime(folder: Path) -> Path:
    return _RUNTIME / _short(str(folder))


class Lab:
    """The hosts of one state folder. Methods that change it hold its lock."""

    def __init__(
        self, state: Path, *, cache: Path | None = None, emit: Emit = silent, step: Step = _nothing
    ) -> None:
        self.state = state.absolute()
        self.cache = (cache or default_cache()).absolute()
        self.emit = emit
        self.key = _short(str(self.state))
        self.runtime = _runtime(self.state)
        self._step = step
        self._owner = places.person()
        self._record = record.Record()
        self._saving = threading.Lock()

    @classmethod
    def open(
        cls,
        project: Path,
        *,
        state: Path | None = None,
        emit: Emit = silent,
        step: Step = _nothing,
    ) -> Lab:
        """The lab of this checkout; its first `up` creates it."""
        return cls(state or places.lab_dir(project), emit=emit, step=step)

    @property
    def wheels(self) -> Path:
        """A flat folder of wheels that the lab's index serves before all others; for tests."""
        return self.state / "wheels"

    # what tasks call

    def up(
        self,
        count: int = 1,
        suite: str = "bookworm",
        *,
        python: bool = True,
        disk_mb: int = 0,
        packages: str = "",
    ) -> list[LabHost]:
        """Make `count` hosts of this kind run: boot those that exist, create the others.

        `disk_mb` gives them a disk in memory, which can get full; with 0 they use this machine's.
        `packages` (names with commas between) are in their image already.
        """
        kind = _Kind(suite, python, disk_mb, packages)
        return self._raise_hosts(kind, lambda same: max(0, count - len(same)), count)

    def add(self, count: int = 1, suite: str = "bookworm", *, python: bool = True) -> list[LabHost]:
        """Create `count` more hosts of this kind."""
        return self._raise_hosts(_Kind(suite, python, 0, ""), lambda _same: count, None)

    def _raise_hosts(
        self,
        kind: _Kind,
        missing: Callable[[list[record.HostRecord]], int],
        first: int | None,
    ) -> list[LabHost]:
        machine.require()
        mirror = machine.mirror()
        tree = base.ensure(
            self.cache,
            kind.suite,
            python=kind.python,
            extra=kind.packages,
            mirror=mirror,
            emit=self.emit,
        )
        with self._changing():
            self._ensure_identity()
            self._ensure_depot(mirror)
            same = [host for host in self._recorded() if _kind(host) == kind]
            new = [self._new(kind, tree) for _ in range(missing(same))]
            wanted = new if first is None else [*same, *new][:first]
            self._in_parallel(self._bring_up, [h for h in wanted if not self._is_on(h)])
            return [_view(self.state, self._record, host) for host in wanted]

    def hosts(self) -> list[LabHost]:
        """All hosts of this lab, without changing anything."""
        return list(inventory(self.state, state=self.state).values())

    def boot(self, names: Sequence[str]) -> None:
        """Start hosts that are off, from their own disks."""
        machine.require()
        with self._changing():
            self._ensure_depot(machine.mirror())
            hosts = [self._named(name) for name in names]
            self._in_parallel(self._bring_up, [h for h in hosts if not self._is_on(h)])

    def power_cut(self, names: Sequence[str]) -> None:
        """Kill hosts without warning; their disks stay."""
        machine.require()
        with self._changing():
            self._in_parallel(self._power_off, [self._named(name) for name in names])

    def save_disks(self, names: Sequence[str]) -> None:
        """Save the hosts' disks, until they get fresh ones."""
        machine.require()
        with self._changing():
            self._ensure_depot(machine.mirror())
            self._in_parallel(self._save_disk, [self._named(name) for name in names])

    def reset(self, names: Sequence[str], *, saved: bool = False) -> None:
        """Give hosts a fresh disk, or the saved one, and boot them; address and identity stay.

        Raises LabError if nothing was saved.
        """
        machine.require()
        with self._changing():
            self._ensure_depot(machine.mirror())
            renew = self._put_back if saved else self._renew
            self._in_parallel(renew, [self._named(name) for name in names])

    def interpreter(self, name: str, program: str) -> None:
        """Make `program` run the host side there instead of `ssh.python`; "" undoes it."""
        with self._changing():
            self._named(name).interpreter = program
            self._save()

    def down(self, names: Sequence[str] | None = None) -> list[str]:
        """Remove hosts with all their data; without names the whole lab. Returns their names."""
        machine.require()
        if not self.state.is_dir():
            return []
        with self._changing():
            hosts = self._recorded() if names is None else [self._named(name) for name in names]
            self._in_parallel(self._take_away, hosts)
            if not self._record.hosts:
                self._close()
            return [host.name for host in hosts]

    # the steps

    def _bring_up(self, host: record.HostRecord) -> None:
        started = time.monotonic()
        self.emit(Event("boot", "start", f"{host.suite}", host=host.name))
        if not machine.allow_watchers():
            limit = f"{machine.WATCHERS} cannot be raised: maybe only a few hosts will boot"
            self.emit(Event("boot", "note", limit, host=host.name))
        home = self._home(host)
        if host.disk_mb and not nspawn.has_disk(home):
            (home / "dressed").unlink(missing_ok=True)
        if not (home / "dressed").exists():
            self._step(f"wipe {host.name}")
            nspawn.wipe(home)
        self._step(f"mount {host.name}")
        nspawn.mount(Path(host.base), home, host.disk_mb)
        if not (home / "dressed").exists():
            self._step(f"dress {host.name}")
            key = (self.state / "id_ed25519.pub").read_text().strip()
            nspawn.dress(home, host.name, key, self._record.ops_password)
            nspawn.sources(home, host.suite, machine.mirror())
            (home / "dressed").touch()
        self._step(f"forwarder {host.name}")
        self._ensure_forwarder(host)
        init = self._start(host)
        host.init = (init.pid, init.start)
        self._step(f"attach {host.name}")
        forwarder.call(self._control(host), {"op": "attach", "pid": init.pid})
        self._know()
        self._step(f"greet {host.name}")
        _await_greeting(host)
        host.state = "on"
        self._step(f"record {host.name}")
        self._save()
        self.emit(Event("boot", "done", host.address, host.name, time.monotonic() - started))

    def _start(self, host: record.HostRecord) -> procs.Process:
        def waiting(seconds: float) -> None:
            self.emit(Event("boot", "progress", f"still booting ({seconds:.0f} s)", host.name))

        self._step(f"nspawn {host.name}")
        home = self._home(host)
        process = nspawn.start(
            home,
            name=self._machine(host),
            slot=self._slot(host),
            mark=self._mark("nspawn", host.name),
            hostname=host.name,
        )
        self._step(f"ready {host.name}")
        try:
            return nspawn.wait_ready(process, home, host.name, waiting)
        except BaseException:
            self._end(self._processes(host, "nspawn"), host)
            raise

    def _power_off(self, host: record.HostRecord) -> None:
        with suppress(OSError):
            forwarder.call(self._control(host), {"op": "detach"})
        self._step(f"kill {host.name}")
        self._end(self._processes(host, "nspawn"), host)
        host.state, host.init = "off" if host.state == "on" else host.state, None
        nspawn.clear_cgroups(self._slot(host))
        nspawn.clear_nspawn(self._machine(host))
        self._save()

    def _renew(self, host: record.HostRecord) -> None:
        self._power_off(host)
        # Without this mark the next run makes a new disk, also if this one is killed here.
        (self._home(host) / "dressed").unlink(missing_ok=True)
        self._bring_up(host)

    def _save_disk(self, host: record.HostRecord) -> None:
        self._power_off(host)
        nspawn.save(self._home(host), host.disk_mb)
        self._bring_up(host)

    def _put_back(self, host: record.HostRecord) -> None:
        home = self._home(host)
        nspawn.require_saved(home, host.disk_mb)
        self._power_off(host)
        (home / "dressed").unlink(missing_ok=True)
        nspawn.put_back(home, host.disk_mb)
        (home / "dressed").touch()
        self._bring_up(host)

    def _take_away(self, host: record.HostRecord) -> None:
        self._step(f"going {host.name}")
        host.state = "going"
        self._save()
        self._power_off(host)
        self._step(f"end forwarder {host.name}")
        self._end(self._processes(host, "forwarder"), host)
        self._control(host).unlink(missing_ok=True)
        self._step(f"remove {host.name}")
        nspawn.remove(self._home(host))
        self._step(f"forget {host.name}")
        self._record.hosts.pop(host.name, None)
        self._save()
        self.emit(Event("down", "done", host=host.name))

    def _close(self) -> None:
        """After the last host, remove everything else except the lock and given wheels."""
        self._end_all(self._mark())
        shutil.rmtree(self.runtime, ignore_errors=True)
        with suppress(OSError):
            _RUNTIME.rmdir()
        with suppress(OSError):
            self.wheels.rmdir()
        for path in self.state.iterdir():
            if path.name in ("lock", "wheels"):
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    # recovery after a crash

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lab's lock, with the record loaded and leftovers of a crash removed."""

        def waiting(_seconds: float) -> None:
            self.emit(Event("lab", "progress", "another command changes this lab; waiting"))

        machine.make_folder(self.state)
        with record.locked(self.state / "lock", waiting):
            self._record = record.load(self.state / "lab.json")
            self._settle()
            yield

    def _settle(self) -> None:
        """End processes that no record names, and finish what a killed command started."""
        hosts = self._record.hosts
        for host in hosts.values():
            if host.state == "on" and not self._is_on(host):
                host.state, host.init = "off", None
        for process, mark in procs.marked(self._mark()).items():
            role, _, name = mark.removeprefix(self._mark()).partition("/")
            if not self._belongs(process, role, hosts.get(name)):
                self._end([process])
        folder = self.state / "hosts"
        for home in folder.iterdir() if folder.is_dir() else ():
            if home.name not in hosts:
                nspawn.remove(home)
        for host in [h for h in hosts.values() if h.state == "going"]:
            self._take_away(host)
        self._list_hosts()

    def _belongs(self, process: procs.Process, role: str, host: record.HostRecord | None) -> bool:
        if role == "depot":
            return process == record.as_process(self._record.depot) or self._is_depots(process)
        if host is None:
            return False
        if role == "forwarder":
            return process == record.as_process(host.forwarder)
        return host.state == "on"

    def _is_depots(self, process: procs.Process) -> bool:
        """Whether it is gunicorn or one of its workers, which have the mark too."""
        master = record.as_process(self._record.depot)
        return bool(master and master.alive and process.pid in procs.children(master.pid))

    def _is_on(self, host: record.HostRecord) -> bool:
        init, line = record.as_process(host.init), record.as_process(host.forwarder)
        return bool(host.state == "on" and init and init.alive and line and line.alive)

    def _processes(self, host: record.HostRecord, role: str) -> list[procs.Process]:
        return [
            process
            for process, mark in procs.marked(self._mark(role, host.name)).items()
            if mark == self._mark(role, host.name)
        ]

    def _end(
        self,
        processes: Mapping[procs.Process, str] | Sequence[procs.Process],
        host: record.HostRecord | None = None,
    ) -> None:
        left = procs.end(processes)
        if left:
            pids = ", ".join(str(process.pid) for process in left)
            raise LabError(
                "lab-failed", f"processes {pids} do not end", host=host.name if host else ""
            )

    def _end_all(self, mark: str) -> None:
        """End also processes that one of them starts meanwhile: gunicorn's master replaces a
        worker that ends first."""
        while processes := procs.marked(mark):
            self._end(processes)

    # parts

    def _ensure_identity(self) -> None:
        key = self.state / "id_ed25519"
        if not self._record.ops_password:
            self._record.ops_password = secrets.token_urlsafe(12)
            self._save()
        if not key.with_suffix(".pub").exists():
            self._step("key")
            key.unlink(missing_ok=True)
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(key)],
                check=True,
                stdin=subprocess.DEVNULL,
                timeout=_STARTED_SECONDS,
            )
            self._own(key)
            self._own(key.with_suffix(".pub"))

    def _ensure_depot(self, mirror: str) -> None:
        self._ensure_runtime()
        socket_path = self.runtime / "depot.sock"
        running = record.as_process(self._record.depot)
        if running and running.alive:
            return
        self._step("depot")
        self._end_all(self._mark("depot"))
        socket_path.unlink(missing_ok=True)
        machine.make_folder(self.wheels)
        config = depot.from_pip(self.cache / "lab" / "depot", mirror, self.wheels)
        path = self.state / "depot.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(config)))
        command = [
            *(sys.executable, "-m", "gunicorn", "--bind", f"unix:{socket_path}"),
            *("--workers", "1", "--threads", "16", "--timeout", "300", "--umask", "0o077"),
            *("--no-control-socket", "--worker-tmp-dir", str(self.runtime)),
            *("--chdir", str(self.runtime)),
            "cartwheel_lab.depot:from_environment()",
        ]
        environment = {**self._environment(), depot.CONFIG_VARIABLE: str(path)}
        log = self.state / "depot.log"
        process = procs.spawn(command, mark=self._mark("depot"), environment=environment, log=log)
        self._record.depot = (process.pid, process.start)
        self._step("record depot")
        self._save()
        _await(lambda: _answers(socket_path), process, log, "the package depot")

    def _ensure_forwarder(self, host: record.HostRecord) -> None:
        running = record.as_process(host.forwarder)
        if running and running.alive:
            return
        control = self._control(host)
        control.unlink(missing_ok=True)
        config = {
            "number": host.number or host.preferred,
            "control": str(control),
            "depot": str(self.runtime / "depot.sock"),
        }
        log = self._home(host) / "forwarder.log"
        process = procs.spawn(
            [sys.executable, "-c", _FORWARDER, json.dumps(config)],
            mark=self._mark("forwarder", host.name),
            environment=self._environment(),
            log=log,
        )
        host.forwarder = (process.pid, process.start)
        _await(lambda: _answers(control), process, log, "the forwarder")
        answer = forwarder.call(control, {"op": "status"})
        host.number, host.ports = answer["number"], answer["ports"]
        self._step(f"record address {host.name}")
        self._save()

    def _ensure_runtime(self) -> None:
        _RUNTIME.mkdir(mode=0o755, exist_ok=True)
        self.runtime.mkdir(mode=0o700, exist_ok=True)

    def _know(self) -> None:
        """Write known_hosts for all hosts of the lab, from their disks."""
        with self._saving:
            lines = []
            for other in self._recorded():
                port = other.ports.get("ssh", _SSH_PORT)
                place = other.address if port == _SSH_PORT else f"[{other.address}]:{port}"
                lines += [f"{place} {key}\n" for key in nspawn.host_keys(self._home(other))]
            known_hosts = self.state / "known_hosts"
            writing.write(known_hosts, "".join(lines).encode(), mode=0o644)
            self._own(known_hosts)

    def _new(self, kind: _Kind, tree: Path) -> record.HostRecord:
        number = next(n for n in range(1, 10_000) if f"lab{n}" not in self._record.hosts)
        host = record.HostRecord(
            f"lab{number}",
            kind.suite,
            kind.python,
            str(tree),
            preferred=_FIRST_ADDRESS + number,
            disk_mb=kind.disk_mb,
            packages=kind.packages,
        )
        self._step(f"new {host.name}")
        self._record.hosts[host.name] = host
        self._save()
        return host

    def _named(self, name: str) -> record.HostRecord:
        host = self._record.hosts.get(name)
        if host is None:
            known = ", ".join(self._record.hosts) or "none"
            raise LabError("lab-unknown", f"there is no lab host {name}; there are: {known}")
        return host

    def _recorded(self) -> list[record.HostRecord]:
        return list(self._record.hosts.values())

    def _in_parallel(
        self, work: Callable[[record.HostRecord], None], hosts: list[record.HostRecord]
    ) -> None:
        """Do it for all hosts, then raise the first error."""
        with ThreadPoolExecutor(max_workers=8) as pool:
            futures = [pool.submit(work, host) for host in hosts]
        for future in futures:
            future.result()

    def _environment(self) -> dict[str, str]:
        """This process's environment, for its certificates and proxies, without gunicorn's own."""
        inherited = {k: v for k, v in os.environ.items() if k != "GUNICORN_CMD_ARGS"}
        own = {
            "PYTHONPATH": os.pathsep.join(_PACKAGE_ROOTS),
            "PYTHONSAFEPATH": "1",
            "PYTHONUNBUFFERED": "1",
        }
        return {**inherited, **own}

    def _save(self) -> None:
        with self._saving:
            record.save(
                self.state / "lab.json", self._record, uid=self._owner.uid, gid=self._owner.gid
            )
            self._list_hosts()

    def _list_hosts(self) -> None:
        """Write how to reach each host to the file that cartwheel/inventory/lab.py reads."""
        path = places.lab_hosts(self.state)
        hosts = [_view(self.state, self._record, one) for one in self._recorded() if one.number]
        if hosts:
            writing.write(path, listing.text(hosts).encode())
            self._own(path)
        else:
            path.unlink(missing_ok=True)

    def _own(self, path: Path) -> None:
        os.chown(path, self._owner.uid, self._owner.gid)

    def _mark(self, role: str = "", name: str = "") -> str:
        return f"{self.key}/{role}{'/' + name if name else ''}"

    def _machine(self, host: record.HostRecord) -> str:
        return f"cartwheel-{self.key}-{host.name}"

    def _slot(self, host: record.HostRecord) -> str:
        return f"{self.key}/{host.name}"

    def _home(self, host: record.HostRecord) -> Path:
        return self.state / "hosts" / host.name

    def _control(self, host: record.HostRecord) -> Path:
        return self.runtime / f"{host.name}.ctl"


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, suppress(OSError):
        probe.settimeout(_STARTED_SECONDS)
        probe.connect(str(path))
        return True
    return False


def _await(ready: Callable[[], bool], process: procs.Process, log: Path, what: str) -> None:
    until = time.monotonic() + _STARTED_SECONDS
    while not ready():
        if not process.alive or time.monotonic() > until:
            text = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise LabError("lab-failed", f"{what} does not start", detail=text)
        time.sleep(_POLL_SECONDS)


def _await_greeting(host: record.HostRecord) -> None:
    """Wait until sshd's banner arrives at the outside address."""
    until = time.monotonic() + _STARTED_SECONDS
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection((host.address, host.ports["ssh"]), 5) as s:
            if s.recv(4) == b"SSH-":
                return
        time.sleep(_POLL_SECONDS)
    raise LabError("lab-failed", "sshd does not answer through the forwarder", host=host.name)
