"""Hosts whose access log a test writes, to be judged by the rules."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cartwheel.diagnosis.cause import Case, Cause, Rule
from cartwheel.host.diagnose import visits
from cartwheel.host.diagnose.found import Found, Window
from cartwheel.host.web.kinds import named
from cartwheel.host.wire.diagnosis import Diagnosis
from tests.unit.answers import status

MINUTE, HOUR = 60.0, 3600.0
# A file's time decides whether it is read. A whole hour, so that the steps into which requests are
# counted have the same requests in every run.
NOW = time.time() // HOUR * HOUR


@dataclass
class Ask:
    """One kind of request: how often a minute, how long the app takes, which part fails with
    `code`. `by_server`: the web server gives that answer without the app."""

    path: str
    a_minute: float
    seconds: float = 0.05
    code: int = 500
    fails: float = 0.0
    by_server: bool = False
    client: str = ""
    agent: str = field(default="browser", repr=False)  # no other chance for another one


@dataclass
class Log:
    """An access log as the template of the site makes it."""

    seed: int = 1
    lines: list[tuple[float, str]] = field(default_factory=list)

    def add(self, since: float, until: float, *asks: Ask) -> None:
        """Requests from `since` until `until`, in seconds before now."""
        chance = random.Random(f"{self.seed} {since} {until} {asks}")
        for ask in asks:
            at = NOW - since
            while ask.a_minute:
                at += chance.expovariate(ask.a_minute / MINUTE)
                if at >= NOW - until:
                    break
                self.lines.append((at, self._line(chance, at, ask)))

    def _line(self, chance: random.Random, at: float, ask: Ask) -> str:
        failed = chance.random() < ask.fails
        code = ask.code if failed else 200
        took = ask.seconds * chance.lognormvariate(0.0, 0.4)
        upstream = "unix:/srv/shop/current/http.sock"
        said = str(code)
        if ask.seconds == 0 or (code == 413 and failed):
            upstream, said = "-", "-"
        elif code == 499:
            said = "-"
        day = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(at))
        client = ask.client or f"192.0.2.{chance.randrange(1, 200)}"
        path = ask.path.replace("*", str(chance.randrange(1, 10_000)))
        return (
            f'{client} [{day}] shop "GET {path} HTTP/1.1" {code} 44 "-" "{ask.agent}" id=9d825fb1'
            f' time={took:.3f} upstream="{upstream}" upstream_status="{said}"'
            f' upstream_time="{took:.3f}" at={at:.3f} probe=\n'
        )

    def write(self, path: Path) -> None:
        path.write_text("".join(line for _, line in sorted(self.lines)))


def look(log: Log, path: Path, seconds: float = 2 * HOUR) -> Found:
    """What a host finds in that log."""
    log.write(path)
    return visits.read(named("nginx"), path, Window(NOW - seconds, NOW))


def judged(found: Found, rules: tuple[Rule, ...], **differs: Any) -> list[Cause]:
    """What the rules say of a host that is well, but for what was found and what differs."""
    host = diagnosis(found, **differs)
    return [cause for rule in rules for cause in rule(Case("h1", host))]


def diagnosis(found: Found, **differs: Any) -> Diagnosis:
    return Diagnosis(
        time=NOW,
        took_seconds=1.0,
        since=NOW - 2 * HOUR,
        status=status(**differs),
        signs=found.signs,
        uses=found.uses,
        visits=found.visits,
        storage=(),
        machine=None,
        services=(),
        lookups=(),
        changes=(),
        unread=found.unread,
        texts={},
    )
