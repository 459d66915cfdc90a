"""What [processes] refuses: each with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.errors import UsageError
from cartwheel.settings.loading import load

MINIMAL = '[app]\nname = "shop"\nsource = "."\n'
WORKER = '[processes.worker]\ncommand = "celery -A shop worker"\n'
ALONE = "must be 1, because {} means that it never runs twice"


def refused(folder: Path, text: str) -> list[str]:
    """The mistakes, each as LINE: MESSAGE; lines count from the table on."""
    (folder / "config").mkdir()
    (folder / "config/deploy.toml").write_text(MINIMAL + text)
    with pytest.raises(UsageError) as caught:
        load(folder, None, None)
    assert caught.value.slug == "settings"
    first = MINIMAL.count("\n")
    found = []
    for mistake in caught.value.detail.splitlines():
        place, _, message = mistake.partition(": ")
        found.append(f"{int(place.split(':')[1]) - first}: {message}")
    return found


CASES = {
    "a command that needs a shell": (
        '[processes.worker]\ncommand = "cd app && celery worker"',
        "2: processes.worker.command: `&&` needs a shell: write `sh -c",
    ),
    "a variable before its program": (
        '[processes.worker]\ncommand = "C_FORCE_ROOT=1 celery worker"',
        "2: processes.worker.command: sets C_FORCE_ROOT before its program",
    ),
    "no command": (
        "[processes.worker]\ncount = 2",
        "1: processes.worker.command: is missing: the program to run",
    ),
    "no command, and nearly web": (
        '[processes.wbe]\nroles = ["web"]',
        "1: processes.wbe.command: is missing: the program to run; did you mean processes.web?",
    ),
    "a command for web": (
        '[processes.web]\nroles = ["web"]\ncommand = "gunicorn shop:app"',
        "3: processes.web.command: is not a setting of web; it takes env, hardening, memory_max",
    ),
    "a count for web": (
        "[processes.web]\ncount = 2",
        "2: processes.web.count: is not a setting of web",
    ),
    "two that never run twice": (
        WORKER + "exclusive = true\ncount = 2",
        f"4: processes.worker.count: {ALONE.format('exclusive')}",
    ),
    "two that do not overlap": (
        WORKER + "overlap = false\ncount = 2",
        f"4: processes.worker.count: {ALONE.format('overlap')}",
    ),
    "as many as processors, and they do not overlap": (
        WORKER + 'overlap = false\ncount = "cpus"',
        f"4: processes.worker.count: {ALONE.format('overlap')}",
    ),
    "no formula": (
        WORKER + 'count = "two"',
        "3: processes.worker.count: a formula may not contain `two`",
    ),
    "a formula that divides by zero on some host": (
        WORKER + 'count = "8 // (cpus - 4)"',
        "3: processes.worker.count: '8 // (cpus - 4)' divides by zero for 4 cpus",
    ),
    "more than there can be": (
        WORKER + "count = 0",
        "3: processes.worker.count",
    ),
    "exclusive and overlapping": (
        WORKER + "exclusive = true\noverlap = true",
        "4: processes.worker.overlap: is true, but an exclusive process never runs twice",
    ),
    "a host for what every host has": (
        WORKER + 'on = "web1"',
        "3: processes.worker.on: is the host of an exclusive process; set exclusive = true",
    ),
    "a host of another role": (
        WORKER + 'roles = ["job"]\nexclusive = true\non = "web1"\n'
        '[inventory.hosts.web1]\n[inventory.hosts.job1]\nroles = ["job"]',
        "5: processes.worker.on: web1 does not run it: it has not the role job",
    ),
    "a role that no host has": (
        WORKER + 'roles = ["jobs"]\n[inventory.hosts.web1]\n',
        "3: processes.worker.roles[0]: no host has the role jobs",
    ),
    "a signal that nobody can catch": (
        WORKER + 'stop_signal = "SIGKILL"',
        "3: processes.worker.stop_signal",
    ),
    "a variable of Cartwheel's own": (
        WORKER + 'env = { CARTWHEEL_INSTANCE = "x" }',
        "3: processes.worker.env.CARTWHEEL_INSTANCE: is reserved",
    ),
    "a name for files and units": (
        '[processes.Worker_1]\ncommand = "celery worker"',
        "1: processes.Worker_1",
    ),
    "a setting of another name": (
        WORKER + "stop_timeout = 5",
        "3: processes.worker.stop_timeout",
    ),
}


@pytest.mark.parametrize("what", CASES)
def test_what_does_not_work_is_refused_at_its_line(what: str, tmp_path: Path) -> None:
    text, expected = CASES[what]
    found = refused(tmp_path, text)
    assert len(found) == 1, found
    assert found[0].startswith(expected), found


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    text = '[processes.a]\ncommand = "x | y"\non = "b"\n[processes.b]\ncount = "cpus +"'
    assert [one.partition(": ")[2].partition(": ")[0] for one in refused(tmp_path, text)] == [
        "processes.a.command",
        "processes.a.on",
        "processes.b.command",
        "processes.b.count",
    ]


def test_what_fits_is_taken(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/deploy.toml").write_text(
        MINIMAL + WORKER + 'count = "min(cpus, 4)"\nstop_seconds = 600\n'
        '[processes.beat]\ncommand = "celery -A shop beat --pidfile="\nexclusive = true\n'
        '[processes.web]\nmemory_max = "1G"\n'
    )
    found = load(tmp_path, None, None).processes
    assert sorted(found) == ["beat", "web", "worker"]
