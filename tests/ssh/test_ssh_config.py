"""ssh_config as the real `ssh` follows it: what it says of a host, and which sshd it reaches."""

from __future__ import annotations

import getpass
import os
import pwd
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cartwheel.errors import ConnectError, UsageError
from cartwheel.settings.toml_tables import Ssh
from cartwheel.ssh.address import parse_address
from cartwheel.ssh.arguments import quoted
from cartwheel.ssh.client import Client
from cartwheel.ssh.config import Configuration
from cartwheel.ssh.connection import Gateways, StrictConnection
from cartwheel.ssh.found import Account, Asked, Found, found_in
from cartwheel.ssh.options import SshOptions
from cartwheel.ssh.reader import Reader, Source
from cartwheel.ssh.target import Target, resolve_target
from tests.ssh.conftest import StartSshd
from tests.ssh.sshd import Sshd

pytestmark = pytest.mark.ssh

ME = getpass.getuser()


@pytest.fixture
def account(home: Path) -> Account:
    return Account(ME, home)


def by_ssh(config: Path, asked: Asked, account: Account) -> Found:
    client = Client.installed(config)
    assert client is not None, "run script/test-packages: there is no ssh"
    return found_in(client.values(asked), asked, account)


def by_us(config: Path, asked: Asked, account: Account) -> Found:
    return found_in(Reader([Source(config)], account).values(asked), asked, account)


def both(folder: Path, text: str, asked: Asked, account: Account) -> Found:
    """What both say of a host, which must be the same."""
    config = folder / "config"
    config.write_text(text)
    found = by_ssh(config, asked, account)
    assert by_us(config, asked, account) == found
    return found


TEXTS = {
    "comments and quotes": (
        "# web\nHost web # the front\n User bob # boss\n IdentityFile \"/my keys/a\" # x\n"
        " IdentityFile '/b c'\n\tPort=2200\nHostName = 10.0.0.1\n"
    ),
    "tokens": (
        "Host web\n HostName %h.example.com\n User bob\n Port 99\n"
        " IdentityFile /k/%r@%h:%p-%n-%u-%%-%L-%i\n IdentityFile ~/x/%d\n IdentityFile ${HOME}/y\n"
        " ProxyCommand relay %h %p %r %n %%h\n UserKnownHostsFile ~/a /b/%h\n"
    ),
    "match": (
        "Match host web,db user deploy\n Port 1\nMatch originalhost w*,!web2\n Port 2\n"
        "Match !host web\n Port 3\nMatch user=bob\n Port 4\n"
        f"Match localuser {ME} exec \"test %n = web2\"\n Port 5\nMatch all\n Port 6\n"
    ),
    "match in capitals": "Match Host WEB\n Port 7\nMatch USER deploy\n Port 8\n",
    "the name by now": (
        "Host web\n HostName %h.Example.com\n"
        "Match host web.example.com exec \"test %h = web.Example.com\"\n Port 5\n"
        "Match final host web.example.com\n User late\n"
    ),
    "final": "Match final host 10.0.0.7\n User late\n Port 9\nHost web\n HostName 10.0.0.7\n",
    "final all": "Match final all\n User late\nHost web\n User early\n",
    "canonical": "Match canonical\n User canonical\nHost *\n User other\n",
    "jump and command": (
        "Host web\n ProxyJump none\nHost web2\n ProxyCommand none\nHost db\n ProxyCommand a b\n"
        "Host *\n ProxyJump u@g:7,h\n ProxyCommand nc %h\n"
    ),
    "command first": "ProxyCommand nc %h # no comment\nProxyJump x\n",
    "patterns": (
        "Host w?b !web2 [web]\n Port 10\nHost !web *\n Port 11\nHost web\n Port 12\n"
        "HostKeyAlias alias\n"
    ),
    "agents": (
        "Host web\n IdentityAgent none\nHost web2\n IdentityAgent ~/agent.sock\n"
        "Host db\n IdentityAgent SSH_AUTH_SOCK\n"
    ),
    "no keys": "IdentityFile none\nIdentitiesOnly yes\n",
    "known hosts": (
        'Host web\n UserKnownHostsFile "/my files/a" /b\n GlobalKnownHostsFile none\n'
        "Host web2\n UserKnownHostsFile /dev/null\n GlobalKnownHostsFile /x /y\n"
    ),
    "revoked": "Host web\n RevokedHostKeys ~/krl\nHost *\n RevokedHostKeys none\n",
    "the line": "ConnectTimeout 1m30\nAddressFamily inet6\nBindAddress 127.0.0.9\n",
    "first counts": (
        "Port 13\nHost *\n Port 14\n User a\n User b\nIdentityFile /1\nIdentityFile /1\n"
    ),
}  # fmt: skip

ASKED = [
    Asked("web"),
    Asked("web2"),
    Asked("db"),
    Asked("web", (("user", "deploy"), ("port", "2200"))),
    Asked("db", (("proxyjump", "one,two"),)),
    Asked("db", (("proxyjump", "none"), ("proxycommand", "none"))),
    Asked("10.0.0.7"),
    Asked("::1"),
]


@pytest.mark.parametrize("kind", TEXTS)
def test_we_read_what_ssh_reads(kind: str, tmp_path: Path, account: Account) -> None:
    for asked in ASKED:
        text = TEXTS[kind].replace("~/", f"{account.home}/").replace("%d", "d")
        both(tmp_path, text, asked, account)


def test_files_of_many_kinds(tmp_path: Path, account: Account) -> None:
    """Blocks, criteria, values and includes by chance; the same each time."""
    chance = random.Random(7)
    names, users = ["web", "web2", "db", "10.0.0.7"], ["ann", "bob", ME]

    def block(depth: int) -> str:
        pattern = chance.choice(["web", "w*", "db", "*", "!web,*", "1?.0.*"])
        criteria = [
            f"host {pattern}",
            f"originalhost {chance.choice(names)}",
            f"user {chance.choice(users)}",
            f"localuser {chance.choice(users)}",
            f"exec \"test %n = {chance.choice(names)}\"",
            "final",
        ]  # fmt: skip
        pair = " ".join(chance.choice(["", "!"]) + one for one in chance.sample(criteria, 2))
        head = chance.choice(
            [
                f"Host {pattern.replace(',', ' ')}",
                f"Match {pair}",
                "Match all",
                "Match final all",
            ]
        )
        lines = chance.sample(
            [
                f"HostName {chance.choice(['10.0.0.7', '%h.example.com', 'db'])}",
                f"User {chance.choice(users)}",
                f"Port {chance.randrange(1, 9)}",
                f"ProxyJump {chance.choice(['none', 'u@gate', 'a,b:3'])}",
                f"ProxyCommand {chance.choice(['none', 'nc %h %p %r %n'])}",
                f"IdentityFile {chance.choice(['/k/1', '/k/%h', '/k/%r'])}",
                f"HostKeyAlias {chance.choice(names)}",
            ],
            3,
        )
        if depth and chance.random() < 0.3:
            path = tmp_path / f"included-{chance.randrange(10**9)}"
            path.write_text("".join(block(depth - 1) for _ in range(2)))
            lines.append(f"Include {path}")
        return "\n  ".join([head, *lines]) + "\n"

    compared = 0
    for _ in range(60):
        text = "".join(block(2) for _ in range(4))
        for name in names:
            given = (("user", "ann"),) if chance.random() < 0.4 else ()
            try:
                both(tmp_path, text, Asked(name, given), account)
                compared += 1
            except UsageError as error:
                assert "jumphost loop" in error.message
    assert compared > 200


def test_what_the_reader_does_not_know_it_refuses(tmp_path: Path, account: Account) -> None:
    config = tmp_path / "config"
    for text, said in (
        ("Host x\n\nMatch localnetwork 10.0.0.0/8\n ProxyJump y\n", ":3: `Match localnetwork`"),
        ("Match sessiontype shell\n User y\n", ":1: `Match sessiontype`"),
        ("CanonicalizeHostname yes\n", ":1: CanonicalizeHostname"),
        ("ProxyUseFdpass yes\nProxyCommand x\n", ":1: ProxyUseFdpass"),
        ("ProxyCommand nc %h %X\n", ":1: %X in"),
        ("User %n\n", ":1: %n in User"),
        ("HostName %n\n", ":1: %n in"),
        ("IdentityFile ${NO_SUCH_THING}/x\n", ":1: there is no environment variable"),
        ("Port httq\n", ":1: httq is not a port"),
        ("Port\n", ":1: `Port` has no value"),
        ('User "x\n', ":1: a quote is not closed"),
        ("Match user\n", ":1: `Match user` has no value"),
        ("ConnectTimeout soon\n", ":1: soon is not a time"),
        ("AddressFamily ipx\n", ":1: ipx is not an address family"),
        (f"Include {config}\n", ": too many levels of Include"),
    ):
        config.write_text(text)
        with pytest.raises(UsageError) as caught:
            by_us(config, Asked("web"), account)
        assert caught.value.slug == "ssh-config"
        assert f"{config}{said}" in caught.value.message
    # What cannot hold here is nobody's trouble.
    config.write_text("Match host other localnetwork 10.0.0.0/8\n User y\nHost other\n User %z\n")
    assert by_us(config, Asked("web"), account).user == ME


@pytest.mark.parametrize("name", ["a;touch${IFS}x", "$(id)", "-oProxyCommand=x", "a|b", "a`id`"])
def test_names_are_no_commands(name: str, tmp_path: Path, account: Account) -> None:
    """Tokens bring them into a line for the shell."""
    config = tmp_path / "config"
    config.write_text('Match exec "true %n %r"\n ProxyCommand relay %n %r\n')
    for asked in (Asked(name), Asked("web", (("user", quoted(name)),))):
        for read in (by_ssh, by_us):
            with pytest.raises(UsageError, match=r"invalid characters|contains characters"):
                read(config, asked, account)


def test_what_ssh_refuses_is_refused_with_its_words(tmp_path: Path, account: Account) -> None:
    config = tmp_path / "config"
    config.write_text("Host web\n Prot 22\n")
    with pytest.raises(UsageError, match=f"{config}: line 2: Bad configuration option: prot"):
        by_ssh(config, Asked("web"), account)
    with pytest.raises(UsageError, match="No such file or directory"):
        by_ssh(tmp_path / "missing", Asked("web"), account)
    with pytest.raises(UsageError, match="No such file or directory"):
        by_us(tmp_path / "missing", Asked("web"), account)


def test_the_users_own_files_and_includes(home: Path) -> None:
    """$HOME is not the account's here, so ssh would look elsewhere: they are read by us."""
    ssh = home / ".ssh"
    (ssh / "conf.d").mkdir()
    (ssh / "config").write_text(
        'Include conf.d/*.conf "conf.d/with space"\nUser all\nHost web\n  Port 7\n  Include inner\n'
        "Host *\n Include inner\n"
    )
    (ssh / "conf.d/a.conf").write_text("Host web\n  HostName 10.0.0.1\n")
    (ssh / "conf.d/b.conf").write_text("Host db\n  User b\n")
    (ssh / "conf.d/with space").write_text("Host db\n  Port 9\n")
    (ssh / "inner").write_text("HostKeyAlias inner\nHost db\n HostKeyAlias deep\n")
    config = Configuration()
    web, db = config.lookup(Asked("web")), config.lookup(Asked("db"))
    assert (web.host, web.port, web.user, web.key_name) == ("10.0.0.1", 7, "all", "inner")
    assert (db.user, db.port, db.key_name) == ("b", 9, "inner")
    assert {"web", "db", "*"} <= config.names()


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of how ssh was called since."""
    said = tmp_path / "said"
    program = tmp_path / "bin/ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$*" >> {said}\nexec {shutil.which("ssh")} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return said


def test_each_host_is_asked_about_once(asked: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host w*\n ProxyJump gate\n")
    shared = Configuration(config)
    assert not asked.exists()
    for name in ("w1", "w2", "w1", "w2"):
        assert resolved(name, shared).gateway
    names = [line.split(" -- ")[1] for line in asked.read_text().splitlines()]
    assert sorted(names) == ["gate", "localhost", "w1", "w2"]


def test_a_home_that_is_the_accounts_is_looked_into_by_ssh(
    asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Configuration().lookup(Asked("w1"))
    assert not asked.exists(), "$HOME is another folder here"
    monkeypatch.setenv("HOME", pwd.getpwuid(os.getuid()).pw_dir)
    Configuration().lookup(Asked("w1", (("user", "ann"), ("port", "2200"))))
    assert asked.read_text().splitlines() == [
        "-G -T -F none -- localhost",
        "-G -T -o ControlPath=%C -l ann -o port=2200 -- w1",
    ]


def resolved(name: str, config: Configuration, **named: Any) -> Target:
    given = {"ssh": Ssh(), "options": SshOptions(), "lab": {}, **named}
    return resolve_target(name, ssh_config=config, **given)


_LOGGED_SECONDS = 2.0


class Fleet:
    """Several sshds, and an ssh_config about them: who is reached by ssh, and by us."""

    def __init__(self, folder: Path, servers: list[Sshd]) -> None:
        self.config = folder / "fleet_config"
        self.servers = servers
        self.read: dict[int, int] = {}
        known = folder / "known"
        known.write_text("".join(one.known_hosts.read_text() for one in servers))
        keys = "".join(f"IdentityFile {one.identity}\n" for one in servers)
        self.tail = f"Host *\nUserKnownHostsFile {known}\nIdentitiesOnly yes\n{keys}"

    def write(self, text: str) -> None:
        ports = {f"PORT{number}": str(one.port) for number, one in enumerate(self.servers)}
        for name, port in ports.items():
            text = text.replace(name, port)
        self.config.write_text(text + self.tail)

    def reached(self) -> list[str]:
        """Who was logged in to since the last look, and as whom. On a busy machine a server may
        write its log only after the client has gone."""
        end = time.monotonic() + _LOGGED_SECONDS
        while not (found := self._fresh()) and time.monotonic() < end:
            time.sleep(0.02)
        return sorted(found)

    def _fresh(self) -> set[str]:
        found = set()
        for number, one in enumerate(self.servers):
            lines = (one.folder / "log").read_text().splitlines()
            fresh, self.read[number] = lines[self.read.get(number, 0) :], len(lines)
            for line in fresh:
                user = re.search(r"Accepted publickey for (\S+)|Invalid user (\S+)", line)
                if user:
                    found.add(f"{number}:{user[1] or user[2]}")
        return found

    def by_ssh(self, name: str, *options: str) -> list[str]:
        line = ["ssh", "-F", str(self.config), "-oBatchMode=yes", *options, name, "true"]
        subprocess.run(line, check=False, capture_output=True, timeout=30)
        return self.reached()

    def by_us(self, name: str, **named: Any) -> list[str]:
        gateways = Gateways()
        target = resolved(name, Configuration(self.config), **named)
        connection = StrictConnection(target, gateways)
        try:
            connection.open()
        except ConnectError as error:
            assert error.slug == "ssh-auth"
        finally:
            connection.close()
            gateways.close()
        return self.reached()


@pytest.fixture
def fleet(tmp_path: Path, sshd_factory: StartSshd) -> Fleet:
    return Fleet(tmp_path, [sshd_factory() for _ in range(3)])


LOCAL = "HostName 127.0.0.1\n"
REACHED = {
    "a criterion that does not hold": (
        f"Match user nobody\n Port PORT1\nHost web\n {LOCAL} Port PORT0\n", "web", [], ["0:ME"]
    ),
    "by command": (
        f"Match exec \"test %n = web\"\n Port PORT1\nHost web\n {LOCAL} Port PORT0\n",
        "web", [], ["1:ME"],
    ),
    "the user and the port of the command line": (
        f"Match user deploy\n {LOCAL} Port PORT1\n ProxyCommand {{relay}} %h %p\nHost *\n {LOCAL}"
        " Port PORT0\n",
        "deploy@web", ["-ldeploy"], ["1:deploy"],
    ),
    "tokens of a proxy command": (
        f"Host web\n {LOCAL} ProxyCommand {{relay}} %h %p\n", "web:PORT2", ["-pPORT2"], ["2:ME"]
    ),
    "a gateway that has one": (
        f"Host web\n {LOCAL} Port PORT0\n ProxyJump in\nHost in\n {LOCAL} Port PORT1\n"
        f" ProxyJump out\nHost out\n {LOCAL} Port PORT2\n", "web", [], ["0:ME", "1:ME", "2:ME"],
    ),
    "a list of gateways": (
        f"Host web\n {LOCAL} Port PORT0\n ProxyJump out,in\nHost in\n {LOCAL} Port PORT1\n"
        f" ProxyJump nowhere\nHost out\n {LOCAL} Port PORT2\n", "web", [], ["0:ME", "1:ME", "2:ME"],
    ),
    "a user with an @": (
        f"Match user anna@*\n {LOCAL} Port PORT1\nHost web\n {LOCAL} Port PORT0\n",
        "anna@corp@web", ["-lanna@corp"], ["1:anna@corp"],
    ),
    "a URI": (f"Host web\n {LOCAL} Port PORT0\n", "ssh://web:PORT2", ["-pPORT2"], ["2:ME"]),
    "an IPv6 gateway": (
        f"Host ::1\n {LOCAL} Port PORT1\nHost web\n {LOCAL} Port PORT0\n ProxyJump ME@[::1]\n",
        "web", [], ["0:ME", "1:ME"],
    ),
    "a gateway's user": (
        f"Host web\n {LOCAL} Port PORT0\n ProxyJump in\n User x\nHost in\n {LOCAL} Port PORT1\n"
        " User y\n", "web", [], ["1:y"],
    ),
}  # fmt: skip


def relay_in(folder: Path) -> Path:
    """A program for ProxyCommand; it notes its words."""
    relay = folder / "relay.py"
    relay.write_text(
        "import os,socket,sys,threading\n"
        f"print(sys.argv[3:],file=open({str(folder / 'words')!r},'a'))\n"
        "s=socket.create_connection((sys.argv[1],int(sys.argv[2])))\n"
        "def up():\n"
        "  while d:=os.read(0,65536): s.sendall(d)\n"
        "  s.shutdown(1)\n"
        "threading.Thread(target=up,daemon=True).start()\n"
        "while d:=s.recv(65536): os.write(1,d)\n"
    )
    return relay


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_the_words_of_a_proxy_command(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    """The user's shell splits them, and the command replaces it."""
    monkeypatch.setenv("SHELL", shell)
    fleet.write(
        f"Host web\n {LOCAL} Port PORT0\n ProxyCommand {sys.executable} {relay_in(tmp_path)} %h %p"
        " %n '%r %h' \"a  b\" $HOME '$HOME' c\\ d %% # ${BASH_VERSION:+bash} 2>/dev/null\n"
    )
    assert fleet.by_ssh("web") == fleet.by_us("web") == [f"0:{ME}"]
    by_ssh, by_us = (tmp_path / "words").read_text().splitlines()
    assert by_us == by_ssh
    home = os.environ["HOME"]
    assert by_us == str(["web", f"{ME} 127.0.0.1", "a  b", home, "$HOME", "c d", "%"])


def test_known_hosts_of_ssh_config_replace_the_usual_ones(fleet: Fleet, home: Path) -> None:
    server, other = fleet.servers[:2]
    text = f"Host *\n {LOCAL} Port {server.port}\n IdentityFile {server.identity}\nHost web\n"
    (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{server.port} {other.public_key()}\n")
    for line, slug in (
        (f' UserKnownHostsFile /no/file "{server.known_hosts}"\n', ""),
        (f" UserKnownHostsFile none\n GlobalKnownHostsFile {server.known_hosts}\n", ""),
        (" UserKnownHostsFile none\n", "host-key-unknown"),
        ("", "host-key-changed"),
    ):
        fleet.config.write_text(text + line)
        connection = StrictConnection(resolved("web", Configuration(fleet.config)), Gateways())
        if not slug:
            connection.open()
            connection.close()
            continue
        with pytest.raises(ConnectError) as caught:
            connection.open()
        assert caught.value.slug == slug


@pytest.mark.parametrize("kind", REACHED)
@pytest.mark.parametrize("reads", ["ssh", "reader"])
def test_we_reach_whom_ssh_reaches(
    fleet: Fleet, kind: str, reads: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, name, options, expected = REACHED[kind]
    relay = relay_in(tmp_path)
    fleet.write(text.replace("{relay}", f"{sys.executable} {relay}").replace("ME@", f"{ME}@"))
    for number, one in enumerate(fleet.servers):
        name = name.replace(f"PORT{number}", str(one.port))
        options = [option.replace(f"PORT{number}", str(one.port)) for option in options]
    wanted = [one.replace("ME", ME) for one in expected]
    bare = parse_address(name).host
    assert fleet.by_ssh(bare, *options) == wanted
    if reads == "reader":
        found = {word: shutil.which(word) for word in ("sh", "test")}
        folder = tmp_path / "no-ssh"
        folder.mkdir()
        for word, path in found.items():
            (folder / word).symlink_to(str(path))
        monkeypatch.setenv("PATH", str(folder))
    assert fleet.by_us(name) == wanted


@pytest.mark.parametrize("kind", ["list", "krl", "missing"])
def test_a_revoked_key_is_refused_as_ssh_does(fleet: Fleet, tmp_path: Path, kind: str) -> None:
    server = fleet.servers[0]
    file = tmp_path / "revoked"
    public = f"{server.host_keys['ed25519']}.pub"
    if kind == "list":
        file.write_text(Path(public).read_text())
    if kind == "krl":
        subprocess.run(["ssh-keygen", "-q", "-k", "-f", str(file), public], check=True)
    text = (
        f"Host *\n {LOCAL} RevokedHostKeys {file}\nHost web\n Port PORT0\nHost good\n Port PORT1\n"
    )
    fleet.write(text)
    expected = [] if kind == "missing" else [f"1:{ME}"]
    assert (fleet.by_ssh("web"), fleet.by_ssh("good")) == ([], expected)
    gateways = Gateways()
    with pytest.raises(ConnectError, match="may be revoked") as caught:
        StrictConnection(resolved("web", Configuration(fleet.config)), gateways).open()
    assert caught.value.slug == "host-key-changed"
    if expected:
        assert fleet.by_us("good") == expected


@pytest.fixture
def agent(fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The socket of an agent that has the key of the first server."""
    path = tmp_path / "own agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        environment = {**os.environ, "SSH_AUTH_SOCK": str(path)}
        line = ["ssh-add", "-q", str(fleet.servers[0].identity)]
        for _ in range(500):
            if (
                subprocess.run(line, check=False, capture_output=True, env=environment).returncode
                == 0
            ):
                break
            subprocess.run(["sleep", "0.01"], check=True)
        yield path
    finally:
        process.kill()
        process.wait()


def test_an_agent_of_ssh_config(fleet: Fleet, agent: Path) -> None:
    """`IdentityAgent`: its keys, and with `none` none of the usual one's."""
    server = fleet.servers[0]
    text = f"Host web\n {LOCAL} Port {server.port}\n UserKnownHostsFile {server.known_hosts}\n"
    for line, expected in ((f' IdentityAgent "{agent}"\n', [f"0:{ME}"]), ("", [])):
        fleet.config.write_text(text + line)
        assert fleet.by_ssh("web", "-oIdentityFile=none") == expected
        assert fleet.by_us("web") == expected


AGENT_HAS_IT = {
    "x.pub": "IdentityFile {key}.pub\n",
    "x, of which only x.pub is there": "IdentityFile {key}\n",
    "x, which is encrypted and has no x.pub": "IdentityFile {encrypted}\n",
    "x.pub of another key": "IdentityFile {other}.pub\n",
    "x, which is not there": "IdentityFile {key}-gone\n",
    "x, which has another x.pub": "IdentityFile {swapped}\n",
}


@pytest.mark.parametrize("kind", AGENT_HAS_IT)
def test_a_key_that_only_the_agent_has(
    fleet: Fleet, agent: Path, tmp_path: Path, kind: str
) -> None:
    server, folder = fleet.servers[0], tmp_path / "keys"
    folder.mkdir()
    (folder / "key.pub").write_text(Path(f"{server.identity}.pub").read_text())
    encrypted = folder / "encrypted"
    shutil.copy(server.identity, encrypted)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "hush", "-f", str(encrypted)], check=True)
    (folder / "swapped.pub").write_text(Path(f"{server.identity}.pub").read_text())
    (folder / "swapped").write_text(fleet.servers[1].identity.read_text())
    (folder / "swapped").chmod(0o600)
    names = {name: folder / name for name in ("key", "encrypted", "swapped")}
    line = AGENT_HAS_IT[kind].format(other=fleet.servers[1].identity, **names)
    fleet.config.write_text(
        f"Host web\n {LOCAL} Port {server.port}\n UserKnownHostsFile {server.known_hosts}\n"
        f' IdentitiesOnly yes\n IdentityAgent "{agent}"\n {line}'
    )
    expected = [] if "another key" in kind or "not there" in kind else [f"0:{ME}"]
    assert fleet.by_ssh("web") == expected
    assert fleet.by_us("web") == expected
