"""A point has the same name in every run."""

from __future__ import annotations

from typing import Any

import pytest

from cartwheel_lab.faults.points import Counting, Point, calls, message_label, plain, program

RELEASE = "0.0.0.g0a201559bba1.ea086e2f"


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (f"unlink /srv/shop/releases/{RELEASE}/env", "unlink /srv/shop/releases/RELEASE/env"),
        (f"runs systemctl start cartwheel-shop.web.{RELEASE}.service",
         "runs systemctl start cartwheel-shop.web.RELEASE.service"),
        ("rename /srv/shop/.current.cartwheel-609 -> /srv/shop/current",
         "rename /srv/shop/.current.cartwheel-# -> /srv/shop/current"),
        (f"unlink /srv/shop/releases/.gone-{RELEASE}/venv/bin/python",
         "unlink /srv/shop/releases/.gone-RELEASE/..."),
        (f"rename /srv/shop/releases/{RELEASE}/venv/lib/a.pyc.1 -> x",
         "rename /srv/shop/releases/RELEASE/venv/... -> x"),
        ("unlink /tmp/y1k26rh2", "unlink /tmp/#"),
        ("unlink /srv/shop/cache/pip/tmp/jp8tuncu", "unlink /srv/shop/cache/pip/tmp/#"),
        ("rmdir /tmp/systemd-analyze-QD7Vjp", "rmdir /tmp/systemd-analyze-#"),
        ("rmdir /tmp/pip-unpack-0a1b2c3d", "rmdir /tmp/pip-unpack-#"),
        ("rename /x/shop-0.0.0+gcf5aac9a4eef-py3-none-any.whl",
         "rename /x/shop-0.0.0+#-py3-none-any.whl"),
        ("fsync /usr/local/lib/cartwheel/.pip/.new-384-p7u1amq2/pip/a.py",
         "fsync /usr/local/lib/cartwheel/.pip/.new-..."),
        ("rmdir /tmp/cartwheel-units-384-jqy04ctt", "rmdir /tmp/cartwheel-units-#"),
        ("rename /srv/shop/.new-name -> /srv/shop/new-name",
         "rename /srv/shop/.new-name -> /srv/shop/new-name"),
    ],
)  # fmt: skip
def test_what_differs_from_run_to_run_is_left_out(said: str, name: str) -> None:
    assert plain(said) == name


@pytest.mark.parametrize(
    ("header", "label"),
    [
        ({"t": "request", "id": 7, "op": "switch"}, "to the host: request switch"),
        ({"t": "result", "id": 3}, "to the host: result lock"),
        (
            {"t": "event", "id": 3, "event": {"step": "traffic", "state": "done"}},
            "to the host: event lock traffic done",
        ),
        ({"t": "event", "id": 3, "event": {"step": "health", "state": "progress"}}, None),
        ({"t": "alive"}, None),
        ({"t": "beat"}, None),
    ],
)
def test_messages(header: dict[str, Any], label: str | None) -> None:
    """What comes by the clock is no point."""
    assert message_label("to the host", header, {3: "lock"}) == label


def test_who_does_it() -> None:
    loader = ["/usr/bin/python3", "-I", "-c", 'h="CARTWHEEL-"+"HELLO"']
    assert program(loader) == "host side"
    assert (
        program(["/srv/a/venv/bin/python", "-I", "/usr/local/pip", "install", "-q"]) == "python pip"
    )
    assert program(["/usr/sbin/nginx", "-t"]) == "nginx"
    assert program([]) == "?"


def test_what_only_looks_changes_nothing() -> None:
    def ran(what: str) -> Point:
        return Point("execve", f"host side runs {what}")

    assert not any(ran(what).changes for what in ("systemctl show a", "ss", "nginx", "uname"))
    assert all(ran(what).changes for what in ("systemctl start a", "python pip install"))
    assert Point("rename", "host side: rename a -> b").changes
    assert not Point("fsync", "host side: fsync a").changes


def test_what_is_done_over_and_over_is_struck_ever_more_rarely() -> None:
    counting = Counting()
    points = [counting.point("unlink", "unlink a") for _ in range(40)]
    assert [point.nth for point in calls(points)] == [1, 2, 3, 4, 8, 16, 32]
    assert str(points[0]) == "unlink a"
    assert str(points[3]) == "unlink a (4)"
