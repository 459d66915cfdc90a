"""How soon `fab deploy` reports broken settings: all of the tests' table, run as a person would,
without a host. The exit code is 1 if a report is late or missing or has a traceback.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from cartwheel.errors import Exit
from tests.kit.project import Project, new_project
from tests.unit.settings.test_broken import WRITTEN

MOST_SECONDS = 0.5


def main() -> int:
    """Measure, print, judge."""
    with tempfile.TemporaryDirectory() as scratch:
        project = new_project(Path(scratch) / "project")
        project.fab("config.check")  # compiles the bytecode
        took = [_seconds(project, text, says) for text, _, says in WRITTEN]
    worst = max(took)
    print(f"{len(took)} broken settings, seconds until `fab deploy` has reported one and ended")
    print(f"  median {statistics.median(took):.2f}, slowest {worst:.2f} (limit {MOST_SECONDS:g})")
    return int(worst > MOST_SECONDS)


def _seconds(project: Project, text: str, says: str) -> float:
    project.settings(text)
    began = time.monotonic()
    done = project.fab("deploy", "-H", "nowhere.invalid", code=int(Exit.USAGE))
    seconds = time.monotonic() - began
    assert says in done.err, f"{says!r} is not in {done.err!r}"
    assert "Traceback" not in done.text, done.text
    return seconds


if __name__ == "__main__":
    sys.exit(main())
