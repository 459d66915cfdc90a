"""What every test may rely on."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from hypothesis import settings

from tests.kit.ending import clean_up_when_ended
from tests.kit.seed import SEED

# The files that take longest, in this order. They start first, so that at the end no worker is left
# alone with one of them.
LONGEST = (
    # While the hosts' base trees are built.
    "ssh/test_session.py",
    "build/test_building.py",
    "build/test_sources.py",
    "unit/host/test_switch.py",
    # With hosts.
    "lab/test_monitor.py",
    "lab/test_balancer.py",
    "lab/test_failures_host.py",
    "lab/test_output.py",
    "lab/test_processes.py",
    "lab/test_faults.py",
    "lab/test_way_back.py",
    "lab/test_lab.py",
    "lab/test_tls.py",
    "lab/test_acme.py",
    "lab/test_life.py",
    "lab/test_apache.py",
    "lab/test_side_by_side.py",
    "lab/test_worker_hosts.py",
    "lab/test_django.py",
    "lab/test_failures_ssh.py",
    "lab/test_rollout.py",
    "lab/test_fleet.py",
    "lab/test_durability.py",
    "lab/test_examples.py",
    "lab/test_plan.py",
    "lab/test_freeze.py",
    "lab/test_session.py",
    "lab/test_secrets.py",
    "lab/test_points.py",
    "lab/test_whole.py",
    "lab/test_dashboard.py",
    "lab/test_verified.py",
    "lab/test_status.py",
    "lab/test_promises.py",
    "lab/test_timers.py",
    "lab/test_leftovers.py",
    "lab/test_hooks.py",
    "lab/test_environment.py",
)
TIERS = ("lab", "build", "ssh", "unit")


def pytest_configure(config: pytest.Config) -> None:
    clean_up_when_ended()
    # No test judges time: on a busy machine any example may take long.
    fixed = config.getoption("--hypothesis-seed") is None
    settings.register_profile("cartwheel", deadline=None, derandomize=fixed)
    settings.load_profile("cartwheel")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Longest first. (Workers get whole files, in this order.)"""
    top = Path(__file__).parent

    @functools.cache  # there are ten thousand tests in some hundred files
    def rank(path: Path) -> tuple[int, int]:
        if top not in path.parents:
            return len(LONGEST), len(TIERS)
        name = path.relative_to(top)
        tier = name.parts[0]
        place = LONGEST.index(str(name)) if str(name) in LONGEST else len(LONGEST)
        return place, TIERS.index(tier) if tier in TIERS else len(TIERS)

    items.sort(key=lambda item: rank(item.path))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"seed: CARTWHEEL_SEED={SEED}")
