"""Out of a balancer and back, on the balancer's own side: whatever ends, who was out for a
deploy comes back, and who was out for a person stays out."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cartwheel.host import recover
from cartwheel.host.balancer import taken_out
from cartwheel.host.balancer.haproxy import Server
from cartwheel.host.balancer.nginx_links import Link
from cartwheel.host.layout import Layout
from cartwheel.host.system import systemd
from cartwheel.host.system.context import OpError
from cartwheel.host.system.systemd import Units
from cartwheel.host.wire.balancer import AskStandings, By, PutBack, Standings, TakeOut, Way
from tests.unit.hostside import Session, host_in


class Balancer:
    """nginx's links in a folder, two hosts behind them."""

    def __init__(self, at: Layout) -> None:
        self.at = at
        at.balancer.mkdir()
        site = at.balancer / "site"
        self.ways = {
            name: {
                "kind": "nginx",
                "link": str(at.balancer / f"{name}.sock"),
                "path": f"/nowhere/{name}.sock",
                "site": str(site),
            }
            for name in ("web1", "web2")
        }
        site.write_text("".join(f"listen unix:{way['path']};\n" for way in self.ways.values()))
        for way in self.ways.values():
            Path(way["link"]).symlink_to(way["path"])
        self.session = Session(at)

    def some(self, *names: str) -> dict[str, Way]:
        return {name: self.ways[name] for name in names}

    def look(self, *names: str) -> Standings:
        return taken_out.look(self.session.ctx(), AskStandings(self.some(*names)))

    def out(self, *names: str, by: By = "deploy") -> dict[str, str]:
        return taken_out.take_out(self.session.ctx(), TakeOut(self.some(*names), by, 1.0)).failed

    def back(self, *names: str, by: By = "deploy") -> dict[str, str]:
        return taken_out.put_back(self.session.ctx(), PutBack(self.some(*names), by, 1.0)).failed

    @property
    def inside(self) -> set[str]:
        return {path.stem for path in self.at.balancer.glob("*.sock") if path.is_symlink()}

    @property
    def marks(self) -> dict[str, str]:
        return {name: mark.by for name, mark in taken_out.read(self.at).items()}


@pytest.fixture
def nginx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Balancer:
    # Here is no systemd.
    up = systemd.UnitState("active", "running", 0, 1, None, None, "success")
    monkeypatch.setattr(systemd, "units", lambda _at: Units({}))
    monkeypatch.setattr(systemd, "state", lambda _unit: up)
    return Balancer(host_in(tmp_path, monkeypatch))


def test_out_and_back(nginx: Balancer) -> None:
    assert nginx.out("web1") == {}
    assert (nginx.inside, nginx.marks) == ({"web2"}, {"web1": "deploy"})
    found = nginx.look("web1", "web2").hosts
    assert [found[name].is_in for name in ("web1", "web2")] == [False, True]
    mark = found["web1"].mark
    assert mark is not None
    assert (mark.by, mark.who, mark.way) == ("deploy", "ann@desk", nginx.ways["web1"])
    assert nginx.back("web1") == {}
    assert (nginx.inside, nginx.marks) == ({"web1", "web2"}, {})


def test_a_session_that_ends_puts_back_what_it_took_out(nginx: Balancer) -> None:
    nginx.out("web1")
    nginx.out("web2")
    nginx.session.end()
    assert (nginx.inside, nginx.marks) == ({"web1", "web2"}, {})


def settled(nginx: Balancer) -> list[str]:
    said: list[str] = []
    recover.settle(nginx.at, said.append)
    return said


def test_one_that_was_killed_is_settled_by_the_next(nginx: Balancer) -> None:
    nginx.out("web1")
    assert not recover.is_settled(nginx.at)
    assert settled(nginx) == ["returned web1 to the balancer"]
    assert (nginx.inside, nginx.marks) == ({"web1", "web2"}, {})
    assert recover.is_settled(nginx.at)


def test_what_a_person_took_out_stays_out(nginx: Balancer) -> None:
    nginx.out("web1", by="person")
    nginx.session.end()
    nginx.session = Session(nginx.at)
    assert recover.is_settled(nginx.at)
    nginx.out("web1")
    nginx.back("web1")
    nginx.session.end()
    assert (nginx.inside, nginx.marks) == ({"web2"}, {"web1": "person"})
    nginx.session = Session(nginx.at)
    nginx.back("web1", by="person")
    assert (nginx.inside, nginx.marks) == ({"web1", "web2"}, {})


def test_what_is_out_by_other_means_is_left_alone(nginx: Balancer) -> None:
    Path(nginx.ways["web1"]["link"]).unlink()
    nginx.out("web1", "web2")
    assert nginx.marks == {"web2": "deploy"}
    nginx.session.end()
    assert nginx.inside == {"web2"}


@pytest.mark.parametrize("text", ["{", '{"web1": "out"}', '{"web1": {"by": "nobody", "way": {}}}'])
def test_damaged_marks_are_looked_at(nginx: Balancer, text: str) -> None:
    nginx.at.balancer_marks.write_text(text)
    assert not recover.is_settled(nginx.at)
    with pytest.raises(OpError, match=r"out\.json is damaged"):
        recover.settle(nginx.at, lambda _text: None)


def test_a_mark_on_the_disk_is_what_every_version_reads(nginx: Balancer) -> None:
    """An installed `recover` of another version puts back by it."""
    nginx.out("web1")
    (mark,) = json.loads(nginx.at.balancer_marks.read_text()).values()
    assert set(mark) == {"by", "who", "message", "since", "way"}
    assert mark["way"] == nginx.ways["web1"]
    newer = {"web1": {**mark, "later": "a field", "way": {**mark["way"], "more": "too"}}}
    nginx.at.balancer_marks.write_text(json.dumps(newer))
    assert settled(nginx) == ["returned web1 to the balancer"]
    assert (nginx.inside, nginx.marks) == ({"web1", "web2"}, {})


@pytest.mark.parametrize("way", [{"kind": "later"}, {}, {"kind": "nginx"}])
def test_a_mark_that_only_another_version_understands_is_kept(nginx: Balancer, way: Way) -> None:
    """The other hosts come back, and the next run or another version can still read the mark."""
    nginx.out("web1", "web2")
    marks = json.loads(nginx.at.balancer_marks.read_text())
    marks["web1"]["way"] = way
    nginx.at.balancer_marks.write_text(json.dumps(marks))
    failed, returned = settled(nginx)
    assert "web1 could not be returned" in failed and "another version" in failed
    assert returned == "returned web2 to the balancer"
    assert (nginx.inside, nginx.marks) == ({"web2"}, {"web1": "deploy"})


def test_what_stays_open_has_a_link_that_goes_and_comes_with_the_first(nginx: Balancer) -> None:
    """Also by the mark, after a kill; nobody waits for the connections on its socket."""
    way = nginx.ways["web1"]
    way |= {"open_link": str(nginx.at.balancer / "web1.open"), "open_path": "/nowhere/web1.open"}
    Path(way["open_link"]).symlink_to(way["open_path"])
    nginx.out("web1")
    assert sorted(path.name for path in nginx.at.balancer.iterdir() if path.is_symlink()) == [
        "web2.sock"
    ]
    assert settled(nginx) == ["returned web1 to the balancer"]
    assert Path(way["open_link"]).readlink() == Path(way["open_path"])
    assert nginx.inside == {"web1", "web2"}


def test_a_host_that_is_not_behind_it(nginx: Balancer) -> None:
    link = Link(str(nginx.at.balancer / "x.sock"), "/nowhere/x.sock", nginx.ways["web1"]["site"])
    assert link.is_in() is None
    assert Link(link.link, link.path, "/nowhere/site").is_in() is None


def test_a_host_without_a_balancer(nginx: Balancer) -> None:
    nginx.at.balancer.rename(nginx.at.root / "gone")
    with pytest.raises(OpError, match="not set up as a balancer") as found:
        nginx.look("web1")
    assert found.value.slug == "not-set-up"


def test_requests_under_way_are_those_on_the_members_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "web1.sock")
    link = Link("", path, "")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        assert link.under_way() == 0
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            assert link.under_way() == 1
            with listener.accept()[0]:
                assert link.under_way() == 1
        assert link.under_way() == 0


STATS = """# pxname,svname,qcur,scur,status,
shop,FRONTEND,,3,OPEN,
shop,web1,0,2,{status},
shop,BACKEND,0,3,UP,

"""


class Runtime:
    """HAProxy's stats socket: answers one command on each connection, as it does."""

    def __init__(self, path: Path) -> None:
        self.path, self.status = str(path), "UP"
        self.asked: list[str] = []
        self.refuses = ""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            with line:
                said = line.recv(1000).decode().strip()
                self.asked.append(said)
                stats = STATS.format(status=self.status)
                answer = stats if said == "show stat" else f"{self.refuses}\n"
                line.sendall(answer.encode())

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    runtime = Runtime(tmp_path / "admin.sock")
    yield runtime
    runtime.close()


def test_haproxy_is_told_and_asked(runtime: Runtime) -> None:
    web1 = Server(runtime.path, "shop", "web1")
    web1.take_out()
    web1.put_back()
    assert runtime.asked == ["set server shop/web1 state drain", "set server shop/web1 state ready"]
    assert web1.under_way() == 2
    assert Server(runtime.path, "shop", "web9").is_in() is None


@pytest.mark.parametrize(
    ("status", "is_in", "not_back"),
    [
        ("UP", True, ""),
        ("UP 1/3", True, ""),
        ("no check", True, ""),
        ("DRAIN", False, "HAProxy reports it as DRAIN"),
        ("MAINT", False, "HAProxy reports it as MAINT"),
        ("DOWN", False, "HAProxy reports it as DOWN"),
    ],
)
def test_what_haproxy_says(runtime: Runtime, status: str, is_in: bool, not_back: str) -> None:
    runtime.status = status
    web1 = Server(runtime.path, "shop", "web1")
    assert (web1.is_in(), web1.not_back()) == (is_in, not_back)


def test_haproxy_that_refuses(runtime: Runtime, tmp_path: Path) -> None:
    runtime.refuses = "Permission denied"
    with pytest.raises(OpError, match="HAProxy says: Permission denied") as found:
        Server(runtime.path, "shop", "web1").take_out()
    assert found.value.slug == "balancer"
    with pytest.raises(OpError, match="has no backend other"):
        Server(runtime.path, "other", "web1").is_in()
    with pytest.raises(OpError, match=r"does not answer at .*: No such file"):
        Server(str(tmp_path / "none.sock"), "shop", "web1").is_in()
