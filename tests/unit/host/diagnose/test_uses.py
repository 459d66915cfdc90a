"""What instances use, also where a program of the host does not say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.host.diagnose import uses
from cartwheel.host.diagnose.found import Window
from cartwheel.host.layout import Layout
from cartwheel.host.system import children
from cartwheel.host.wire.diagnosis import Use
from cartwheel.host.wire.instance import Instance
from tests.unit.hostside import Session, host_in

AT = Layout("shop", Path("/srv"))
UNIT = "cartwheel-shop.web.1.0.0.bb13a6fd@1.service"


def test_connections_of_sockets() -> None:
    path = "/run/cartwheel/shop/1.0.1.845f567a/1/http.sock"
    shown = f"""\
u_str LISTEN 0      4096                       /run/systemd/journal/stdout 29749192 * 0
u_str ESTAB  270    0      {path} 30497102 * 30497821
u_str ESTAB  0      0      {path} 30497094 * 30497093
u_str ESTAB  270    0      {path} 30497103 * 0
u_str LISTEN 17     2048   {path} 30464920 * 0
u_str ESTAB  0      0      {path} 30497810 * 0
u_str ESTAB  0      0                                                     * 30497102 * 30497821
u_dgr UNCONN 0      0                           /run/user/0/systemd/notify 29838434 * 0
"""
    found = uses.sockets_of(shown)[path]
    assert (found.queue, found.queue_max) == (17, 2048)
    assert found.unread == {"30497102", "30497103"}
    assert found.read == {"30497094", "30497810"}
    assert found.left == {"30497103", "30497810"}


def test_only_web_has_a_queue() -> None:
    web = Instance("web", "1.0.0.bb13a6fd", "1")
    busy = uses.Sockets(queue=17, queue_max=2048)
    found = {str(AT.socket(web)): busy}
    assert uses.own(AT, web, found) == busy
    assert uses.own(AT, Instance("worker", web.release, "1", 1), found) == uses.Sockets()
    assert uses.own(AT, Instance("web", web.release, "2"), found) == uses.Sockets()


class Programs:
    """The host's `ss` and `systemctl`, which can be missing or too slow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def says(self, program: str, *lines: str) -> None:
        script = self.folder / program
        script.write_text("\n".join(("#!/bin/sh", *lines, "")))
        script.chmod(0o755)


SHOWS = f"""printf 'Id={UNIT}\\nActiveState=active\\nMemoryCurrent=1000\\n'"""
LISTS = f"echo '{UNIT} loaded active running shop web'"
LISTENS = "echo 'u_str LISTEN 0 2048 {} 30464920 * 0'"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    found = Programs(tmp_path / "bin")
    monkeypatch.setattr(children, "_PATH", f"{found.folder}:/bin")
    monkeypatch.setattr(uses, "_CALL_SECONDS", 5.0)
    monkeypatch.setattr(uses, "_BETWEEN_SECONDS", 0.0)
    return found


def looked(at: Layout) -> tuple[list[Use], list[str]]:
    found = uses.look(Session(at).ctx(), Window(0.0, 1.0))
    return list(found.uses), [text.partition(":")[0] for text in found.unread]


def test_what_an_instance_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Programs
) -> None:
    at = host_in(tmp_path, monkeypatch)
    socket = at.socket(Instance("web", "1.0.0.bb13a6fd", "1"))
    systemctl = f'case "$*" in list*) {LISTS};; *) {SHOWS};; esac'
    programs.says("systemctl", systemctl)
    programs.says("ss", LISTENS.format(socket))
    (web,), unread = looked(at)
    assert (web.process, web.active, web.memory, web.queue_max) == ("web", "active", 1000, 2048)
    assert unread == []
    # Without ss nothing is known of connections, and all else is.
    programs.says("ss", "exec sleep 60")
    monkeypatch.setattr(uses, "_CALL_SECONDS", 0.3)
    (web,), unread = looked(at)
    assert (web.memory, web.queue, web.queue_max, web.waiting) == (1000, None, None, 0)
    assert unread == ["connections of the app"]
    # Without `systemctl show` it is known what runs.
    programs.says("systemctl", systemctl.replace(SHOWS, "exec sleep 60"))
    (web,), unread = looked(at)
    assert (web.process, web.active, web.memory) == ("web", "active", None)
    assert unread == ["connections of the app", "memory and limits of the app"]
