"""From a name to a target, and ssh_config with Include."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
import pytest

from cartwheel.errors import UsageError
from cartwheel.hidden import Hidden
from cartwheel.settings.model import Ssh
from cartwheel.ssh import startup
from cartwheel.ssh.config import load_ssh_config
from cartwheel.ssh.options import SshOptions
from cartwheel.ssh.target import Address, Target, parse_address, resolve_target


@dataclass(frozen=True)
class Disposable:
    address: str = "127.0.1.1"
    port: int = 2222
    user: str = "root"
    identity: Path = Path("/lab/key")
    known_hosts: Path = Path("/lab/known_hosts")
    interpreter: str = ""


def resolve(name: str, config: str = "", **named: Any) -> Target:
    given = {"ssh": Ssh(), "options": SshOptions(), "lab": {}, **named}
    return resolve_target(name, ssh_config=paramiko.SSHConfig.from_text(config), **given)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("web", Address("web")),
        (" u@web:22 ", Address("web", "u", 22)),
        ("[::1]:22", Address("::1", None, 22)),
        ("u@[fe80::1%eth0]", Address("fe80::1%eth0", "u")),
        ("2001:db8::1", Address("2001:db8::1")),
        ("u@::1", Address("::1", "u")),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "a b", "a:b", "a:0", "a:70000", "@a", "a@b@c:", "[::1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="is not a host"):
        parse_address(text)


def test_who_wins() -> None:
    """The name over the flags over the settings over ssh_config over the defaults."""
    config = "Host web\n HostName 10.0.0.1\n User c\n Port 3\n IdentityFile /c\n ConnectTimeout 7\n"
    plain = resolve("web", config)
    assert (plain.host, plain.user, plain.port) == ("10.0.0.1", "c", 3)
    assert (plain.identities, plain.connect_timeout_seconds) == ((Path("/c"),), 7)
    ssh = Ssh(user="s", port=4, identity="/s", connect_timeout_seconds=8)
    settings = resolve("web", config, ssh=ssh)
    assert (settings.user, settings.port, settings.connect_timeout_seconds) == ("s", 4, 8)
    options = SshOptions(identities=(Path("/o"),), connect_timeout_seconds=9, password=Hidden("o"))
    flags = resolve("n@web:5", config, ssh=ssh, options=options, password=Hidden("s"))
    assert (flags.user, flags.port, flags.connect_timeout_seconds) == ("n", 5, 9)
    assert flags.identities == (Path("/o"), Path("/s"), Path("/c"))
    assert flags.password == Hidden("o")
    bare = resolve("web")
    assert (bare.host, bare.user, bare.port) == ("web", getpass.getuser(), 22)
    assert (bare.known_as, plain.known_as) == ("web", "[10.0.0.1]:3")


def test_gateways() -> None:
    config = (
        "Host web\n ProxyJump u@outer:2,inner\n"
        "Host inner\n HostName 10.0.0.2\n User i\n"
        "Host odd\n ProxyCommand nc %h %p\nHost none\n ProxyJump none\n"
        "Host loop\n ProxyJump loop\n"
    )
    inner = resolve("web", config).gateway
    assert inner
    assert (inner.host, inner.user) == ("10.0.0.2", "i")
    assert inner.gateway
    assert (inner.gateway.host, inner.gateway.user, inner.gateway.port) == ("outer", "u", 2)
    assert inner.gateway.gateway is None
    assert resolve("odd", config).proxy_command == "nc odd 22"
    assert resolve("none", config).gateway is None
    assert resolve("loop", config).gateway is None
    configured = resolve("odd", config, ssh=Ssh(gateway="inner"))
    assert configured.gateway
    assert (configured.gateway.host, configured.proxy_command) == ("10.0.0.2", None)


def test_disposable_hosts() -> None:
    lab = {"lab1": Disposable()}
    one = resolve("lab1", "Host *\n User x\n ProxyJump y\n", lab=lab, ssh=Ssh(user="z"))
    assert (one.host, one.port, one.user) == ("127.0.1.1", 2222, "root")
    assert (one.gateway, one.known_hosts) == (None, (Path("/lab/known_hosts"),))
    assert resolve("guest@lab1", lab=lab).user == "guest"
    assert resolve("lab1:22", lab=lab).host == "lab1"
    assert one.python == "python3"
    assert resolve("lab1", lab={"lab1": Disposable(interpreter="/tap")}).python == "/tap"


def test_secrets_are_not_shown() -> None:
    one = resolve(
        "web",
        password=Hidden("hush1"),
        sudo_password=Hidden("hush2"),
        options=SshOptions(passphrase="hush3"),
    )
    assert "hush" not in repr(one)
    assert "hush" not in repr(
        SshOptions(password=Hidden("hush"), passphrase="hush", sudo_password=Hidden("hush"))
    )


class TestInclude:
    @pytest.fixture(autouse=True)
    def home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / ".ssh/conf.d").mkdir(parents=True)
        return tmp_path

    def test_globs_relative_and_quoted_names(self, home: Path) -> None:
        ssh = home / ".ssh"
        (ssh / "config").write_text(
            'Include conf.d/*.conf "conf.d/with space"\nUser all\nHost web\n  Port 7\n'
        )
        (ssh / "conf.d/a.conf").write_text("Host web\n  HostName 10.0.0.1\n")
        (ssh / "conf.d/b.conf").write_text("Host db\n  User b\n")
        (ssh / "conf.d/with space").write_text("Host db\n  Port 9\n")
        config = load_ssh_config()
        web, db = config.lookup("web"), config.lookup("db")
        assert (web["hostname"], web["port"], web["user"]) == ("10.0.0.1", "7", "all")
        assert (db["user"], db["port"]) == ("b", "9")

    def test_inside_a_block(self, home: Path) -> None:
        (home / ".ssh/config").write_text("Host web\n  Include conf.d/plain\n  Port 7\n")
        (home / ".ssh/conf.d/plain").write_text("User inner\n")
        config = load_ssh_config()
        assert (config.lookup("web")["user"], config.lookup("web")["port"]) == ("inner", "7")
        assert "user" not in config.lookup("other")
        (home / ".ssh/conf.d/plain").write_text("Host *\n  User inner\n")
        with pytest.raises(UsageError, match="blocks of its own"):
            load_ssh_config()

    def test_without_end_broken_and_missing(self, home: Path) -> None:
        (home / ".ssh/config").write_text("Include config\n")
        with pytest.raises(UsageError, match="too many levels"):
            load_ssh_config()
        (home / ".ssh/config").write_text("Nonsense\n")
        with pytest.raises(UsageError, match="cannot be used as ssh_config"):
            load_ssh_config()
        with pytest.raises(UsageError, match="No such file"):
            load_ssh_config(home / "missing")


KNOWN = (
    "env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    " LANG=C.UTF-8 LC_ALL=C.UTF-8"
)
ROOT = Target("web", "web", 22, "root")
USER = Target("web", "web", 22, "me")
SPEC = startup.UnitSpec("cartwheel-shop", ("/usr/bin/recover", "--settle"), "Cartwheel at work")


def test_the_command_that_starts_the_host_side() -> None:
    assert startup.start_command(ROOT, "CODE", sudo=[]) == f"{KNOWN} python3 -I -c 'CODE'"
    words = startup.sudo_words(USER, "p r")
    assert startup.start_command(USER, "CODE", sudo=words, unit=SPEC) == (
        f"env LC_ALL=C sudo -n -- {KNOWN} systemd-run --quiet --pipe --wait --collect --service-type=exec"
        " --unit=cartwheel-shop '--description=Cartwheel at work' -p KillMode=control-group -p TimeoutStopSec=300"
        " -p 'ExecStopPost=/usr/bin/recover --settle' python3 -I -c 'CODE'"
    )
    assert startup.sudo_words(ROOT, "p") == []
    knowing = Target("web", "web", 22, "me", sudo_password=Hidden("hush"))
    assert startup.sudo_words(knowing, "p")[2:] == ["sudo", "-k", "-S", "-p", "p", "--"]


@pytest.mark.parametrize(
    ("status", "errors", "slug"),
    [
        (127, "bash: line 1: python3: command not found", "no-python"),
        (127, "fish: Unknown command: python3", "no-python"),
        (1, "sudo: python3: command not found", "no-python"),
        (1, "ModuleNotFoundError: No module named 'json'", "no-python"),
        (127, "env: ‘sudo’: No such file or directory", "sudo-missing"),
        (1, "sudo: a password is required", "sudo-password"),
        (1, "me is not in the sudoers file.", "sudo-missing"),
        (1, "Sorry, user me is not allowed to execute '/x' as root on web.", "sudo-missing"),
        (1, "Failed to start transient service unit: Unit x.service already exists.", "locked"),
        (127, "sh: 1: systemd-run: not found", "no-systemd"),
        (127, "env: ‘systemd-run’: No such file or directory", "no-systemd"),
        (127, "env: ‘python3’: No such file or directory", "no-python"),
        (None, "", "ssh-lost"),
        (1, "This account is currently not available.", "no-greeting"),
        (127, "bash: line 3: exec: fish: not found", "no-greeting"),
        (1, "nvm: command not found", "no-greeting"),
        (1, "sudo: 3 incorrect password attempts", "sudo-password"),
    ],
)
def test_why_it_did_not_start(status: int | None, errors: str, slug: str) -> None:
    error = startup.why_not_started(USER, status, errors, sudo=True, unit=SPEC)
    assert (error.slug, error.host) == (slug, "web")


def test_the_greeting() -> None:
    assert startup.find_hello(b"noise\nCARTWHEEL-HELLO 3.9.2\nrest").text == "3.9.2"  # type: ignore[union-attr]
    assert startup.find_hello(b"CARTWHEEL-HELLO 3.9.2") is None
    assert startup.find_hello(b"echo CARTWHEEL-HELLO 3.9.2\n") is None
