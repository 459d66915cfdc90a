"""known_hosts files (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): read, check, record.

This replaces paramiko's own reader, which stops at `@cert-authority` and `@revoked`, knows no
patterns, and keeps only one key of each kind for a host.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel import writing
from cartwheel.errors import ConnectError
from cartwheel.host.system import flock
from cartwheel.ssh.found import fits
from cartwheel.ssh.target import Target

if TYPE_CHECKING:
    import paramiko

_LOCK_SECONDS = 10.0
_FIELDS = 3  # names, kind, key


@dataclass(frozen=True)
class HostKey:
    """A host's key: its kind (`ssh-ed25519`) and its bytes on the wire."""

    kind: str
    blob: bytes

    @classmethod
    def of(cls, key: paramiko.PKey) -> HostKey:
        return cls(key.get_name(), key.asbytes())

    @property
    def base64(self) -> str:
        """Its bytes as known_hosts has them."""
        return base64.b64encode(self.blob).decode()

    @property
    def fingerprint(self) -> str:
        """SHA256:... in unpadded base64, as `ssh-keygen -l` prints it."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True)
class Entry:
    """One line of a file. `marker` is empty, `cert-authority` or `revoked`."""

    marker: str
    names: str
    key: HostKey
    place: str

    def is_for(self, host: str) -> bool:
        """Whether the line's names match, by pattern (`*`, `?`, `!`) or hash (`|1|`)."""
        if self.names.startswith("|1|"):
            return _hashed(self.names, host)
        return fits(host.lower(), self.names.lower().split(","))


def files_of(target: Target) -> tuple[Path, ...]:
    """The files that may have keys of this host: the user's, the system's."""
    return tuple(dict.fromkeys((*target.known_hosts, *target.system_known_hosts)))


def recorded_in(target: Target) -> Path:
    """The file that a newly trusted key goes to: one of the user's, never the system's."""
    return target.known_hosts[0] if target.known_hosts else Path(os.devnull)


def known_entries(target: Target) -> list[Entry]:
    """The lines for this host in all its files; invalid lines are ignored."""
    return [entry for entry in _read(files_of(target)) if entry.is_for(target.known_as)]


def check(target: Target, key: HostKey) -> None:
    """Raises ConnectError `host-key-changed` or `host-key-unknown` unless `key` is known.

    With `accept-new` the key of an unknown host is recorded instead, if that is possible.
    """
    if is_known(target, key):
        return
    if target.host_keys == "accept-new":
        # Like ssh: a key that cannot be saved (UserKnownHostsFile /dev/null) is accepted each time.
        try:
            record(target, key)
        except ConnectError as error:
            if error.slug != "host-key-not-kept":
                raise
        return
    raise ConnectError(
        "host-key-unknown",
        f"unknown host key: {key.kind} {key.fingerprint}",
        host=target.name,
    )


def record(target: Target, key: HostKey) -> None:
    """Save a host's key: under a lock, and in one step, so that no reader sees half a file.

    Raises ConnectError `host-key-changed` if another key is known by now, and `host-key-not-kept`
    if its file is not a file (/dev/null), or cannot be written.
    """
    path = recorded_in(target)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = writing.place_of(path)
        folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _not_kept(path, error, target) from error
    try:
        # Another `fab` holds the lock only for a moment.
        if not flock.take(folder, _LOCK_SECONDS):
            message = f"another program has locked the folder of {path}"
            raise ConnectError("host-key-unknown", message, host=target.name)
        if is_known(target, key):
            return
        before = place.read_bytes() if place.exists() else b""
        gap = b"" if before.endswith(b"\n") or not before else b"\n"
        text = base64.b64encode(key.blob).decode()
        line = f"{target.known_as} {key.kind} {text}\n".encode()
        writing.write(place, before + gap + line, durable=True)
    except OSError as error:
        raise _not_kept(path, error, target) from error
    finally:
        os.close(folder)


def _not_kept(path: Path, error: OSError, target: Target) -> ConnectError:
    return ConnectError(
        "host-key-not-kept",
        f"the host's key cannot be saved in {path}: {error.strerror}; nothing was written",
        host=target.name,
    )


def is_known(target: Target, key: HostKey) -> bool:
    """Whether this key is known. Raises ConnectError `host-key-changed` if only others are."""
    entries = known_entries(target)
    for entry in entries:
        if entry.marker == "revoked" and entry.key.blob == key.blob:
            raise ConnectError(
                "host-key-changed",
                f"the host's key is revoked ({entry.place}): {key.kind} {key.fingerprint}",
                host=target.name,
            )
    plain = [entry for entry in entries if not entry.marker]
    if any(entry.key.blob == key.blob for entry in plain):
        return True
    if plain:
        first = plain[0]
        raise ConnectError(
            "host-key-changed",
            f"the host's key is {key.kind} {key.fingerprint}, but {first.place} has"
            f" {first.key.kind} {first.key.fingerprint}",
            host=target.name,
        )
    return False


def _read(files: Iterable[Path]) -> Iterator[Entry]:
    for file in files:
        if file.exists() and not file.is_file() and not file.is_dir():
            continue  # /dev/null, or a pipe, which might never end
        try:
            lines = file.read_text("utf-8", "replace").splitlines()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ConnectError(
                "host-key-unknown",
                f"{file} cannot be read: {error.strerror}",
                hint="Fix the file or its permissions.",
            ) from error
        for number, line in enumerate(lines, 1):
            entry = _parse(line, f"{file}:{number}")
            if entry is not None:
                yield entry


def _parse(line: str, place: str) -> Entry | None:
    fields = line.split()
    marker = ""
    if fields and fields[0].startswith("@"):
        marker = fields.pop(0)[1:]
    if len(fields) < _FIELDS or fields[0].startswith("#"):
        return None
    try:
        blob = base64.b64decode(fields[2], validate=True)
    except (binascii.Error, ValueError):
        return None
    return Entry(marker, fields[0], HostKey(fields[1], blob), place)


def _hashed(names: str, host: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part) for part in names[3:].split("|"))
    except (ValueError, binascii.Error):
        return False
    # The format requires SHA-1.
    return hmac.compare_digest(hmac.new(salt, host.encode(), "sha1").digest(), digest)
