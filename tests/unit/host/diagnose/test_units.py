"""What systemd's messages mean, and who restarted an instance."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.host.diagnose import units
from cartwheel.host.diagnose.journal_entries import Entry, parse
from cartwheel.host.layout import Layout

UNIT = "cartwheel-shop.web.1.0.0.bb13a6fd@1.service"
AT = Layout("shop", Path("/srv"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{UNIT}: Main process exited, code=exited, status=1/FAILURE", ("unit-died", "1/FAILURE")),
        (f"{UNIT}: Main process exited, code=killed, status=9/KILL", ("unit-died", "9/KILL")),
        (f"{UNIT}: Main process exited, code=dumped, status=11/SEGV", ("unit-died", "11/SEGV")),
        (f"{UNIT}: Main process exited, code=exited, status=203/EXEC", ("unit-died", "203/EXEC")),
        (f"{UNIT}: Main process exited, code=killed, status=15/TERM", None),
        (
            f"{UNIT}: Failed at step EXEC spawning /srv/a/gunicorn: No such file or directory",
            ("unit-failed", "EXEC spawning /srv/a/gunicorn: No such file or directory"),
        ),
        (
            f"{UNIT}: Failed to load environment files: No such file or directory",
            ("unit-failed", "load environment files: No such file or directory"),
        ),
        (f"{UNIT}: Scheduled restart job, restart counter is at 1.", ("unit-restart", "")),
        (f"{UNIT}: Start request repeated too quickly.", ("unit-restart", "")),
        (f"{UNIT}: A process of this unit has been killed by the OOM killer.", ("unit-memory", "")),
        (f"{UNIT}: Failed with result 'oom-kill'.", ("unit-memory", "")),
        (f"{UNIT}: start operation timed out. Terminating.", ("unit-timeout", "start")),
        (f"{UNIT}: State 'stop-sigterm' timed out. Killing.", ("unit-timeout", "stop")),
        (f"{UNIT}: Watchdog timeout (limit 10s)!", ("unit-timeout", "Watchdog")),
        (f"{UNIT}: Failed with result 'timeout'.", None),
        (f"{UNIT}: Failed with result 'exit-code'.", None),
        (f"{UNIT}: Deactivated successfully.", None),
        (f"{UNIT}: Consumed 1.2s CPU time.", None),
        (f"Started {UNIT} - shop web, release 1.0.0.bb13a6fd.", None),
        (f"Stopping {UNIT} - shop web, release 1.0.0.bb13a6fd...", None),
    ],
)
def test_what_systemd_says(text: str, expected: tuple[str, str] | None) -> None:
    assert units.kind_of(text) == expected


STOP = Entry(1000.0, f"Stopping {UNIT} - shop web, release 1.0.0.bb13a6fd...", "1", UNIT)
START = Entry(1001.0, f"Starting {UNIT} - shop web, release 1.0.0.bb13a6fd...", "1", UNIT)
SESSION = "cartwheel-session-shop-0a1b2c3d.service"
SUDO = Entry(
    999.0,
    f"   eve : TTY=pts/0 ; PWD=/home/eve ; USER=root ; COMMAND=/usr/bin/systemctl restart {UNIT}",
    "77",
    program="sudo",
)


def test_a_restart_by_somebody() -> None:
    signs, changes = units.judge(AT, [STOP, START], [SUDO], [])
    assert [(one.kind, one.about) for one in signs] == [("unit-stopped", "web")]
    (change,) = changes
    assert change.detail == "web: restarted by hand"
    assert change.who == f"eve (sudo /usr/bin/systemctl restart {UNIT})"


def test_a_login_is_only_a_guess() -> None:
    login = Entry(900.0, "Accepted publickey for root from 10.0.0.7 port 5 ssh2: ED25519 SHA256:x")
    _, changes = units.judge(AT, [STOP], [login], [])
    assert [one.who for one in changes] == ["perhaps root, logged in from 10.0.0.7"]
    assert [one.detail for one in changes] == ["web: stopped by hand"]


@pytest.mark.parametrize(
    ("others", "done"),
    [
        # A deploy: its session is a unit, and the history has it.
        (
            [
                Entry(990.0, f"Started {SESSION}.", "1", SESSION),
                Entry(999.0, f"{SESSION}: Deactivated successfully.", "1", SESSION),
            ],
            [],
        ),
        ([], [1003.0]),
        # An instance that drains is stopped by a unit of its own.
        ([Entry(995.0, "Started x.", "1", "cartwheel-shop.drain-1.1.0.0.bb13a6fd.service")], []),
    ],
)
def test_cartwheels_own_restarts_do_not_count(others: list[Entry], done: list[float]) -> None:
    entries = sorted([*others, STOP, START], key=lambda one: one.at)
    assert units.judge(AT, entries, [SUDO], done) == ((), ())


KILLED = Entry(1000.0, f"{UNIT}: Main process exited, code=killed, status=9/KILL", "1", UNIT)


@pytest.mark.parametrize(
    ("live", "done", "found"),
    [
        ("1.0.0.aa13a6fd", [1003.0], []),  # Cartwheel ends a release that failed its health check
        ("1.0.0.bb13a6fd", [1003.0], ["unit-died"]),  # but never the live one so
        ("1.0.0.aa13a6fd", [], ["unit-died"]),
    ],
)
def test_the_end_of_a_release_that_failed_is_cartwheels(
    monkeypatch: pytest.MonkeyPatch, live: str, done: list[float], found: list[str]
) -> None:
    monkeypatch.setattr(units, "live_release", lambda at: live)
    assert [one.kind for one in units.judge(AT, [KILLED], [], done)[0]] == found


def test_a_long_session_that_only_shows_something_hides_nothing() -> None:
    entries = [
        Entry(0.0, f"Started {SESSION}.", "1", SESSION),
        STOP,
        Entry(5000.0, f"{SESSION}: Deactivated successfully.", "1", SESSION),
    ]
    assert [one.kind for one in units.judge(AT, entries, [], [])[0]] == ["unit-stopped"]
    assert units.judge(AT, entries, [], [4000.0])[0] == ()


BOOT = AT.boot_unit.name


def _boot(begin: float, took: float = 20.0) -> list[Entry]:
    return [
        Entry(begin, f"Starting {BOOT} - Start shop, and roll back an interrupted...", "1", BOOT),
        Entry(begin + took, f"Finished {BOOT} - Start shop, and roll back.", "1", BOOT),
    ]


def _shutdown(at: float) -> list[Entry]:
    return [
        Entry(at, f"{BOOT}: Deactivated successfully.", "1", BOOT),
        Entry(at, f"Stopped {BOOT} - Start shop, and roll back.", "1", BOOT),
    ]


def _stop(at: float) -> Entry:
    return Entry(at, STOP.text, "1", UNIT)


def test_a_reboot_is_no_stop_by_hand() -> None:
    entries = [*_boot(0.0), *_shutdown(5000.0), _stop(5000.2), *_boot(5030.0)]
    assert units.judge(AT, entries, [], []) == ((), ())


def test_a_stop_by_hand_between_two_boots() -> None:
    entries = [*_boot(0.0), _stop(300.0), *_shutdown(500.0), _stop(500.1), *_boot(530.0)]
    (sign,) = units.judge(AT, entries, [], [])[0]
    assert (sign.kind, sign.count, sign.first) == ("unit-stopped", 1, 300.0)


def test_a_stop_by_hand_between_two_drains_of_one_release() -> None:
    unit = "cartwheel-shop.drain-1.1.0.0.bb13a6fd.service"
    drains = [Entry(at, f"Started {unit} - x.", "1", unit) for at in (0.0, 600.0)]
    entries = [drains[0], _stop(5.0), _stop(300.0), drains[1], _stop(605.0)]
    (sign,) = units.judge(AT, entries, [], [])[0]
    assert (sign.count, sign.first) == (1, 300.0)


def test_what_a_long_recovery_at_boot_stops_is_cartwheels_own() -> None:
    entries = sorted([*_boot(0.0, took=300.0), _stop(100.0)], key=lambda one: one.at)
    assert units.judge(AT, entries, [], []) == ((), ())
    cut = _boot(0.0)[:1]  # the power went then
    entries = [*cut, _stop(300.0), *_boot(500.0)]
    assert [one.kind for one in units.judge(AT, entries, [], [])[0]] == ["unit-stopped"]


def test_a_start_after_a_crash_is_systemds_own() -> None:
    signs, changes = units.judge(AT, [START], [SUDO], [])
    assert (signs, changes) == ((), ())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            '{"__REALTIME_TIMESTAMP":"1796057255680915","MESSAGE":"x","_PID":"1","UNIT":"a.service",'
            '"_SYSTEMD_UNIT":"init.scope","_COMM":"systemd","MESSAGE_ID":"9d1a"}',
            Entry(1796057255.680915, "x", "1", "a.service", "systemd", "9d1a"),
        ),
        (
            '{"__REALTIME_TIMESTAMP":"1000000","MESSAGE":[97,255,98],"_COMM":"gunicorn"}',
            Entry(1.0, "a�b", "", "", "gunicorn"),
        ),
        ('{"__REALTIME_TIMESTAMP":"1000000","MESSAGE":null}', Entry(1.0, "")),
        ('{"MESSAGE":"x"}', None),
        ("[]", None),
        ("no JSON", None),
    ],
)
def test_an_entry_of_the_journal(line: str, expected: Entry | None) -> None:
    assert parse(line) == expected
