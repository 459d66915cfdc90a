"""A process that writes to a store until it is killed, and says which incidents are in the log."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from cartwheel_monitor import incident_log
from cartwheel_monitor.incidents import Book, Incident, Member, Told
from cartwheel_monitor.judge import State
from cartwheel_monitor.pulse import Pulse
from cartwheel_monitor.rows import Row
from cartwheel_monitor.store import LOG, Store
from cartwheel_monitor.subjects import Subject


def main(folder: Path) -> None:
    store = Store(folder)
    number = store.open().state.book.next_number
    said: set[int] = set()
    while True:
        now = time.time()
        subject = Subject("disk", "", f"web{number}", "/")
        one = Incident(
            number, "disk", "", now, now, {subject: Member(subject, now, "full")}, told=now
        )
        state = State({subject: Pulse("down", 3, 0, now, "full")}, Book({number: one}, number + 1))
        store.keep(state, [Told("opened", one)], cursors={"web1": str(number)}, at=now)
        store.add(
            Row("shop", f"web{place}", "", now, {"looks": 1, "requests": 9}) for place in range(50)
        )
        over = replace(one, members={}, ended=now)
        if number % 2:
            store.keep(State({}, Book({}, number + 1)), [Told("recovered", over)], at=now)
        number += 1
        time.sleep(0.01)
        for each in set(incident_log.read(folder / LOG).incidents) - said:
            said.add(each)
            print(each, flush=True)
