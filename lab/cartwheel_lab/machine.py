"""Check that this machine can run the lab, and read its configuration. Changes one kernel limit."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from cartwheel.errors import LabError
from cartwheel.places import person

MIRROR_VARIABLE = "CARTWHEEL_LAB_MIRROR"
"""Names a Debian mirror if apt's own sources do not (a machine that is not Debian)."""

_SYSTEM_TOOLS = "/usr/sbin:/usr/bin:/sbin:/bin"
_TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "ssh-keygen": "openssh-client",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
}
_DEBIAN_SUITES = frozenset(
    [
        "bullseye",
        "bookworm",
        "trixie",
        "forky",
        "duke",
        "sid",
        "stable",
        "oldstable",
        "oldoldstable",
        "testing",
        "unstable",
    ]
)
APT = Path("/etc/apt")
WATCHERS = Path("/proc/sys/fs/inotify/max_user_instances")
_WATCHERS_WANTED = 1024
"""A lab host needs 10 to 14 (systemd, logind, dbus, another systemd for each user who is logged
in), and more while it boots; by default root has 128 for all hosts together (inotify(7))."""

_ONE_LINE = re.compile(r"^deb\s+(?:\[[^]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<parts>.+)$")


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents; under sudo the person owns them, not root."""
    owner = person()
    missing = [p for p in (path, *path.parents) if not p.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        os.chown(folder, owner.uid, owner.gid)


def environment() -> dict[str, str]:
    """This process's environment, with the folders of system tools in PATH: `su` omits them."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{_SYSTEM_TOOLS}"}


def tool(name: str) -> str | None:
    """The path of a program."""
    return shutil.which(name, path=environment()["PATH"])


def require() -> None:
    """Raise LabError unless lab hosts can run here: Linux, root, overlay, the tools."""
    if platform.system() != "Linux":
        raise LabError(
            "lab-platform",
            f"the lab needs Linux; this is {platform.system() or 'unknown'}",
            hint="Point Cartwheel at any SSH host instead.",
        )
    if os.geteuid() != 0:
        raise LabError(
            "lab-platform", "the lab needs root", hint="Run the same command again with sudo."
        )
    missing = sorted({package for name, package in _TOOLS.items() if not tool(name)})
    if missing:
        raise LabError(
            "lab-tools",
            f"the lab needs {', '.join(missing)}",
            hint="Install them as root: `apt install "
            f"{' '.join(missing)}` (in a clone: script/lab-packages).",
        )
    if "overlay" not in Path("/proc/filesystems").read_text().split() and not _load_overlay():
        raise LabError(
            "lab-platform",
            "this kernel has no overlay file system",
            hint="Load it (modprobe overlay), or use a kernel that has it.",
        )


def _load_overlay() -> bool:
    """Whether the overlay module can be loaded; modprobe's index knows it before it is loaded."""
    modules = Path("/lib/modules") / platform.release()
    return any(
        "/overlay.ko" in (modules / name).read_text()
        for name in ("modules.dep", "modules.builtin")
        if (modules / name).is_file()
    )


def allow_watchers() -> bool:
    """Raise root's limit of inotify instances, for many hosts, until this machine reboots.

    False if that is not allowed: then hosts beyond the limit do not boot.
    """
    with suppress(OSError, ValueError):
        if int(WATCHERS.read_text()) < _WATCHERS_WANTED:
            WATCHERS.write_text(f"{_WATCHERS_WANTED}\n")
        return True
    return False


def mirror() -> str:
    """The Debian mirror that this machine uses, read from apt's own sources.

    Raises LabError when apt names none.
    """
    named = os.environ.get(MIRROR_VARIABLE)
    if named:
        return named.rstrip("/")
    for uri, suite, components in apt_sources(APT):
        if suite in _DEBIAN_SUITES and "main" in components and uri.startswith("http"):
            return uri.rstrip("/")
    raise LabError(
        "lab-tools",
        "apt's sources on this machine name no Debian mirror",
        hint=f"Set {MIRROR_VARIABLE} to the URL of one.",
    )


def apt_sources(root: Path) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(URI, suite, components) of every binary source under `root`, in apt's order.

    Both formats of sources.list(5): one line each, and deb822.
    """
    parts = root / "sources.list.d"
    files = [root / "sources.list"] if (root / "sources.list").is_file() else []
    if parts.is_dir():
        files += sorted(p for p in parts.iterdir() if p.suffix in (".list", ".sources"))
    for path in files:
        lines = path.read_text(errors="replace").splitlines()
        yield from _deb822(lines) if path.suffix == ".sources" else _one_line(lines)


def _one_line(lines: Iterable[str]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for line in lines:
        match = _ONE_LINE.match(line.split("#", 1)[0].strip())
        if match:
            yield match["uri"], match["suite"], tuple(match["parts"].split())


def _deb822(lines: Iterable[str]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    stanza: dict[str, str] = {}
    field = ""
    for line in [*lines, ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            yield from _expand(stanza)
            stanza, field = {}, ""
        elif line[0] in " \t":
            stanza[field] = f"{stanza.get(field, '')} {line.strip()}"
        else:
            name, _, value = line.partition(":")
            field = name.strip().lower()
            stanza[field] = value.strip()


def _expand(stanza: dict[str, str]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    if "deb" not in stanza.get("types", "").split():
        return
    if stanza.get("enabled", "yes").lower() in ("no", "false", "0", "off", "without", "disable"):
        return
    for uri in stanza.get("uris", "").split():
        for suite in stanza.get("suites", "").split():
            yield uri, suite, tuple(stanza.get("components", "").split())
