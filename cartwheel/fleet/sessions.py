"""Sessions with all hosts of a run, and work on all of them in parallel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar

from cartwheel.errors import CartwheelError
from cartwheel.events import Emit, Event, timed
from cartwheel.fleet.report import Report
from cartwheel.host.wire.messages import Told
from cartwheel.host.wire.request import Request
from cartwheel.plan.step import AnyStep, Step

if TYPE_CHECKING:
    from cartwheel.ssh.session import OnEvent, Pending, Session

_SLICE_SECONDS = 0.1  # Ctrl-C is noticed between slices
_MOST_LEAVING = 256  # a stopped run ends the sessions of this many hosts side by side
PARALLEL = 64  # hosts that are worked on at once, by default

T = TypeVar("T")
U = TypeVar("U")
# The result of one host: its answer, or its failure.
Result: TypeAlias = T | CartwheelError


@dataclass
class Fleet:
    """Open sessions by host name. Use it as a context manager: it closes them all.

    `fallen` are the hosts that have failed in this run, and why: at most `max_failures`, while
    the others go on.
    """

    sessions: Mapping[str, Session]
    emit: Emit
    fallen: dict[str, CartwheelError] = field(default_factory=dict)
    max_failures: int = 0
    parallel: int = PARALLEL
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(self.parallel, thread_name_prefix="host")

    @property
    def standing(self) -> list[str]:
        """The hosts that are still in the run."""
        return [host for host in self.sessions if host not in self.fallen]

    def drop(self, problems: Mapping[str, CartwheelError]) -> None:
        """Remove these hosts from the run, with their failures."""
        self.fallen |= problems

    @property
    def can_go_on(self) -> bool:
        """Whether no more hosts have failed than are allowed, and some are left."""
        return not self.fallen or (len(self.fallen) <= self.max_failures and bool(self.standing))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """After Ctrl-C, tell every host, and wait until it has recovered.

        After a successful run every answer has arrived: the host side closes its session by
        itself, and nothing has to wait for that.
        """
        patience = {} if kind is not None else {"seconds": 0.0}

        def leave(session: Session) -> None:
            if kind is KeyboardInterrupt:
                session.cancel()
            session.close(**patience)

        # In separate threads: those of the pool may all be waiting for hosts.
        most = max(1, min(len(self.sessions), _MOST_LEAVING))
        with ThreadPoolExecutor(most, thread_name_prefix="leave") as leaving:
            wait([leaving.submit(leave, session) for session in self.sessions.values()])
        self._pool.shutdown(cancel_futures=True)

    def each(
        self, work: Callable[[str, Session], T], hosts: Iterable[str] | None = None
    ) -> dict[str, Result[T]]:
        """Do `work` on these hosts (by default all that are still in the run) in parallel; the
        result or CartwheelError of each."""
        chosen = list(self.standing if hosts is None else hosts)
        futures: dict[str, Future[T]] = {
            host: self._pool.submit(work, host, self.sessions[host]) for host in chosen
        }
        await_all(futures.values())
        results: dict[str, Result[T]] = {}
        for host, future in futures.items():
            try:
                results[host] = future.result()
            except CartwheelError as error:
                results[host] = error
        return results

    def ask(
        self,
        asked: Request[T],
        *,
        deadline_seconds: float = 60.0,
        hosts: Iterable[str] | None = None,
    ) -> dict[str, Result[T]]:
        """Send the same request to every host, or to these."""
        return self.taken(
            asked, lambda _host, one: one, deadline_seconds=deadline_seconds, hosts=hosts
        )

    def taken(
        self,
        asked: Request[T],
        take: Callable[[str, T], U],
        *,
        deadline_seconds: float = 60.0,
        hosts: Iterable[str] | None = None,
    ) -> dict[str, Result[U]]:
        """The same, with each answer as `take` makes it when it arrives: other hosts may need much
        longer."""

        def work(host: str, session: Session) -> U:
            def answered() -> U:
                one = session.request(
                    asked, deadline_seconds=deadline_seconds, on_event=self.listener(host)
                )
                return take(host, one)

            return self._timed(host, asked.op, answered)

        return self.each(work, hosts)

    def counted(self, report: Report) -> Report:
        """The report with each host's round trips; call it after the sessions are closed."""
        return replace(
            report,
            hosts=tuple(
                replace(host, round_trips=self.sessions[host.host].round_trips)
                if host.host in self.sessions
                else host
                for host in report.hosts
            ),
        )

    def request(self, host: str, step: Step[T]) -> T:
        """Ask a host without saying so; what it says itself meanwhile is passed on."""
        return self._submit(host, step).result()

    def run_step(self, host: str, step: Step[T]) -> T:
        """Ask a host, and say how that goes."""
        return self._timed(host, step.title, self._submit(host, step).result)

    def run_steps(self, host: str, steps: Iterable[AnyStep], group: str) -> None:
        """Send all steps at once and wait for their answers in order: one round trip.

        Raises the first failure; the host skips what comes after it.
        """
        submitted = [(step, self._submit(host, step, group)) for step in steps]
        for step, pending in submitted:
            self._timed(host, step.title, pending.result)

    def _timed(self, host: str, step: str, work: Callable[[], T]) -> T:
        return timed(self.emit, step, work, host, self.clock)

    def _submit(self, host: str, step: Step[T], group: str | None = None) -> Pending[T]:
        return self.sessions[host].submit(
            step.request,
            blob=step.blob,
            deadline_seconds=step.deadline_seconds,
            on_event=self.listener(host, step.title),
            group=group,
        )

    def listener(self, host: str, title: str = "") -> OnEvent:
        """Passes the host side's events on; events without a step get `title`."""

        def listen(told: Told) -> None:
            self.emit(Event(told["step"] or title, told["state"], told["detail"], host))

        return listen


def abandonable(
    work: Callable[[str], T], names: Iterable[str], most: int, *, undo: Callable[[T], None]
) -> dict[str, Future[T]]:
    """Do `work` for each name, `most` at a time; the futures, when all are done.

    Ctrl-C does not wait for them: unfinished work goes on as long as this process lives, and is
    undone afterwards, like finished work.
    """
    futures: dict[str, Future[T]] = {name: Future() for name in names}
    left = threading.Event()
    waiting = list(reversed(futures.items()))
    taking = threading.Lock()

    def do() -> None:
        while True:
            with taking:
                if not waiting or left.is_set():
                    return
                name, future = waiting.pop()
            try:
                result = work(name)
            except BaseException as error:
                future.set_exception(error)
                continue
            future.set_result(result)
            if left.is_set():
                undo(result)

    for number in range(min(most, len(futures))):
        threading.Thread(target=do, name=f"reach {number}", daemon=True).start()
    try:
        await_all(futures.values())
    except BaseException:
        left.set()
        done = [one.result() for one in futures.values() if one.done() and not one.exception()]
        for result in done:
            threading.Thread(target=undo, args=(result,), daemon=True).start()
        raise
    return futures


def await_all(futures: Iterable[Future[T]]) -> None:
    """Wait on the main thread in slices, so that Ctrl-C gets through at once."""
    left = set(futures)
    while left:
        left = wait(left, timeout=_SLICE_SECONDS).not_done


def step_on_each(fleet: Fleet, steps: Mapping[str, Step[T]]) -> dict[str, Result[T]]:
    """Do one step on each of these hosts, in parallel."""
    return fleet.each(lambda host, _session: fleet.run_step(host, steps[host]), steps)


def one_after_another(fleet: Fleet, steps: Mapping[str, Step[T]]) -> dict[str, Result[T]]:
    """Do one step on each of these hosts, never on two at once, whichever fail."""
    found: dict[str, Result[T]] = {}
    for host, step in steps.items():
        found |= step_on_each(fleet, {host: step})
    return found


def failures(results: Mapping[str, object]) -> dict[str, CartwheelError]:
    return {host: one for host, one in results.items() if isinstance(one, CartwheelError)}


def successes(results: Mapping[str, Result[T]]) -> dict[str, T]:
    return {host: one for host, one in results.items() if not isinstance(one, CartwheelError)}
