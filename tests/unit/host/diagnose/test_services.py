"""Connecting to what the variables name, on loopback."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host.diagnose import addresses, names, services
from cartwheel.host.diagnose.addresses import Endpoint
from cartwheel.host.diagnose.found import Found, Window
from cartwheel.host.layout import Layout
from cartwheel.host.system.reach import Account
from cartwheel.host.wire.diagnosis import APP_FOLDER, Service
from cartwheel.host.wire.instance import WEB, Instance
from tests.unit.host.diagnose.servers import HEARS, playing
from tests.unit.hostside import Session, host_in

_ROOT = Account("root", 0)
_NOBODY = Account("nobody", 65534, frozenset({65534}))


def _asked(one: Endpoint, user: Account = _ROOT) -> Service:
    known = names.look_up([one.host]).get(one.host) if one.host else None
    return services._service(one, known, (), user, time.monotonic() + 3)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def test_one_that_answers() -> None:
    with playing(HEARS, b"+PONG\r\n") as played:
        found = _asked(Endpoint(addresses.REDIS, "REDIS_URL", "localhost", played.port))
    assert (found.how, found.problem) == ("", "")
    assert found.address == f"localhost:{played.port}"


def test_one_that_refuses() -> None:
    found = _asked(Endpoint(addresses.POSTGRES, "DATABASE_URL", "127.0.0.1", _free_port()))
    assert (found.how, found.problem) == ("refused", "127.0.0.1 refuses the connection")


def test_one_without_a_name() -> None:
    found = _asked(Endpoint(addresses.POSTGRES, "DATABASE_URL", "no-such-host.invalid", 5432))
    assert found.how == "unknown"
    assert "no-such-host.invalid cannot be resolved" in found.problem


def test_sockets(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    one = Endpoint(addresses.REDIS, "REDIS_URL", path=str(path))
    assert _asked(one).how == "missing"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        assert _asked(one).how == "refused"
        listening.listen(1)
        assert _asked(one, _NOBODY).how == "unwritable"  # pytest's folders are closed to others


def test_a_socket_must_be_writable(tmp_path: Path) -> None:
    for folder in tmp_path, *tmp_path.parents:
        folder.chmod(folder.stat().st_mode | 0o001)
    path = tmp_path / "redis.sock"
    one = Endpoint(addresses.REDIS, "REDIS_URL", path=str(path))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0o755)
        assert "may not be written by nobody" in _asked(one, _NOBODY).problem
        path.chmod(0o722)
        assert _asked(one, _NOBODY).how == "refused"


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    assert services.file_problem(str(tmp_path / "x" / "shop.db"), _ROOT).how == "missing"
    assert services.file_problem(str(path), _ROOT).problem == f"there is no file {path}"
    path.write_text("")
    assert services.file_problem(str(path), _ROOT).how == ""
    assert services.file_problem(str(path), _NOBODY).how == "unwritable"


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A host with a live release."""
    at = host_in(tmp_path, monkeypatch)
    at.release("1.0.aa").mkdir(parents=True)
    at.current.symlink_to(at.release("1.0.aa"))
    link = at.socket_link("1.0.aa")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(at.socket(Instance(WEB, "1.0.aa", "1")))
    return at


def _look(at: Layout, variables: dict[str, str]) -> Found:
    text = "".join(f'{name}="{value}"\n' for name, value in variables.items())
    (at.release("1.0.aa") / "env").write_text(text)
    return services.look(Session(at).ctx(), Window(0.0, time.time()))


def test_each_name_is_looked_up_once(at: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    look_up = names._asked

    def ask(name: str) -> names.Known:
        asked.append(name)
        return look_up(name)

    monkeypatch.setattr(names, "_asked", ask)
    with playing(HEARS, b"+PONG\r\n") as played:
        found = _look(
            at,
            {
                "REDIS_URL": f"redis://localhost:{played.port}/0",
                "DATABASE_URL": "postgresql://u:p@db.invalid/shop",
                "REPLICA_URL": "postgresql://u:p@db.invalid:5433/shop",
                "CACHE_URL": f"redis://127.0.0.1:{_free_port()}",
                "API_URL": "https://api.invalid",
                "HTTPS_PROXY": "http://127.0.0.1:3128",
            },
        )
    assert sorted(asked) == ["127.0.0.1", "api.invalid", "db.invalid", "localhost"]
    known = {one.name: (bool(one.problem), one.variables) for one in found.lookups}
    assert known == {
        "localhost": (False, ("REDIS_URL",)),
        "db.invalid": (True, ("DATABASE_URL", "REPLICA_URL")),
        "api.invalid": (True, ("API_URL",)),
    }
    hows = {one.variable: one.how for one in found.services}
    assert hows.items() >= {"REDIS_URL": "", "DATABASE_URL": "unknown"}.items()
    assert "API_URL" not in hows
    assert found.unread == ()


def test_one_that_cannot_be_greeted_hides_no_other(
    at: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    greeted = services._service

    def ask(one: Endpoint, *more: Any) -> Service:
        if one.kind == addresses.NATS:
            raise KeyError("strange")
        return greeted(one, *more)

    monkeypatch.setattr(services, "_service", ask)
    port = _free_port()
    variables = {"BUS_URL": f"nats://localhost:{port}", "REDIS_URL": f"redis://localhost:{port}"}
    found = _look(at, variables)
    assert [(one.variable, one.how) for one in found.services] == [("REDIS_URL", "refused")]
    assert found.unread == (f"services: localhost:{port}: KeyError: 'strange'",)


def test_what_is_not_looked_at_is_named(at: Layout) -> None:
    found = _look(at, {f"CACHE{n}_URL": f"redis://n{n}.invalid:6379" for n in range(40)})
    assert (len(found.services), len(found.lookups)) == (20, 30)
    assert {one.how for one in found.services} == {"unknown"}
    assert "not looked up" not in " ".join(one.problem for one in found.services)
    assert found.unread == ("services: only 20 of 40", "names: only 30 of 40")


def test_the_apps_own_folder(tmp_path: Path) -> None:
    assert services._own_folder(str(tmp_path), _ROOT) == []
    assert services._own_folder(str(tmp_path / "none"), _NOBODY) == []
    (found,) = services._own_folder(str(tmp_path), _NOBODY)
    assert (found.kind, found.how) == (APP_FOLDER, "unwritable")
    assert "nobody" in found.problem


@pytest.mark.parametrize(
    ("one", "here"),
    [
        (Endpoint(addresses.REDIS, "X", "127.0.0.1", 1), True),
        (Endpoint(addresses.REDIS, "X", "localhost", 1), True),
        (Endpoint(addresses.REDIS, "X", path="/run/x.sock"), True),
        (Endpoint(addresses.REDIS, "X", "198.51.100.1", 1), False),  # an example's (RFC 5737)
        (Endpoint(addresses.REDIS, "X", "no-such-host.invalid", 1), False),
    ],
)
def test_what_is_on_this_host(one: Endpoint, here: bool) -> None:
    known = names.look_up([one.host]) if one.host else {}
    assert services.is_here(one, known) == here


def test_the_unit_of_a_cluster_of_postgresql(tmp_path: Path) -> None:
    for version, name, port in (("15", "main", "5432"), ("17", "main", "5433")):
        folder = tmp_path / version / name
        folder.mkdir(parents=True)
        (folder / "postgresql.conf").write_text(f"port = {port}  # (change requires restart)\n")

    def units(address: str) -> tuple[str, ...]:
        return services.units_of(addresses.POSTGRES, address, str(tmp_path))

    assert units("127.0.0.1:5433") == ("postgresql@17-main.service",)
    assert units("/run/postgresql/.s.PGSQL.5432") == ("postgresql@15-main.service",)
    assert len(units("127.0.0.1:6000")) == 2
    none = services.units_of(addresses.POSTGRES, "127.0.0.1:5432", str(tmp_path / "none"))
    assert none == ("postgresql.service",)


def test_what_goes_through_a_proxy_is_not_asked() -> None:
    variables = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "localhost,.internal"}
    assert services._has_proxy(variables)
    outside = Endpoint(addresses.HTTP, "X", "api.example", 443)
    assert services._by_proxy(outside, variables)
    assert not services._by_proxy(Endpoint(addresses.HTTP, "X", "a.internal", 80), variables)
    assert not services._by_proxy(Endpoint(addresses.REDIS, "X", "cache", 6379), variables)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nameserver 10.0.0.1\nsearch x\nnameserver fd00::1\n", ["10.0.0.1", "fd00::1"]),
        ("# nameserver 10.0.0.1\n", []),
        ("nameserver 1\nnameserver 2\nnameserver 3\nnameserver 4\n", ["1", "2", "3"]),
    ],
)
def test_name_servers(tmp_path: Path, text: str, found: list[str]) -> None:
    (tmp_path / "resolv.conf").write_text(text)
    assert names.servers(str(tmp_path / "resolv.conf")) == found
    assert names.servers(str(tmp_path / "none")) == []


def test_a_name_server_answers_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_SERVER_SECONDS", 0.1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        assert names.server_problem("127.0.0.1", port) == "does not answer"
        query, _address = silent.recvfrom(100)
        assert query[2:4] == b"\x01\x00"  # an ordinary question (RFC 1035)
    assert names.server_problem("127.0.0.1", port).startswith("refuses")


def test_a_lookup_that_hangs_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_asked", lambda _name: time.sleep(2))
    found = names.look_up(["slow.example"], 0.1)["slow.example"]
    assert found.passing
    assert found.problem.startswith("no answer within")
