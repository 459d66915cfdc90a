"""The language of what the monitor tells people: that of each project's list."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host.wire.hidden import Hidden
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.look import AppLook, DiskLook, HostLook
from cartwheel_monitor import language, messages, past, summary
from cartwheel_monitor.desk import Desk
from cartwheel_monitor.language import later, said
from cartwheel_monitor.messages import Message
from cartwheel_monitor.observations import Around, Look, Probe
from cartwheel_monitor.places import Places
from cartwheel_monitor.rules import deploys
from cartwheel_monitor.store import DATABASE
from cartwheel_monitor.telling import Telling
from cartwheel_monitor.watch_list import Host, Site, WatchList
from tests.kit.webhook import Webhook, webhook
from tests.unit.monitor.test_telling import wait_for
from tests.unit.monitor.test_watcher import program

URL = "https://shop.example.org/"
WEB1 = Host("web1", "192.0.2.1", apps=("shop",))
LATE = later("no answer within {seconds:g} s", seconds=5.0)


@pytest.fixture
def chat() -> Iterator[Webhook]:
    with webhook() as found:
        yield found


@pytest.fixture
def places(memory: Path) -> Places:
    found = Places(memory / "watch.d", memory / "shared")
    found.lists.mkdir()
    return found


def listed(chat: Webhook, spoken: str, project: str = "shop") -> WatchList:
    site = Site(project, URL, hosts=("web1",))
    messengers = {"ops": Hidden(chat.address())}
    return WatchList(
        project=project, sites=(site,), hosts=(WEB1,), messengers=messengers, language=spoken
    )


def test_a_message_in_the_language_of_its_project(places: Places, chat: Webhook) -> None:
    """By the real judge, desk, store and messenger; and what is kept of it, in that language."""
    now = time.time()
    with closing(Desk(listed(chat, "zh"), places)) as desk:
        for at in (now - 20, now):
            desk.probed(Probe("shop", at, None, 5.0, LATE, URL))
        desk.turn(now + 10)
        wait_for(lambda: len(chat.taken) == 1)
        known: Any = summary.of([desk], {}, now)
        desk.probed(Probe("shop", now + 20, 200, 0.1, "", URL))
        desk.turn(now + 30)
        wait_for(lambda: len(chat.taken) == 2)
    first, second = (message for _path, message in chat.taken)
    assert first["title"] == known["open"][0]["title"] == "shop 无响应"
    assert second["title"] == "已恢复：shop 无响应"
    lines = first["message"].splitlines()
    assert lines[0] == "5 s 内无响应"
    assert lines[1].startswith("开始于 ")
    assert lines[-1] == "下一步：fab diagnose -H web1"
    kept = past.incident(places.project("shop") / DATABASE, 1)
    assert kept is not None
    assert "5 s 内无响应" in json.dumps(json.loads(kept), ensure_ascii=False)
    assert language.chosen() == "en"


def test_two_projects_hear_of_one_look_in_their_languages(places: Places, chat: Webhook) -> None:
    now = time.time()
    look = Look("web1", now, None, LATE, 5.0)
    for spoken, problem in (("en", "no answer within 5 s"), ("zh", "5 s 内无响应")):
        with closing(Desk(listed(chat, spoken, spoken), places)) as desk:
            desk.looked(WEB1, look)
            assert desk.looks["web1"].problem == problem


def test_problems_of_the_monitor_itself(places: Places, chat: Webhook) -> None:
    there = {"ops": Hidden(chat.address("gone"))}
    with closing(Desk(replace(listed(chat, "zh"), messengers=there), places)) as desk:
        now = time.time()
        desk.looked(WEB1, look_with(now, AppLook("shop", "1.0"), entries=(failed("deploy"),)))
        desk.turn(now + 60)
        wait_for(lambda: bool(desk.problems()))
        (problem,) = desk.problems()
    assert problem.startswith("ops 通知失败（1 条待发送）：")
    assert chat.titles[0] == "shop：部署失败（web1）"
    assert "ann 执行的部署（2.0）已自动回退：no answer" in chat.taken[0][1]["message"]


def look_with(at: float, app: AppLook, **fields: Any) -> Look:
    disks = (DiskLook("/", 100, 90, 100, 90),)
    return Look("web1", at, HostLook(time=at, disks=disks, apps=(replace(app, **fields),)), "", 0.1)


def failed(kind: str) -> Entry:
    return Entry(7, time.time(), kind, "2.0", result="reverted", who="ann", reason="no answer")


@pytest.mark.parametrize(
    ("begun", "text"),
    [
        ("rollback 12: 1.0 by ann", "部署在第 12 条记录（回滚 1.0，操作人 ann）之后中断"),
        ("migrate 3: ? by a by b", "部署在第 3 条记录（迁移 ? by a，操作人 b）之后中断"),
        ("of another version", "部署在 of another version 之后中断"),
    ],
)
def test_what_was_cut_off(begun: str, text: str) -> None:
    look = look_with(1e9, AppLook("shop", "1.0"))
    around = Around(unended={"shop": begun})
    with language.within("zh"):
        assert [one.problem for one in deploys.verdicts(look, around)] == [text]


def test_what_a_messenger_has_missed() -> None:
    """Its queue has a thread of its own."""
    taken: list[Message] = []
    tries = iter([False, False])

    def send(_address: str, one: Message) -> str:
        if not next(tries, True):
            raise RuntimeError
        taken.append(one)
        return ""

    one = Telling({"ops": "x"}, lambda _job: None, send=send, pauses=(0.2,), spoken="zh")
    one.start()
    one.tell(Message(f"m{number}", "", "failure", number, time.time()) for number in range(1, 6))
    wait_for(lambda: bool(one.reached()[0].problem))
    assert one.reached()[0].problem == "意外的 RuntimeError"
    wait_for(lambda: bool(taken))
    one.stop()
    assert taken[0].title == "有 5 条消息未能送达"


def test_the_program_speaks_it_too(places: Places, chat: Webhook) -> None:
    found = {
        "project": "shop",
        "hosts": [asdict(WEB1)],
        "messengers": {"ops": chat.address()},
        "language": "zh",
    }
    (places.lists / "shop.json").write_text(json.dumps(found))
    done = program(places, "test", "--project", "shop")
    assert json.loads(done.stdout) == {"ops": ""}, done.stderr
    assert chat.taken[0][1]["title"] == "shop：监控测试消息"
    now = time.time()
    with closing(Desk(listed(chat, "zh"), places)) as desk:
        desk.looked(WEB1, look_with(now, AppLook("shop", "1.0"), entries=(failed("deploy"),)))
        desk.turn(now + 60)
    shown = json.loads(program(places, "incidents", "--project", "shop").stdout)
    assert [one["title"] for one in shown["incidents"]] == ["shop：部署失败（web1）"]


def test_a_language_that_is_not_there_is_english() -> None:
    with language.within("xx"):
        assert messages.span(120) == "2 minutes"
    with language.within("zh"):
        assert messages.span(120) == "2 分钟"
        assert messages.hosts_text(["b", "a", "c", "d"]) == "a、b、c 及另外 1 台"
        assert said("as it is") == "as it is"
        assert LATE == "no answer within 5 s"
        assert said(LATE) == "5 s 内无响应"
