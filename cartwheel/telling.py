"""A failure as text: the one line, then where, why, which release is live, what to do.

The text is the same where a task catches the failure and where the program around it does.
A failure that several hosts share is printed once.
"""

from __future__ import annotations

import errno
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict

from cartwheel.errors import CartwheelError, Exit, for_host

if TYPE_CHECKING:
    from cartwheel.host.wire.journal import Setback

# How people see steps that programs know by another name.
_STEPS = {"probation": "watch period", "go back": "roll back", "repair": "clean up"}
# Enough for a traceback; the logs have all of it. Mistakes in the settings are never cut.
LOG_LINES = 40
MOST_NAMED = 3  # hosts
_MOST_TYPED = 8  # hosts in a command
_UNFORESEEN = "run it again with --debug for the traceback, and report it"
# Of several failures, the one that matters most to the fleet decides the exit code.
_GRAVEST_FIRST = (Exit.ATTENTION, Exit.REVERTED, Exit.LOCKED, Exit.FAILED, Exit.USAGE)


@dataclass(frozen=True)
class Place:
    """Where a failure happened. `serves` is a phrase about the release that is live there."""

    step: str = ""
    serves: str = ""


@dataclass(frozen=True)
class Failure:
    """A failure as text."""

    host: str
    message: str
    step: str = ""
    log: tuple[str, ...] = ()
    serves: str = ""
    todo: str = ""
    trace: str = ""

    def lines(self) -> Iterator[str]:
        if self.trace:
            yield self.trace
        yield f"error: {self.host}: {self.message}" if self.host else f"error: {self.message}"
        if self.step:
            yield f"  step:   {step_text(self.step)}"
        yield from (f"  | {line}".rstrip() for line in self.log)
        if self.serves:
            yield f"  live:   {self.serves}"

    def anonymous(self) -> Failure:
        """The same text with HOST in place of the host's name and address, to compare hosts."""
        if not self.host:
            return self
        name = re.compile(rf"(?<![\w.-])({re.escape(self.host)}(?![\w-]|\.\w)|\S+(?= port \d))")
        return replace(
            self,
            message=name.sub("HOST", self.message),
            log=tuple(name.sub("HOST", line) for line in self.log),
            serves=name.sub("HOST", self.serves),
            todo=name.sub("HOST", self.todo),
        )


def tell(
    error: BaseException, *, places: Mapping[str, Place] | None = None, debug: bool = False
) -> str:
    """The text of a failure, or of each cause in a group of failures; `places` are by host. With
    `debug` each failure is printed separately, with its traceback."""
    found = []
    for one in leaves(error):
        place = (places or {}).get(getattr(one, "host", ""), Place())
        failure = failure_of(error_fields(one), place)
        if debug:
            trace = "".join(traceback.format_exception(one)).rstrip()
            todo = failure.todo if isinstance(one, CartwheelError) else ""
            failure = replace(failure, todo=todo, trace=trace)
        found.append(failure)
    return text_of(found, apart=debug)


def text_of(failures: Iterable[Failure], *, apart: bool = False) -> str:
    """Each cause with its hosts, or each failure `apart`; what to do is printed once."""
    each = list(failures) if apart else _by_cause(failures)
    lines: list[str] = []
    for one, following in zip(each, [*each[1:], None], strict=True):
        lines += one.lines()
        if one.todo and (following is None or following.todo != one.todo):
            lines += [f"  next:   {one.todo}"]
    return "\n".join(lines)


class ErrorFields(TypedDict):
    """An error in JSON. An unexpected one has no number."""

    host: str
    number: int | None
    slug: str
    message: str
    hint: str
    detail: str
    exit: int


def error_fields(error: BaseException) -> ErrorFields:
    """An error as JSON fields. An unexpected one has no number."""
    error = _of_this_machine(error)
    if not isinstance(error, CartwheelError):
        return {
            "host": "",
            "number": None,
            "slug": "unexpected",
            "message": f"{type(error).__name__}: {error}",
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
        "detail": error.detail,
        "exit": error.exit_code,
    }


def _of_this_machine(error: BaseException) -> BaseException:
    """A file that cannot be read or written, or a full disk, is no fault of the program."""
    if not isinstance(error, OSError) or (not error.filename and error.errno != errno.ENOSPC):
        return error
    where = f"{error.filename}: " if error.filename else ""
    return CartwheelError("local-file", f"{where}{error.strerror}")


def failure_of(fields: ErrorFields, place: Place) -> Failure:
    """A failure as text, from its JSON fields."""
    if fields["number"] is None:
        message = f"Unexpected {' '.join(fields['message'].split())}"
        return Failure("", message, place.step, serves=place.serves, todo=_UNFORESEEN)
    return Failure(
        fields["host"],
        f"{fields['message']} [CW{fields['number']}]",
        place.step,
        tuple(_log(fields)),
        place.serves,
        fields["hint"],
    )


def step_text(step: str) -> str:
    """A step's name for people."""
    return _STEPS.get(step, step)


def age_text(seconds: float | None) -> str:
    """How long ago something was, in its largest unit: `12 s`, `5 min`, `2 h`, `3 days`."""
    if seconds is None:
        return "-"
    for unit, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            count = int(seconds // unit)
            return f"{count} {'day' if name == 'days' and count == 1 else name}"
    return f"{max(0, int(seconds))} s"


def setback_text(release: str, setback: Setback) -> str:
    """The history of a release that is deployed again."""
    how = {"failed": "failed here", "rollback": "was left by a rollback"}.get(
        setback.how, "was rolled back here"
    )
    why = f": {setback.reason}" if setback.reason else ""
    return f"{release} {how} {age_text(setback.ago_seconds)} ago (by {setback.who}){why}"


def hosts_text(hosts: Sequence[str], most: int = MOST_NAMED) -> str:
    """`web1, web2, web3 and 17 more`: many hosts are counted."""
    named, more = ", ".join(hosts[:most]), len(hosts) - most
    return f"{named} and {more} more" if more > 0 else named


def exit_code(error: BaseException) -> int:
    """The exit code of a failure; of a group of failures, the gravest one's."""
    codes = {
        each.exit_code if isinstance(each, CartwheelError) else int(Exit.FAILED)
        for each in leaves(error)
    }
    return next(int(code) for code in _GRAVEST_FIRST if code in codes)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The failures of a group; a single failure gives itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def _by_cause(failures: Iterable[Failure]) -> list[Failure]:
    """Merge failures that differ only in their host, its live release and its log."""
    causes: dict[tuple[object, ...], list[Failure]] = {}
    for one in failures:
        alike = one.anonymous()
        causes.setdefault((bool(one.host), alike.message, one.step, alike.todo), []).append(one)
    return [_together(each) for each in causes.values()]


def _together(several: Sequence[Failure]) -> Failure:
    first, alike = several[0], [one.anonymous() for one in several]
    hosts = list(dict.fromkeys(one.host for one in several))
    if len(hosts) == 1:
        return first
    same_log = len({one.log for one in alike}) == 1
    same_serves = len({one.serves for one in alike}) == 1
    return replace(
        alike[0],
        host=hosts_text(hosts),
        message=for_host(alike[0].message, "the host"),
        log=first.log if same_log else (f"(of {first.host})", *first.log),
        serves=first.serves if same_serves else "",
        todo=for_host(alike[0].todo, ",".join(hosts) if len(hosts) <= _MOST_TYPED else hosts[0]),
    )


def _log(fields: ErrorFields) -> Iterator[str]:
    """The detail, unless the message already says it all."""
    lines = [line.rstrip() for line in fields["detail"].strip("\n").splitlines()]
    if all(line.strip() in fields["message"] for line in lines):
        return
    shown = lines if fields["exit"] == Exit.USAGE else lines[-LOG_LINES:]
    if len(shown) < len(lines):
        yield f"({len(lines) - len(shown)} lines before)"
    yield from shown
