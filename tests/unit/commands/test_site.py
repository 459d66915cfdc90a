"""The addresses that a deploy shows at its end, each asked from here."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cartwheel.commands import site
from cartwheel.commands.scene import Scene, Typed, make_scene
from cartwheel.commands.site import Site, sites
from cartwheel.events import silent
from cartwheel.inventory.choose import Narrowing
from cartwheel.ssh.options import SshOptions
from cartwheel.terminal.commands import Commands
from cartwheel.terminal.report import site_lines


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


def test_commands_are_as_one_has_to_type_them() -> None:
    typed = Typed("cartwheel", "shop", "production", ("a", "b"), Narrowing(roles=("web",)))
    assert typed.command("logs") == ("cartwheel logs --app shop --env production -H a,b --role web")
    assert Typed().command("logs") == "fab logs"
    text = "see `fab setup -H a`, `fab --help deploy`, `fab runs.show last`"
    assert Commands().in_text(text) == text
    assert Commands("cartwheel", typed.options).in_text(text) == (
        "see `cartwheel setup --app shop --env production -H a`, `cartwheel --help deploy`,"
        " `cartwheel runs.show last`"
    )
