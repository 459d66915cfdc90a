"""One host as a machine: its file system, its control groups, its power. It keeps no record."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from cartwheel.errors import LabError
from cartwheel_lab import machine, procs

READY_SECONDS = 60.0
_TELL_SECONDS = 5.0
_TOOL_SECONDS = 120.0
_POLL_SECONDS = 0.02
_EMPTY_SECONDS = 10.0
_INODES = 1_000_000
_LIMIT_TRIES = 20
_CGROUPS = Path("/sys/fs/cgroup")
_HOST_KEYS = ("ed25519", "ecdsa")  # an RSA key takes half a second of a processor
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# $1.. control groups up to --, then the command. Each host gets its own control groups; otherwise
# the systemds of all hosts would share the one of the person's shell.
_LAUNCH = (
    'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done; shift; cd /; exec "$@"'
)


def mounts_under(path: Path) -> list[Path]:
    """Mount points at or below `path`, deepest first (proc(5), mountinfo, octal escapes)."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(line.split()[4].encode().decode("unicode_escape"))
        if point == path or path in point.parents:
            found.append(point)
    return found[::-1]


def _run(argv: Sequence[str], *, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a system tool of this machine, with `given` as its standard input.

    Raises LabError if it does not end.
    """
    try:
        return subprocess.run(
            argv,
            input=given,
            capture_output=True,
            text=True,
            check=False,
            env=machine.environment(),
            timeout=_TOOL_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        message = f"{argv[0]} did not end within {_TOOL_SECONDS:g} s"
        raise LabError("lab-failed", message) from error


def mount(base: Path, home: Path, disk_mb: int = 0) -> Path:
    """Mount the host's root over its base tree, unless it is mounted. Raises LabError.

    With `disk_mb` the host writes to a disk of that size in memory.
    """
    root, disk = home / "root", _disk(home, disk_mb)
    for path in (disk / "upper", disk / "work", root):
        path.mkdir(parents=True, exist_ok=True)
    if root not in mounts_under(root):
        options = f"lowerdir={_escaped(base)},upperdir={_escaped(disk / 'upper')}"
        command = ["mount", "-t", "overlay", "cartwheel-lab", str(root)]
        done = _run([*command, "-o", f"{options},workdir={_escaped(disk / 'work')}"])
        if done.returncode:
            raise LabError(
                "lab-failed",
                f"cannot mount {root}: {done.stderr.strip()}",
                hint="An overlay cannot be on another overlay: keep the state on a plain disk.",
            )
    return root


def _disk(home: Path, disk_mb: int) -> Path:
    if not disk_mb:
        return home
    disk = home / "disk"
    disk.mkdir(parents=True, exist_ok=True)
    if not has_disk(home):
        _mounted(["-t", "tmpfs", "-o", f"mode=755,size={disk_mb}m", "cartwheel-lab", str(disk)])
    return disk


def has_disk(home: Path) -> bool:
    """Whether the host's disk in memory exists; a reboot of this machine removes it."""
    return home / "disk" in mounts_under(home)


def limit_disk(home: Path, *, room: bool, inodes: bool, disk_mb: int) -> None:
    """Without `room` or `inodes`, limit the disk in memory to what is used; with both, undo that.

    The kernel refuses a limit below what is used. If the host writes in between, each further try
    leaves twice as much room, which the same writing then fills.
    """
    disk = home / "disk"
    for tried in range(_LIMIT_TRIES):
        now = os.statvfs(disk)
        used_bytes = (now.f_blocks - now.f_bfree) * now.f_frsize
        used_inodes = now.f_files - now.f_ffree
        spare = (1 << tried) - 1
        size = disk_mb << 20 if room else used_bytes + spare * now.f_frsize
        count = _INODES if inodes else used_inodes + spare
        try:
            _mounted(["-o", f"remount,size={size},nr_inodes={count}", str(disk)])
            return
        except LabError:
            if tried == _LIMIT_TRIES - 1:
                raise


def _mounted(arguments: Sequence[str]) -> None:
    done = _run(["mount", *arguments])
    if done.returncode:
        raise LabError("lab-failed", f"mount {' '.join(arguments)}: {done.stderr.strip()}")


def _escaped(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def unmount(home: Path) -> None:
    """Remove every mount under `home`. Raises LabError if one is busy."""
    for point in mounts_under(home):
        _unmounted(point)


def _unmounted(point: Path) -> None:
    done = _run(["umount", str(point)])
    if done.returncode and point in mounts_under(point):
        raise LabError("lab-failed", f"cannot unmount {point}: {done.stderr.strip()}")


def remove(home: Path) -> None:
    """Delete a host's folder; refuses while anything is mounted below it."""
    unmount(home)
    if home.exists():
        shutil.rmtree(home)


def wipe(home: Path) -> None:
    """Reset the host's disk to its base tree; its identity is kept outside the disk."""
    unmount(home)
    for name in ("upper", "work", "saved", "saved.new"):  # not those of a disk in memory
        if (home / name).exists():
            shutil.rmtree(home / name)


def save(home: Path, disk_mb: int = 0) -> None:
    """Save the files that a host that is off has written, on the same disk; `wipe` removes them."""
    disk = _disk(home, disk_mb)
    for path in (disk / "saved.new", disk / "saved"):
        if path.exists():
            shutil.rmtree(path)
    _copy(disk / "upper", disk / "saved.new")
    (disk / "saved.new").rename(disk / "saved")


def require_saved(home: Path, disk_mb: int = 0) -> None:
    """Raise LabError unless `save` has saved a disk."""
    if not (_disk(home, disk_mb) / "saved").exists():
        raise LabError("lab-failed", f"no disk of {home.name} was saved")


def put_back(home: Path, disk_mb: int = 0) -> None:
    """Restore the saved disk of a host that is off."""
    disk = _disk(home, disk_mb)
    for point in mounts_under(home / "root"):
        _unmounted(point)
    for name in ("upper", "work"):
        shutil.rmtree(disk / name)
    _copy(disk / "saved", disk / "upper")


def _copy(source: Path, target: Path) -> None:
    """Copy a whole tree, including an overlay's own marks."""
    done = _run(["cp", "-aT", str(source), str(target)])
    if done.returncode:
        raise LabError("lab-failed", f"cannot copy {source}: {done.stderr.strip()}")


def dress(home: Path, name: str, authorized_key: str, ops_password: str) -> None:
    """Give the mounted root this host's name, identity, keys and passwords.

    Its machine-id and host keys are created once and kept outside the disk.
    """
    root = home / "root"
    etc = root / "etc"
    (etc / "hostname").write_text(f"{name}\n")
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost\n")
    for kept in _identity(home, name):
        shutil.copy2(kept, etc / kept.relative_to(home / "identity" / "etc"))
    for user in ("root", "deploy", "ops", "guest"):
        login = root / ("root" if user == "root" else f"home/{user}")
        owner = login.stat()
        folder = login / ".ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
        keys = folder / "authorized_keys"
        keys.write_text(authorized_key + "\n")
        keys.chmod(0o600)
        for path in (folder, keys):
            os.chown(path, owner.st_uid, owner.st_gid)
    done = _run(["chroot", str(root), "chpasswd"], given=f"ops:{ops_password}\n")
    if done.returncode:
        raise LabError("lab-failed", f"chpasswd: {done.stderr.strip()}", host=name)


def _identity(home: Path, name: str) -> list[Path]:
    """The files of the host's identity; creates those that are missing."""
    etc = home / "identity" / "etc"
    if not (etc / "machine-id").exists():
        shutil.rmtree(etc, ignore_errors=True)  # of a run that was killed here
        (etc / "ssh").mkdir(parents=True)
        for kind in _HOST_KEYS:
            key = etc / "ssh" / f"ssh_host_{kind}_key"
            done = _run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", str(key)])
            if done.returncode:
                raise LabError("lab-failed", f"ssh-keygen: {done.stderr.strip()}", host=name)
        (etc / "machine-id").write_text(os.urandom(16).hex() + "\n")
    return [etc / "machine-id", *sorted((etc / "ssh").iterdir())]


def host_keys(home: Path) -> list[str]:
    """`type base64` of each of the host's public keys."""
    paths = sorted((home / "identity/etc/ssh").glob("ssh_host_*_key.pub"))
    return [" ".join(path.read_text().split()[:2]) for path in paths]


def sources(home: Path, suite: str, mirror: str) -> None:
    """Point the host's apt at this machine's mirror, by plain http, so that the proxy can cache."""
    plain = "http" + mirror.removeprefix("https").removeprefix("http")
    (home / "root/etc/apt/sources.list").write_text(f"deb {plain} {suite} main\n")


def _host_cgroups(slot: str) -> Iterator[Path]:
    """This host's control groups: the unified hierarchy, and systemd's named one on old layouts."""
    tops = [_CGROUPS] if (_CGROUPS / "cgroup.procs").exists() else []
    tops += [p for p in (_CGROUPS / "unified", _CGROUPS / "systemd") if p.is_dir()]
    for top in tops:
        yield top / "cartwheel-lab" / slot


def start(home: Path, *, name: str, slot: str, mark: str, hostname: str) -> procs.Process:
    """Boot the mounted root, detached; returns nspawn's process."""
    groups = list(_host_cgroups(slot))
    for group in groups:
        group.mkdir(parents=True, exist_ok=True)
    log = home / "console.log"
    log.write_bytes(b"")
    nspawn = machine.tool("systemd-nspawn") or "systemd-nspawn"
    command = [
        *("/bin/sh", "-c", _LAUNCH, "launch", *map(str, groups), "--"),
        *(nspawn, "-q", "-D", str(home / "root"), "--boot", "--private-network"),
        *("-M", name, "--hostname", hostname, "--register=no", "--keep-unit"),
        *("--console=pipe", "--resolv-conf=off", "--timezone=off", "--link-journal=no"),
        f"--setenv={procs.MARK}={mark}",
    ]
    environment = {"PATH": _PATH, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "LC_ALL": "C.UTF-8"}
    return procs.spawn(command, mark=mark, environment=environment, log=log)


def wait_ready(
    nspawn: procs.Process, home: Path, name: str, waiting: Callable[[float], None]
) -> procs.Process:
    """Wait until the host's systemd reports that it is up; returns its PID 1.

    `waiting(seconds)` is called every five seconds. Raises LabError.
    """
    started = told = time.monotonic()
    until = started + READY_SECONDS
    while time.monotonic() < until:
        if not nspawn.alive:
            break
        init = _init_of(nspawn)
        if init and _is_up(init):
            return init
        if time.monotonic() - told >= _TELL_SECONDS:
            told = time.monotonic()
            waiting(told - started)
        time.sleep(_POLL_SECONDS)
    console = (home / "console.log").read_text(errors="replace")
    why = "did not come up in time" if nspawn.alive else "stopped while booting"
    raise LabError("lab-failed", f"the host {why}", host=name, detail=console[-2000:])


def _init_of(nspawn: procs.Process) -> procs.Process | None:
    """nspawn's child, once it is systemd; before that it is nspawn's own stub."""
    for pid in procs.children(nspawn.pid):
        with suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                return procs.identify(pid)
    return None


def _is_up(init: procs.Process) -> bool:
    try:
        done = enter(init, ["systemctl", "is-system-running", "--wait"], timeout=5)
    except subprocess.TimeoutExpired:
        return False
    return done.stdout.strip() in (b"running", b"degraded")


def _nsenter(init: procs.Process, argv: Sequence[str]) -> list[str]:
    clean = ["env", "-i", f"PATH={_PATH}", "HOME=/root", "LC_ALL=C.UTF-8", "TERM=dumb"]
    return ["nsenter", "--all", "--target", str(init.pid), *clean, *argv]


def enter(
    init: procs.Process,
    argv: Sequence[str],
    *,
    input: bytes | None = None,
    timeout: float = 60.0,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command as root inside the host, without ssh. Raises subprocess.TimeoutExpired."""
    return subprocess.run(
        _nsenter(init, argv),
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        timeout=timeout,
        check=False,
    )


def clear_cgroups(slot: str) -> None:
    """Remove a dead host's control groups, innermost first."""
    for group in _host_cgroups(slot):
        if group.is_dir():
            for path, _, _ in os.walk(group, topdown=False):
                _remove_emptied(Path(path))
            with suppress(OSError):  # other hosts of this lab, other labs
                group.parent.rmdir()
                group.parent.parent.rmdir()


def _remove_emptied(group: Path) -> None:
    """Remove a group, waiting for the kernel: a process leaves its group a moment after its end."""
    until = time.monotonic() + _EMPTY_SECONDS
    while True:
        try:
            group.rmdir()
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > until:
                raise
        time.sleep(_POLL_SECONDS)


def clear_nspawn(name: str) -> None:
    """Remove the empty folders that a killed nspawn leaves in /run."""
    for kind in ("propagate", "unix-export"):
        folder = Path("/run/systemd/nspawn") / kind / name
        if folder.is_dir() and not mounts_under(folder):
            shutil.rmtree(folder)
