"""What [timers] refuses: each with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.settings.test_process_checks import refused

TIMER = '[timers.cleanup]\ncommand = "flask cleanup"\n'
DAILY = TIMER + 'schedule = "@daily"\n'

CASES = {
    "no schedule": (TIMER, "1: timers.cleanup.schedule"),
    "a schedule that never comes": (
        TIMER + 'schedule = "0 0 31 2 *"',
        "3: timers.cleanup.schedule: never comes: no such month has such a day",
    ),
    "a step over the hour": (
        TIMER + 'schedule = "*/90 * * * *"',
        "3: timers.cleanup.schedule: minute `*/90`: a step is between 1 and 59",
    ),
    "seconds": (TIMER + 'schedule = "0 0 3 * * *"', "3: timers.cleanup.schedule: has 6 fields"),
    "a command that needs a shell": (
        '[timers.cleanup]\nschedule = "@daily"\ncommand = "flask a && flask b"',
        "3: timers.cleanup.command: `&&` needs a shell",
    ),
    "a zone that nobody has": (
        DAILY + 'zone = "europe/berlin"',
        "4: timers.cleanup.zone: there is no time zone europe/berlin; did you mean Europe/Berlin?",
    ),
    "an abbreviation": (DAILY + 'zone = "PDT+8!"', "4: timers.cleanup.zone: there is no time zone"),
    "a role that no host has": (
        "[inventory.hosts.web1]\n" + DAILY + 'roles = ["wroker"]',
        "5: timers.cleanup.roles[0]: no host has the role wroker",
    ),
    "a host for what every host has": (
        DAILY + 'hosts = "all"\non = "web1"',
        '5: timers.cleanup.on: is the host of a timer that one host runs; set hosts = "one"',
    ),
    "a host that is not there": (
        "[inventory.hosts.web1]\n" + DAILY + 'on = "web2"',
        "5: timers.cleanup.on: there is no host web2; did you mean web1?",
    ),
    "hosts by name": (DAILY + 'hosts = "web1"', "4: timers.cleanup.hosts: expected one of"),
    "a variable of Cartwheel's": (
        DAILY + 'env = { CARTWHEEL_TIMER = "x" }',
        "4: timers.cleanup.env.CARTWHEEL_TIMER: is reserved",
    ),
    "a line of the unit that is Cartwheel's": (
        DAILY + '[timers.cleanup.hardening]\nunit = ["ExecStopPost=rm -r /"]',
        "5: timers.cleanup.hardening.unit[0]: ExecStopPost is Cartwheel's own",
    ),
    "no absolute path": (
        DAILY + '[timers.cleanup.hardening]\nread_write_paths = ["/var/../etc"]',
        "5: timers.cleanup.hardening.read_write_paths[0]: expected an absolute path",
    ),
    "no time at all": (DAILY + "timeout_seconds = 0", "4: timers.cleanup.timeout_seconds"),
    "a name for no unit": (DAILY.replace("cleanup]", "Clean_Up]"), "1: timers.Clean_Up"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_refused(case: str, tmp_path: Path) -> None:
    text, said = CASES[case]
    assert [one for one in refused(tmp_path, text) if one.startswith(said)], said
