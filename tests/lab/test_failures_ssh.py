"""Logins that do not work: one line says why, and the site that serves does not notice.
And those that do: a user with sudo, with and without a password, by key and by password.

Hosts are reached by address here, as any SSH host is: with the settings under [ssh] alone.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit.stage import Stage
from tests.kit.tiers import tiered

pytestmark = pytest.mark.timeout(600)

SUDO_VARIABLE, LOGIN_VARIABLE = "TEST_SUDO_PASSWORD", "TEST_LOGIN_PASSWORD"
WRONG, GUESTS = "not-the-password-7Qx", "the-password-of-guest-7Qx"


@dataclass(frozen=True)
class Login:
    """One way to log in. `address` and `ssh` may name things of `Door` in braces."""

    name: str
    slug: str
    says: tuple[str, ...]
    address: str = "{address}:{port}"
    ssh: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    code: Exit = Exit.FAILED
    line: str = "up"
    seconds: float = 30.0


@dataclass(frozen=True)
class Door:
    """What of the host and of the operator's folder the table speaks of."""

    stage: Stage
    words: Mapping[str, str]

    def open(self, ssh: Mapping[str, Any]) -> None:
        """Settings that log in as root with the right key, with these differences."""
        usual = {
            "user": "root",
            "identity": "{identity}",
            "known_hosts": "{known_hosts}",
            "connect_timeout_seconds": 3,
        }
        chosen = {**usual, **ssh}
        self.stage.configure(
            ssh={
                key: value.format(**self.words) if isinstance(value, str) else value
                for key, value in chosen.items()
                if value is not None
            }
        )


SUDO = {"sudo_password": {"env": SUDO_VARIABLE}}
BY_PASSWORD = {"identity": "{no_identity}", "password": {"env": LOGIN_VARIABLE}}

CASES = [
    Login(
        "wrong-host-key",
        "host-key-changed",
        ("{address}", "SHA256:"),
        ssh={"known_hosts": "{other_known_hosts}"},
    ),
    Login(
        "unknown-host-key",
        "host-key-unknown",
        ("{address}", "SHA256:"),
        ssh={"known_hosts": "{no_known_hosts}"},
    ),
    Login("unknown-host", "ssh-unreachable", ("no-such-host.invalid",), "no-such-host.invalid"),
    Login("closed-port", "ssh-unreachable", ("{address}", "port 2", "refused"), "{address}:2"),
    Login("silent-host", "ssh-unreachable", ("{address}", "3 s"), line="black-hole", seconds=10),
    Login("wrong-user", "ssh-auth", ("'nobody'", "{identity}"), ssh={"user": "nobody"}),
    Login(
        "wrong-key",
        "ssh-auth",
        ("'root'", "{other_identity}"),
        ssh={"identity": "{other_identity}"},
    ),
    Login(
        "no-such-key", "ssh-auth", ("'root'", "{no_identity}"), ssh={"identity": "{no_identity}"}
    ),
    Login(
        "wrong-login-password",
        "ssh-auth",
        ("'ops'", "password (refused)"),
        ssh={"user": "ops", **BY_PASSWORD},
        env={LOGIN_VARIABLE: WRONG},
    ),
    # Only to those who prove who they are does sudo say that they may not (sudo(8)).
    Login(
        "no-sudo",
        "sudo-missing",
        ("'guest'", "not in the sudoers"),
        ssh={"user": "guest", **SUDO},
        env={SUDO_VARIABLE: GUESTS},
    ),
    Login("no-sudo-and-no-password", "sudo-password", ("'guest'",), ssh={"user": "guest"}),
    Login("sudo-password-missing", "sudo-password", ("'ops'",), ssh={"user": "ops"}),
    Login(
        "sudo-password-wrong",
        "sudo-password",
        ("'ops'",),
        ssh={"user": "ops", **SUDO},
        env={SUDO_VARIABLE: WRONG},
    ),
    Login(
        "sudo-password-not-given",
        "secret",
        ("ssh.sudo_password", SUDO_VARIABLE),
        ssh={"user": "ops", **SUDO},
        code=Exit.USAGE,
        line="black-hole",
        seconds=5,
    ),
]


@pytest.fixture(scope="module")
def door(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A host that serves, and keys and known_hosts files of several kinds."""
    folder = tmp_path_factory.mktemp("logins")
    # No agent and no key of whoever runs the tests takes part.
    home = folder / "home"
    home.mkdir()
    stage = Stage(
        module_host,
        folder / "project",
        env={"HOME": str(home), "SSH_AUTH_SOCK": "", **_caches()},
    )
    other = folder / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    key = " ".join(other.with_suffix(".pub").read_text().split()[:2])
    (folder / "other_known_hosts").write_text(f"{module_host.address} {key}\n")
    (folder / "no_known_hosts").touch()
    module_host.sh(f"echo guest:{GUESTS} | chpasswd")
    stage.next_version()
    done = stage.fab("setup")
    assert done.code == 0, done.out + done.err
    stage.deploy_well()
    words = {
        "address": module_host.address,
        "port": str(module_host.port),
        "identity": str(module_host.identity),
        "known_hosts": str(module_host.known_hosts),
        "other_identity": str(other),
        "no_identity": str(folder / "none"),
        "other_known_hosts": str(folder / "other_known_hosts"),
        "no_known_hosts": str(folder / "no_known_hosts"),
    }
    yield Door(stage, words)


def _caches() -> dict[str, str]:
    """Where builds are kept stays the same although HOME is another."""
    from cartwheel import places

    return {"XDG_CACHE_HOME": str(places.cache_dir().parent)}


# Told apart below `fab` by tests/ssh/test_connection.py.
SWEPT = {
    "unknown-host",
    "closed-port",
    "wrong-user",
    "no-such-key",
    "no-sudo-and-no-password",
    "sudo-password-not-given",
    "wrong-login-password",
    "sudo-password-missing",
}


@pytest.mark.parametrize("login", tiered(CASES, nightly=SWEPT), ids=lambda login: login.name)
def test_a_login_that_fails_is_told_and_changes_nothing(door: Door, login: Login) -> None:
    stage = door.stage
    stage.next_version()
    door.open(login.ssh)
    if login.line == "black-hole":
        stage.host.black_hole()
    try:
        address = login.address.format(**door.words)
        attempt = stage.attempt("deploy", host=address, env=login.env)
    finally:
        stage.host.restore()
    attempt.assert_told(login.slug, login.code, [word.format(**door.words) for word in login.says])
    attempt.assert_untouched()
    assert attempt.new_lines == []
    assert attempt.seconds < login.seconds
    for password in login.env.values():
        assert password not in attempt.out + attempt.err


@pytest.mark.parametrize(
    ("user", "ssh", "secret"),
    [
        pytest.param("deploy", {}, False, marks=pytest.mark.nightly),  # test_surroundings.py
        pytest.param("ops", SUDO, True, marks=pytest.mark.nightly),  # the next one does it too
        ("ops", {**SUDO, **BY_PASSWORD}, True),
    ],
    ids=["sudo-without-password", "sudo-with-password", "login-and-sudo-by-password"],
)
def test_a_user_with_sudo_does_everything(
    door: Door, user: str, ssh: Mapping[str, Any], secret: bool
) -> None:
    """Setup, deploy, rollback, status after the failures; no process list shows the password."""
    stage, host = door.stage, door.stage.host
    password = host.ops_password
    env = {SUDO_VARIABLE: password, LOGIN_VARIABLE: password} if secret else {}
    address = f"{host.address}:{host.port}"
    before = stage.body()
    version = stage.next_version()
    door.open({"user": user, **ssh})
    with seen_arguments() as seen:
        for words, serves in (
            (("setup",), before),
            (("deploy",), version),
            (("status",), version),
            (("rollback",), before),
            (("deploy",), version),
        ):
            done = stage.fab(*words, host=address, env=env)
            assert done.code == 0, done.out + done.err
            assert stage.body() == serves
            assert password not in done.out + done.err
    # It did look: the host side's own start was among what it saw.
    assert any("systemd-run" in line and "cartwheel-session-shop" in line for line in seen)
    assert not [line for line in seen if password in line]
    journal = host.exec(["journalctl", "--no-pager", "-o", "cat"]).stdout.decode(errors="replace")
    assert password not in journal


@contextmanager
def seen_arguments() -> Iterator[set[str]]:
    """Every command line that `ps` would show meanwhile, here and on the lab's hosts: their
    processes are this machine's too."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            for process in Path("/proc").iterdir():
                if not process.name.isdigit():
                    continue
                try:
                    line = (process / "cmdline").read_bytes()
                except OSError:
                    continue
                seen.add(line.replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
