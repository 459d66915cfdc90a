"""Which host has the monitor, and what its program answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cartwheel.commands import ask, monitor
from cartwheel.commands.scene import Scene, unit_of
from cartwheel.commands.typed import Typed
from cartwheel.decoded import Fields
from cartwheel.errors import HostError, UsageError
from cartwheel.events import silent
from cartwheel.host.watch import units
from cartwheel.host.wire.monitors import ForbidMonitor
from cartwheel.host.wire.output import Ran
from cartwheel.plan.host_plan import Operator
from cartwheel.project.monitor_app import PROGRAM
from cartwheel.settings.hosts import Host
from cartwheel.settings.toml_tables import Settings
from cartwheel.ssh.options import SshOptions
from cartwheel.terminal.monitor import trouble_lines

WEB = Host("web1", "here", roles=("web",))
MONITOR = Host("mon1", "here", roles=("monitor",))


def scene(*known: Host, named: tuple[str, ...] = (), **tables: Fields) -> Scene:
    settings = Settings.model_validate({"app": {"name": "shop", "source": "."}, **tables})
    chosen = tuple(host for host in known if not named or host.name in named)
    return Scene(
        project=Path("/nowhere"),
        settings=settings,
        chosen=chosen,
        known=known,
        ssh_options=SshOptions(),
        operator=Operator("ann@desk", ""),
        emit=silent,
        typed=Typed(hosts=named),
    )


@pytest.mark.parametrize(
    ("known", "named", "host"),
    [
        ((WEB, MONITOR), (), "mon1"),
        ((WEB, MONITOR), ("web1",), "web1"),
        ((WEB, Host("other", "-H")), ("other",), "other"),
    ],
)
def test_the_host_of_the_monitor(
    known: tuple[Host, ...], named: tuple[str, ...], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "sources", lambda _cache: Path("/sources"))
    own = monitor.monitor_scene(scene(*known, named=named))
    assert own.hosts == (host,)
    assert own.settings.slug == "cartwheel-monitor"
    assert own.assigned(host).counts == {"watcher": 1}, "it has no page yet, and so no web"


@pytest.mark.parametrize(
    ("known", "named", "says"),
    [
        ((WEB,), (), "none was named"),
        ((MONITOR, replace(MONITOR, name="mon2")), (), "2 hosts were named"),
        ((WEB, MONITOR), ("web1", "mon1"), "2 hosts were named"),
    ],
)
def test_it_is_on_one_host(known: tuple[Host, ...], named: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        monitor.monitor_scene(scene(*known, named=named))


def answering(answer: Fields, monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitor's program says that."""

    def run(_own: Scene, _command: str, on_line: Callable[[str, str], None]) -> dict[str, Ran]:
        for line in json.dumps(answer, indent=1).splitlines():
            on_line("mon1", line)
        return {"mon1": Ran(0, "1")}

    monkeypatch.setattr(monitor, "sources", lambda _cache: Path("/sources"))
    monkeypatch.setattr(ask, "run_command", run)


def test_the_status_is_that_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another project's troubles are none of this one, nor of its exit code."""
    answer: dict[str, Any] = {
        "format": 1,
        "time": 1000.0,
        "problems": ["its list old.json is not read: damaged", "ops was not told", "dev was not"],
        "project_problems": {"shop": ["ops was not told"], "blog": ["dev was not"]},
        "hosts": {"shop": ["web1"], "blog": ["web9"]},
    }
    for name in ("shop", "blog"):
        row = {"project": name, "name": name, "number": 1, "title": name, "began": 0, "who": "ann"}
        for key in ("targets", "open", "silences"):
            answer.setdefault(key, []).append(row)
    answering(answer, monkeypatch)
    found = monitor.status(scene(WEB, MONITOR))
    assert [len(found[key]) for key in ("targets", "open", "silences")] == [1, 1, 1]
    assert found["open"][0]["project"] == "shop"
    assert found["problems"] == answer["problems"][:2]
    assert (found["hosts"], found["unwatched"]) == (["web1"], [])
    troubles = list(trouble_lines(found))
    assert troubles[2].startswith("incident 1 since ")
    assert len(troubles) == 3
    quiet = {"shop": [], "blog": ["dev was not"]}
    answer |= {"problems": ["dev was not"], "project_problems": quiet, "open": []}
    answering(answer, monkeypatch)
    assert list(trouble_lines(monitor.status(scene(WEB, MONITOR)))) == []


def test_the_status_names_hosts_that_are_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    answering({"hosts": {"shop": ["web1"], "blog": ["web2"]}}, monkeypatch)
    both = replace(MONITOR, name="both", roles=("monitor", "web"))
    known = scene(WEB, replace(WEB, name="web2"), both, MONITOR, named=("mon1",))
    assert monitor.status(known)["unwatched"] == ["web2", "both"]


def test_a_project_takes_only_its_own_key_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host may be watched by the same monitor for another project too."""
    done: list[object] = []

    def said(_own: Scene, words: str, _on_line: Callable[[str, str], None]) -> dict[str, Ran]:
        done.append(words.removeprefix(f"{PROGRAM} "))
        answer = '{"projects": ["blog"]}' if words.endswith("projects") else "{}"
        for line in ("{", answer[1:]):
            _on_line("mon1", line)
        return {"mon1": Ran(0, "1")}

    def on_each(_scene: Scene, hosts: tuple[Host, ...], asked: object) -> dict[str, object]:
        done.append((tuple(host.name for host in hosts), asked))
        return {}

    monkeypatch.setattr(monitor, "sources", lambda _cache: Path("/sources"))
    monkeypatch.setattr(ask, "run_command", said)
    monkeypatch.setattr(monitor, "_on_each", on_each)
    monkeypatch.setattr(monitor, "_place", lambda _own, lists: done.append(lists))
    assert not monitor.uninstall(scene(WEB, MONITOR)).is_gone
    forbidden = (("web1",), ForbidMonitor("shop@mon1"))
    assert done == [{"shop": None}, forbidden, "projects", "forget --project shop"]


def test_who_lets_a_monitor_in_does_not_change_the_app() -> None:
    """Else the monitor would be deaf to the app's processes for a minute."""
    some = scene(WEB)
    assert units.has_session([f"{unit_of(some).name}.service"], "shop")
    assert not units.has_session([f"{unit_of(some, about_host=True).name}.service"], "shop")


@pytest.mark.parametrize(
    ("lines", "status", "says"),
    [
        (["shop is not watched here"], 1, "the monitor: shop is not watched here"),
        ([], 127, "the monitor: it ended with 127"),
        (["no JSON"], 0, "is it of another version"),
        (["{", "torn"], 0, "is it of another version"),
    ],
)
def test_a_program_that_does_not_do_it(
    lines: list[str], status: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(some: Scene, _command: str, on_line: object) -> dict[str, Ran]:
        assert callable(on_line)
        for line in lines:
            on_line("mon1", line)
        return {"mon1": Ran(status, "1")}

    monkeypatch.setattr(monitor, "sources", lambda _cache: Path("/sources"))
    monkeypatch.setattr(ask, "run_command", run)
    with pytest.raises(HostError, match=says) as refused:
        monitor.status(scene(WEB, MONITOR))
    assert refused.value.slug == "monitor"


def test_the_token_of_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    assert monitor.metrics_token(scene(WEB)) is None
    own = scene(WEB, monitor={"metrics": {"env": "METRICS_TOKEN"}})
    monkeypatch.setenv("METRICS_TOKEN", "0123456789abcdef")
    found = monitor.metrics_token(own)
    assert found is not None and found.reveal() == "0123456789abcdef"
    for bad in ("0123456789abcde", "0123456789 abcdef", "0123456789abcd\u00e9f"):
        monkeypatch.setenv("METRICS_TOKEN", bad)
        with pytest.raises(UsageError, match="no bearer token") as caught:
            monitor.metrics_token(own)
        assert bad not in str(caught.value)
