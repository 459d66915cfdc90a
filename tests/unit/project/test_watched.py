"""What a project wants its monitor to watch."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from cartwheel.hidden import Hidden
from cartwheel.host.wire.codec import from_disk
from cartwheel.project import watched
from cartwheel.project.watched import WatchedHost
from cartwheel.settings.hosts import Host
from cartwheel.settings.toml_tables import Settings
from cartwheel_monitor import watch_list
from cartwheel_monitor.database import Keeping
from cartwheel_monitor.desk import limits_of, watched_by
from cartwheel_monitor.limits import DEFAULTS


def settings(**tables: Any) -> Settings:
    return Settings.model_validate({"app": {"name": "shop", "source": "."}, **tables})


def host(name: str, address: str, monitor: str | None = None, *, web: bool = True) -> WatchedHost:
    made = Host(name, "here", monitor_address=monitor)
    return WatchedHost(made, address, 22, ("ssh-ed25519 AAAA",), web)


def test_it_looks_often_enough_for_its_own_rules() -> None:
    most = settings(monitor={"every_seconds": 120}).monitor.every_seconds
    limits = DEFAULTS
    assert most < min(limits.window_seconds, limits.stale_seconds, limits.restart_seconds)
    with pytest.raises(ValidationError):
        settings(monitor={"every_seconds": 121})


WEB1, WEB2 = host("web1", "192.0.2.1"), host("web2", "192.0.2.2", "10.0.0.2:2022")
WORKER = host("work1", "192.0.2.3", web=False)


@pytest.mark.parametrize(
    ("tables", "urls"),
    [
        ({}, {"http://192.0.2.1/healthz": ["web1"], "http://10.0.0.2/healthz": ["web2"]}),
        (
            {"web": {"server_names": ["*.example.org", "shop.example.org"]}},
            {"http://shop.example.org/healthz": ["web1", "web2"]},
        ),
        (
            {"web": {"server_names": ["shop.example.org"], "listen": 8080}},
            {"http://shop.example.org:8080/healthz": ["web1", "web2"]},
        ),
        (
            {
                "web": {"server_names": ["shop.example.org"]},
                "tls": {"acme": True},
                "health": {"path": "/up"},
            },
            {"https://shop.example.org/up": ["web1", "web2"]},
        ),
        (
            {"web": {"server_names": ["shop.example.org"]}, "health": {"scheme": "https"}},
            {"https://shop.example.org/healthz": ["web1", "web2"]},
        ),
        (
            {"monitor": {"urls": ["https://a.example.org/x", "https://b.example.org"]}},
            {
                "https://a.example.org/x": ["web1", "web2"],
                "https://b.example.org": ["web1", "web2"],
            },
        ),
    ],
)
def test_what_is_asked_from_outside(tables: dict[str, Any], urls: dict[str, list[str]]) -> None:
    assert watched.sites(settings(**tables), [WEB1, WEB2, WORKER]) == urls


def test_a_host_behind_another_one_is_not_asked_by_its_address() -> None:
    behind = replace(WEB2, is_behind=True)
    assert watched.sites(settings(), [WEB1, behind]) == {"http://192.0.2.1/healthz": ["web1"]}
    by_name = settings(web={"server_names": ["shop.example.org"]})
    assert watched.sites(by_name, [WEB1, behind]) == {
        "http://shop.example.org/healthz": ["web1", "web2"]
    }


def test_the_monitor_reads_what_is_written() -> None:
    given = settings(
        monitor={
            "every_seconds": 30,
            "language": "zh",
            "errors_percent": 2,
            "certificate_days": 7,
            "history_days": 0,
            "history_mb": 64,
        },
        health={"status": 204},
    )
    text = watched.watch_list(
        given,
        [WEB1, WEB2],
        {"ops": Hidden("json://x/")},
        Hidden("https://beat/"),
        metrics=Hidden("t0ken"),
    )
    found = from_disk(watch_list.WatchList, json.loads(text.reveal()))
    assert (found.project, found.every, found.timeout) == ("shop", 30, 5)
    assert [(one.name, one.address, one.port) for one in found.hosts] == [
        ("web1", "192.0.2.1", 22),
        ("web2", "10.0.0.2", 2022),
    ]
    assert found.language == "zh"
    assert found.sites[0].status == (204,)
    assert found.messengers["ops"].reveal() == "json://x/"
    assert (found.heartbeat.reveal(), found.metrics.reveal()) == ("https://beat/", "t0ken")
    assert (found.history_days, found.history_bytes) == (0, 64 << 20)
    limits = limits_of(found)
    assert (limits.errors_share, limits.certificate_seconds) == (0.02, 7 * 86400)
    assert watched_by(found).hosts == {"web1", "web2"}
    assert watched_by(found).apps == {"shop": {"web1", "web2"}}


def test_a_private_ca_is_trusted_where_there_is_https() -> None:
    urls = ["https://a.example.org/", "http://b.example.org/"]
    text = watched.watch_list(settings(monitor={"urls": urls}), [WEB1], {}, None, roots="PEM")
    found = from_disk(watch_list.WatchList, json.loads(text.reveal()))
    assert {one.url: one.ca for one in found.sites} == dict(zip(urls, ["PEM", ""], strict=True))


def test_the_defaults_are_those_of_the_rules() -> None:
    """docs/settings.md and the monitor say the same."""
    text = watched.watch_list(settings(), [WEB1], {}, None)
    found = from_disk(watch_list.WatchList, json.loads(text.reveal()))
    assert not found.metrics
    assert limits_of(found) == DEFAULTS
    assert Keeping(found.history_days, found.history_bytes) == Keeping()
    assert watched.FORMAT == watch_list.FORMAT


def test_every_limit_counts() -> None:
    """A setting of [monitor] that is a limit changes the rules."""
    for name in watched.LIMITS:
        listed = watch_list.WatchList(limits={name: 3.0})
        assert limits_of(listed) != DEFAULTS, name
