"""Host keys, ways in and failures of a connection, against real sshds."""

from __future__ import annotations

import base64
import fcntl
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import paramiko
import pytest

from cartwheel.errors import ConnectError
from cartwheel.hidden import Hidden
from cartwheel.ssh import known_hosts
from cartwheel.ssh.connection import Gateways, StrictConnection, fetch_key, quick_socket
from cartwheel.ssh.target import Target
from tests.kit.ports import free_port
from tests.ssh.asking import asking
from tests.ssh.conftest import Open, StartSshd
from tests.ssh.sshd import Sshd, keygen

pytestmark = pytest.mark.ssh


def connect(target: Target, gateways: Gateways) -> None:
    connection = StrictConnection(target, gateways)
    try:
        connection.open()
        assert connection.is_connected
    finally:
        connection.close()


def refused(target: Target, gateways: Gateways) -> ConnectError:
    with pytest.raises(ConnectError) as caught:
        connect(target, gateways)
    assert caught.value.host == target.name
    return caught.value


def key_of(sshd: Sshd, kind: str = "ed25519") -> known_hosts.HostKey:
    name, text = sshd.public_key(kind).split()
    return known_hosts.HostKey(name, base64.b64decode(text))


class TestHostKeys:
    def test_an_unknown_key_stops_and_shows_the_fingerprint(
        self, sshd_factory: StartSshd, gateways: Gateways
    ) -> None:
        sshd = sshd_factory(known=False)
        error = refused(sshd.target(), gateways)
        shown = subprocess.run(
            ["ssh-keygen", "-lf", f"{sshd.host_keys['ed25519']}.pub"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()[1]
        assert error.slug == "host-key-unknown"
        assert shown.startswith("SHA256:")
        assert shown in error.message
        assert "Accepted publickey" not in (sshd.folder / "log").read_text()

    def test_a_changed_key_stops_also_with_accept_new(
        self, sshd: Sshd, gateways: Gateways, tmp_path: Path
    ) -> None:
        other = Path(f"{keygen(tmp_path / 'other')}.pub").read_text()
        sshd.known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {other}")
        before = sshd.known_hosts.read_text()
        for host_keys in ("strict", "accept-new"):
            error = refused(sshd.target(host_keys=host_keys), gateways)
            assert error.slug == "host-key-changed"
            assert f"{sshd.known_hosts}:1" in error.message
        assert sshd.known_hosts.read_text() == before

    def test_a_key_of_another_kind_only_is_a_change(
        self, sshd: Sshd, gateways: Gateways, tmp_path: Path
    ) -> None:
        other = Path(f"{keygen(tmp_path / 'other', 'ecdsa')}.pub").read_text()
        sshd.known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {other}")
        assert refused(sshd.target(), gateways).slug == "host-key-changed"

    def test_the_known_kind_is_asked_for(self, sshd_factory: StartSshd, gateways: Gateways) -> None:
        """The host has three kinds; that only the least liked one is known is no change."""
        sshd = sshd_factory(kinds=("ed25519", "ecdsa", "rsa"), known=False)
        for kind in ("rsa", "ecdsa"):
            sshd.known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {sshd.public_key(kind)}\n")
            connect(sshd.target(), gateways)

    def test_a_revoked_key_stops(self, sshd: Sshd, gateways: Gateways) -> None:
        with sshd.known_hosts.open("a") as file:
            file.write(f"@revoked * {sshd.public_key()}\n")
        error = refused(sshd.target(), gateways)
        assert (error.slug, "revoked" in error.message) == ("host-key-changed", True)

    def test_lines_that_paramiko_cannot_read_are_no_hindrance(
        self, sshd: Sshd, gateways: Gateways
    ) -> None:
        text = sshd.known_hosts.read_text()
        noise = (
            f"@cert-authority *.example.org {sshd.public_key()}\n"
            "@revoked other ssh-rsa AAAA\nx\n\xff #\n"
        )
        sshd.known_hosts.write_text(noise + text)
        connect(sshd.target(), gateways)

    def test_a_certificate_authority_alone_makes_no_host_known(
        self, sshd: Sshd, gateways: Gateways
    ) -> None:
        sshd.known_hosts.write_text(f"@cert-authority * {sshd.public_key()}\n")
        assert refused(sshd.target(), gateways).slug == "host-key-unknown"

    def test_hashed_names_patterns_and_the_users_own_file(
        self, sshd: Sshd, gateways: Gateways, home: Path
    ) -> None:
        text = sshd.known_hosts.read_text()
        subprocess.run(
            ["ssh-keygen", "-q", "-H", "-f", str(sshd.known_hosts)],
            check=True,
            capture_output=True,
        )
        assert sshd.known_hosts.read_text().startswith("|1|")
        connect(sshd.target(), gateways)
        sshd.known_hosts.write_text("")
        own = home / ".ssh/known_hosts"
        own.write_text(f"[127.0.0.?]:* {sshd.public_key()}\n")
        connect(sshd.target(known_hosts=(own,)), gateways)
        own.write_text(f"![127.0.0.1]:{sshd.port},[127.*]:* {sshd.public_key()}\n")
        assert refused(sshd.target(known_hosts=(own,)), gateways).slug == "host-key-unknown"
        own.write_text(text)
        alias = f"[127.0.0.1]:{sshd.port}"
        connect(sshd.target(key_name=alias, system_known_hosts=(own,)), gateways)

    def test_accept_new_records_once_for_many_at_the_same_time(
        self, sshd_factory: StartSshd, gateways: Gateways
    ) -> None:
        sshd = sshd_factory(known=False)
        sshd.known_hosts.write_text("# no newline at its end")
        sshd.known_hosts.chmod(0o640)
        target = sshd.target(host_keys="accept-new")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _n: connect(target, gateways), range(8)))
        lines = sshd.known_hosts.read_text().splitlines()
        assert lines == ["# no newline at its end", f"[127.0.0.1]:{sshd.port} {sshd.public_key()}"]
        assert sshd.known_hosts.stat().st_mode & 0o777 == 0o640
        assert [path.name for path in sshd.folder.glob(".known*")] == []
        connect(sshd.target(), gateways)

    def test_a_lock_that_stays_is_not_waited_for_for_ever(
        self, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(known_hosts, "_LOCK_SECONDS", 0.2)
        sshd.known_hosts.write_text("")
        folder = os.open(sshd.known_hosts.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            with pytest.raises(ConnectError, match="another program has locked"):
                known_hosts.record(sshd.target(), key_of(sshd))
            fcntl.flock(folder, fcntl.LOCK_UN)
            known_hosts.record(sshd.target(), key_of(sshd))
        finally:
            os.close(folder)

    def test_ssh_itself_reads_what_was_recorded(
        self, sshd_factory: StartSshd, gateways: Gateways
    ) -> None:
        sshd = sshd_factory(known=False)
        key = fetch_key(sshd.target(), gateways)
        assert key == key_of(sshd)
        assert sshd.known_hosts.read_text() == ""
        known_hosts.record(sshd.target(), key)
        found = subprocess.run(
            ["ssh-keygen", "-F", f"[127.0.0.1]:{sshd.port}", "-f", str(sshd.known_hosts)],
            check=False,
            capture_output=True,
        )
        assert found.returncode == 0

    def test_a_new_file_is_private(self, sshd_factory: StartSshd, home: Path) -> None:
        sshd = sshd_factory(known=False)
        known_hosts.record(sshd.target(known_hosts=(home / ".ssh/known_hosts",)), key_of(sshd))
        assert (home / ".ssh/known_hosts").stat().st_mode & 0o777 == 0o600


class TestGateways:
    def test_through_two_gateways_shared_by_many_threads(
        self, sshd_factory: StartSshd, gateways: Gateways, open_to: Open
    ) -> None:
        inner, middle, outer = sshd_factory(), sshd_factory(), sshd_factory()
        chain = middle.target(name="middle", gateway=outer.target(name="outer"))
        targets = [inner.target(name=f"host{n}", gateway=chain) for n in range(8)]
        with ThreadPoolExecutor(8) as pool:
            sessions = list(pool.map(open_to, targets))
            answers = list(pool.map(lambda each: each.request(asking("echo", {"n": 1})), sessions))
        assert answers == [{"n": 1}] * 8
        for gateway in (middle, outer):  # each was logged in to once
            assert (gateway.folder / "log").read_text().count("Accepted publickey") == 1

    def test_a_gateways_key_is_checked(self, sshd_factory: StartSshd, gateways: Gateways) -> None:
        inner, outer = sshd_factory(), sshd_factory(known=False)
        target = inner.target(gateway=outer.target(name="gate"))
        with pytest.raises(ConnectError) as caught:
            connect(target, gateways)
        assert (caught.value.slug, caught.value.host) == ("host-key-unknown", "gate")

    def test_a_host_behind_a_gateway_is_checked(
        self, sshd_factory: StartSshd, gateways: Gateways
    ) -> None:
        inner, outer = sshd_factory(known=False), sshd_factory()
        assert refused(inner.target(gateway=outer.target()), gateways).slug == "host-key-unknown"

    def test_a_gateway_that_does_not_reach_the_host(self, sshd: Sshd, gateways: Gateways) -> None:
        target = sshd.target(port=free_port(), gateway=sshd.target(name="gate"))
        error = refused(target, gateways)
        assert error.slug == "ssh-unreachable"
        assert "the gateway gate cannot reach" in error.message

    def test_a_proxy_command(
        self, sshd: Sshd, gateways: Gateways, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = tmp_path / "proxy.py"
        script.write_text(
            "import os,socket,sys,threading\n"
            "s=socket.create_connection((sys.argv[1],int(sys.argv[2])))\n"
            "def up():\n"
            "  while d:=os.read(0,65536): s.sendall(d)\n"
            "  os._exit(0)\n"
            "threading.Thread(target=up,daemon=True).start()\n"
            "while d:=s.recv(65536): os.write(1,d)\n"
        )
        command = f"python3 {script} 127.0.0.1 {sshd.port}"
        connect(sshd.target(proxy_command=command), gateways)
        # It is a line for the shell, as ssh runs it.
        with_shell = f'sh -c "cd /; {command} 2>/dev/null" && echo "it has ended" >&2'
        connect(sshd.target(proxy_command=with_shell), gateways)
        # It has the user's environment, but for the repository that a git hook is about.
        monkeypatch.setenv("GIT_DIR", "/nowhere")
        monkeypatch.setenv("CORPORATE_PROXY", "yes")
        said = tmp_path / "said"
        telling = f'sh -c "env > {said}; exec {command}"'
        connect(sshd.target(proxy_command=telling), gateways)
        assert "CORPORATE_PROXY=yes" in said.read_text()
        assert "GIT_DIR" not in said.read_text()


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    for _ in range(500):
        if path.exists():
            break
        threading.Event().wait(0.01)
    yield
    process.kill()
    process.wait()


class TestAuthentication:
    @pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
    def test_a_key(self, sshd: Sshd, gateways: Gateways, tmp_path: Path, kind: str) -> None:
        identity = keygen(tmp_path / "mine", kind)
        self._authorize(sshd, identity)
        connect(sshd.target(identities=(identity,)), gateways)

    @pytest.mark.parametrize("kind", ["ed25519", "rsa"])
    def test_an_encrypted_key(
        self, sshd: Sshd, gateways: Gateways, tmp_path: Path, kind: str
    ) -> None:
        identity = keygen(tmp_path / "mine", kind, "open sesame")
        self._authorize(sshd, identity)
        connect(sshd.target(identities=(identity,), passphrase="open sesame"), gateways)
        # a passphrase does not spoil a key that needs none
        connect(sshd.target(passphrase="open sesame"), gateways)
        missing = refused(sshd.target(identities=(identity,)), gateways)
        assert f"key {identity} (encrypted" in missing.message
        wrong = refused(sshd.target(identities=(identity,), passphrase="wrong"), gateways)
        assert (wrong.slug, "wrong passphrase" in wrong.message) == ("ssh-auth", True)

    def test_the_agents_key(
        self, sshd: Sshd, gateways: Gateways, tmp_path: Path, agent: None
    ) -> None:
        self._agent_add(sshd.identity)
        connect(sshd.target(identities=(), identities_only=False), gateways)

    def test_an_encrypted_key_that_the_agent_holds(
        self, sshd: Sshd, gateways: Gateways, agent: None
    ) -> None:
        self._agent_add(sshd.identity)
        subprocess.run(
            ["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(sshd.identity)],
            check=True,
            capture_output=True,
        )
        connect(sshd.target(), gateways)

    def test_default_keys(self, sshd: Sshd, gateways: Gateways, home: Path) -> None:
        self._authorize(sshd, keygen(home / ".ssh/id_ed25519"))
        connect(sshd.target(identities=(), identities_only=False), gateways)

    def test_a_failure_names_what_was_tried(
        self, sshd: Sshd, gateways: Gateways, tmp_path: Path
    ) -> None:
        stranger = keygen(tmp_path / "stranger")
        missing = tmp_path / "missing"
        error = refused(
            sshd.target(identities=(missing, stranger), password=Hidden("no")), gateways
        )
        assert error.slug == "ssh-auth"
        assert f"key {missing} (does not exist)" in error.message
        assert f"key {stranger} (refused)" in error.message
        assert "password (the host accepts only publickey)" in error.message

    def test_nothing_to_try(self, sshd: Sshd, gateways: Gateways) -> None:
        error = refused(sshd.target(identities=()), gateways)
        assert "nothing: no key, no agent and no password" in error.message

    def test_identities_of_ten_hosts_do_not_leak(
        self, sshd_factory: StartSshd, gateways: Gateways, tmp_path: Path
    ) -> None:
        """In fabric each host's keys went into one configuration: the seventh host failed."""
        sshd = sshd_factory(options={"MaxAuthTries": "2"})
        targets = []
        for number in range(10):
            identity = keygen(tmp_path / f"key{number}")
            self._authorize(sshd, identity)
            targets.append(sshd.target(name=f"host{number}", identities=(identity,)))
        connections = [StrictConnection(target, gateways) for target in targets]
        try:
            for connection in connections:
                connection.open()
        finally:
            for connection in connections:
                connection.close()

    def _authorize(self, sshd: Sshd, identity: Path) -> None:
        with (sshd.folder / "authorized_keys").open("a") as file:
            file.write(Path(f"{identity}.pub").read_text())

    def _agent_add(self, identity: Path) -> None:
        subprocess.run(["ssh-add", "-q", str(identity)], check=True, capture_output=True)


class PasswordServer(paramiko.ServerInterface):
    """Where the real sshd cannot be had: password login needs a system user's password."""

    def __init__(self, methods: str) -> None:
        self.methods = methods

    def get_allowed_auths(self, username: str) -> str:
        return self.methods

    def check_auth_password(self, username: str, password: str) -> int:
        if "password" in self.methods.split(",") and password == "right":
            return paramiko.common.AUTH_SUCCESSFUL
        return paramiko.common.AUTH_FAILED

    def check_auth_interactive(
        self, username: str, submethods: str
    ) -> paramiko.server.InteractiveQuery:
        return paramiko.server.InteractiveQuery("", "", ("Password: ", False))

    def check_auth_interactive_response(self, responses: list[str]) -> int:
        return (
            paramiko.common.AUTH_SUCCESSFUL
            if responses == ["right"]
            else paramiko.common.AUTH_FAILED
        )


@pytest.mark.parametrize("methods", ["password", "keyboard-interactive"])
def test_a_password(tmp_path: Path, gateways: Gateways, methods: str) -> None:
    key = paramiko.ECDSAKey.generate()
    listener = socket.create_server(("127.0.0.1", 0))
    served: list[paramiko.Transport] = []

    def serve() -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(client)
            transport.add_server_key(key)
            transport.start_server(server=PasswordServer(methods), event=threading.Event())
            served.append(transport)

    threading.Thread(target=serve, daemon=True).start()
    port = listener.getsockname()[1]
    file = tmp_path / "known_hosts"
    file.write_text(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")

    def target(password: str) -> Target:
        return Target(
            "box", "127.0.0.1", port, "u", known_hosts=(file,), password=Hidden(password),
            identities_only=True,
        )  # fmt: skip

    try:
        connect(target("right"), gateways)
        error = refused(target("wrong"), gateways)
        assert (error.slug, "password (refused)" in error.message) == ("ssh-auth", True)
        assert "wrong" not in repr(target("wrong"))
    finally:
        listener.close()
        for transport in served:
            transport.close()


class TestUnreachable:
    @pytest.mark.parametrize(
        ("host", "reason"),
        [
            ("no-such-host.invalid", "the host name cannot be resolved"),
            ("a" * 64, "the host name cannot be resolved"),
            ("a..b", "the host name cannot be resolved"),
            ("127.0.0.1", "connection refused"),
        ],
    )
    def test_no_way_there(self, gateways: Gateways, host: str, reason: str) -> None:
        error = refused(Target("box", host, free_port(), "u"), gateways)
        assert error.slug == "ssh-unreachable"
        assert reason in error.message

    @pytest.mark.parametrize(
        ("command", "reason", "is_passing"),
        [
            ("no-such-program %h", "no-such-program: not found (`exec no-such-program %h`)", False),
            ("sh -c 'echo log in first >&2; exit 3'", "failed: log in first (`exec sh -c", True),
            ("true", "failed: it ended with 0 (`exec true`)", True),
            ("cat", "ProxyCommand failed: ", True),
        ],
    )
    def test_a_proxy_command_says_why(
        self, gateways: Gateways, monkeypatch: Any, command: str, reason: str, is_passing: bool
    ) -> None:
        monkeypatch.setenv("SHELL", "/bin/sh")
        target = Target("box", "web", 22, "u", proxy_command=command, connect_timeout_seconds=5)
        error = refused(target, gateways)
        assert (error.slug, error.is_passing) == ("ssh-unreachable", is_passing)
        assert reason in error.message
        with pytest.raises(ConnectError, match="the ProxyCommand failed"):
            fetch_key(target, gateways)

    def test_a_port_that_says_nothing(self, gateways: Gateways) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            target = Target("box", "127.0.0.1", port, "u", connect_timeout_seconds=1)
            error = refused(target, gateways)
        assert error.slug == "ssh-unreachable"

    def test_a_port_that_speaks_something_else(self, gateways: Gateways) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]

            def serve() -> None:
                client, _address = listener.accept()
                with client:
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 30)

            threading.Thread(target=serve, daemon=True).start()
            target = Target("box", "127.0.0.1", port, "u", connect_timeout_seconds=3)
            error = refused(target, gateways)
        assert error.slug == "ssh-unreachable"
        assert "the SSH handshake failed" in error.message


def test_the_family_and_the_address_that_it_comes_from(sshd: Sshd, gateways: Gateways) -> None:
    connect(sshd.target(host="localhost", family="inet", key_name=f"[127.0.0.1]:{sshd.port}"),
            gateways)  # fmt: skip
    connect(sshd.target(bind_address="127.0.0.9"), gateways)
    assert "from 127.0.0.9 port" in (sshd.folder / "log").read_text()
    only_v6 = sshd.target(host="127.0.0.1", family="inet6")
    assert refused(only_v6, gateways).slug == "ssh-unreachable"


def test_the_socket_is_quick_and_notices_death(sshd: Sshd) -> None:
    with quick_socket(sshd.target()) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 8000


def test_nothing_is_printed_by_libraries(
    sshd_factory: StartSshd, gateways: Gateways, capfd: pytest.CaptureFixture[str]
) -> None:
    refused(sshd_factory(known=False).target(), gateways)
    assert capfd.readouterr() == ("", "")
    assert "SSH_AUTH_SOCK" not in os.environ
