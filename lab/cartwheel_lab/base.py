"""Base trees: one Debian file system per suite, built once and never changed afterwards."""

from __future__ import annotations

import hashlib
import os
import selectors
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from cartwheel.errors import LabError
from cartwheel.events import Emit, Event
from cartwheel_lab import machine, record

SUITES = ("bookworm", "trixie", "bullseye")

_PACKAGES = (
    "systemd,systemd-sysv,dbus,libpam-systemd,openssh-server,sudo,"
    "iproute2,curl,ca-certificates,procps"
)
_KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-removed-keys.gpg"),  # suites past their end of life
)
_QUIET_SECONDS = 5.0
_BUILD_SECONDS = 3600.0  # a working mirror needs a few minutes
_END_SECONDS = 30.0
_LOG_LINES = 15

# $1 suite, $2 tree, $3 mirror, $4 packages, $5 keyring or ""
_RECIPE = r"""
set -eu
keyring=${5:+--keyring=$5}
mmdebstrap $keyring --mode=root --variant=minbase --include="$4" \
  --hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr "$1" "$2" "$3"
# Boots in half a second and stays quiet: nothing here waits for a network or a clock.
for unit in systemd-networkd-wait-online.service systemd-firstboot.service console-getty.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer; do
  ln -sf /dev/null "$2/etc/systemd/system/$unit"
done
for user in deploy ops guest; do chroot "$2" useradd --create-home --shell /bin/bash "$user"; done
printf 'deploy ALL=(ALL:ALL) NOPASSWD: ALL\nops ALL=(ALL:ALL) ALL\n' > "$2/etc/sudoers.d/lab"
chmod 0440 "$2/etc/sudoers.d/lab"
printf 'Acquire::http::Proxy "http://127.0.0.1:3142";\nAcquire::Languages "none";\n' \
  > "$2/etc/apt/apt.conf.d/90lab"
printf '[global]\nindex-url = http://127.0.0.1:3141/simple/\ndisable-pip-version-check = true\n' \
  > "$2/etc/pip.conf"
mkdir -p "$2/etc/uv"
printf '[[index]]\nurl = "http://127.0.0.1:3141/simple/"\ndefault = true\n' > "$2/etc/uv/uv.toml"
# A cut of power here never loses what the kernel holds, so dpkg need not wait for the disk.
echo force-unsafe-io > "$2/etc/dpkg/dpkg.cfg.d/lab"
rm -f "$2"/etc/ssh/ssh_host_* "$2"/var/cache/apt/archives/*.deb "$2/etc/resolv.conf"
rm -rf "$2"/var/lib/apt/lists/*
mkdir -p "$2/var/lib/apt/lists/partial"
: > "$2/etc/machine-id"
"""


def packages(python: bool, extra: str = "") -> str:
    """The packages of a tree besides Debian's minimal base; without nginx and python3-venv.

    `extra` are more of them, with commas between.
    """
    return ",".join([_PACKAGES, *(["python3"] if python else []), *([extra] if extra else [])])


def digest(suite: str, python: bool, extra: str = "") -> str:
    """A tree's name: a digest of everything that decides its content, except the mirror's date."""
    told = f"{_RECIPE}\0{suite}\0{packages(python, extra)}"
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def ensure(
    cache: Path, suite: str, *, python: bool, extra: str = "", mirror: str, emit: Emit
) -> Path:
    """The base tree for `suite`, built now if it does not exist (about a minute).

    Builders on one machine wait for each other; leftovers of a killed builder are removed.
    Raises LabError with mmdebstrap's last lines.
    """
    if suite not in SUITES:
        raise LabError("usage", f"there is no suite {suite!r}", hint=f"One of {', '.join(SUITES)}.")
    folder = cache / "lab" / "base"
    machine.make_folder(folder)
    name = f"{suite}{'' if python else '-nopython'}-{digest(suite, python, extra)}"
    tree = folder / name
    if tree.is_dir():
        return tree
    step = f"base {suite}{'' if python else ' without Python'}{f' with {extra}' if extra else ''}"

    def waiting(seconds: float) -> None:
        emit(Event(step, "progress", f"another process builds it ({seconds:.0f} s)"))

    with record.locked(folder / f"{name}.lock", waiting):
        if not tree.is_dir():
            wanted = packages(python, extra)
            _build(tree, suite, wanted, mirror, cache, lambda s, d: emit(Event(step, s, d)))
    return tree


def _build(
    tree: Path,
    suite: str,
    wanted: str,
    mirror: str,
    cache: Path,
    tell: Callable[..., None],
) -> None:
    unfinished = tree.with_name(f"{tree.name}.unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    tell("start", "once, about a minute")
    keyring = next((str(path) for path in _KEYRINGS if path.is_file()), "")
    if suite == "bullseye" and _KEYRINGS[1].is_file():
        keyring = _both_keyrings(cache)
    script = ["sh", "-c", _RECIPE, "recipe", suite, str(unfinished), mirror, wanted]
    started = time.monotonic()
    _run(_contained([*script, keyring]), tell)
    os.sync()  # the tree must be on the disk before its new name
    unfinished.rename(tree)
    tell("done", f"{time.monotonic() - started:.0f} s")


def _both_keyrings(cache: Path) -> str:
    """gpgv reads only one file; keyrings of OpenPGP certificates can simply be concatenated."""
    joined = cache / "lab" / "keyring.gpg"
    joined.write_bytes(b"".join(path.read_bytes() for path in _KEYRINGS if path.is_file()))
    return str(joined)


def _contained(argv: list[str]) -> list[str]:
    """Run in separate namespaces that end with this process, even if it is killed.

    mmdebstrap mounts /proc in the tree and starts many children; when the namespaces end, the
    kernel ends the children and removes the mounts.
    """
    return [
        *("setpriv", "--pdeathsig", "KILL"),
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *argv),
    ]


def _run(argv: list[str], tell: Callable[..., None]) -> None:
    environment = {**machine.environment(), "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    lines: list[str] = []
    began = told = time.monotonic()
    with subprocess.Popen(
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - asked for above
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                rest = b""
                while True:
                    if selector.select(timeout=1.0):
                        data = os.read(process.stdout.fileno(), 65536)
                        if not data:
                            break
                        *whole, rest = (rest + data).split(b"\n")
                        lines = [*lines, *(w.decode(errors="replace") for w in whole)][-_LOG_LINES:]
                    if time.monotonic() - began > _BUILD_SECONDS:
                        raise LabError(
                            "lab-failed", "the base system takes too long", detail="\n".join(lines)
                        )
                    if lines and time.monotonic() - told > _QUIET_SECONDS:
                        tell("progress", lines[-1].removeprefix("I: "))
                        told = time.monotonic()
            process.wait(_END_SECONDS)  # its output has ended
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise LabError("lab-failed", "the base system could not be built", detail="\n".join(lines))
