"""Formatting, progress and screens: what a run looks like, without a run."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import struct
import termios
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyte
import pytest

from cartwheel.commands.typed import Typed
from cartwheel.errors import CartwheelError, ConnectError, HostError, UsageError
from cartwheel.events import Event
from cartwheel.fleet.report import UNKNOWN, HostReport, Report
from cartwheel.telling import LOG_LINES, Failure, Place, age_text, tell
from cartwheel.terminal import format as form
from cartwheel.terminal.fold import Ends, Told
from cartwheel.terminal.progress import Progress, Running
from cartwheel.terminal.report import (
    closing_of,
    error_fields,
    hosts_fields,
    outcome_text,
    report_of,
    rows_of,
)
from cartwheel.terminal.screen import Screen, Sink, screen_for
from cartwheel.terminal.show import Output

UTF8 = "utf-8"


class TestFormat:
    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (None, ""),
            (0.01, ""),
            (0.44, "0.4 s"),
            (9.94, "9.9 s"),
            (12.4, "12 s"),
            (59.4, "59 s"),
            (59.7, "1 min"),
            (200, "3 min 20 s"),
        ],
    )
    def test_seconds(self, seconds: float | None, text: str) -> None:
        assert form.seconds_text(seconds) == text

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (None, "-"),
            (-3, "0 s"),
            (59.9, "59 s"),
            (60, "1 min"),
            (7300, "2 h"),
            (86400, "1 day"),
            (3 * 86400 + 5, "3 days"),
        ],
    )
    def test_age(self, seconds: float | None, text: str) -> None:
        assert age_text(seconds) == text

    def test_times_are_of_the_operators_zone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TZ", "UTC-3")  # POSIX: three hours east
        time.tzset()
        try:
            assert form.utc_to_local("2026-11-22T23:46:14Z") == "2026-11-23 02:46"
            assert form.local_time(0) == "1970-01-01 03:00:00"
        finally:
            monkeypatch.undo()
            time.tzset()
        assert form.utc_to_local("no time") == "no time"
        assert form.local_time(None) == "-"

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("\x1b[31;1mred\x1b[0m", "red"),
            ("\x1b]0;title\x07text", "text"),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("a\x1b[2Jb\x1b(Bc\x1b7d", "abcd"),
            ("bell\x07 back\b\r\x9b2J", "bell back2J"),
            ("two\nlines\tand a tab", "two\nlines    and a tab"),
        ],
    )
    def test_nothing_moves_the_terminals_cursor(self, given: str, kept: str) -> None:
        assert form.clean(given) == kept

    def test_widths_count_what_a_terminal_shows(self) -> None:
        assert form.cells("日本") == 4
        assert form.cells("e\u0301") == 1
        assert form.fitted("日本語", 5) == "日本…"
        assert form.fitted("abcdef", 6) == "abcdef"
        assert form.fitted("abcdef", 4) == "abc…"
        assert form.fitted("abcdef", 0) == ""

    def test_a_table_is_aligned_and_has_no_line_breaks_in_cells(self) -> None:
        lines = form.table_lines([("a", "日本", "x"), ("bcd", "1\n2", "")], ("H", "NAME", ""))
        assert lines == ["H    NAME", "a    日本  x", "bcd  1 2"]

    def test_a_table_fits_and_nothing_is_cut(self) -> None:
        heads = ("HOST", "RELEASE", "NOTES")
        rows = [("web1", "1.0.0.7f3a1c02", "one two three four five six"), ("w", "1", "x")]
        assert form.table_lines(rows, heads, 80) == form.table_lines(rows, heads)
        assert form.table_lines(rows, heads, 46) == [
            "HOST  RELEASE         NOTES",
            "web1  1.0.0.7f3a1c02  one two three four five",
            "                      six",
            "w     1               x",
        ]
        assert form.table_lines(rows, heads, 30) == [
            "HOST  RELEASE",
            "  NOTES",
            "web1  1.0.0.7f3a1c02",
            "  one two three four five six",
            "w     1",
            "  x",
        ]
        narrow = form.table_lines(rows, heads, 10)
        assert max(map(len, narrow)) <= 10
        assert "".join("".join(narrow).split()).count("1.0.0.7f3a1c02") == 1

    def test_an_empty_column_takes_no_room_where_there_is_little(self) -> None:
        rows = [("web1", "", "1.0.0.7f3a1c02", "why")]
        heads = ("HOST", "EMPTY", "RELEASE", "WHY")
        assert form.table_lines(rows, heads, 26) == [
            "HOST  RELEASE         WHY",
            "web1  1.0.0.7f3a1c02  why",
        ]

    def test_what_cannot_be_written_is_spelt_out(self) -> None:
        assert form.encodable("ok ✓ é", "ascii") == "ok \\u2713 \\xe9"
        assert form.encodable("ok ✓", UTF8) == "ok ✓"

    @pytest.mark.parametrize(
        ("encoding", "variables", "marks"),
        [
            ("utf-8", {}, form.UNICODE),
            ("UTF-8", {"LANG": "de_DE.UTF-8"}, form.UNICODE),
            ("utf-8", {"LANG": "C", "LC_CTYPE": "C.UTF-8"}, form.ASCII),
            ("utf-8", {"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, form.ASCII),
            ("ascii", {}, form.ASCII),
            ("iso8859-1", {"LANG": "de_DE"}, form.ASCII),
            (None, {}, form.ASCII),
        ],
    )
    def test_marks(self, encoding: str | None, variables: dict[str, str], marks: Any) -> None:
        assert form.marks_for(encoding, variables) is marks

    def test_ascii_marks_are_ascii(self) -> None:
        assert "".join(vars(form.ASCII).values()).isascii()


class TestProgress:
    def test_an_end_ends_what_began_inside(self) -> None:
        progress = Progress()
        progress.take(Event("switch", "start", host="a"), 1.0)
        progress.take(Event("start", "start", "1.0", "a"), 2.0)
        assert list(progress.innermost()) == [Running("a", "start", 2.0, "1.0")]
        progress.take(Event("switch", "done", host="a"), 5.0)
        assert list(progress.innermost()) == []
        assert progress.seconds_of("a") == 4.0

    def test_progress_is_of_its_step(self) -> None:
        progress = Progress()
        progress.take(Event("install", "start", host="a"), 1.0)
        progress.take(Event("install", "progress", "Collecting x", "a"), 2.0)
        progress.take(Event("install", "note", "by the way", "a"), 3.0)
        assert list(progress.innermost()) == [Running("a", "install", 1.0, "Collecting x")]
        end = Event("install", "changed", host="a")
        assert progress.seconds_in(end, 4.5) == 3.5
        progress.take(end, 4.5)
        assert progress.seconds_in(end, 5.0) is None

    def test_what_only_said_how_far_it_is_ends_with_the_next_step(self) -> None:
        progress = Progress()
        for now in (1.0, 2.0):
            progress.take(Event("lock", "progress", "waiting for somebody", "a"), now)
        assert [(one.step, one.since) for one in progress.innermost()] == [("lock", 1.0)]
        progress.take(Event("pip", "start", host="a"), 3.0)
        progress.take(Event("pip", "done", host="a"), 5.0)
        assert list(progress.innermost()) == []
        assert progress.busy_seconds("a") == 2.0

    def test_hosts_do_not_mix(self) -> None:
        progress = Progress()
        for host in ("a", "b", ""):
            progress.take(Event("connect", "start", host=host), 0.0)
        progress.take(Event("connect", "failed", "no", "a"), 1.0)
        progress.take(Event("connect", "done", "", "b"), 1.0)
        assert [one.host for one in progress.innermost()] == [""]
        assert progress.step_of("a") == "connect"
        assert progress.step_of("b") == ""
        progress.take(Event("probe", "start", host="b"), 1.0)
        assert progress.hosts_touched() == ()
        progress.take(Event("install", "start", host="b"), 1.0)
        assert progress.hosts_touched() == ("b",)

    def test_a_step_that_fails_fails_in_its_innermost_one(self) -> None:
        progress = Progress()
        for step in ("switch", "probation"):
            progress.take(Event(step, "start", host="a"), 0.0)
        progress.take(Event("switch", "failed", host="a"), 1.0)
        assert progress.step_of("a") == "probation"

    def test_the_first_failure_is_the_one_that_counts(self) -> None:
        progress = Progress()
        for step in ("outer", "inner"):
            progress.take(Event(step, "start", host="a"), 0.0)
        progress.take(Event("inner", "failed", host="a"), 1.0)
        progress.take(Event("outer", "failed", host="a"), 1.0)
        assert progress.step_of("a") == "inner"


def plain_screen(stream: io.StringIO, **options: Any) -> Screen:
    defaults: dict[str, Any] = {"live": False, "colour": False, "quiet": False}
    return Screen(Sink(stream), marks=form.UNICODE, **{**defaults, **options})


class TestLines:
    def test_every_event_is_one_prefixed_line(self) -> None:
        stream = io.StringIO()
        screen = plain_screen(stream)
        for event in (
            Event("build", "start", "hello"),
            Event("install", "changed", "two\nlines \x1b[1mbold", "lab1", 1.44),
            Event("upload", "unchanged", "", "lab1", 0.01),
            Event("health", "failed", "no answer", "lab1"),
            Event("lock", "strange", "", "lab1"),  # type: ignore[arg-type]  # no known outcome
        ):
            screen.event(event)
        assert stream.getvalue().splitlines() == [
            "[here] … build hello",
            "[lab1] ✓ install two lines bold (1.4 s)",
            "[lab1] = upload",
            "[lab1] ✗ health no answer",
            "[lab1] · lock",
        ]

    def test_a_quiet_screen_shows_notes_and_signs_of_life(self) -> None:
        stream = io.StringIO()
        screen = plain_screen(stream, quiet=True)
        for state in ("start", "progress", "note", "done", "failed"):
            screen.event(Event("x", state, state, "a"))
        assert stream.getvalue().splitlines() == ["[a] … x progress", "[a] · x note"]

    def test_a_reader_that_went_away_does_not_stop_a_run(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w") as stream:
            sink = Sink(stream)
            sink.write("one\n")
            sink.write("two\n")
            stream.flush()  # as Python does at its end

    def test_no_terminal_no_rows(self) -> None:
        stream = io.StringIO()
        screen = screen_for(Sink(stream), {"TERM": "xterm"}, quiet=False)
        assert not screen.live
        screen.draw([Running("a", "x", 0.0)], 1.0)
        assert stream.getvalue() == ""


class Terminal:
    """A pseudo-terminal with a terminal emulator behind it."""

    def __init__(self, columns: int, rows: int) -> None:
        self.parent, child = pty.openpty()
        self.file = os.fdopen(child, "w", encoding=UTF8)
        self.emulator = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.emulator)
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.parent, termios.TIOCSWINSZ, size)
        self.emulator.resize(rows, columns)

    def shown(self) -> list[str]:
        os.set_blocking(self.parent, False)
        try:
            while data := os.read(self.parent, 65536):
                self._stream.feed(data)
        except BlockingIOError:
            pass
        lines = [line.rstrip() for line in self.emulator.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def close(self) -> None:
        self.file.close()
        os.close(self.parent)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    one = Terminal(60, 10)
    yield one
    one.close()


class TestRows:
    def running(self, *hosts: str) -> list[Running]:
        return [Running(host, "install", 1.0, f"Collecting for {host}") for host in hosts]

    def screen(self, terminal: Terminal, **variables: str) -> Screen:
        return screen_for(Sink(terminal.file), {"TERM": "xterm", **variables}, quiet=False)

    def test_rows_move_below_lines_that_stay(self, terminal: Terminal) -> None:
        screen = self.screen(terminal)
        screen.draw(self.running("a", "b"), 2.0)
        assert terminal.shown() == [
            "[a] … install 1.0 s  Collecting for a",
            "[b] … install 1.0 s  Collecting for b",
        ]
        screen.event(Event("install", "changed", "", "a", 1.5))
        screen.draw(self.running("b"), 2.5)
        assert terminal.shown() == [
            "[a] ✓ install (1.5 s)",
            "[b] … install 1.5 s  Collecting for b",
        ]
        screen.erase()
        assert terminal.shown() == ["[a] ✓ install (1.5 s)"]

    def test_what_began_has_no_line_of_its_own(self, terminal: Terminal) -> None:
        screen = self.screen(terminal)
        screen.event(Event("install", "start", "", "a"))
        screen.event(Event("install", "progress", "x", "a"))
        assert terminal.shown() == []

    def test_hosts_in_one_state_share_a_row(self, terminal: Terminal) -> None:
        screen = self.screen(terminal)
        screen.say("before")
        alone = Running("odd", "venv", 1.5, "of its own")
        screen.draw([*self.running(*(f"h{n}" for n in range(50))), alone], 2.0)
        assert terminal.shown() == [
            "before",
            "[50 hosts] … install 1.0 s",
            "[odd] … venv 0.5 s  of its own",
        ]
        screen.draw([], 3.0)
        assert terminal.shown() == ["before"]

    @pytest.mark.parametrize(("columns", "rows"), [(80, 24), (30, 5), (200, 50)])
    def test_a_fleet_fits_any_terminal(self, terminal: Terminal, columns: int, rows: int) -> None:
        """200 hosts in six states and one that is stuck: it stays in sight, nothing scrolls."""
        terminal.resize(columns, rows)
        screen = self.screen(terminal)
        screen.say("before")
        for now in (20.0, 21.0, 22.0):
            fleet = [
                Running(f"web{n}", f"step {n % 6}", now - 1 - n / 200, "" if n % 2 else f"{n} MB")
                for n in range(200)
            ]
            fleet[42] = Running("web42", "step 0", 1.0)
            screen.draw(fleet, now)
        shown = terminal.shown()
        assert shown[0] == "before"
        assert len(shown) < rows
        assert any(line.startswith("[web42] … step 0 21") for line in shown)
        assert any(line.startswith("[3") or line.startswith("[1") for line in shown)
        screen.erase()
        assert terminal.shown() == ["before"]

    @pytest.mark.parametrize("columns", [1, 5, 12, 20, 35])
    def test_narrow(self, terminal: Terminal, columns: int) -> None:
        terminal.resize(columns, 10)
        screen = self.screen(terminal)
        for now in (2.0, 3.0, 4.0):
            screen.draw(self.running("a", "b"), now)
        if columns >= 11:
            assert [len(line) < columns for line in terminal.shown()] == [True, True]
        screen.erase()
        assert terminal.shown() == []

    def test_a_terminal_that_shrinks(self, terminal: Terminal) -> None:
        """The emulator cuts rows instead of wrapping them; then a line above goes too, but
        nothing of the rows stays."""
        screen = self.screen(terminal)
        for n in range(3):
            screen.say(f"line {n}")
        screen.draw(self.running("a", "b"), 2.0)
        terminal.shown()
        terminal.resize(20, 10)
        screen.draw(self.running("a", "b"), 3.0)
        shown = terminal.shown()
        assert sum("install" in line for line in shown) == 2
        assert all(len(line) < 20 for line in shown)
        terminal.resize(60, 10)
        screen.draw(self.running("a", "b"), 4.0)
        assert sum("install" in line for line in terminal.shown()) == 2

    def test_colours_only_where_wanted(self, terminal: Terminal) -> None:
        assert "\x1b[" in self.screen(terminal).line(Event("x", "done"))
        assert "\x1b" not in self.screen(terminal, NO_COLOR="1").line(Event("x", "done"))
        assert self.screen(terminal, NO_COLOR="1").live
        dumb = self.screen(terminal, TERM="dumb")
        assert not dumb.live
        assert "\x1b" not in dumb.line(Event("x", "done"))


class TestTelling:
    def test_step_log_what_serves_and_what_to_do(self) -> None:
        error = HostError("unhealthy", "no answer", host="a", detail="\nline 1\nline 2\n")
        assert tell(error, places={"a": Place("start", "1.0, as before")}).splitlines() == [
            "error: a: no answer [CW602]",
            "  step:   start",
            "  | line 1",
            "  | line 2",
            "  live:   1.0, as before",
            f"  next:   {error.hint}",
        ]

    def test_what_the_line_says_is_not_said_again(self) -> None:
        error = HostError("install-failed", "pip: no such package", detail="no such package\n")
        assert "|" not in tell(error)

    def test_a_long_log_is_cut_at_its_beginning(self) -> None:
        log = "\n".join(str(n) for n in range(100))
        lines = tell(HostError("unhealthy", "x", detail=log)).splitlines()
        assert lines[1] == f"  | ({100 - LOG_LINES} lines before)"
        assert lines[-2] == "  | 99"
        assert len(lines) == LOG_LINES + 3

    def test_all_mistakes_in_the_settings_are_shown(self) -> None:
        log = "\n".join(f"mistake {n}" for n in range(100))
        assert "mistake 0\n" in tell(UsageError("settings", "100 mistakes", detail=log))

    def test_several_failures_with_one_remedy_get_one_advice(self) -> None:
        lost = [ConnectError("ssh-unreachable", f"gone {host}", host=host) for host in "ab"]
        lost[1].message = "gone for good"
        other = ConnectError("ssh-auth", "no", host="c")
        lines = tell(ExceptionGroup("x", [*lost, other])).splitlines()
        assert [line.split(":")[0].strip() for line in lines] == [
            "error", "error", "next", "error", "next",
        ]  # fmt: skip

    def test_hosts_struck_alike_are_told_together(self) -> None:
        """The first one's log; what each serves only where it is the same."""

        def struck(n: int) -> HostError:
            text = f"10.0.0.{n} port 22: no answer from web{n}" if n != 3 else "no room"
            return HostError("unhealthy", text, host=f"web{n}", detail=f"log {n}\nof web{n}")

        places = {f"web{n}": Place("start", f"1.{n // 4}, as before") for n in range(1, 9)}
        group = ExceptionGroup("x", [struck(n) for n in range(1, 7)])
        assert tell(group, places=places).splitlines() == [
            "error: web1, web2, web4 and 2 more: the host port 22: no answer from the host [CW602]",
            "  step:   start",
            "  | (of web1)",
            "  | log 1",
            "  | of web1",
            "error: web3: no room [CW602]",
            "  step:   start",
            "  | log 3",
            "  | of web3",
            "  live:   1.0, as before",
            f"  next:   {struck(1).hint}",
        ]
        same = ExceptionGroup("x", [struck(1), struck(2)])
        assert "  live:   1.0, as before" in tell(same, places=places).splitlines()
        assert tell(group, debug=True).count("error: web") == 6

    def test_one_cause_at_two_steps_is_two(self) -> None:
        both = ExceptionGroup("x", [HostError("unhealthy", "m", host=host) for host in "ab"])
        assert tell(both, places={"a": Place("start"), "b": Place("probation")}).count("error") == 2

    @pytest.mark.parametrize(
        ("message", "host", "alike"),
        [
            (
                "web1 and web1.lan and web10 and my-web1",
                "web1",
                "HOST and web1.lan and web10 and my-web1",
            ),
            ("`fab x -H web1`, web1.", "web1", "`fab x -H HOST`, HOST."),
            ("::1 port 22: x", "web1", "HOST port 22: x"),
        ],
    )
    def test_a_name_is_not_a_part_of_another(self, message: str, host: str, alike: str) -> None:
        assert Failure(host, message).anonymous().message == alike

    def test_errors_for_programs(self) -> None:
        fields = error_fields(HostError("unhealthy", "m", host="a", detail="\x1b[1mlog"))
        assert fields == {
            "host": "a",
            "number": 602,
            "slug": "unhealthy",
            "message": "m",
            "hint": "See its log above; [health] in the settings says what it is asked.",
            "detail": "log",
            "exit": 1,
        }
        assert error_fields(ValueError("x"))["number"] is None

    @pytest.mark.parametrize(
        ("outcome", "kind", "text"),
        [
            ("deployed", "deploy", "deployed"),
            ("deployed", "rollback", "rolled back"),
            ("deployed", "restart", "restarted"),
            ("reverted", "deploy", "failed, rolled back"),
            ("failed", "deploy", "failed, nothing changed"),
            ("attention", "deploy", "needs attention"),
            ("not-tried", "deploy", "not tried, nothing changed"),
        ],
    )
    def test_outcomes_in_words(self, outcome: str, kind: str, text: str) -> None:
        assert outcome_text(outcome, kind) == text


class TestManyLines:
    """What stays on the screen of a run over more than a few hosts."""

    HOSTS = tuple(f"web{n}" for n in range(1, 7))

    def ended(
        self, step: str, n: int, state: Any = "done", seconds: float = 1.0, detail: str = ""
    ) -> Event:
        return Event(step, state, detail, f"web{n}", seconds)

    def lines(self, told: list[Told]) -> list[str]:
        screen = plain_screen(io.StringIO())
        return [screen.line(one.event, one.took) for one in told]

    def test_a_step_is_told_once_all_have_it(self) -> None:
        ends = Ends(self.HOSTS)
        told = [ends.take(self.ended("install", n, "changed", n, "x")) for n in range(1, 7)]
        assert told[:5] == [[]] * 5
        assert self.lines(told[5]) == ["[6 hosts] ✓ install x (3.0 s; slowest web6 6.0 s)"]
        assert ends.rest() == []

    def test_those_that_never_do_it_are_not_waited_for(self) -> None:
        """They are idle at two looks in a row: between two steps they may seem so at one."""
        ends = Ends(self.HOSTS)
        for n in (1, 2):
            ends.take(self.ended("venv", n))
        assert ends.look({"web1", "web3"}) == []
        assert ends.look({"web1"}) == []
        assert ends.look({"web1", "web3"}) == []
        assert ends.look({"web1"}) == []
        assert self.lines(ends.look({"web2"})) == ["[web1, web2] ✓ venv (1.0 s)"]

    @pytest.mark.parametrize(
        ("states", "line"),
        [
            ("unchanged " * 4, "[4 hosts] = x d (1.0 s)"),
            ("changed unchanged unchanged", "[web1, web2, web3] ✓ x d, unchanged on 2 (1.0 s)"),
            ("failed done failed failed done", "[web2, web5] ✓ x d (1.0 s)"),
        ],
    )
    def test_how_it_went(self, states: str, line: str) -> None:
        ends = Ends(self.HOSTS)
        for n, state in enumerate(states.split(), start=1):
            ends.take(self.ended("x", n, state, detail="d"))
        assert self.lines(ends.rest()) == [line]

    def test_what_differs_from_host_to_host_is_left_out(self) -> None:
        ends = Ends(self.HOSTS)
        for n in range(1, 6):
            ends.take(self.ended("x", n, detail=f"detail {n}"))
        assert self.lines(ends.rest()) == ["[5 hosts] ✓ x (1.0 s)"]

    def test_a_step_that_is_done_twice_is_told_twice(self) -> None:
        ends = Ends(self.HOSTS)
        assert ends.take(self.ended("probe", 1)) == []
        assert self.lines(ends.take(self.ended("probe", 1))) == ["[web1] ✓ probe (1.0 s)"]
        assert len(ends.rest()) == 1

    def scene(self) -> Any:
        return SimpleNamespace(hosts=self.HOSTS, typed=Typed())

    def test_progress_is_a_line_only_now_and_then(
        self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Output("deploy", as_json=False) as out:
            out.emit(Event("upload", "start", host="a"))
            out.emit(Event("upload", "progress", "1 %", "a"))
            monkeypatch.setattr("cartwheel.terminal.show._PROGRESS_SECONDS", 0.0)
            out.emit(Event("upload", "progress", "2 %", "a"))
        assert [line.split()[-2:] for line in capfd.readouterr().out.splitlines()] == [
            [out.screen.marks.start, "upload"],
            ["2", "%"],
        ]

    def test_a_failure_is_told_at_once(self, capfd: pytest.CaptureFixture[str]) -> None:
        with Output("deploy", as_json=False) as out:
            out.about(self.scene())
            for n in range(1, 7):
                out.emit(self.ended("install", n, "start"))
            out.emit(self.ended("install", 3, "changed"))
            out.emit(self.ended("install", 2, "failed", detail="no such package"))
            mark, good = out.screen.marks.failed, out.screen.marks.done
            assert capfd.readouterr().out == f"[web2] {mark} install no such package (1.0 s)\n"
            out.say("the end")
            assert capfd.readouterr().out == f"[web3] {good} install (1.0 s)\nthe end\n"

    def test_for_programs_every_host_has_its_event(self, capfd: pytest.CaptureFixture[str]) -> None:
        with Output("deploy", as_json=True) as out:
            out.about(self.scene())
            for n in range(1, 7):
                out.emit(self.ended("install", n, "start"))
                out.emit(self.ended("install", n, "changed"))
        said = capfd.readouterr()
        told = [json.loads(line) for line in said.out.splitlines()]
        assert [one["host"] for one in told if one["state"] == "changed"] == list(self.HOSTS)
        assert len(said.err.splitlines()) == 1


class TestReport:
    """The final table of many hosts, and what follows it."""

    def report(self, *outcomes: tuple[int, Any, str]) -> Report:
        hosts: list[HostReport] = []
        for count, outcome, serves in outcomes:
            first = len(hosts) + 1
            hosts += [
                HostReport(f"web{n}", outcome, serves, "0.9") for n in range(first, first + count)
            ]
        return Report("1.0", "1.0", tuple(hosts), 9.0)

    def progress(self, run: Report) -> Progress:
        progress = Progress()
        for n, host in enumerate(run.hosts, start=1):
            progress.take(Event("a", "start", host=host.host), 0.0)
            progress.take(Event("a", "done", host=host.host), n * 1.0)
            progress.take(Event("b", "start", host=host.host), 90.0)
            progress.take(Event("b", "done", host=host.host), 90.0)
        return progress

    def test_few_hosts_have_a_row_each(self) -> None:
        run = self.report((8, "deployed", "1.0"))
        rows = rows_of(run, self.progress(run))
        assert rows[0] == ("web1", "deployed", "1.0", "0.9", "1 min 30 s")
        assert len(rows) == 8

    def test_many_alike_share_one_and_what_differs_stands_out(self) -> None:
        run = self.report(
            (20, "deployed", "1.0"),
            (2, "unchanged", "1.0"),
            (9, "deployed", "1.1"),
            (10, "attention", UNKNOWN),
        )
        rows = rows_of(run, self.progress(run))
        assert rows[:2] == [
            ("web1, web2, web3 and 17 more", "deployed", "1.0", "0.9", "up to 1 min 30 s"),
            ("web21", "unchanged", "1.0", "0.9", "1 min 30 s"),
        ]
        assert rows[3][0] == "web23, web24, web25 and 6 more"
        assert [row[0] for row in rows[4:]] == [f"web{n}" for n in range(32, 42)]
        assert len(rows_of(run, self.progress(run), apart=True)) == 41

    def test_the_slowest_are_named_without_what_they_waited(self) -> None:
        run = self.report((6, "deployed", "1.0"))
        lines = list(closing_of(run, self.progress(run), 0))
        assert lines == [
            "slowest: web6 6.0 s, web5 5.0 s; half of the hosts within 3.0 s",
            "deploy 1.0 done in 9.0 s",
        ]
        few = self.report((4, "deployed", "1.0"))
        assert list(closing_of(few, self.progress(few), 0)) == ["deploy 1.0 done in 9.0 s"]
        assert len(list(closing_of(run, Progress(), 0))) == 1

    def test_what_was_still_open_is_said(self) -> None:
        run = self.report((9, "deployed", "1.0"))
        hosts = [replace(host, connections=n) for n, host in enumerate(run.hosts)]
        lines = [*closing_of(replace(run, hosts=(*hosts[:3],)), Progress(), 0)]
        end = (
            "still open (websockets, streams or long requests); those still open after"
            " deploy.drain_seconds are closed"
        )
        assert lines[:-1] == [
            f"web2: 1 connection of the old release was {end}",
            f"web3: 2 connections of the old release were {end}",
        ]
        every = tuple(replace(host, connections=2) for host in run.hosts)
        shared, *_rest = closing_of(replace(run, hosts=every), Progress(), 0)
        assert shared == (
            f"web1, web2, web3 and 6 more: 18 connections of the old release were {end}"
        )
        again = report_of(
            {
                "word": "deploy",
                "release": "1.0",
                "version": "1.0",
                "seconds": 9.0,
                "hosts": hosts_fields(replace(run, hosts=every), Progress()),
            }
        )
        assert again is not None
        assert again.hosts == every

    def test_nothing_changed_is_said_only_where_it_is_so(self) -> None:
        run = self.report((1, "unchanged", "1.0"))
        assert [*closing_of(run, Progress(), 0)] == [
            "deploy 1.0: already live, nothing changed (9.0 s)"
        ]
        moved = replace(run, hosts=(replace(run.hosts[0], notes=("beat moves from a to b",)),))
        assert [*closing_of(moved, Progress(), 0)] == ["deploy 1.0: already live (9.0 s)"]

    def test_who_is_not_known_is_named_in_full(self) -> None:
        run = self.report((4, "attention", UNKNOWN))
        assert next(closing_of(run, Progress(), 4)) == (
            "web1, web2, web3 and 1 more: `fab status -H web1,web2,web3,web4` shows which"
            " release is live"
        )

    def test_who_fell_behind_is_told_how_to_be_finished(self) -> None:
        run = self.report((2, "deployed", "1.0"), (1, "attention", UNKNOWN))
        assert list(closing_of(run, Progress(), 4))[1] == (
            "web3: once it can be reached, run `fab status --finish` for all hosts,"
            " or `fab deploy`, to finish this deploy"
        )
        for others in ("deployed", "reverted"):
            run = self.report((2, others, "1.0"), (1, "attention", "1.0"))
            assert not any("--finish" in line for line in closing_of(run, Progress(), 4))

    def test_answers_of_many_that_say_the_same(self, capfd: pytest.CaptureFixture[str]) -> None:
        found: dict[str, Any] = {f"web{n}": {"text": "nothing to do"} for n in range(10)}
        found["web4"] = {"text": "installed nginx"}
        with Output("setup", as_json=False) as out:
            assert out.answers(found, lambda one: str(one["text"])) == 0
        assert capfd.readouterr().out.splitlines() == [
            "[web0, web1, web2 and 6 more] nothing to do",
            "[web4] installed nginx",
        ]


class TestSilence:
    def test_a_sign_of_life_names_what_is_waited_for(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("cartwheel.terminal.show.SILENCE_SECONDS", 0.3)
        monkeypatch.setattr("cartwheel.terminal.show._SLOW_FRAME_SECONDS", 0.05)
        with Output("deploy", as_json=False) as out:
            out.emit(Event("install", "start", host="lab1"))
            deadline = time.monotonic() + 10
            text = ""
            while text.count("still running") < 2:
                assert time.monotonic() < deadline
                time.sleep(0.02)
                text += capfd.readouterr().out
        lines = text.splitlines()
        assert lines[0] == f"[lab1] {out.screen.marks.start} install"
        assert lines[1].startswith(
            f"[lab1] {out.screen.marks.progress} install still running after"
        )

    def test_many_hosts_are_never_silent_either(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Events that nobody sees are no sign of life."""
        monkeypatch.setattr("cartwheel.terminal.show.SILENCE_SECONDS", 0.3)
        monkeypatch.setattr("cartwheel.terminal.show._SLOW_FRAME_SECONDS", 0.05)
        scene: Any = SimpleNamespace(hosts=tuple(f"web{n}" for n in range(9)), typed=Typed())
        with Output("deploy", as_json=False) as out:
            out.about(scene)
            for host in scene.hosts:
                out.emit(Event("install", "start", "Collecting", host))
            deadline = time.monotonic() + 10
            text = ""
            while "still running" not in text:
                assert time.monotonic() < deadline
                out.emit(Event("install", "progress", "Collecting", "web0"))
                time.sleep(0.02)
                text += capfd.readouterr().out
        start = f"[9 hosts] {out.screen.marks.progress} install still running after "
        assert [line[: len(start)] for line in text.splitlines()] == [start]
        assert text.endswith(" s: Collecting\n")

    def test_a_task_that_rests_is_silent(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("cartwheel.terminal.show.SILENCE_SECONDS", 0.1)
        monkeypatch.setattr("cartwheel.terminal.show._SLOW_FRAME_SECONDS", 0.05)
        with Output("dashboard", as_json=False) as out:
            out.rest()
            time.sleep(0.4)
        assert capfd.readouterr() == ("", "")

    def test_nothing_is_said_after_the_end(self, capfd: pytest.CaptureFixture[str]) -> None:
        with Output("deploy", as_json=False) as out:
            pass
        out.emit(Event("late", "done"))
        assert capfd.readouterr().out == ""


def test_every_task_has_one_line_in_the_list(tmp_path: Path) -> None:
    """At 80 columns the list leaves the names' width and six columns to a description."""
    from cartwheel.fab import FleetTask
    from tasks import namespace

    def named(collection: Any, prefix: str = "") -> dict[str, FleetTask]:
        found = {prefix + collection.transform(n): t for n, t in collection.tasks.items()}
        for name, inner in collection.collections.items():
            found |= named(inner, f"{prefix}{name}.")
        return found

    tasks = named(namespace)
    room = 80 - max(len(name) for name in tasks) - 6
    first = {name: (task.__doc__ or "").strip().splitlines()[0] for name, task in tasks.items()}
    assert {name: line for name, line in first.items() if len(line) > room} == {}
    assert all(line.endswith(".") for line in first.values())


def test_a_failure_of_ours_needs_no_host() -> None:
    assert error_fields(CartwheelError("usage", "m"))["host"] == ""
