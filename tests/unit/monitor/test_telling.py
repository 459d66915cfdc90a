"""Who is told what, in which order, and what of it is shown."""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cartwheel_monitor import heartbeat, language, messages, messengers, past
from cartwheel_monitor.heartbeat import Heartbeat
from cartwheel_monitor.incident_log import Note
from cartwheel_monitor.incidents import Incident, Member, News, Told
from cartwheel_monitor.judge import Deployed
from cartwheel_monitor.messages import Facts, Message
from cartwheel_monitor.store import DATABASE, Store
from cartwheel_monitor.subjects import KINDS, Subject
from cartwheel_monitor.telling import Telling
from tests.kit.webhook import TOKEN, Webhook, webhook

NOW = 1_790_000_000.0
SECRET = "json://ann:s3cr3t-of-ops@chat.example.org/room"


def when(at: float) -> str:
    return f"T{at - NOW:+.0f}"


def member(kind: str, host: str, problem: str, app: str = "shop", began: float = NOW) -> Member:
    return Member(Subject(kind, app, host), began, problem, frozenset({host} if host else ()))


def incident(
    kind: str, *members: Member, app: str = "shop", ended: float | None = None
) -> Incident:
    every = {one.subject: one for one in members}
    over = ended is not None
    return Incident(1, kind, app, NOW, NOW, {} if over else every, tuple(members) if over else (),
                    NOW, ended=ended)  # fmt: skip


def message(
    news: News, one: Incident, facts: Facts | None = None, now: float = NOW + 300
) -> Message:
    return messages.of(Told(news, one), facts or Facts(), now, when)


SITE = Member(Subject("site", "shop", ""), NOW, "it answers with 502", frozenset({"web1", "web2"}))


def test_a_whole_message() -> None:
    facts = Facts(
        {("shop", "web1"): "1.4.aa", ("shop", "web2"): "1.4.aa", ("blog", "web9"): "7"},
        {"shop": Deployed(NOW - 600, "deploy", "1.4.aa", "ann@desk")},
    )
    one = incident("site", SITE, member("process", "web1", "process web is failed"))
    found = message("opened", one, facts)
    assert found.title == "shop does not answer"
    assert found.body.splitlines() == [
        "it answers with 502",
        "web1: process web is failed",
        "since T+0 (5 minutes)",
        "release: 1.4.aa",
        "last deploy: 1.4.aa by ann@desk, T-600 (10 minutes before it began)",
        "next: fab diagnose -H web1,web2",
    ]
    assert (found.mood, found.number, found.at) == ("failure", 1, NOW + 300)


@pytest.mark.parametrize(
    ("news", "title", "mood"),
    [
        ("opened", "shop does not answer", "failure"),
        ("worse", "worse: shop does not answer", "failure"),
        ("again", "still: shop does not answer", "failure"),
        ("recovered", "recovered: shop does not answer", "success"),
    ],
)
def test_titles(news: News, title: str, mood: str) -> None:
    found = message(news, incident("site", SITE))
    assert (found.title, found.mood) == (title, mood)


def test_that_it_is_over_says_how_long_it_lasted() -> None:
    found = message("recovered", incident("site", SITE, ended=NOW + 7200), now=NOW + 7300)
    assert found.body.splitlines()[-1] == "it lasted 2 hours, from T+0"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_a_text(kind: str) -> None:
    found = message("opened", incident(kind, member(kind, "web1", "x", "")))
    assert found.title
    assert found.body
    assert "{" not in found.title + found.body


def test_forty_hosts_are_counted() -> None:
    every = [member("disk", f"web{n:02}", "/ is full", "") for n in range(40)]
    found = message("opened", incident("disk", *every, app=""))
    assert found.title == "disk full, or soon, on web00, web01, web02 and 37 more"
    assert found.body.splitlines()[0] == "web00, web01, web02 and 37 more: / is full"
    assert found.body.splitlines()[-1] == "next: fab diagnose -H web00,web01,web02,web03"


def test_what_a_host_says_is_one_short_line() -> None:
    found = message("opened", incident("site", member("site", "web1", "a\nb\x1b[31m" + "x" * 999)))
    line = found.body.splitlines()[0]
    assert line.startswith("web1: a b [31mx")
    assert len(line) == 300


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("deploy", "fab history -H web1"),
        ("behind", "fab status -H web1"),
        ("certificate", "fab tls.status -H web1"),
        ("memory", "fab diagnose -H web1"),
        ("network", ""),
    ],
)
def test_the_next_command(kind: str, command: str) -> None:
    assert messages.next_command(incident(kind, member(kind, "web1", "x"))) == command


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 seconds"), (1, "1 second"), (60, "1 minute"), (7199, "119 minutes"),
     (7200, "2 hours"), (172800, "2 days")],
)  # fmt: skip
def test_spans(seconds: float, text: str) -> None:
    assert messages.span(seconds) == text


def catalogue(folder: Path, texts: dict[str, str]) -> None:
    """A file as msgfmt writes it."""
    texts = {"": "Content-Type: text/plain; charset=UTF-8\n", **texts}
    pairs = sorted((one.encode(), other.encode()) for one, other in texts.items())
    keys = b"".join(one + b"\0" for one, _other in pairs)
    values = b"".join(other + b"\0" for _one, other in pairs)
    places: list[int] = []
    at = 28 + 16 * len(pairs)
    for one, _other in pairs:
        places += [len(one), at]
        at += len(one) + 1
    for _one, other in pairs:
        places += [len(other), at]
        at += len(other) + 1
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    file = folder / "de" / "LC_MESSAGES" / f"{language.DOMAIN}.mo"
    file.parent.mkdir(parents=True)
    file.write_bytes(head + struct.pack(f"<{len(places)}I", *places) + keys + values)


def test_another_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_FOLDER", tmp_path)
    monkeypatch.setitem(language.LANGUAGES, "de", "Deutsch")
    catalogue(tmp_path, {"{app} does not answer": "{app} antwortet nicht"})
    language.use("de")
    assert message("opened", incident("site", SITE)).title == "shop antwortet nicht"
    language.use("xx")
    assert language.chosen() == "en"
    assert message("opened", incident("site", SITE)).title == "shop does not answer"


# The queue


class Room:
    """A messenger that people could have: it takes messages while it is there."""

    def __init__(self) -> None:
        self.taken: list[Message] = []
        self.tries = 0
        self.is_there = True

    def send(self, _address: str, one: Message) -> str:
        self.tries += 1
        if not self.is_there:
            return "no answer from s3cr3t-of-ops"
        self.taken.append(one)
        return ""

    @property
    def titles(self) -> list[str]:
        return [one.title for one in self.taken]


def news(number: int, title: str = "", at: float = NOW) -> Message:
    return Message(title or f"m{number}", "b", "failure", number, at)


def wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


@contextmanager
def telling(room: Room, *, store: Store | None = None, now: float = NOW,
            pauses: tuple[float, ...] = (0.02,)) -> Iterator[Telling]:  # fmt: skip
    submit = store.submit if store else lambda _job: None
    one = Telling({"ops": SECRET}, submit, send=room.send, clock=lambda: now, pauses=pauses)
    one.start(store.path if store else None)
    yield one
    one.stop()


def test_in_order() -> None:
    room = Room()
    with telling(room) as one:
        one.tell([news(1), news(2)])
        one.tell([news(3)])
        wait_for(lambda: len(room.taken) == 3)
    assert room.titles == ["m1", "m2", "m3"]


def test_one_that_is_away_hears_what_it_missed_at_once() -> None:
    room = Room()
    room.is_there = False
    with telling(room) as one:
        one.tell([news(1, "shop does not answer", NOW - 60), news(2, "disk full", NOW - 50)])
        wait_for(lambda: room.tries > 2)
        (state,) = one.reached()
        assert (state.address, state.waiting) == ("json://***", 2)
        assert state.problem == "no answer from ***"
        assert state.since == NOW
        one.tell(
            [
                news(1, "still: shop does not answer"),
                *(news(0, "a note") for _ in range(200)),
                news(1, "recovered: shop does not answer"),
            ]
        )
        room.is_there = True
        wait_for(lambda: bool(room.taken))
        wait_for(lambda: one.reached()[0].waiting == 0)
        assert one.reached()[0].problem == ""
    (found,) = room.taken
    assert found.title == "204 messages could not be delivered"
    assert found.body.splitlines()[-1].endswith("recovered: shop does not answer")
    assert "still" not in found.body
    assert len(found.body.splitlines()) < 30


def test_a_few_that_waited_come_one_by_one() -> None:
    room = Room()
    room.is_there = False
    with telling(room) as one:
        one.tell([news(1), news(2)])
        wait_for(lambda: room.tries > 1)
        room.is_there = True
        wait_for(lambda: len(room.taken) == 2)
    assert room.titles == ["m1", "m2"]


def test_after_a_day_it_is_no_news_any_more() -> None:
    room = Room()
    with telling(room) as one:
        one.tell([news(1, at=NOW - 86401), news(2)])
        wait_for(lambda: bool(room.taken))
        assert one.reached()[0].given_up == 1
    assert room.titles == ["m2"]


def test_fresh_news_do_not_wait_for_a_long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cartwheel_monitor.telling.FRESH_SECONDS", 0.05)
    room = Room()
    room.is_there = False
    with telling(room, pauses=(900.0,)) as one:
        one.tell([news(1)])
        wait_for(lambda: room.tries == 1)
        room.is_there = True
        one.tell([news(2)])
        wait_for(lambda: len(room.taken) == 2)


def test_one_that_hangs_holds_no_other_up() -> None:
    room, ending = Room(), threading.Event()

    def send(address: str, one: Message) -> str:
        if address == "mute":
            ending.wait(20)
        return room.send(address, one)

    one = Telling({"mute": "mute", "ops": SECRET}, lambda _job: None, send=send)
    one.start()
    one.tell([news(1, at=time.time())])
    wait_for(lambda: room.titles == ["m1"])
    one.stop(0.1)
    ending.set()


def test_an_error_of_a_messenger_is_no_end() -> None:
    calls: list[str] = []

    def send(_address: str, one: Message) -> str:
        calls.append(one.title)
        if len(calls) == 1:
            raise RuntimeError("s3cr3t-of-ops")
        return ""

    one = Telling({"ops": SECRET}, lambda _job: None, send=send, pauses=(0.01,))
    one.start()
    one.tell([news(1, at=time.time())])
    wait_for(lambda: len(calls) == 2)
    one.stop()


def test_what_waits_comes_after_a_restart(memory: Path) -> None:
    room = Room()
    room.is_there = False
    store = Store(memory, clock=lambda: NOW)
    store.open()
    with telling(room, store=store) as one:
        one.tell([news(1), news(2)])
        wait_for(lambda: room.tries > 1)
    store.close()
    room.is_there = True
    store = Store(memory, clock=lambda: NOW)
    store.open()
    with telling(room, store=store) as one:
        one.tell([news(3)])
        wait_for(lambda: len(room.taken) == 3)
    store.close()
    assert room.titles == ["m1", "m2", "m3"]
    with past.reading(memory / DATABASE) as db:
        rows = db.execute("SELECT news, done, problem FROM deliveries ORDER BY news").fetchall()
    assert rows == [(1, NOW, ""), (2, NOW, ""), (3, NOW, "")]
    room.taken.clear()
    store = Store(memory, clock=lambda: NOW)
    store.open()
    with telling(room, store=store):
        time.sleep(0.1)
    store.close()
    assert room.taken == []


# By Apprise


@pytest.fixture(scope="module")
def chat() -> Iterator[Webhook]:
    with webhook() as found:
        yield found


def test_by_apprise(chat: Webhook) -> None:
    chat.taken.clear()
    assert messengers.send(chat.address(), news(1, "shop does not answer")) == ""
    assert chat.taken[0][1]["title"] == "shop does not answer"
    assert chat.taken[0][1]["type"] == "failure"


def test_a_message_without_a_body(chat: Webhook) -> None:
    chat.taken.clear()
    note = messages.of_note(Note(NOW, "the store works again"))
    assert messengers.send(chat.address(), note) == ""
    assert chat.titles == ["monitor: the store works again"]


@pytest.mark.parametrize("address", ["{gone}", "nonsense://{token}", "", "json://x:{token}@[::1"])
def test_what_fails_says_nothing_of_its_address(chat: Webhook, address: str) -> None:
    there = address.format(gone=chat.address("gone"), token=TOKEN)
    problem = messengers.send(there, news(1))
    assert problem
    assert TOKEN not in problem


def test_two_at_once_do_not_speak_of_each_other(chat: Webhook) -> None:
    """A warning of one is not taken for the other's, whose address does not mask it."""
    addresses = {"gone": chat.address("gone"), "away": f"json://ann:{TOKEN}@127.0.0.1:1/"}
    found: dict[str, list[str]] = {name: [] for name in addresses}

    def send(name: str) -> None:
        for _ in range(5):
            found[name].append(messengers.send(addresses[name], news(1)))

    threads = [threading.Thread(target=send, args=(name,)) for name in addresses]
    for one in threads:
        one.start()
    for one in threads:
        one.join(20)
    assert len(found["gone"]) == len(found["away"]) == 5
    assert all("404" in one for one in found["gone"])
    assert not any("404" in one or "could not" in one for one in found["away"])


@pytest.mark.parametrize("address", ["nonsense://x", ""])
def test_an_address_that_nobody_knows(address: str) -> None:
    assert messengers.send(address, news(1)) == "Apprise does not know its address"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("slack://TOKENA/TOKENB", "slack://***"),
        ("mailtos://ann:pw@example.org", "mailtos://***"),
        ("nothing", "***"),
        ("", "***"),
    ],
)
def test_a_masked_address(address: str, shown: str) -> None:
    assert messengers.masked(address) == shown


def test_parts_of_an_address_are_masked_decoded_too() -> None:
    assert messengers.without("bad se/cret1", ["x://a:se%2Fcret1@h"]) == "bad se/***"
    assert messengers.without("json failed", ["json://tokentoken"]) == "json failed"


# The heartbeat


@contextmanager
def watcher_of_others(status: int = 200) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/s3cr3t", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_a_heartbeat_comes_while_the_watcher_runs_and_never_when_it_hangs() -> None:
    with watcher_of_others() as (url, asked):
        one = Heartbeat(url, every=0.02, patience=0.3)
        one.start()
        time.sleep(0.1)
        assert asked == []
        one.beat()
        wait_for(lambda: len(asked) >= 2)
        wait_for(lambda: time.monotonic() - (one._beaten or 0) > 0.3)
        time.sleep(0.1)
        before = len(asked)
        time.sleep(0.1)
        assert len(asked) == before
        one.beat()
        wait_for(lambda: len(asked) > before)
        assert one.sent.problem == ""
        one.stop()


@pytest.mark.parametrize("status", [404, 500])
def test_an_answer_that_is_no_yes(status: int) -> None:
    with watcher_of_others(status) as (url, _asked):
        assert heartbeat.ask(url) == f"it answered with {status}"


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "http://127.0.0.1:1/s3cr3t", "s3cr3t", "http://s3cr3t.invalid/s3cr3t",
     "http://[s3cr3t/", "https://127.0.0.1:1/s3cr3t", "http://127.0.0.1:s3cr3t/"],
)  # fmt: skip
def test_a_heartbeat_that_does_not_come_says_why_without_its_address(url: str) -> None:
    problem = heartbeat.ask(url)
    assert problem
    assert "s3cr3t" not in problem


def test_a_message_is_the_same_after_it_was_kept() -> None:
    """`undelivered` reads what `_adding` wrote; here only that all of it is plain."""
    assert json.loads(json.dumps(news(1).__dict__)) == news(1).__dict__
