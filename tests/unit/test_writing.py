"""Files that are no files, on this machine: nothing but a file is ever replaced."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from cartwheel import writing
from cartwheel.balance.memory import Memory
from cartwheel.build import store
from cartwheel.errors import ConnectError, UsageError
from cartwheel.ssh import known_hosts
from cartwheel.ssh.known_hosts import HostKey
from cartwheel.ssh.target import Target
from tests.kit.tiers import only_root
from tests.unit.host.test_files import KINDS, make

KEY = HostKey("ssh-ed25519", b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32))


def target(path: Path, host_keys: Literal["strict", "accept-new"] = "strict") -> Target:
    return Target("web", "192.0.2.1", 22, "root", known_hosts=(path,), host_keys=host_keys)


def record(path: Path) -> None:
    known_hosts.record(target(path), KEY)


WAYS: dict[str, Callable[[Path], None]] = {
    "known_hosts": record,
    "kept lock": lambda path: store.write_text(path, "x"),
    "balancer's memory": lambda path: Memory(path).note(["web1"], "deploy"),
    "write": lambda path: writing.write(path, b"x"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("behind", [False, True], ids=["itself", "behind a link"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_stays(tmp_path: Path, kind: str, behind: bool, way: str) -> None:
    real = tmp_path / "real"
    make(kind, real)
    path = tmp_path / "link" if behind else real
    if behind:
        path.symlink_to(real)
    before = os.lstat(real)
    with pytest.raises((OSError, ConnectError, UsageError)) as caught:
        WAYS[way](path)
    if not isinstance(caught.value, OSError):
        assert f"it is a {kind}, not a file" in str(caught.value)
    after = os.lstat(real)
    assert (after.st_ino, after.st_mode, after.st_rdev) == (
        before.st_ino,
        before.st_mode,
        before.st_rdev,
    )
    assert {one.name for one in tmp_path.iterdir()} == {"real", path.name}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("there", [True, False], ids=["there", "dangling"])
def test_a_users_link_is_followed(tmp_path: Path, way: str, there: bool) -> None:
    """As dotfiles repositories link ~/.ssh/known_hosts."""
    (tmp_path / "dotfiles").mkdir()
    real = tmp_path / "dotfiles" / "real"
    if there:
        real.write_text("{}" if way.startswith("balancer") else "# theirs")
        real.chmod(0o640)
    (tmp_path / "one").symlink_to("dotfiles/real")
    (tmp_path / "link").symlink_to(tmp_path / "one")
    WAYS[way](tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "one").is_symlink()
    assert real.read_text() not in ("", "# theirs", "{}")
    if there:
        assert real.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in (tmp_path / "dotfiles").iterdir()] == ["real"]


@only_root("makes devices (mknod(2))")
def test_with_accept_new_a_key_that_cannot_be_kept_is_accepted_each_time(tmp_path: Path) -> None:
    """UserKnownHostsFile /dev/null, as with ssh; `hosts.trust` says that it cannot keep it."""
    null = tmp_path / "null"
    make("device", null)
    for _ in range(2):
        known_hosts.check(target(null, "accept-new"), KEY)
    with pytest.raises(ConnectError) as caught:
        known_hosts.check(target(null), KEY)
    assert caught.value.slug == "host-key-unknown"
    with pytest.raises(ConnectError, match=r"cannot be saved in .*null: it is a device") as caught:
        record(null)
    assert caught.value.slug == "host-key-not-kept"


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConnectError) as caught:
        record(tmp_path / "file" / "known_hosts")
    assert caught.value.slug == "host-key-not-kept"


def test_what_the_user_names_may_be_a_device_or_a_pipe(tmp_path: Path) -> None:
    """`fab plan --out /dev/stdout`, `--out >(less)`; a pipe that nobody reads holds up nobody."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError):
        writing.pour(pipe, b"x")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    data = b"x" * 500_000
    for _ in range(500):
        try:
            writing.pour(pipe, data)
        except OSError:
            reader.join(0.02)
        else:
            break
    reader.join(10)
    assert found == [data]
    assert pipe.is_fifo()
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "socket"))
    with pytest.raises(OSError):
        writing.pour(tmp_path / "socket", b"x")
    writing.pour(tmp_path / "new", b"x")
    assert (tmp_path / "new").read_bytes() == b"x"
