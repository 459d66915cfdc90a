"""The hooks that run at each moment of a deploy, a rollback or a restart; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from cartwheel.settings import toml_tables
from cartwheel.settings.phases import PHASES, Kind, Phase

Where: TypeAlias = Literal["here", "one-host", "hosts"]
Side: TypeAlias = Literal["before", "after"]

_WHERE_WORDS: Mapping[Where, str] = {"here": "here", "one-host": "on one host", "hosts": "on hosts"}


@dataclass(frozen=True)
class Moment:
    """Before or after a phase."""

    side: Side
    phase: Phase

    def __str__(self) -> str:
        return f"{self.side} {self.phase}"


@dataclass(frozen=True)
class Hook:
    """One command at its moment. If it `stops`, its failure fails the phase."""

    name: str
    kind: Kind
    moment: Moment
    where: Where
    command: str
    timeout_seconds: float
    stops: bool

    @property
    def title(self) -> str:
        return f"hook {self.name}"

    def __str__(self) -> str:
        return f"{self.title}: {self.moment} {_WHERE_WORDS[self.where]}: {self.command}"


def hooks_for(settings: toml_tables.Settings, kind: Kind) -> tuple[Hook, ...]:
    """The hooks of such a run, in the order of their moments, and within one moment in the order of
    the settings. A hook must not block a rollback."""
    found = [
        Hook(
            name,
            kind,
            Moment(*hook.moment),
            hook.where,
            hook.command,
            hook.timeout_seconds,
            stops=hook.on_failure == "stop" and kind != "rollback",
        )
        for name, hook in settings.hooks.items()
        if kind in hook.kinds
    ]
    order = list(moments())
    return tuple(sorted(found, key=lambda hook: order.index(hook.moment)))


def moments() -> Iterator[Moment]:
    """All moments, in order."""
    yield Moment("before", "run")
    for phase in PHASES[1:]:
        yield Moment("before", phase)
        yield Moment("after", phase)
    yield Moment("after", "run")


def variables(hook: Hook, *, app: str, who: str, message: str, **more: str) -> dict[str, str]:
    """The environment that docs/hooks.md describes; `more` belongs to the phase: `release`, ..."""
    known = {
        "app": app,
        "hook": hook.name,
        "phase": str(hook.moment),
        "kind": hook.kind,
        "who": who,
        "message": message,
        **more,
    }
    return {f"CARTWHEEL_{name.upper()}": value for name, value in known.items()}


def pending_seconds(hooks: Iterable[Hook], *, each: bool) -> float:
    """Time limit of the hooks between a host's switch and its confirmation: those of `each` host
    around its own switch, or those that run once after all have switched."""
    around = [hook for hook in hooks if hook.moment.phase == "switch" and hook.where == "hosts"]
    once = [
        hook
        for hook in hooks
        if hook.moment == Moment("before", "confirm")
        or (hook.moment == Moment("after", "switch") and hook.where != "hosts")
    ]
    return sum(hook.timeout_seconds for hook in (around if each else once))
