"""The watcher whose looks the program at the other end of its pipes takes: as a real program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.look import AppLook, HostLook
from cartwheel_monitor import past
from cartwheel_monitor.piped import Piped
from cartwheel_monitor.places import Places
from cartwheel_monitor.sessions import LookError
from cartwheel_monitor.store import DATABASE
from cartwheel_monitor.watch_list import Host
from tests.kit.waiting import until

LOOK = to_json(HostLook(protocol=1, time=1.0, cursor="after", apps=(AppLook("shop", "1.0.aa"),)))


@dataclass
class Watcher:
    process: subprocess.Popen[str]
    places: Places

    def wish(self, host: str) -> dict[str, Any]:
        """The next look that it wants of this host."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found: dict[str, Any] = json.loads(line)
            if found["host"] == host:
                return found
        raise AssertionError("it has ended")

    def answer(self, **fields: object) -> None:
        self.say(json.dumps(fields))

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def target(self, name: str) -> dict[str, Any]:
        if not self.places.status.exists():
            return {}
        rows = json.loads(self.places.status.read_text())["targets"]
        return next((one for one in rows if one["name"] == name), {})


def begin(places: Places) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cartwheel_monitor", "watch", "--by-pipe"],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "CARTWHEEL_SHARED": str(places.shared)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def watching(folder: Path) -> Iterator[Watcher]:
    """Two hosts each second; an answer must come within four."""
    places = Places(folder / "watch.d", folder / "shared")
    places.lists.mkdir()
    places.shared.mkdir()
    hosts = [{"name": one, "address": "192.0.2.1", "apps": ["shop"]} for one in ("web1", "web2")]
    listed = {"project": "shop", "every": 1, "timeout": 1, "hosts": hosts}
    (places.lists / "shop.json").write_text(json.dumps(listed))
    process = begin(places)
    try:
        yield Watcher(process, places)
    finally:
        process.kill()
        process.wait(20)


@pytest.fixture
def watcher(memory: Path) -> Iterator[Watcher]:
    with watching(memory) as found:
        yield found


def test_a_look_is_wished_and_kept(watcher: Watcher) -> None:
    first = watcher.wish("web1")
    assert first["cursor"] == ""
    watcher.answer(number=first["number"], look=LOOK)
    assert watcher.wish("web1")["cursor"] == "after"
    until(lambda: watcher.target("web1")["state"] == "well")
    store = watcher.places.project("shop") / DATABASE
    until(lambda: "1.0.aa" in past.kept(store).get("look:web1", ""))
    assert not watcher.places.key.exists(), "it needs no key"


def test_a_problem_is_what_is_shown(watcher: Watcher) -> None:
    watcher.answer(number=watcher.wish("web2")["number"], problem="its host key has changed")
    until(lambda: watcher.target("web2").get("detail") == "its host key has changed")


def say(pipe: IO[str], line: dict[str, Any]) -> None:
    pipe.write(json.dumps(line) + "\n")


@contextmanager
def piped() -> Iterator[tuple[Piped, IO[str], list[str]]]:
    """It, the other end of its answers, and what was said of its end; nobody reads its wishes."""
    reading, writing = os.pipe()
    ended: list[str] = []
    with Path(os.devnull).open("w") as wishes, os.fdopen(reading) as answers:
        with os.fdopen(writing, "w", buffering=1) as other:
            found = Piped(wishes, answers)
            found.start(lambda: ended.append("ended"))
            yield found, other, ended
        until(lambda: ended, 5)


def test_what_it_cannot_use_is_no_answer() -> None:
    """Also an answer that comes too late, and one to nothing."""
    with piped() as (looks, other, _):
        with pytest.raises(LookError, match=r"no answer within 0\.1 s"):
            looks.look(Host("web1"), "", 0.1)
        for line in ('{"torn', "[]", "null", '{"number": []}', '{"number": 9}'):
            other.write(line + "\n")
        say(other, {"number": 1, "look": LOOK})
        with pytest.raises(LookError, match=r"no answer within 0\.2 s"):
            looks.look(Host("web1"), "", 0.2)
        threading.Timer(0.1, say, (other, {"number": 3, "look": {"apps": 3}})).start()
        with pytest.raises(LookError, match="its answer cannot be read"):
            looks.look(Host("web1"), "", 5)
        threading.Timer(0.1, say, (other, {"number": 4, "look": LOOK})).start()
        assert looks.look(Host("web1"), "", 5).cursor == "after"


def test_who_waits_is_let_go_once_nobody_judges_that_any_more() -> None:
    problems: list[str] = []

    def look() -> None:
        with pytest.raises(LookError) as caught:
            looks.look(Host("web1"), "", 60)
        problems.append(str(caught.value))

    waiting = threading.Thread(target=look)
    with piped() as (looks, _, _):
        waiting.start()
    time.sleep(0.2)
    assert problems == [], "its other end is gone, which is no trouble of the host"
    looks.close()
    waiting.join(10)
    assert problems == ["the dashboard ends"]


@pytest.mark.parametrize("together", [False, True])
def test_its_end_is_no_trouble_of_a_host(watcher: Watcher, together: bool) -> None:
    """Whether `fab` ends in order, or is killed, which closes both pipes."""
    watcher.answer(number=watcher.wish("web1")["number"], look=LOOK)
    assert watcher.wish("web1")["cursor"] == "after"
    until(lambda: watcher.target("web1")["state"] == "well")
    pipes = [watcher.process.stdin, *([watcher.process.stdout] if together else [])]
    for pipe in pipes:
        assert pipe is not None
        pipe.close()
    watcher.process.wait(5)
    kept = past.kept(watcher.places.project("shop") / DATABASE)
    assert json.loads(kept["look:web1"])["problem"] == ""


def test_it_ends_with_its_input_while_it_waits_for_looks(watcher: Watcher) -> None:
    watcher.wish("web1")
    assert watcher.process.stdin is not None
    watcher.process.stdin.close()
    assert watcher.process.wait(3) == 0
    assert watcher.process.stderr is not None
    assert watcher.process.stderr.read() == ""


def test_it_ends_if_nobody_reads_what_it_wishes(watcher: Watcher) -> None:
    """As when `fab` was killed: both pipes are gone."""
    watcher.wish("web1")
    for pipe in (watcher.process.stdout, watcher.process.stdin):
        assert pipe is not None
        pipe.close()
    assert watcher.process.wait(5) in (0, 120)  # 120: Python's own, for what it could not flush


def test_a_second_one_says_so(watcher: Watcher) -> None:
    watcher.wish("web1")
    second = begin(watcher.places)
    _, errors = second.communicate(timeout=20)
    assert (second.returncode, errors) == (1, "another watcher runs here\n")
