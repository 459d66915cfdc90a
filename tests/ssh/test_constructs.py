"""Each construct of constructs.py: `ssh -G`, our reading through it, and our own parser agree."""

from __future__ import annotations

import functools
import os
import pwd
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from cartwheel.errors import UsageError
from cartwheel.settings.toml_tables import Ssh
from cartwheel.ssh.config import Configuration
from cartwheel.ssh.options import SshOptions
from cartwheel.ssh.target import Target, resolve_target
from tests.kit.tiers import only_root
from tests.ssh.constructs import CASES, VARIABLES, Case

pytestmark = pytest.mark.ssh

ACCOUNTS_HOME = pwd.getpwuid(os.getuid()).pw_dir
HOSTS = """127.0.0.1 localhost
10.9.9.1 web.example.org.
10.9.9.2 real.example.net db.example.org.
10.9.9.3 a.web.example.org.
"""
Said = dict[str, object]


class World:
    """A home folder with the case's files, and an `ssh` that takes it for the account's."""

    def __init__(self, folder: Path, home: Path, case: Case) -> None:
        self.config = folder / "config"
        self.home = home
        self.config.write_bytes(os.fsencode(case.text + "\n" * (not case.text.endswith("\n"))))
        for name, text in case.files.items():
            plain, _, mode = name.partition("~")
            path = home / ".ssh" / plain
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            path.chmod(0o666 if mode else 0o644)
        self._hosts, self._resolver = folder / "hosts", folder / "resolv.conf"
        self._hosts.write_text(HOSTS)
        self._resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        self.programs = folder / "bin"
        self.programs.mkdir()
        (self.programs / "ssh").write_text(self._script(shutil.which("ssh") or "/no/ssh", case))
        (self.programs / "ssh").chmod(0o755)

    def _script(self, program: str, case: Case) -> str:
        if os.geteuid() != 0:
            return f'#!/bin/sh\nexec {program} "$@"\n'
        binds = {self.home: ACCOUNTS_HOME}
        if case.names_are_private:
            binds |= {self._hosts: "/etc/hosts", self._resolver: "/etc/resolv.conf"}
        mounts = "".join(
            f"mount --bind {shlex.quote(str(here))} $(readlink -f {there})\n"
            for here, there in binds.items()
        )
        apart = '[ "$1" = - ] || exec unshare -m "$0" - "$@"\nshift\n'
        return f'#!/bin/sh\n{apart}{mounts}exec {program} "$@"\n'


@pytest.fixture
def world(
    request: pytest.FixtureRequest, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> World:
    case: Case = request.getfixturevalue("case")
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    one = World(tmp_path, home, case)
    monkeypatch.setenv("PATH", f"{one.programs}:{os.environ['PATH']}")
    return one


EACH = [
    pytest.param(
        case,
        id=case.name,
        marks=[only_root("has a home folder and a table of hosts of its own here")]
        if case.files or case.names_are_private
        else [],
    )
    for case in CASES
]
OLDEST = (9, 0)  # before, a line was split in another way


@functools.cache
def version() -> tuple[int, int]:
    said = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"OpenSSH_(\d+)\.(\d+)", said)
    assert found, "run script/test-packages: there is no ssh"
    return int(found[1]), int(found[2])


def by_us(world: World, case: Case) -> Said:
    target = resolve_target(
        case.typed,
        ssh=Ssh(),
        options=SshOptions(),
        lab={},
        ssh_config=Configuration(world.config),
    )
    return in_home(world, said_by(target))


def said_by(target: Target) -> Said:
    usual = Ssh().connect_timeout_seconds
    timeout = target.connect_timeout_seconds
    hops = []
    hop = target.gateway
    while hop is not None:
        hops.append(f"{hop.user}@{hop.host}:{hop.port}")
        hop = hop.gateway
    return {
        "host": target.host,
        "port": target.port,
        "user": target.user,
        "keys": " ".join(map(str, target.identities)),
        "only": target.identities_only,
        "agent": target.agent,
        "jumps": " ".join(reversed(hops)),
        "command": target.proxy_command or "",
        "alias": target.key_name,
        "known": " ".join(map(str, target.known_hosts)),
        "known_files": tuple(map(str, target.known_hosts)),
        "system": " ".join(map(str, target.system_known_hosts)),
        "revoked": " ".join(map(str, target.revoked_keys)),
        "timeout": None if timeout == usual else timeout,
        "family": target.family,
        "bind": target.bind_address,
    }


def in_home(world: World, said: Said) -> Said:
    def one(value: object) -> object:
        if isinstance(value, tuple):
            return tuple(map(one, value))
        if not isinstance(value, str):
            return value
        text = re.sub(r"~root(?=/)", pwd.getpwnam("root").pw_dir, value)
        text = text.replace(str(world.home), "~")
        return re.sub(rf"(?<![\w/]){re.escape(ACCOUNTS_HOME)}(?=/| |$)", "~", text)

    return {key: one(value) for key, value in said.items()}


@functools.cache
def usual_identities() -> list[str]:
    line = ["ssh", "-G", "-F", "none", "x"]
    said = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    return re.findall("^identityfile (.*)$", said, re.M)


class Oracle:
    """`ssh -G` itself. Values that it prints with tokens are expanded by ssh in another option."""

    def __init__(self, world: World) -> None:
        self._world = world

    def ask(self, words: tuple[str, ...]) -> dict[str, list[str]]:
        line = ["ssh", "-G", "-F", str(self._world.config), *words]
        done = subprocess.run(line, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        found: dict[str, list[str]] = {}
        for text in os.fsdecode(done.stdout).split("\n"):
            key, _, value = text.partition(" ")
            found.setdefault(key, []).append(value)
        return found

    def said(self, words: tuple[str, ...]) -> Said:
        found = self.ask(words)
        usual = usual_identities()

        def one(key: str) -> str:
            value = found.get(key, [""])[0]
            return "" if value == "none" else value

        keys = [] if found["identityfile"] == usual else found["identityfile"]
        agent = found.get("identityagent", [""])[0]
        if agent.startswith("$"):
            agent = os.environ.get(agent[1:], "none")
        command = one("proxycommand")
        timeout = one("connecttimeout")
        return in_home(
            self._world,
            {
                "host": one("hostname"),
                "port": int(one("port")),
                "user": one("user"),
                "keys": " ".join(self._file(key, words) for key in keys if key != "none"),
                "only": one("identitiesonly") == "yes",
                "agent": "" if agent == "SSH_AUTH_SOCK" else agent,
                "jumps": " ".join(self.hops(self._command(one("proxyjump"), words))),
                "command": self._command(command, words),
                "alias": one("hostkeyalias"),
                "known": one("userknownhostsfile"),
                "system": re.sub("(?:^|(?<= ))~", ACCOUNTS_HOME, one("globalknownhostsfile")),
                "revoked": re.sub("^~", ACCOUNTS_HOME, one("revokedhostkeys")),
                "timeout": int(timeout) or None if timeout else None,
                "family": one("addressfamily"),
                "bind": one("bindaddress"),
            },
        )

    def _file(self, text: str, words: tuple[str, ...]) -> str:
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        return self.ask(("-o", f'ControlPath="{quoted}"', *words))["controlpath"][0]

    def _command(self, text: str, words: tuple[str, ...]) -> str:
        if "%" not in text:
            return text
        return self.ask(("-o", f"RemoteCommand={text}", *words))["remotecommand"][0]

    def hops(self, jumps: str) -> list[str]:
        """As ssh reaches them: the last one by its own options, through those before it."""
        if not jumps:
            return []
        before, _, last = jumps.rpartition(",")
        words: tuple[str, ...] = ("-J", before) if before else ()
        user, at, rest = last.removeprefix("ssh://").rpartition("@")
        host, _, port = rest.rpartition(":") if re.search(r":\d+$", rest) else (rest, "", "")
        words += ("-l", user.replace("%40", "@")) if at else ()
        words += ("-p", port) if port else ()
        found = self.ask((*words, host.strip("[]")))
        own = f"{found['user'][0]}@{found['hostname'][0]}:{found['port'][0]}"
        return [*self.hops(found.get("proxyjump", [""])[0]), own]


def assert_as_this_client(case: Case, world: World, words: tuple[str, ...]) -> None:
    """We agree with this client, also where newer ones differ. Tokens that it does not know have
    their later meaning."""
    oracle = Oracle(world)
    try:
        oracle.ask(words)
    except AssertionError:
        with pytest.raises(UsageError):
            by_us(world, case)
        return
    try:
        wanted = oracle.said(words)
    except AssertionError:
        wanted = in_home(world, dict(case.means))
    ours = by_us(world, case)
    assert {key: ours[key] for key in wanted} == wanted


# What ssh says does not change with our code: a fifth of the table is enough in every run.
ASKED = [
    case
    if number % 5 == 0
    else pytest.param(*case.values, id=case.id, marks=[*case.marks, pytest.mark.nightly])
    for number, case in enumerate(EACH)
]


@pytest.mark.parametrize("case", ASKED)
def test_ssh_says_so(case: Case, world: World) -> None:
    """The table is right, and so are we with a client. An older client is right about itself."""
    words = case.ssh or (case.typed,)
    if version() < max(case.since, OLDEST):
        assert_as_this_client(case, world, words)
        return
    if case.refused:
        with pytest.raises(AssertionError, match=re.escape(case.refused)):
            Oracle(world).ask(words)
        with pytest.raises(UsageError) as caught:
            by_us(world, case)
        assert case.refused in caught.value.message + (caught.value.detail or "")
        return
    said = Oracle(world).said(words)
    means = in_home(world, dict(case.means))
    assert {**said, **means} == {**means, **said}, "the table is right"
    ours = by_us(world, case)
    assert {key: ours[key] for key in said} == said
    assert {key: ours[key] for key in means} == means


@pytest.mark.parametrize("case", EACH)
def test_we_say_so_without_ssh(case: Case, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.programs / "ssh").unlink()
    folder = world.programs
    for name in ("sh", "test", "true", "false", "echo", "grep"):
        (folder / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(folder))
    if case.refused or case.alone:
        with pytest.raises(UsageError) as caught:
            by_us(world, case)
        at = case.alone or (f":{case.line}: " if case.line else "")
        file = "" if case.files else str(world.config)
        assert f"{file}{at}" in caught.value.message
        return
    said = by_us(world, case)
    assert {key: said[key] for key in case.means} == in_home(world, dict(case.means))
