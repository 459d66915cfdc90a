"""A failure as a person reads it: the one line, then where, why, what serves, what to do.

The same words wherever it is caught: by a task, or by the program around it.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass

from cartwheel.errors import CartwheelError, Exit

# Enough for a traceback; all of it is in the logs. Mistakes in the settings are never cut.
LOG_LINES = 40
# Of several failures, the one that says most about the fleet decides the exit code.
_GRAVEST_FIRST = (Exit.ATTENTION, Exit.REVERTED, Exit.LOCKED, Exit.FAILED, Exit.USAGE)


@dataclass(frozen=True)
class Place:
    """Where a failure happened. `serves` is a phrase about what its host serves now."""

    step: str = ""
    serves: str = ""


def tell(error: BaseException, *, place: Place | None = None, debug: bool = False) -> str:
    """The text for a failure, or for each one of a group; what to do is said once."""
    each = list(leaves(error))
    lines: list[str] = []
    for one, following in zip(each, [*each[1:], None], strict=True):
        lines += _body(one, place or Place(), debug=debug)
        todo = _todo(one, debug=debug)
        if todo and (following is None or _todo(following, debug=debug) != todo):
            lines += [f"  next:   {todo}"]
    return "\n".join(lines)


def exit_code(error: BaseException) -> int:
    """The exit code of a failure; of several in a group, the gravest one's."""
    codes = {
        each.exit_code if isinstance(each, CartwheelError) else int(Exit.FAILED)
        for each in leaves(error)
    }
    return next(int(code) for code in _GRAVEST_FIRST if code in codes)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The failures that a group holds; a single one is its own."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def _body(error: BaseException, place: Place, *, debug: bool) -> Iterator[str]:
    if debug:
        yield "".join(traceback.format_exception(error)).rstrip()
    if not isinstance(error, CartwheelError):
        yield f"error: Unexpected {type(error).__name__}: {' '.join(str(error).split())}"
        return
    yield f"error: {error}"
    if place.step:
        yield f"  step:   {place.step}"
    yield from _log(error)
    if place.serves:
        yield f"  serves: {place.serves}"


def _log(error: CartwheelError) -> Iterator[str]:
    """The detail, unless the line says it all already."""
    lines = [line.rstrip() for line in error.detail.strip("\n").splitlines()]
    if all(line.strip() in error.message for line in lines):
        return
    shown = lines if error.exit_code == Exit.USAGE else lines[-LOG_LINES:]
    if len(shown) < len(lines):
        yield f"  | ({len(lines) - len(shown)} lines before)"
    yield from (f"  | {line}".rstrip() for line in shown)


def _todo(error: BaseException, *, debug: bool) -> str:
    if isinstance(error, CartwheelError):
        return error.hint
    return "" if debug else "run it again with --debug for the traceback, and report it"
