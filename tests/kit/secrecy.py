"""Search for secrets where they could leak: output, arguments, files, journals; in what strace sees
of a program, and in what another user can read.

Each kind of secret has a unique value (a sentinel)."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cartwheel_lab import LabHost

Sentinels = Mapping[str, str]
"""Kind of secret -> its value."""

# Long enough that strace cuts off no string that could contain a sentinel.
_CALLS = "execve,execveat,write,pwrite64,writev,open,openat,creat,chmod,fchmod,fchmodat"
STRACE = ["strace", "-f", "-qq", "-y", "-s", "300000", "-e", f"trace={_CALLS}"]
_BEFORE_ENVIRONMENT = re.compile(r'(?<!\\)(?<=")\], \[')
_READABLE = "/etc /srv /var /run /tmp /usr/local /opt /home /root /dev/shm"


def found_in(text: str, sentinels: Sentinels) -> set[str]:
    """The kinds of secrets that this text contains."""
    return {kind for kind, value in sentinels.items() if value in text}


@dataclass(frozen=True)
class Trace:
    """The output of strace: one call a line, with unchanged data."""

    text: str

    @classmethod
    def of(cls, file: Path) -> Self:
        return cls(file.read_text(errors="replace"))

    def calls(self, *names: str) -> Iterator[str]:
        wanted = tuple(f"{name}(" for name in names)
        for line in self.text.splitlines():
            call = re.sub(r"^\d+ +", "", line)
            if call.startswith(wanted):
                yield call

    def arguments(self) -> str:
        """All arguments of all started programs."""
        calls = self.calls("execve", "execveat")
        return "\n".join(_BEFORE_ENVIRONMENT.split(call)[0] for call in calls)

    def inherited(self) -> str:
        """The environments of all programs that the first one started (strace -v)."""
        calls = list(self.calls("execve", "execveat"))[1:]
        return "\n".join(_BEFORE_ENVIRONMENT.split(call)[-1] for call in calls)

    def too_open(self, values: Mapping[str, str]) -> list[str]:
        """Files with a secret that others could open, even for a moment."""
        got = {
            path
            for call in self.calls("write", "pwrite64", "writev")
            if any(value in call for value in values.values())
            for path in re.findall(r"^\w+\(\d+<(/[^>]*)>", call)
        }
        modes: list[str] = []
        for call in self.calls("open", "openat", "creat", "chmod", "fchmod", "fchmodat"):
            named = next((path for path in got if f'"{path}"' in call or f"<{path}>" in call), "")
            mode = re.search(r", 0([0-7]{3,4})\)? *(=|<unf|$)", call)
            if named and mode and int(mode[1], 8) & 0o077:
                modes.append(f"{named}: 0{mode[1]}")
        return modes

    def given(self, values: Mapping[str, str]) -> set[str]:
        """Files (no pipes, no sockets) to which a secret was written."""
        return {
            path
            for call in self.calls("write", "pwrite64", "writev")
            if any(value in call for value in values.values())
            for path in re.findall(r"^\w+\(\d+<(/[^>]*)>", call)
        }


@contextmanager
def traced(host: LabHost, into: Path) -> Iterator[None]:
    """Trace everything that the host's init and sshd start, until the block ends."""
    sshd = host.sh("systemctl show -p MainPID --value ssh").strip()
    argv = [*STRACE, "-o", str(into)]
    pids = ["-p", str(host.init.pid), "-p", str(outside(host, int(sshd)))]
    process = subprocess.Popen([*argv, *pids], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        until = time.monotonic() + 10
        while not is_traced(host.init.pid):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until, "strace does not attach"
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=60)


def is_traced(pid: int) -> bool:
    text = Path(f"/proc/{pid}/status").read_text()
    return "TracerPid:\t0\n" not in text


def outside(host: LabHost, pid: int) -> int:
    """The pid on this machine of a process of the host."""
    namespace = Path(f"/proc/{host.init.pid}/ns/pid").readlink()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            same = (entry / "ns/pid").readlink() == namespace
            numbers = re.search(r"^NSpid:\t(.*)$", (entry / "status").read_text(), re.MULTILINE)
        except OSError:
            continue
        if same and numbers and int(numbers[1].split()[-1]) == pid:
            return int(entry.name)
    raise AssertionError(f"no process {pid} in the host")


def guest_finds(host: LabHost, sentinels: Sentinels) -> list[str]:
    """Secrets that a user without rights can read on the host, in files and in processes."""
    patterns = "\n".join(sentinels.values())
    script = (
        f"grep -rlFs -f - {_READABLE} | sed 's/^/file /'; "
        "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; true"
    )
    argv = host.ssh_command(script, user="guest")
    done = subprocess.run(
        argv, input=patterns, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "sshd: guest" in done.stdout  # the search really ran
    lines = done.stdout.splitlines()
    return [line for line in lines if line.startswith("file /") or found_in(line, sentinels)]


def journal(host: LabHost) -> str:
    return host.sh("journalctl --no-pager --all -o verbose", timeout=120)


def logged(host: LabHost, sentinels: Sentinels) -> list[str]:
    """Logs that contain a secret, even if only root can read them."""
    done = host.exec(
        ["grep", "-rlFs", "-f", "-", "/var/log"], input="\n".join(sentinels.values()).encode()
    )
    return done.stdout.decode().splitlines()


def kept_in(folder: Path, sentinels: Sentinels) -> list[str]:
    """The operator's files that contain a secret: cache, state, temporary folders."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            if any(value.encode() in data for value in sentinels.values()):
                found.append(str(path))
    return found
