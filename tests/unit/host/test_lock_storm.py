"""The bar of issue 3: 10,000 contended attempts, some killed; never two owners, never a lock
that stays. And the proof can fail: broken locks are noticed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kit.seed import SEED
from tests.kit.tiers import tiered
from tests.unit import lock_storm

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 20.0
LIMIT_SECONDS = 120.0


def storm(folder: Path, attempts: int, patience_seconds: float, broken: str = "") -> dict[str, Any]:
    argv = [sys.executable, "-m", lock_storm.__name__, str(folder)]
    argv += [str(attempts), str(patience_seconds), str(SEED), *([broken] if broken else [])]
    done = subprocess.run(
        argv, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    assert done.returncode == 0, f"{argv}\n{done.stderr}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.timeout(LIMIT_SECONDS + 10)
@pytest.mark.parametrize("attempts", tiered([2_000, 10_000], nightly={10_000}))
def test_many_contended_attempts(tmp_path: Path, attempts: int) -> None:
    found = storm(tmp_path, attempts, PATIENCE_SECONDS)
    print(found)
    assert found["attempts"] >= attempts
    assert (found["two_owners"], found["strangers"], found["ended_badly"]) == (0, 0, 0), found
    assert found["stays"] is None, found
    # Nobody starves, nobody waits for longer than asked for.
    assert (found["starved"], found["late"]) == (0, 0), found
    assert found["least_taken"] > attempts / lock_storm.WORKERS / 20, found
    # It was a storm.
    for name in ("killed_waiting", "killed_holding", "looks", "discards"):
        assert found[name] > attempts / 500, found


@pytest.mark.parametrize(
    ("broken", "shows", "attempts", "patience_seconds"),
    [
        ("no-exclusion", "two_owners", 2000, 1.0),
        ("blind-for-discards", "two_owners", 2000, 1.0),
        ("a-file-that-exists", "starved", 500, 0.2),
    ],
)
def test_a_broken_lock_is_noticed(
    tmp_path: Path, broken: str, shows: str, attempts: int, patience_seconds: float
) -> None:
    assert storm(tmp_path, attempts, patience_seconds, broken)[shows] > 0
