"""Start visitors (load.py) in a lab host's own network, and collect their results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import IO, Any, cast

from cartwheel.errors import LabError
from cartwheel_lab import load
from cartwheel_lab.lab import LabHost

_END_SECONDS = 60.0  # time limit for requests under way


@dataclass
class Visits:
    """The visitors' results (`load.Tally.summary`), available after they have ended."""

    result: dict[str, Any] = field(default_factory=dict)


@contextmanager
def visiting(host: LabHost, plan: load.Plan) -> Iterator[Visits]:
    """Visitors load the host's site while the block runs. Raises LabError if they die."""
    with visiting_by(host, load.__file__, asdict(plan)) as found:
        yield found


@contextmanager
def visiting_by(host: LabHost, program: str, plan: dict[str, Any]) -> Iterator[Visits]:
    """The same by another program that is told its plan, and tells its results, as `load` does."""
    found = Visits()
    process = host.popen_in_netns(
        [sys.executable, program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wishes, words = cast(IO[str], process.stdin), cast(IO[str], process.stdout)
        wishes.write(json.dumps(plan) + "\n")
        wishes.flush()
        if words.readline() == "ready\n":
            yield found
        else:
            raise LabError("lab-failed", "the visitors cannot start", host=host.name)
        out, err = process.communicate("", timeout=_END_SECONDS)
        if process.returncode:
            raise LabError("lab-failed", "the visitors died", host=host.name, detail=err)
        found.result = json.loads(out)
    finally:
        process.kill()
        process.communicate(timeout=_END_SECONDS)


def visit(hosts: Sequence[LabHost], plan: load.Plan) -> dict[str, dict[str, Any]]:
    """Load these hosts in parallel for the plan's seconds; returns the results by host."""
    with ExitStack() as stack:
        found = {host.name: stack.enter_context(visiting(host, plan)) for host in hosts}
        time.sleep(plan.seconds)
    return {name: visits.result for name, visits in found.items()}
