"""Processes besides web, and timers, as `config.init` proposes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from cartwheel.host.schedule import cron
from cartwheel.settings import command_words, stop_signals
from cartwheel.settings.checks import RESERVED_PREFIX
from cartwheel.settings.layers import why_not
from cartwheel.settings.toml_tables import NAME_CHARACTERS

CELERY, BEAT, RQ, DRAMATIQ, HUEY = "Celery", "Celery beat", "RQ", "Dramatiq", "Huey"
SCHEDULER = "a scheduler"
# What a word of a command says about it; of a path its last part.
_KINDS = {
    "rq": RQ,
    "rqworker": RQ,
    "rqscheduler": SCHEDULER,
    "dramatiq": DRAMATIQ,
    "rundramatiq": DRAMATIQ,
    "huey_consumer": HUEY,
    "huey_consumer.py": HUEY,
    "run_huey": HUEY,
}
# Usual names of processes of which a second one would do everything twice.
_SCHEDULERS = frozenset({"beat", "celerybeat", "celery-beat", "clock", "cron", "scheduler"})


@dataclass(frozen=True)
class Named:
    """A command with a name; `place` says where it was found."""

    name: str
    command: str
    place: str

    @property
    def problem(self) -> str:
        """Why its command cannot stay as it is; "" if it can."""
        return why_not(command_words.parse, self.command)

    @property
    def problems(self) -> tuple[str, ...]:
        """What must be changed before it works, for a person."""
        problem = self.problem
        return (f"{self.place}: the command of {self.name} {problem}",) if problem else ()

    @property
    def variables(self) -> frozenset[str]:
        """The variables of the environment that its command needs."""
        words = () if self.problem else command_words.parse(self.command)
        parts = [part for word in words for part in word.parts]
        named = {part.name for part in parts if isinstance(part, command_words.Variable)}
        return frozenset(name for name in named if not name.startswith(RESERVED_PREFIX))


@dataclass(frozen=True)
class Timer(Named):
    """A timer; `suspended` if it would not run now."""

    schedule: str
    suspended: bool = False

    @property
    def problems(self) -> tuple[str, ...]:
        found = super().problems
        if wrong := why_not(cron.parse, self.schedule):
            found += (f"{self.place}: the schedule of {self.name}: {wrong}",)
        if self.suspended:
            found += (f"{self.place}: {self.name} is in maintenance",)
        return found


@dataclass(frozen=True)
class Proposal(Named):
    """A process. `overlap` is false if two at once would do something twice."""

    overlap: bool = True

    @property
    def kinds(self) -> frozenset[str]:
        """The programs that it runs."""
        words = self.command.split()
        names = [PurePosixPath(word).name for word in words]
        found = {_KINDS[name] for name in names if name in _KINDS}
        if "celery" in names and "worker" in words:
            found |= {CELERY, BEAT} if {"-B", "--beat"} & set(words) else {CELERY}
        elif "celery" in names and "beat" in words:
            found.add(BEAT)
        return frozenset(found)

    @property
    def exclusive(self) -> bool:
        return bool(self.kinds & {BEAT, SCHEDULER}) or self.name in _SCHEDULERS

    @property
    def stop_signal(self) -> str:
        """Another one than the usual; "" if that is right."""
        signal = "" if self.problem else stop_signals.of(command_words.parse(self.command))
        return "" if signal == stop_signals.USUAL else signal


def named(name: str) -> str:
    """The option that gives each instance of a Celery worker a name of its own."""
    return f"-n {name}@$CARTWHEEL_INSTANCE"


def as_name(text: str) -> str:
    """`text` as a valid name of an application or a process; "" if nothing is left of it."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-").lstrip("0123456789-")
    return words[:NAME_CHARACTERS].rstrip("-")
