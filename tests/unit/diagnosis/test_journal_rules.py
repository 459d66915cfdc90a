"""Which causes the app's, systemd's and the kernel's messages make; none on a healthy host."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cartwheel.diagnosis.cause import Case, Cause
from cartwheel.diagnosis.ranking import ranked
from cartwheel.host.wire.diagnosis import Change, Diagnosis, Machine, Sign, Storage, Use
from tests.unit.answers import status

NOW = 100_000.0
GB = 1 << 30


def sign(kind: str, about: str, count: int = 5, *lines: str, ago: float = 60.0) -> Sign:
    return Sign(kind, about, count, NOW - ago - 600.0, NOW - ago, lines or (f"{kind} {about}",))


def use(**differs: Any) -> Use:
    usual: dict[str, Any] = {
        **{"process": "web", "label": "1", "active": "active"},
        **{"memory": GB // 4, "memory_max": None},
        **{"out_of_memory": 0, "tasks": 9, "tasks_max": 4000, "files": 40, "files_max": 65536},
        **{"workers": 5, "queue": 0, "queue_max": 2048, "throttled": None},
    }
    return Use(**{**usual, **differs})


MACHINE = Machine(
    cpus=2,
    load=1.5,
    memory=4 * GB,
    memory_available=2 * GB,
    swap=0,
    swap_free=0,
    files=2000,
    files_max=100_000,
    synchronized=True,
    kernel="6.1",
    newest_kernel="6.1",
)


def case(*signs: Sign, **differs: Any) -> Case:
    usual: dict[str, Any] = {
        **{"time": NOW, "took_seconds": 1.0, "since": NOW - 7200.0, "status": status()},
        **{"signs": signs, "uses": (use(),), "visits": None, "storage": (), "machine": MACHINE},
        **{"services": (), "lookups": (), "changes": (), "unread": (), "texts": {}},
    }
    return Case("web1", Diagnosis(**{**usual, **differs}))


def causes(*signs: Sign, **differs: Any) -> list[Cause]:
    return [one.cause for one in ranked(case(*signs, **differs))]


def test_a_healthy_busy_host_has_no_cause() -> None:
    everyday = (
        sign("exception", "KeyError at shop/web.py:7 in pay", 1, ago=5000.0),
        sign("error", "payment * failed", 4),
        sign("flood", "web", 6500),
        sign("flood-text", "web", 4000, "GET /item/7 200"),
        sign("unit-restart", "web", 1),
        sign("host-refused", "10.0.0.7", 300),
        sign("host-refused", "evil.example", 3),
        sign("service", "PostgreSQL db:5432: does not answer in time", 2),
        sign("service", "PostgreSQL db:5432: breaks connections off", 1),
        sign(
            "service", "SQLite (address not in the log): lets statements wait for locks too long", 2
        ),
        sign("service", "Redis cache:6379: refuses connections", 1, ago=5000.0),
        sign("kernel-network", "", 1, "Possible SYN flooding on port 443. Sending cookies."),
        sign("kernel-fault", "firefox", 1),
        sign("blocked", "web", 2),
    )
    uses = (
        use(queue=30, waiting=2, answering=9, tasks=300, files=9000, memory=GB, memory_max=2 * GB),
        use(label="2"),
    )
    assert causes(*everyday, uses=uses) == []


@pytest.mark.parametrize(
    ("signs", "slug", "words"),
    [
        (
            [sign("kernel-memory", "gunicorn", 2), sign("worker-memory", "web", 2)],
            "out-of-memory",
            "the kernel killed gunicorn twice",
        ),
        ([sign("unit-memory", "web")], "out-of-memory", "the kernel killed web 5 times"),
        ([sign("worker-memory", "web", 1)], "out-of-memory", "perhaps for lack of memory"),
        ([sign("memory", "web")], "out-of-memory", "could not get memory"),
        (
            [
                sign("worker-timeout", "web"),
                sign("worker-stuck", "shop/pay.py:4 in charge"),
            ],
            "worker-timeout",
            "mostly at shop/pay.py:4 in charge",
        ),
        ([sign("worker-timeout", "web", 1)], "worker-timeout", "hung for longer"),
        ([sign("worker-died", "web SIGSEGV")], "worker-died", "died 5 times (SIGSEGV)"),
        ([sign("worker-died", "web exit code 7")], "worker-died", "exit code 7"),
        (
            [sign("exception", "KeyError at shop/pay.py:4 in charge", 17)],
            "exceptions",
            "raised KeyError at shop/pay.py:4 in charge 17 times",
        ),
        ([sign("exception", "KeyError at a.py:4 in f", 1)], "exceptions", "once"),
        ([sign("error", "payment * failed", 30)], "errors-logged", "payment * failed"),
        ([sign("setting", "SECRET_KEY", 1)], "setting", "lacks the variable SECRET_KEY"),
        ([sign("permission", "/srv/a", 1)], "permission", "may not use /srv/a"),
        (
            [sign("permission", "/srv/a/*", 107)],
            "permission",
            "may not use files in /srv/a: permission denied (107 times)",
        ),
        ([sign("read-only", "/srv/a", 1)], "read-only", "cannot write /srv/a"),
        ([sign("no-space", "/srv/a/*")], "disk-full", "could not write files in /srv/a"),
        ([sign("host-refused", "shop.example", 40)], "host-refused", "shop.example"),
        ([sign("host-refused", "CSRF", 40)], "host-refused", "CSRF"),
        (
            [sign("worker-boot", "web", 4, "ModuleNotFoundError: No module named 'x'")],
            "boot-failed",
            "web cannot start: ModuleNotFoundError: No module named 'x'",
        ),
        (
            [sign("unit-failed", "web EXEC spawning /srv/a: No such file or directory")],
            "boot-failed",
            "systemd cannot start web: EXEC spawning /srv/a",
        ),
        ([sign("unit-died", "web 203/EXEC")], "boot-failed", "program is missing, or may not"),
        (
            [
                sign("unit-failed", "web resources", 9),
                sign("unit-failed", "web load environment files: No such file"),
                sign("unit-died", "web 203/EXEC"),
            ],
            "boot-failed",
            "systemd cannot start web: load environment files: No such file",
        ),
        ([sign("unit-died", "web 9/KILL", 1)], "restarts", "once (killed, SIGKILL)"),
        ([sign("unit-died", "web 255/EXCEPTION")], "restarts", "5 times (status 255)"),
        ([sign("unit-timeout", "web start")], "boot-failed", "web did not start in time"),
        ([sign("unit-timeout", "web stop")], "stop-timeout", "web did not stop in time"),
        ([sign("unit-died", "web 1/FAILURE")], "restarts", "ended by itself 5 times"),
        ([sign("files", "web")], "files-limit", "too many are open"),
        ([sign("threads", "web")], "tasks-limit", "could not start threads"),
        ([sign("tasks-refused", "web")], "tasks-limit", "could not start threads"),
        ([sign("threads", "timer tidy")], "tasks-limit", "timer tidy could not start threads"),
        ([sign("no-space", "/srv/a")], "disk-full", "could not write /srv/a"),
        (
            [sign("service", "PostgreSQL db:5432: refuses connections", 1)],
            "service-refuses",
            "PostgreSQL db:5432 refuses connections",
        ),
        (
            [sign("service", "HTTP (address not in the log): does not answer in time")],
            "service-slow",
            "HTTP does not answer in time",
        ),
        (
            [sign("service", "Redis cache:6379: its name cannot be resolved")],
            "service-unknown",
            "Redis cache:6379: its name cannot be resolved",
        ),
        (
            [sign("service", "PostgreSQL db:5432: lacks a table or column that the app uses")],
            "schema",
            "lacks a table",
        ),
        ([sign("names", "cache")], "service-unknown", "name of cache"),
        ([sign("names", "")], "names", "cannot resolve"),
        ([sign("tls", "web")], "service-certificate", "does not trust"),
        ([sign("flood", "web", 90_000)], "log-flood", "90000 lines in a minute"),
        (
            [sign("flood", "web", 9000), sign("flood-text", "web", 8000, "tick")],
            "log-flood",
            "9000 lines",
        ),
        (
            [sign("flood", "web", 900), sign("flood-lost", "web", 8000)],
            "log-flood",
            "900 lines",
        ),
        ([sign("kernel-disk", "sda1", 1)], "kernel", "the disk sda1 fails"),
        ([sign("kernel-hung", "gunicorn", 1)], "kernel", "hang in the kernel (gunicorn)"),
        (
            [sign("kernel-network", "", 1, "nf_conntrack: table full, dropping packet")],
            "kernel",
            "drops network packets",
        ),
        ([sign("kernel-fault", "gunicorn", 2)], "kernel", "gunicorn crashed twice"),
        ([sign("unit-stopped", "web", 1)], "restarts", "somebody restarted web"),
        ([sign("blocked", "web")], "blocked-loop", "blocked its event loop"),
    ],
)
def test_a_cause_and_its_sentence(signs: list[Sign], slug: str, words: str) -> None:
    found = causes(*signs)
    assert [one.slug for one in found] == [slug]
    assert words in found[0].title
    assert found[0].evidence and found[0].todo


@pytest.mark.parametrize(
    ("differs", "slug"),
    [
        ({"uses": (use(queue=400),)}, "workers-busy"),
        ({"uses": (use(queue=1500, workers=400),)}, "workers-busy"),
        ({"uses": (use(waiting=4),)}, "workers-busy"),
        ({"uses": (use(files=60_000),)}, "files-limit"),
        ({"uses": (use(tasks=3900),)}, "tasks-limit"),
        ({"uses": (use(memory=GB, memory_max=GB),)}, "out-of-memory"),
        ({"uses": (use(out_of_memory=3, memory_max=GB),)}, "out-of-memory"),
        ({"uses": (use(throttled=0.9),)}, "cpu-limit"),
    ],
)
def test_what_an_instance_uses(differs: dict[str, Any], slug: str) -> None:
    assert [one.slug for one in causes(**differs)] == [slug]


def test_a_request_of_ours_that_nobody_reads() -> None:
    """The app does not answer us, and our connection is among those that wait."""
    silent = status(serving={"problem": "/ did not answer within 2 s", "healthy": False})
    found = causes(uses=(use(waiting=1, answering=5, left=4),), status=silent)
    assert [one.slug for one in found] == ["workers-busy", "app-ill"]
    assert [one.slug for one in causes(uses=(use(answering=1),), status=silent)] == ["app-ill"]


def test_the_limit_is_that_of_the_process_that_has_reached_it() -> None:
    uses = (use(files_max=96), use(process="worker 1", files_max=97))
    (web,) = causes(sign("files", "web"), uses=uses)
    assert web.title.startswith("web could not open")
    assert web.evidence[1:] == ("a process of web may open 96 files",)
    (worker,) = causes(sign("files", "worker"), uses=uses)
    assert worker.evidence[1:] == ("a process of worker 1 may open 97 files",)


def test_unknown_figures_are_no_cause() -> None:
    unknown = use(
        **{"memory": None, "tasks": None, "tasks_max": None, "files": None, "files_max": None},
        **{"queue": None, "queue_max": None},
    )
    assert causes(uses=(unknown,), machine=None) == []


def test_a_release_whose_deploy_failed_makes_nobody_ill() -> None:
    failed = sign("worker-boot", "web@1.1.0.0a1b2c3d", 4, "KeyError: 'X'")
    found = causes(failed, sign("exception", "KeyError at a.py:4 in f"))
    assert [one.slug for one in found] == ["exceptions", "boot-failed"]
    assert found[1].title == "web of release 1.1.0.0a1b2c3d cannot start: KeyError: 'X'"


def test_a_process_that_ended_shows_its_own_restarts() -> None:
    died = [sign("unit-died", f"{name} 1/FAILURE") for name in ("web", "worker")]
    found = causes(*died, *(sign("unit-restart", name) for name in ("web", "worker")))
    shown = {one.title.partition(" ")[0]: one.evidence for one in found}
    assert shown == {
        name: (f"unit-died {name} 1/FAILURE (5 times)", f"unit-restart {name} (5 times)")
        for name in ("web", "worker")
    }


def test_what_follows_comes_behind() -> None:
    found = ranked(
        case(
            sign("exception", "TypeError at shop/web.py:7 in pay", 90),
            sign("service", "PostgreSQL db:5432: refuses connections", 30),
        )
    )
    assert [one.cause.slug for one in found] == ["service-refuses", "exceptions"]
    assert found[1].follows == ("service-refuses",)


@pytest.mark.parametrize(
    ("kind", "about", "reason", "slug"),
    [
        ("files", "web", "OSError: [Errno 24] Too many open files: '/srv/a'", "files-limit"),
        ("threads", "web", "RuntimeError: can't start new thread", "tasks-limit"),
        ("permission", "/srv/a", "PermissionError: [Errno 13] Permission denied: '/srv/a'", ""),
        ("read-only", "/srv/a", "OSError: [Errno 30] Read-only file system: '/srv/a'", ""),
        ("no-space", "/srv/a", "OSError: [Errno 28] No space left on device", "disk-full"),
        ("memory", "web", "MemoryError: no room for the model", "out-of-memory"),
        ("names", "db", "OSError: [Errno -2] Name or service not known", "service-unknown"),
        ("tls", "", "SSLError: certificate verify failed", "service-certificate"),
        (
            "service",
            "PostgreSQL db:5432: breaks connections off",
            "OperationalError: server closed the connection unexpectedly",
            "service-breaks",
        ),
    ],
)
def test_what_keeps_the_app_from_starting(kind: str, about: str, reason: str, slug: str) -> None:
    boot = replace(sign("worker-boot", "web", 4, reason), reason=kind)
    found = ranked(case(boot, sign(kind, about, 9, reason)))
    assert [one.cause.slug for one in found] == [slug or kind, "boot-failed"]
    assert found[1].follows == (slug or kind,)
    other = sign("worker-boot", "web", 4, "ModuleNotFoundError: No module named 'x'")
    found = ranked(case(other, sign(kind, about, 9, reason)))
    assert found[0].cause.slug == "boot-failed"


def test_a_missing_setting_is_why_the_app_cannot_start() -> None:
    found = ranked(
        case(
            sign("worker-boot", "web", 4, "KeyError: 'DATABASE_URL'"),
            sign("setting", "DATABASE_URL", 4),
            sign("unit-died", "web 3/NOTIMPLEMENTED", 4),
        )
    )
    assert [one.cause.slug for one in found] == ["setting", "boot-failed", "restarts"]
    assert found[1].follows == ("setting",)


def test_a_file_system_that_is_full_is_the_cause_of_another_rule() -> None:
    full = Storage("/", ("app",), GB, 0, 1000, 900, read_only=False)
    (cause,) = causes(sign("no-space", "/srv/a"), storage=(full,))
    assert cause.slug == "disk-full"
    assert cause.title.startswith("the disk is full: / (app) ")


def test_an_instance_that_somebody_stopped_is_down() -> None:
    changes = (Change(NOW - 60.0, "restart", "web: stopped by hand", "eve (sudo systemctl)"),)
    sees = {"uses": (), "changes": changes, "status": status(serving={"active": "inactive"})}
    (cause,) = causes(sign("unit-stopped", "web", 1), **sees)
    assert cause.title == (
        "somebody stopped web without Cartwheel, by eve (sudo systemctl), and it is down"
    )
    assert cause.last is None
    # What instances use could not be measured, and web is well.
    (cause,) = causes(sign("unit-stopped", "web", 1), uses=(), changes=changes)
    assert cause.title.startswith("somebody restarted web ")
    # Another instance runs.
    (cause,) = causes(sign("unit-stopped", "web", 1), uses=(use(process="worker"),))
    assert cause.title.endswith(", and it is down")


@pytest.mark.parametrize("kind", ["no-socket", "refused", "cut"])
def test_what_visitors_notice_of_restarts_follows_from_them(kind: str) -> None:
    errors = Sign(f"web-{kind}", "unix:/srv/a.sock", 30, NOW - 659.0, NOW - 50.0, ("a line",))
    for count in (6, 1):
        found = ranked(case(sign("unit-stopped", "web", count), errors))
        assert [one.cause.slug for one in found] == ["restarts", f"web-errors-{kind}"]
        assert found[1].follows == ("restarts",)
    # Errors of another time, and other processes.
    later = replace(errors, last=NOW)
    found = ranked(case(sign("unit-stopped", "web", 1, ago=300.0), later))
    assert [one.cause.slug for one in found] == [f"web-errors-{kind}", "restarts"]
    found = ranked(case(sign("unit-stopped", "worker", 6), errors))
    assert not any(one.follows for one in found)


def test_visitors_see_nothing_of_other_processes() -> None:
    errors = Sign("web-cut", "/", 30, NOW - 659.0, NOW - 50.0, ("a line",))
    for process, follows in (("web", ("restarts",)), ("worker", ())):
        found = ranked(case(sign("unit-died", f"{process} 1/FAILURE"), errors))
        assert [one.cause.slug for one in found] == ["restarts", "web-errors-cut"]
        assert found[1].follows == follows


def test_an_app_without_workers() -> None:
    (cause,) = causes(uses=(use(workers=0, waiting=9),))
    assert cause.title == "web has no worker: 9 requests wait"
