"""The addresses that a deploy shows at its end, each asked from here."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cartwheel.commands import site
from cartwheel.commands.scene import Scene, make_scene, refuse_unplaced
from cartwheel.commands.site import Site, sites
from cartwheel.errors import UsageError
from cartwheel.events import silent
from cartwheel.ssh.options import SshOptions
from cartwheel.terminal.report import site_lines
from tests.kit.certificates import authority, certificate


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/login")
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def scene(folder: Path, web: str) -> Scene:
    (folder / "cartwheel.toml").write_text(f'[app]\nname = "shop"\nsource = "."\n[web]\n{web}\n')
    return make_scene(
        folder,
        app=None,
        env=None,
        hosts=("127.0.0.1",),
        ssh_options=SshOptions(),
        emit=silent,
    )


def test_a_name_that_redirects(tmp_path: Path, port: int) -> None:
    (one,) = sites(scene(tmp_path, f'server_names = ["localhost", "*.x"]\nlisten = {port}'))
    assert one == Site(f"http://localhost:{port}/", 302, "/login")


def test_a_name_that_is_served_over_https(tmp_path: Path) -> None:
    """By a private CA that the settings name; without it, the answer says what a browser would."""
    root = authority()
    issued = certificate("localhost", by=root)
    for name, text in {"a.pem": issued.pem, "a.key": issued.key, "root.pem": root.pem}.items():
        (tmp_path / name).write_text(text)
    server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "a.pem", tmp_path / "a.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    names = 'server_names = ["localhost"]\n[tls]\ncertificate = "a.pem"\nkey = "a.key"\n'
    names += f"listen = {server.server_port}\n"
    try:
        (one,) = sites(scene(tmp_path, names + 'ca = "root.pem"'))
        assert one == Site(f"https://localhost:{server.server_port}/", 302, "/login")
        (one,) = sites(scene(tmp_path, names))
        assert "certificate verify failed" in one.problem
    finally:
        server.shutdown()
        server.server_close()


def test_a_host_where_there_is_no_name(tmp_path: Path, port: int) -> None:
    (one,) = sites(scene(tmp_path, f"listen = {port}"))
    assert (one.url, one.status) == (f"http://127.0.0.1:{port}/", 302)


def test_what_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent_server:
        monkeypatch.setattr(site, "SECONDS", 0.2)
        listen = silent_server.getsockname()[1]
        assert sites(scene(tmp_path, f"listen = {listen}"))[0].problem == "no answer in time"
    assert sites(scene(tmp_path, f"listen = {listen}"))[0].problem == "connection refused"
    (name,) = sites(scene(tmp_path, 'server_names = ["nowhere.invalid"]'))
    assert name == Site("http://nowhere.invalid/", problem="this name has no address (DNS)")


def test_lines() -> None:
    assert list(
        site_lines([Site("http://a/", 302, "/login"), Site("http://b/", problem="no")])
    ) == [
        "open: http://a/ (answers 302 to /login)",
        "open: http://b/ does not answer from here: no",
    ]


def test_a_host_without_web_has_no_address(tmp_path: Path, port: int) -> None:
    (tmp_path / "cartwheel.toml").write_text(
        f'[app]\nname = "shop"\nsource = "."\n[web]\nserver_names = ["localhost"]\n'
        f'listen = {port}\n[inventory.hosts."127.0.0.1"]\nroles = ["worker"]\n'
        '[processes.web]\nroles = ["front"]\n'
        '[inventory.hosts.web1]\nroles = ["front", "web"]\n'
        '[processes.worker]\ncommand = "work"\nroles = ["worker"]\n'
    )
    known = make_scene(
        tmp_path,
        app=None,
        env=None,
        hosts=("127.0.0.1",),
        ssh_options=SshOptions(),
        emit=silent,
    )
    assert sites(known) == []


def test_a_process_that_no_host_runs_is_refused(tmp_path: Path) -> None:
    """Also where no inventory is in the settings."""
    (tmp_path / "cartwheel.toml").write_text(
        '[app]\nname = "shop"\nsource = "."\n'
        '[processes.worker]\ncommand = "work"\nroles = ["worker"]\n'
    )
    known = make_scene(
        tmp_path, app=None, env=None, hosts=("web1",), ssh_options=SshOptions(), emit=silent
    )
    with pytest.raises(
        UsageError, match=r"no host runs processes\.worker: none has the role worker"
    ):
        refuse_unplaced(known)
