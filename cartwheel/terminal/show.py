"""What a task prints: lines and tables for people, JSON for programs (docs/output.md)."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from cartwheel.commands.typed import AS_THEY_ARE, Typed
from cartwheel.decoded import Table, Value
from cartwheel.errors import CartwheelError, Exit
from cartwheel.events import Event
from cartwheel.host.wire.codec import to_json
from cartwheel.runs.lines import as_line
from cartwheel.telling import Place, exit_code, hosts_text, leaves, tell
from cartwheel.terminal import interrupt
from cartwheel.terminal.fold import MOST_APART, Ends, Told, groups, in_one
from cartwheel.terminal.format import clean, table_lines
from cartwheel.terminal.progress import Progress, Running
from cartwheel.terminal.report import (
    HEADS,
    MOST_ALIKE,
    closing_of,
    error_fields,
    hosts_fields,
    notes_of,
    places_of,
    rows_of,
)
from cartwheel.terminal.screen import Screen, Sink, screen_for

T = TypeVar("T")

if TYPE_CHECKING:
    from cartwheel.commands.ask import Answers
    from cartwheel.commands.scene import Scene
    from cartwheel.fleet.report import Report
    from cartwheel.runs.record import Record
    from cartwheel.telling import ErrorFields

SILENCE_SECONDS = 8.0  # promise P11: nothing is silent for more than ten
_PROGRESS_SECONDS = 5.0  # between two lines of progress of a step, where they stay
_FRAME_SECONDS = 0.125
_SLOW_FRAME_SECONDS = 0.5
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LEAVE_SECONDS = 0.3  # for the record, after the second Ctrl-C
_MOST_WAITING = 3  # hosts named in one sign of life


class Output:
    """The output of one task, from its start to its result. Use it as a context manager."""

    def __init__(
        self,
        word: str,
        *,
        as_json: bool,
        changing: bool = False,
        quiet: bool = False,
        debug: bool = False,
        program: str = "fab",
        names: Mapping[str, str] = AS_THEY_ARE,
        record: Record | None = None,
    ):
        self._word = word
        self._typed = Typed(program, names=names)
        self._record = record
        self._changing = changing
        self._debug = debug
        self._quiet = quiet
        self._started = time.monotonic()
        self._json = Sink(sys.stdout) if as_json else None
        self._errors = Sink(sys.stderr)
        self._out = self._errors if as_json else Sink(sys.stdout)
        # A task that only reads keeps standard output for its result.
        moving = self._errors if quiet else self._out
        self.screen: Screen = screen_for(moving, dict(os.environ), quiet=quiet)
        self.progress = Progress()
        self._ends: Ends | None = None  # many hosts share lines
        self._fields: Table = {}
        self._told: list[ErrorFields] = []
        self._heard = time.monotonic()
        self._told_progress: dict[tuple[str, str], float] = {}
        self._rests = False
        self._asked_to_stop = threading.Event()
        self._interrupts = interrupt.Handler(self._interrupt)
        self._closed = threading.Event()
        self._wake = threading.Event()  # for the ticker: one of the two is set
        self._lock = threading.RLock()
        self._ticker = threading.Thread(target=self._tick, name="ticker", daemon=True)

    # -- while it runs

    def about(self, scene: Scene) -> None:
        """Set application, hosts and environment, as soon as they are known."""
        self._typed = scene.typed
        if len(scene.hosts) > MOST_APART:
            self._ends = Ends(scene.hosts)
        if self._record is not None:
            self._record.write(
                as_line(
                    type="run",
                    app=scene.settings.app.name,
                    environment=scene.settings.environment,
                    hosts=scene.hosts,
                    who=scene.operator.who,
                )
            )

    def __enter__(self) -> Self:
        self._ticker.start()
        if threading.current_thread() is threading.main_thread():
            # `nohup` asks the run to go on when the terminal is closed.
            heard = [
                each
                for each in _STOPPING
                if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN
            ]
            self._before = {
                each: signal.signal(each, self._interrupts) for each in (*heard, interrupt.AGAIN)
            }
        return self

    def __exit__(self, *_failure: object) -> None:
        self._closed.set()
        self._wake.set()
        self._ticker.join()
        self._show_rest()
        self.screen.erase()
        _end_programs()
        if threading.current_thread() is threading.main_thread():
            self._interrupts.forget()
            for each, before in self._before.items():
                signal.signal(each, before)

    def emit(self, event: Event) -> None:
        """Show an event of the engine; the `Emit` of a run. Never raises."""
        with self._lock:
            if self._closed.is_set():
                return
            now = time.monotonic()
            if event.seconds is None:
                event = replace(event, seconds=self.progress.seconds_in(event, now))
            self.progress.take(event, now)
            self._for_programs(event)
            if self._for_people(event) or self._json is not None:
                self._heard = now

    def _for_programs(self, event: Event) -> None:
        self._line(
            type="event",
            host=event.host,
            step=event.step,
            state=event.state,
            detail=clean(event.detail),
            seconds=event.seconds and round(event.seconds, 3),
        )

    def _for_people(self, event: Event) -> bool:
        """Show the event, or keep it until all hosts have it; whether anything was shown."""
        if self._ends is None or not event.host:
            return not self._is_early(event) and self.screen.event(event)
        if event.state in ("start", "progress"):
            return False
        shown = event.state in ("failed", "note") and self.screen.event(event)
        told = [] if event.state == "note" else self._ends.take(event)
        return self._show_ends(told) or shown

    def _is_early(self, event: Event) -> bool:
        """Whether each line stays, and this step began or told its progress a moment ago."""
        if self.screen.live or event.state not in ("start", "progress"):
            return False
        step, now = (event.host, event.step), time.monotonic()
        last = self._told_progress.get(step, -_PROGRESS_SECONDS)
        if event.state == "progress" and now - last < _PROGRESS_SECONDS:
            return True
        self._told_progress[step] = now
        return False

    def _show_ends(self, told: Iterable[Told]) -> bool:
        shown = [self.screen.event(one.event, one.took) for one in told]
        return any(shown)

    def _show_rest(self) -> None:
        """Show the events that were kept until other hosts catch up."""
        with self._lock:
            if self._ends is not None:
                self._show_ends(self._ends.rest())

    def data(
        self,
        host: str,
        text: str,
        *,
        prefix: str,
        source: str = "",
        at: float | None = None,
        process: str = "",
    ) -> None:
        """Print one line of a command's output, or of a log with its time."""
        self._heard = time.monotonic()
        told = {"source": source, "process": process, "text": text, "time": at}
        self._line(recorded=False, type="line", host=host, **told)
        if self._json is None:
            self._print(f"{prefix}{clean(text) if self._out.is_terminal else text}")

    def _tick(self) -> None:
        """Redraw the rows, print a sign of life after a silence, answer Ctrl-C at once."""
        pause = _FRAME_SECONDS if self.screen.live else _SLOW_FRAME_SECONDS
        said_stop = False
        while not self._closed.is_set():
            self._wake.wait(pause)
            self._wake.clear()
            if self._asked_to_stop.is_set() and not said_stop:
                said_stop = True
                self.emit(Event("interrupted", "note", self._stopping()))
            now = time.monotonic()
            if not self._rests and now - self._heard >= SILENCE_SECONDS:
                self._sign_of_life(now)
            with self._lock:
                if self._ends is not None:
                    busy = {one.host for one in self.progress.innermost() if one.host}
                    if self._show_ends(self._ends.look(busy)):
                        self._heard = now
                if not self._closed.is_set():
                    self.screen.draw(self.progress.innermost(), now)

    def _sign_of_life(self, now: float) -> None:
        """Print what the run is waiting for. Rows show that anyway."""
        with self._lock:
            self._heard = now
            waiting = sorted(self.progress.innermost(), key=lambda one: one.since)
            waiting = waiting or [Running("", self._word, self._started)]
            for one in waiting[:_MOST_WAITING]:
                self._for_programs(_sign(one, now))
            for row in groups(waiting, _MOST_WAITING, now):
                self.screen.event(_sign(in_one(row), now, more=self._ends is not None))

    def rest(self) -> None:
        """The task does what it should until somebody ends it: its silence is no news."""
        self._rests = True

    def touched(self) -> tuple[str, ...]:
        """The hosts that this run has begun to change; none for a task that only reads."""
        return self.progress.hosts_touched() if self._changing else ()

    def _stopping(self) -> str:
        hosts = self.touched()
        if not hosts:
            return "stopping"
        return f"stopping: {in_order_text(hosts)} (a second Ctrl-C stops waiting)"

    def _left(self) -> str:
        hosts = self.touched()
        if not hosts:
            return "left"
        alone = in_order_text(hosts, " alone")
        return f"left; {alone}: `fab status -H {','.join(hosts)}` shows which release is live"

    def _interrupt(self) -> None:
        """The first Ctrl-C, SIGTERM or SIGHUP stops the run in order. The second one leaves at
        once: the hosts recover by themselves."""
        if self._asked_to_stop.is_set():
            with suppress(OSError):
                os.write(sys.stderr.fileno(), f"\n{self._left()}\n".encode())
            _end_programs()
            if self._record is not None:
                self._record.close(self._result(Exit.INTERRUPTED), _LEAVE_SECONDS)
            os._exit(Exit.INTERRUPTED)
        self._asked_to_stop.set()
        self._wake.set()
        raise KeyboardInterrupt

    # -- what a person reads

    def say(self, text: str) -> None:
        """Print a line of the result: on standard output, or with --json on standard error."""
        self._print(self._typed.in_text(text))

    @property
    def sink(self) -> Sink:
        """The stream of what a person reads."""
        return self._out

    @property
    def for_programs(self) -> bool:
        """Whether the output is JSON (--json)."""
        return self._json is not None

    def tell(self, **fields: Value) -> None:
        """A line for programs, at once; not in the run's record."""
        self._heard = time.monotonic()
        self._line(recorded=False, **fields)

    @property
    def width(self) -> int | None:
        """The columns that a table may have; None: any number."""
        return self._out.width

    def table(self, rows: Iterable[Sequence[str]], heads: Sequence[str]) -> None:
        for line in table_lines(rows, heads, self.width):
            self._print(self._typed.in_text(line))

    def complain(self, text: str) -> None:
        self._print(self._typed.in_text(text), self._errors)

    def _print(self, text: str, sink: Sink | None = None) -> None:
        self._show_rest()
        with self.screen.cleared():
            (sink or self._out).write(text + "\n")

    def asked(self, question: str) -> str:
        """Ask a person; their answer."""
        with self.screen.cleared():
            self._errors.write(question)
            answer = sys.stdin.readline().strip()
            self._heard = time.monotonic()
        return answer

    def asked_in_secret(self, question: str) -> str:
        """Ask a person on a terminal for a secret, which is not shown; their answer."""
        import getpass

        with self.screen.cleared():
            answer = getpass.getpass(question)
            self._heard = time.monotonic()
        return answer

    def confirmed(self, question: str, word: str) -> bool:
        """Ask a person to type `word`. Without a terminal the answer is no."""
        if not sys.stdin.isatty():
            self.complain("This needs a terminal to ask; use --yes.")
            return False
        return self.asked(f"{question}\nType {word} to continue: ") == word

    # -- the result

    def put(self, **fields: Value) -> None:
        """Add fields to the result for programs."""
        self._fields.update(fields)

    def failed(self, error: BaseException, places: Mapping[str, Place] | None = None) -> int:
        """Print a failure, or a group of them; its exit code."""
        found = list(leaves(error))
        self._told += [error_fields(one) for one in found]
        hosts = [getattr(one, "host", "") for one in found]
        known = places or {host: Place(self.progress.step_of(host)) for host in hosts if host}
        self.complain(clean(tell(error, places=known, debug=self._debug)))
        return exit_code(error)

    def report(self, run: Report) -> int:
        """Print every failure with what to do, then the final table; the exit code."""
        for note in notes_of(run):
            self.say(note)
        errors = [host.error for host in run.hosts if host.error is not None]
        if errors:
            self.failed(ExceptionGroup("hosts", errors), places_of(run, self.progress))
        self.table(rows_of(run, self.progress), HEADS)
        for line in closing_of(run, self.progress, run.exit_code):
            self.say(line)
        self.put(release=run.release, version=run.version, hosts=hosts_fields(run, self.progress))
        return run.exit_code

    def answers(self, found: Answers[T], text: Callable[[T], str]) -> int:
        """Print one line for each host, or for many with the same answer; the gravest exit code."""
        said = {
            h: clean(text(one)) for h, one in found.items() if not isinstance(one, CartwheelError)
        }
        for host, line in said.items():
            alike = [other for other in said if said[other] == line]
            if len(alike) <= MOST_ALIKE:
                self.say(f"[{host}] {line}")
            elif host == alike[0]:
                self.say(f"[{hosts_text(alike)}] {line}")
        return self._failures(found)

    def answer_table(
        self,
        found: Answers[T],
        heads: Sequence[str],
        rows: Callable[[T], Iterable[Sequence[str]]],
    ) -> int:
        """Print one table over all hosts; the gravest exit code."""
        good = {host: one for host, one in found.items() if not isinstance(one, CartwheelError)}
        lines = [(host, *row) for host, one in good.items() for row in rows(one)]
        if lines:
            self.table(lines, ("HOST", *heads))
        shown = {line[0] for line in lines}
        for host in good:
            if host not in shown:
                self.say(f"[{host}] nothing to show")
        return self._failures(found)

    def put_answers(self, found: Answers[T]) -> None:
        """Add each host's answer, or the reason why there is none, to the result for programs."""
        self.put(
            hosts=[
                {"host": host, "answer": None, "error": error_fields(one)}
                if isinstance(one, CartwheelError)
                else {"host": host, "answer": to_json(one), "error": None}
                for host, one in found.items()
            ]
        )

    # Any: hosts' answers of whatever kind.
    def _failures(self, found: Answers[Any]) -> int:
        self.put_answers(found)
        bad = [one for one in found.values() if isinstance(one, CartwheelError)]
        return self.failed(ExceptionGroup("hosts", bad)) if bad else 0

    def result(self, code: int) -> int:
        """Write the last line for programs and of the run's record; the exit code: a task that
        only reads has failed if its output was lost."""
        line = self._result(code)
        if self._record is not None:
            problem = self._record.close(line)
            if problem:
                self.complain(f"note: this run left no record: {problem}")
        if self._json is not None:
            self._json.write(line + "\n")
        lost = (self._json or self._out).lost
        if not lost:
            return code
        self.complain(f"standard output: {lost}. Some of what this task prints is lost.")
        return code if code or self._changing else Exit.FAILED

    def _result(self, code: int) -> str:
        return as_line(
            type="result",
            word=self._word,
            exit=int(code),
            seconds=round(time.monotonic() - self._started, 3),
            **{"hosts": [], **self._fields},
            errors=self._told,
        )

    def _line(self, *, recorded: bool = True, **fields: Value) -> None:
        if self._json is None and self._record is None:
            return
        line = as_line(**fields)
        if self._record is not None and recorded:
            self._record.write(line)
        if self._json is not None:
            with self._lock:
                self._json.write(line + "\n")


def _sign(one: Running, now: float, *, more: bool = False) -> Event:
    """An event that says a step goes on; with `more` also how far it is."""
    detail = f": {one.detail}" if more and one.detail else ""
    return Event(
        one.step, "progress", f"still running after {now - one.since:.0f} s{detail}", one.host
    )


def _end_programs() -> None:
    """End every program that this process has started here."""
    programs = sys.modules.get("cartwheel.programs")  # most tasks start none
    if programs is not None:
        programs.kill_running()


def in_order_text(hosts: Sequence[str], how: str = "") -> str:
    """Says that these hosts recover; many of them are counted."""
    recovers = "recovers" if len(hosts) == 1 else "recover"
    return f"{hosts_text(hosts)} {recovers}{how}"
