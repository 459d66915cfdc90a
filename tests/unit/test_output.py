"""Formatting, progress and screens: what a run looks like, without a run."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyte
import pytest

from cartwheel.errors import CartwheelError, ConnectError, HostError, UsageError
from cartwheel.events import Event
from cartwheel.fleet.model import HostReport
from cartwheel.telling import LOG_LINES, Place, tell
from tasks import _format as form
from tasks._progress import Progress, Running
from tasks._screen import Screen, Sink, screen_for
from tasks._show import Output, error_fields, outcome_text

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
        assert form.age_text(seconds) == text

    def test_times_are_of_the_operators_zone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TZ", "UTC-3")  # POSIX: three hours east
        time.tzset()
        try:
            assert form.utc_to_local("2026-11-22T23:46:14Z") == "2026-11-23 02:46:14"
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
            Event("lock", "strange", "", "lab1"),  # type: ignore[arg-type]
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

    def test_more_hosts_than_rows(self, terminal: Terminal) -> None:
        screen = self.screen(terminal)
        screen.say("before")
        screen.draw(self.running(*(f"h{n}" for n in range(50))), 2.0)
        shown = terminal.shown()
        assert shown[0] == "before"
        assert len(shown) == 9
        assert shown[-1] == "and 43 more"
        screen.draw([], 3.0)
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
        assert tell(error, place=Place("start", "1.0, as before")).splitlines() == [
            "error: a: no answer [CW602]",
            "  step:   start",
            "  | line 1",
            "  | line 2",
            "  serves: 1.0, as before",
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

    def test_several_hosts_with_one_reason_get_one_advice(self) -> None:
        lost = [ConnectError("ssh-unreachable", "gone", host=host) for host in "ab"]
        other = ConnectError("ssh-auth", "no", host="c")
        lines = tell(ExceptionGroup("x", [*lost, other])).splitlines()
        assert [line.split(":")[0].strip() for line in lines] == [
            "error", "error", "next", "error", "next",
        ]  # fmt: skip

    def test_errors_for_programs(self) -> None:
        fields = error_fields(HostError("unhealthy", "m", host="a", detail="\x1b[1mlog"))
        assert fields == {
            "host": "a",
            "number": 602,
            "slug": "unhealthy",
            "message": "m",
            "hint": "See its log above; the old release serves.",
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
            ("reverted", "deploy", "put back"),
            ("failed", "deploy", "failed, nothing changed"),
            ("attention", "deploy", "needs attention"),
            ("not-tried", "deploy", "not tried, nothing changed"),
        ],
    )
    def test_outcomes_in_words(self, outcome: Any, kind: str, text: str) -> None:
        assert outcome_text(HostReport("a", outcome, None, None), kind) == text


class TestSilence:
    def test_a_sign_of_life_names_what_is_waited_for(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("tasks._show.SILENCE_SECONDS", 0.3)
        monkeypatch.setattr("tasks._show._SLOW_FRAME_SECONDS", 0.05)
        with Output("deploy", as_json=False) as out:
            out.emit(Event("install", "start", host="lab1"))
            deadline = time.monotonic() + 10
            text = ""
            while text.count("still at it") < 2:
                assert time.monotonic() < deadline
                time.sleep(0.02)
                text += capfd.readouterr().out
        lines = text.splitlines()
        assert lines[0] == f"[lab1] {out.screen.marks.start} install"
        assert lines[1].startswith(f"[lab1] {out.screen.marks.progress} install still at it after")

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
