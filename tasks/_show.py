"""What a task tells: to a person as lines and tables, to a program as JSON (docs/output.md)."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from cartwheel.errors import CartwheelError, Exit
from cartwheel.events import Event
from cartwheel.telling import Place, exit_code, leaves, tell

from ._format import clean, seconds_text, table_lines
from ._progress import Progress
from ._screen import Screen, Sink, screen_for

if TYPE_CHECKING:
    from cartwheel.fleet.model import HostReport, Report
    from cartwheel.run.ask import Answers

SILENCE_SECONDS = 8.0  # promise P11: nothing is silent for more than ten
_FRAME_SECONDS = 0.125
_SLOW_FRAME_SECONDS = 0.5
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MOST_WAITING = 3  # hosts named in one sign of life

UNKNOWN = "?"
_OUTCOMES = {
    "deployed": "deployed",
    "unchanged": "unchanged",
    "prepared": "prepared",
    "reverted": "put back",
    "failed": "failed, nothing changed",
    "attention": "needs attention",
    "not-tried": "not tried, nothing changed",
}
_DONE = {"rollback": "rolled back", "restart": "restarted"}


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
    ):
        self._word = word
        self._changing = changing
        self._debug = debug
        self._quiet = quiet
        self._started = time.monotonic()
        self._json = Sink(sys.stdout) if as_json else None
        self._errors = Sink(sys.stderr)
        self._out = self._errors if as_json else Sink(sys.stdout)
        # What only shows keeps standard output for what it shows.
        moving = self._errors if quiet else self._out
        self.screen: Screen = screen_for(moving, dict(os.environ), quiet=quiet)
        self.progress = Progress()
        self._fields: dict[str, Any] = {}
        self._told: list[dict[str, Any]] = []
        self._heard = time.monotonic()
        self._asked_to_stop = threading.Event()
        self._closed = threading.Event()
        self._wake = threading.Event()  # for the ticker: one of both is set
        self._lock = threading.RLock()
        self._ticker = threading.Thread(target=self._tick, name="ticker", daemon=True)

    # -- while it runs

    def __enter__(self) -> Self:
        self._ticker.start()
        if threading.current_thread() is threading.main_thread():
            # `nohup` asks to go on when the terminal is closed.
            heard = [
                each
                for each in _STOPPING
                if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN
            ]
            self._before = {each: signal.signal(each, self._interrupt) for each in heard}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed.set()
        self._wake.set()
        self._ticker.join()
        self.screen.erase()
        if threading.current_thread() is threading.main_thread():
            for each, before in self._before.items():
                signal.signal(each, before)

    def emit(self, event: Event) -> None:
        """An event of the engine's; the `Emit` of a run. Never raises."""
        with self._lock:
            if self._closed.is_set():
                return
            self._heard = time.monotonic()
            if event.seconds is None:
                event = replace(event, seconds=self.progress.seconds_in(event, self._heard))
            self.progress.take(event, self._heard)
            self._show(event)

    def _show(self, event: Event) -> None:
        self._line(
            type="event",
            host=event.host,
            step=event.step,
            state=event.state,
            detail=clean(event.detail),
            seconds=event.seconds and round(event.seconds, 3),
        )
        self.screen.event(event)

    def data(self, host: str, text: str, *, prefix: str, source: str = "") -> None:
        """One line that was asked for: of a log, of a command's output."""
        self._heard = time.monotonic()
        self._line(type="line", host=host, source=source, text=text)
        if self._json is None:
            self._print(f"{prefix}{text}")

    def _tick(self) -> None:
        """Redraws the rows; breaks a silence; answers Ctrl-C at once."""
        pause = _FRAME_SECONDS if self.screen.live else _SLOW_FRAME_SECONDS
        said_stop = False
        while not self._closed.is_set():
            self._wake.wait(pause)
            self._wake.clear()
            if self._asked_to_stop.is_set() and not said_stop:
                said_stop = True
                self.emit(Event("interrupted", "note", self._stopping()))
            now = time.monotonic()
            if now - self._heard >= SILENCE_SECONDS:
                self._sign_of_life(now)
            if not self._closed.is_set():
                with self._lock:
                    self.screen.draw(self.progress.innermost(), now)

    def _sign_of_life(self, now: float) -> None:
        """What is being waited for. Rows show that anyway."""
        with self._lock:
            self._heard = now
            waiting = sorted(self.progress.innermost(), key=lambda one: one.since)
            for one in waiting[:_MOST_WAITING]:
                text = f"still at it after {now - one.since:.0f} s"
                more = len(waiting) - _MOST_WAITING
                if more > 0 and one is waiting[_MOST_WAITING - 1]:
                    text += f"; and {more} more hosts"
                self._show(Event(one.step, "progress", text, one.host))
            if not waiting:
                seconds = now - self._started
                self._show(Event(self._word, "progress", f"still at it after {seconds:.0f} s"))

    def touched(self) -> tuple[str, ...]:
        """The hosts that this run has begun to change, as far as it is one that changes."""
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
        alone = in_order_text(hosts, " without us")
        return f"left; {alone}: `fab status -H {','.join(hosts)}` shows what serves"

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        """The first Ctrl-C, SIGTERM or SIGHUP lets the run stop in order; the second one
        leaves it to the hosts, which need nobody for that."""
        if self._asked_to_stop.is_set():
            with suppress(OSError):
                os.write(sys.stderr.fileno(), f"\n{self._left()}\n".encode())
            tools = sys.modules.get("cartwheel.build.tool")
            if tools is not None:
                tools.kill_running()
            os._exit(Exit.INTERRUPTED)
        self._asked_to_stop.set()
        self._wake.set()
        raise KeyboardInterrupt

    # -- what a person reads

    def say(self, text: str) -> None:
        """A line of the answer: standard output, or standard error where that is for JSON."""
        self._print(text)

    def table(self, rows: Iterable[Sequence[str]], heads: Sequence[str]) -> None:
        for line in table_lines(rows, heads):
            self._print(line)

    def complain(self, text: str) -> None:
        self._print(text, self._errors)

    def _print(self, text: str, sink: Sink | None = None) -> None:
        with self.screen.cleared():
            (sink or self._out).write(text + "\n")

    def asked(self, question: str) -> str:
        """A person's answer."""
        with self.screen.cleared():
            self._errors.write(question)
            answer = sys.stdin.readline().strip()
            self._heard = time.monotonic()
        return answer

    def confirmed(self, question: str, word: str) -> bool:
        """Ask a person to type `word`. Without a terminal the answer is no."""
        if not sys.stdin.isatty():
            self.complain("There is nobody to ask here; use --yes.")
            return False
        return self.asked(f"{question}\nType {word} to go on: ") == word

    # -- the result

    def put(self, **fields: Any) -> None:
        """Fields of the result for programs."""
        self._fields.update(fields)

    def failed(self, error: BaseException, serves: str = "") -> int:
        """Tell a failure; its exit code."""
        self._told += [error_fields(one) for one in leaves(error)]
        host = getattr(error, "host", "")
        place = Place(self.progress.step_of(host) if host else "", serves)
        self.complain(clean(tell(error, place=place, debug=self._debug)))
        return exit_code(error)

    def report(self, run: Report) -> int:
        """Every failure with what to do, then the final table; the exit code."""
        for note in dict.fromkeys(note for host in run.hosts for note in host.notes):
            self.say(f"note: {note}")
        for host in run.hosts:
            if host.error is not None:
                self.failed(host.error, _serves_phrase(host))
        took = {host.host: self.progress.seconds_of(host.host) for host in run.hosts}
        self.table(
            [
                (
                    host.host,
                    outcome_text(host, run.kind),
                    _serves_text(host.serves),
                    _serves_text(host.before),
                    seconds_text(took[host.host]) or "-",
                )
                for host in run.hosts
            ],
            ("HOST", "OUTCOME", "SERVES", "BEFORE", "TIME"),
        )
        for host in run.hosts:
            if host.serves == UNKNOWN:
                self.say(f"{host.host}: `fab status -H {host.host}` shows what it serves now")
        self._put_report(run, took)
        self._sum_up(run)
        return run.exit_code

    def _sum_up(self, run: Report) -> None:
        took = seconds_text(run.seconds)
        named = {host.serves for host in run.hosts if host.outcome == "deployed"} or {run.release}
        what = f"{run.kind} {named.pop()}".rstrip() if len(named) == 1 else run.kind
        if run.exit_code != Exit.OK:
            after = f" after {took}" if took else ""
            self.say(f"{what} failed{after}, exit code {run.exit_code}")
        elif all(host.outcome == "unchanged" for host in run.hosts):
            self.say(f"{what}: serves already, nothing changed" + (f" ({took})" if took else ""))
        else:
            self.say(f"{what} done" + (f" in {took}" if took else ""))

    def _put_report(self, run: Report, took: Mapping[str, float | None]) -> None:
        self.put(
            release=run.release,
            version=run.version,
            hosts=[
                {
                    "host": host.host,
                    "outcome": host.outcome,
                    "serves": None if host.serves == UNKNOWN else host.serves,
                    "serves_known": host.serves != UNKNOWN,
                    "before": None if host.before == UNKNOWN else host.before,
                    "seconds": took[host.host] and round(took[host.host] or 0.0, 3),
                    "notes": list(host.notes),
                    "round_trips": host.round_trips,
                    "error": error_fields(host.error) if host.error else None,
                }
                for host in run.hosts
            ],
        )

    def answers(self, found: Answers, text: Callable[[dict[str, Any]], str]) -> int:
        """One line for each host; the gravest exit code."""
        for host, one in found.items():
            if not isinstance(one, CartwheelError):
                self.say(f"[{host}] {clean(text(one))}")
        return self._failures(found)

    def answer_table(
        self,
        found: Answers,
        heads: Sequence[str],
        rows: Callable[[dict[str, Any]], Iterable[Sequence[str]]],
    ) -> int:
        """One table over all hosts; the gravest exit code."""
        good = {host: one for host, one in found.items() if not isinstance(one, CartwheelError)}
        lines = [(host, *row) for host, one in good.items() for row in rows(one)]
        if lines:
            self.table(lines, ("HOST", *heads))
        shown = {line[0] for line in lines}
        for host in good:
            if host not in shown:
                self.say(f"[{host}] nothing to show")
        return self._failures(found)

    def _failures(self, found: Answers) -> int:
        self.put(
            hosts=[
                {"host": host, "answer": None, "error": error_fields(one)}
                if isinstance(one, CartwheelError)
                else {"host": host, "answer": one, "error": None}
                for host, one in found.items()
            ]
        )
        bad = [one for one in found.values() if isinstance(one, CartwheelError)]
        return self.failed(ExceptionGroup("hosts", bad)) if bad else 0

    def result(self, code: int) -> None:
        """The last line for programs."""
        self._line(
            type="result",
            word=self._word,
            exit=code,
            seconds=round(time.monotonic() - self._started, 3),
            **{"hosts": [], **self._fields},
            errors=self._told,
        )

    def _line(self, **fields: Any) -> None:
        if self._json is not None:
            at = round(time.time(), 3)
            with self._lock:
                self._json.write(json.dumps({**fields, "at": at}, default=str) + "\n")


def in_order_text(hosts: Sequence[str], how: str = "") -> str:
    """That these hosts put themselves in order; many of them are counted."""
    named, more = hosts[:_MOST_WAITING], len(hosts) - _MOST_WAITING
    who = ", ".join(named) + (f" and {more} more" if more > 0 else "")
    if len(hosts) == 1:
        return f"{who} puts itself in order{how}"
    return f"{who} put themselves in order{how}"


def outcome_text(host: HostReport, kind: str) -> str:
    """What happened to a host, in words."""
    if host.outcome == "deployed":
        return _DONE.get(kind, "deployed")
    return _OUTCOMES.get(host.outcome, host.outcome)


def _serves_text(release: str | None) -> str:
    return "not known" if release == UNKNOWN else release or "nothing"


def _serves_phrase(host: HostReport) -> str:
    if host.serves == UNKNOWN:
        return f"not known; `fab status -H {host.host}` shows it"
    return _serves_text(host.serves) + (", as before" if host.serves == host.before else "")


def error_fields(error: BaseException) -> dict[str, Any]:
    """An error for programs. One that nobody foresaw has no number."""
    if not isinstance(error, CartwheelError):
        text = f"{type(error).__name__}: {error}"
        return {
            "host": "",
            "number": None,
            "slug": "unexpected",
            "message": text,
            "hint": "",
            "detail": "",
            "exit": int(Exit.FAILED),
        }
    return {
        "host": error.host,
        "number": error.problem.number,
        "slug": error.slug,
        "message": error.message,
        "hint": error.hint,
        "detail": clean(error.detail),
        "exit": error.exit_code,
    }
