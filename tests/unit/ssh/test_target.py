"""From a name to a target, and ssh_config with Include."""

from __future__ import annotations

import getpass
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cartwheel.errors import UsageError
from cartwheel.hidden import Hidden
from cartwheel.settings.toml_tables import Ssh
from cartwheel.ssh import startup
from cartwheel.ssh.address import Address, parse_address
from cartwheel.ssh.config import Configuration
from cartwheel.ssh.options import SshOptions
from cartwheel.ssh.target import LabHost, Target, resolve_target

DISPOSABLE = LabHost("127.0.1.1", 2222, "root", Path("/lab/key"), Path("/lab/known_hosts"), "")


Resolve = Callable[..., Target]


@pytest.fixture(params=["ssh", "reader"])
def resolve(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: Any) -> Resolve:
    """From a name and a text of ssh_config to a target: as ssh reads it, and as we do."""
    if request.param == "reader":
        monkeypatch.setenv("PATH", str(tmp_path))  # where no ssh is
    else:
        assert shutil.which("ssh"), "run script/test-packages: there is no ssh"

    def one(name: str, config: str = "", **named: Any) -> Target:
        file = tmp_path / "ssh_config"
        file.write_text(config)
        given = {"ssh": Ssh(), "options": SshOptions(), "lab": {}, **named}
        return resolve_target(name, ssh_config=Configuration(file), **given)

    return one


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


def test_who_wins(resolve: Resolve) -> None:
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


def test_gateways(resolve: Resolve) -> None:
    config = (
        "Host web\n ProxyJump u@outer:2,inner\n"
        "Host inner\n HostName 10.0.0.2\n User i\n ProxyJump other\n"
        "Host outer\n ProxyJump ssh://first:77\n"
        "Host odd\n ProxyCommand nc %h %p\nHost none\n ProxyJump none\n"
        "Host loop\n ProxyJump loop\n"
        "Host a\n ProxyJump b\nHost b\n ProxyJump a\n"
        "Host twice\n ProxyJump %%@gate,inner\n"
        "Host *.far\n ProxyJump gate.%h\n"
    )
    inner = resolve("web", config).gateway
    assert inner
    assert (inner.host, inner.user) == ("10.0.0.2", "i")
    outer = inner.gateway  # the list says, not inner's own ProxyJump
    assert outer
    assert (outer.host, outer.user, outer.port) == ("outer", "u", 2)
    first = outer.gateway  # the first of a list follows its own
    assert first
    assert (first.host, first.port, first.gateway) == ("first", 77, None)
    assert resolve("odd", config).proxy_command == "nc odd 22"
    assert resolve("none", config).gateway is None
    refusals = {
        "loop": "loop",
        "a": "ProxyJump is a loop: a, b, a",
        "x.far": "ProxyJump is a loop: x.far, gate.x.far, gate.gate.x.far, ",
        "twice": r"ssh_config\b.*: %@ in `%@gate",  # ssh expands the hops before the last one twice
    }
    for name, said in refusals.items():
        with pytest.raises(UsageError, match=said) as caught:
            resolve(name, config)
        assert caught.value.slug == "ssh-config"
    configured = resolve("odd", config, ssh=Ssh(gateway="inner"))
    assert configured.gateway
    assert (configured.gateway.host, configured.proxy_command) == ("10.0.0.2", None)
    for gateway in ("none", "odd", "x, me@odd"):
        direct = resolve("odd", config, ssh=Ssh(gateway=gateway))
        assert (direct.gateway, direct.proxy_command) == (None, None)


def test_what_stands_above_ssh_config_is_in_its_tokens(resolve: Resolve) -> None:
    """With port 22 and the local user another sshd was reached."""
    config = (
        "Match user deploy\n HostName 10.0.0.9\n"
        "Host web\n User c\n Port 3\n ProxyCommand relay %n %h %p %r 100%%\n"
        " IdentityFile /keys/%r@%h:%p\n"
    )
    one = resolve("deploy@web:2200", config)
    assert (one.host, one.user, one.port) == ("10.0.0.9", "deploy", 2200)
    assert one.proxy_command == "relay web 10.0.0.9 2200 deploy 100%"
    assert one.identities == (Path("/keys/deploy@10.0.0.9:2200"),)
    same = resolve("web", config, ssh=Ssh(user="deploy", port=2200))
    assert replace(same, name=one.name) == one
    assert resolve("web", config).proxy_command == "relay web web 3 c 100%"


def test_disposable_hosts(resolve: Resolve) -> None:
    lab = {"lab1": DISPOSABLE}
    one = resolve("lab1", "Host *\n User x\n ProxyJump y\n", lab=lab, ssh=Ssh(user="z"))
    assert (one.host, one.port, one.user) == ("127.0.1.1", 2222, "root")
    assert (one.gateway, one.known_hosts) == (None, (Path("/lab/known_hosts"),))
    assert resolve("guest@lab1", lab=lab).user == "guest"
    assert resolve("lab1:22", lab=lab).host == "lab1"
    assert one.python == "python3"
    assert resolve("lab1", lab={"lab1": replace(DISPOSABLE, python="/tap")}).python == "/tap"


def test_secrets_are_not_shown(resolve: Resolve) -> None:
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
        f"env LC_ALL=C sudo -n -- {KNOWN} systemd-run --quiet --pipe --wait --collect"
        " --service-type=exec --unit=cartwheel-shop '--description=Cartwheel at work'"
        " -p KillMode=control-group -p TimeoutStopSec=300"
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
        (
            1,
            "sudo: /usr/bin/sudo must be owned by uid 0 and have the setuid bit set",
            "sudo-missing",
        ),
        (1, "sudo: error in /etc/sudo.conf, line 0\nsudo: fatal error, no plugin", "sudo-missing"),
        (1, "no menu\nsudo: unable to resolve host web: Name not known", "no-greeting"),
    ],
)
def test_why_it_did_not_start(status: int | None, errors: str, slug: str) -> None:
    error = startup.why_not_started(USER, status, errors, sudo=True, unit=SPEC)
    assert (error.slug, error.host) == (slug, "web")


def test_the_greeting() -> None:
    found = startup.find_hello(b"noise\nCARTWHEEL-HELLO 3.9.2\nrest")
    assert found
    assert found.text == "3.9.2"
    assert startup.find_hello(b"CARTWHEEL-HELLO 3.9.2") is None
    assert startup.find_hello(b"echo CARTWHEEL-HELLO 3.9.2\n") is None
