"""All parts together, as the watcher's loop uses them, on files; and after a start anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cartwheel_monitor import messages, past, rows
from cartwheel_monitor.judge import Judge
from cartwheel_monitor.messages import Facts, Message
from cartwheel_monitor.past import Past
from cartwheel_monitor.store import DATABASE, Store
from cartwheel_monitor.telling import Telling
from tests.unit.monitor.test_replay import AT, WORLD
from tests.unit.monitor.world import EVERY, MINUTE


def run(folder: Path, begins: float, ends: float, taken: list[str]) -> None:
    """The loop: look, judge, keep, tell."""
    now = begins
    store = Store(folder, clock=lambda: now)
    opened = store.open()
    history = Past(store.path)
    history.start(begins)
    judge = Judge(WORLD.watched, history=history, state=opened.state)

    def send(_address: str, message: Message) -> str:
        taken.append(message.title)
        return ""

    telling = Telling({"ops": "json://x"}, store.submit, send=send, clock=lambda: now)
    telling.start(store.path)
    while now < ends:
        cursors: dict[str, str] = {}
        for host in WORLD.hosts:
            look = WORLD.look(host, now, now - EVERY)
            before = judge.looks.get(host)
            judge.looked(look)
            store.add(rows.of_look(look, before))
            if look.seen is not None:
                cursors[host] = look.seen.cursor
        probe = WORLD.probe("shop", now)
        if AT <= now < AT + 20 * MINUTE:
            probe = replace(probe, status=None, problem="no answer")
        judge.probed(probe)
        store.add([rows.of_probe(probe)])
        told = judge.news(now)
        store.keep(judge.state(), told, cursors=cursors, at=now)
        facts = Facts(judge.releases, judge.deployed)
        telling.tell([messages.of(one, facts, now) for one in told])
        telling.tell([messages.of_note(one) for one in store.notes()])
        now += EVERY
    store.close()
    telling.stop()
    history.stop()


def test_the_loop(memory: Path) -> None:
    taken: list[str] = []
    run(memory, AT - 5 * MINUTE, AT + 10 * MINUTE, taken)
    assert taken == ["shop does not answer"]
    assert past.kept(memory / DATABASE)["cursor:web1"]
    run(memory, AT + 10 * MINUTE, AT + 30 * MINUTE, taken)
    assert taken == ["shop does not answer", "recovered: shop does not answer"]
    probes = past.series(
        memory / DATABASE, ("shop", "", ""), ["looks", "bad"], since=0, until=AT * 2, table="hours"
    )
    assert sum(one[1] or 0 for one in probes) == 35 * 3
    assert sum(one[2] or 0 for one in probes) == 20 * 3
