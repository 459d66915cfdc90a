"""What the lines of real programs mean (`recorded/`: gunicorn, Django, Celery, clients)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cartwheel.host.diagnose import services_named, wording
from cartwheel.host.diagnose.app_log import AppLog, shape
from cartwheel.host.diagnose.journal_entries import Entry
from cartwheel.host.diagnose.said import Said, Speaker
from cartwheel.host.layout import Layout

RECORDED = Path(__file__).parent / "recorded"
RELEASE = "1.0.0.bb13a6fd"
UNIT = f"cartwheel-shop.web.{RELEASE}@1.service"
SITE = f"/srv/shop/releases/{RELEASE}/venv/lib/python3.11/site-packages"


@pytest.fixture
def at(tmp_path: Path) -> Layout:
    """A release on this machine whose own code is the package `shop`."""
    at = Layout("shop", tmp_path)
    at.release(RELEASE).mkdir(parents=True)
    (at.release(RELEASE) / "venv/lib/python3.11/site-packages").mkdir(parents=True)
    (at.release(RELEASE) / "manifest.json").write_text('{"entry": "shop:app"}')
    return at


def read(at: Layout, lines: list[str], unit: str = UNIT) -> dict[str, list[tuple[str, int]]]:
    """What is counted: by kind, what about and how often. Lines without a process number are of
    the process before."""
    log, pid = AppLog(at), "1000"
    for number, line in enumerate(lines):
        found = re.match(r"\[[\d :+-]+\] \[(\d+)\] ", line)
        pid = found.group(1) if found else pid
        text = line.replace("/srv/", f"{at.base}/")
        log.take(Entry(1000.0 + number / 1000, text, pid, unit))
    log.end()
    kinds: dict[str, list[tuple[str, int]]] = {}
    for sign in log.tally.signs():
        if not sign.kind.startswith("flood"):
            kinds.setdefault(sign.kind, []).append((sign.about, sign.count))
    return kinds


def recorded(name: str) -> list[str]:
    return (RECORDED / f"{name}.log").read_text().splitlines()


ORDER = "LookupError at shop/plain.py:11 in wait_for_order"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "gunicorn-20.1-sync",
            {
                "exception": [(ORDER, 1)],
                "worker-timeout": [("web", 1)],
                "worker-memory": [("web", 1)],
                "worker-died": [("web SIGSEGV", 1)],
            },
        ),
        (
            "gunicorn-23-sync",
            {
                "exception": [(ORDER, 1)],
                "worker-timeout": [("web", 1)],
                "worker-stuck": [("shop/plain.py:4 in app", 1)],
                "worker-memory": [("web", 1)],
                "worker-died": [("web SIGSEGV", 1), ("web exit code 7", 1)],
            },
        ),
        (
            "gunicorn-27-sync",
            {
                "exception": [(ORDER, 1)],
                "worker-timeout": [("web", 1)],
                "worker-stuck": [("shop/plain.py:4 in app", 1)],
                "worker-memory": [("web", 1)],
            },
        ),
        # The worker that is killed was silent before: that is no lack of memory.
        (
            "gunicorn-27-asgi",
            {
                "exception": [("LookupError at shop/asgi.py:9 in app", 1)],
                "files": [("web", 1)],
                "worker-timeout": [("web", 1)],
            },
        ),
        (
            "gunicorn-27-uvicorn",
            {
                "exception": [("LookupError at shop/asgi.py:9 in app", 1)],
                "files": [("web", 1)],
                "worker-timeout": [("web", 1)],
            },
        ),
        ("gunicorn-27-module", {"worker-boot": [("web", 2)]}),
        ("gunicorn-27-preload", {"worker-boot": [("web", 1)]}),
        ("gunicorn-27-attribute", {"worker-boot": [("web", 2)]}),
        # It started, and then could not accept a connection.
        (
            "gunicorn-27-files",
            {"files": [("web", 4)], "worker-died": [("web exit code 255", 2)]},
        ),
        (
            "celery",
            {
                "exception": [
                    ("ZeroDivisionError at shop/proj.py:7 in total", 2),
                    ("ConnectionError at shop/proj.py:10 in later", 1),
                ]
            },
        ),
        ("celery-amqp", {"service": [("AMQP 127.0.0.1:1: refuses connections", 2)]}),
        (
            "django",
            {
                "exception": [("KeyError at shop/dj.py:7 in boom", 1)],
                "host-refused": [("evil.example", 1), ("CSRF", 1)],
                "service": [
                    (
                        "SQLite (address not in the log): lacks a table or column that the app"
                        " uses",
                        1,
                    )
                ],
                "setting": [("SECRET_KEY", 1)],
            },
        ),
    ],
)
def test_what_programs_say(
    at: Layout, name: str, expected: dict[str, list[tuple[str, int]]]
) -> None:
    found = read(at, recorded(name))
    assert {kind: sorted(one) for kind, one in found.items()} == {
        kind: sorted(one) for kind, one in expected.items()
    }


def _clients() -> list[tuple[str, str]]:
    sections = (RECORDED / "clients.txt").read_text().split("## ")[1:]
    return [(one.partition("\n")[0], one.partition("\n")[2]) for one in sections]


_WRONG = {
    "refused": services_named.REFUSES,
    "unknown": services_named.UNKNOWN,
    "timeout": services_named.SLOW,
    "login": services_named.LOGIN,
    "nodb": services_named.MISSING,
    "table": services_named.SCHEMA,
    "column": services_named.SCHEMA,
    "slow": services_named.SLOW,
    "readonly": services_named.READ_ONLY,
    "lock": services_named.LOCKS,
    "crowded": services_named.CROWDED,
    "pool": services_named.POOL,
    "open": services_named.REFUSES,
    "damaged": services_named.BROKEN,
}
_KINDS = {
    "psycopg2": "PostgreSQL",
    "psycopg3": "PostgreSQL",
    "asyncpg": "PostgreSQL",
    "sqla": "PostgreSQL",
    "sqlalchemy": "PostgreSQL",
    "pymysql": "MySQL",
    "redis": "Redis",
    "pymongo": "MongoDB",
    "kombu": "AMQP",
    "requests": "HTTP",
    "httpx": "HTTP",
    "aiohttp": "HTTP",
    "urllib": "HTTP",
    "smtplib": "SMTP",
    "sqlite": "SQLite",
}
# These do not say where they wanted to connect to.
_NO_ADDRESS = ("httpx", "urllib", "smtplib", "kombu", "sqlite", "sqlalchemy")


@pytest.mark.parametrize(("name", "text"), _clients(), ids=[name for name, _ in _clients()])
def test_a_service_that_a_client_complains_about(name: str, text: str) -> None:
    speaker = Speaker()
    every = [one for line in text.splitlines() for one in speaker.take(1.0, line)]
    every += speaker.end()
    (said,) = every
    found = services_named.complaint(said)
    assert found is not None
    words = name.split()
    library, problem = words[0], words[-1]
    if library == "sqlalchemy" and problem == "pool":
        assert found.problem == services_named.POOL
        return
    assert found.kind == _KINDS[library]
    expected = _WRONG.get(problem)
    if problem == "ended":
        assert found.problem in (services_named.BREAKS, services_named.STARTING)
    else:
        assert found.problem == expected
    if problem == "refused" and library not in _NO_ADDRESS:
        assert found.address == "127.0.0.1:1" or (library, found.address) == (
            "pymysql",
            "127.0.0.1",
        )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[2026-11-30 16:57:10 +0000] [7] [INFO] Handling signal: term", {}),
        ("[2026-11-30 16:57:40 +0000] [7] [INFO] Worker (pid:8) was sent SIGTERM!", {}),
        ("[2026-11-30 16:57:40 +0000] [7] [ERROR] Worker (pid:8) was sent SIGTERM!", {}),
        ("[2026-11-30 16:57:10 +0000] [7] [INFO] Worker exiting (pid: 8)", {}),
        ("[2026-11-30 16:57:10 +0000] [7] [INFO] Autorestarting worker after current request.", {}),
        ("[2026-11-30 16:57:10 +0000] [7] [WARNING] Invalid request from ip=: Invalid HTTP", {}),
        ("Not Found: /nothing", {}),
        ('{"level": "info", "message": "errors: 0"}', {}),
        ("INFO payment took 1.3 s, denied: 0, timed out: no", {}),
        (
            '{"levelname": "ERROR", "message": "order 17 failed"}',
            {"error": [("order * failed", 1)]},
        ),
        (
            "2026-11-30 16:43:53,522 ERROR shop: order 17 failed",
            {"error": [("shop: order * failed", 1)]},
        ),
        ("ERROR:shop:order 17 failed", {"error": [("shop:order * failed", 1)]}),
        ("RuntimeError: can't start new thread", {"threads": [("web", 1)]}),
        ("OSError: [Errno 28] No space left on device: '/srv/a'", {"no-space": [("/srv/a", 1)]}),
    ],
)
def test_a_single_line(at: Layout, line: str, expected: dict[str, list[tuple[str, int]]]) -> None:
    found = read(at, [line])
    assert {
        kind: [(about.replace(f"{at.base}/", "/srv/"), count) for about, count in every]
        for kind, every in found.items()
    } == expected


def test_an_exception_in_json(at: Layout) -> None:
    trace = (
        "Traceback (most recent call last):\\n"
        f"  File \\\"{SITE}/shop/web.py\\\", line 7, in pay\\n    x()\\nKeyError: 'a'"
    )
    line = f'{{"level": "error", "event": "request failed", "exception": "{trace}"}}'
    assert read(at, [line]) == {"exception": [("KeyError at shop/web.py:7 in pay", 1)]}


def test_why_the_app_cannot_start(at: Layout) -> None:
    """gunicorn's last words about it do not say why."""
    log = AppLog(at)
    for number, line in enumerate([*recorded("gunicorn-27-module"), "Reason: App failed to load."]):
        pid = "1" if "HaltServer" in line or "Reason" in line else "2"
        log.take(Entry(1000.0 + number / 1000, line.replace("/srv/", f"{at.base}/"), pid, UNIT))
    log.end()
    (sign,) = [one for one in log.tally.signs() if one.kind == "worker-boot"]
    assert sign.lines[:2] == (
        "ModuleNotFoundError: No module named 'missing_module'",
        "at shop/broken.py:1 in <module>",
    )


def test_a_release_that_is_not_live_is_named(at: Layout) -> None:
    assert read(at, recorded("gunicorn-27-preload")) == {"worker-boot": [("web", 1)]}
    at.current.symlink_to(at.release("2.0.0.0a1b2c3d"))
    found = read(at, recorded("gunicorn-27-preload"))
    assert found == {"worker-boot": [(f"web@{RELEASE}", 1)]}


# Of bug reports: libpq before 14, mysqlclient, redis-py, which are not in `recorded`.
@pytest.mark.parametrize(
    ("text", "about"),
    [
        (
            "psycopg2.OperationalError: could not connect to server: Connection refused\n"
            '\tIs the server running on host "localhost" (127.0.0.1) and accepting\n'
            "\tTCP/IP connections on port 5432?",
            "PostgreSQL localhost:5432: refuses connections",
        ),
        (
            "MySQLdb._exceptions.OperationalError: (2006, 'MySQL server has gone away')",
            "MySQL (address not in the log): breaks connections off",
        ),
        (
            "pymysql.err.OperationalError: (1040, 'Too many connections')",
            "MySQL (address not in the log): has too many connections",
        ),
        (
            "MySQLdb.OperationalError: (1205, 'Lock wait timeout exceeded; try restarting"
            " transaction')",
            "MySQL (address not in the log): lets statements wait for locks too long",
        ),
        (
            "MySQLdb.OperationalError: (1045, \"Access denied for user 'shop'@'10.0.0.7' (using"
            ' password: YES)")',
            "MySQL (address not in the log): rejects the login",
        ),
        (
            "redis.exceptions.ResponseError: MISCONF Redis is configured to save RDB snapshots, but"
            " is currently not able to persist on disk.",
            "Redis (address not in the log): has no room",
        ),
        (
            "redis.exceptions.OutOfMemoryError: OOM command not allowed when used memory >"
            " 'maxmemory'.",
            "Redis (address not in the log): has no room",
        ),
        (
            "redis.exceptions.ReadOnlyError: READONLY You can't write against a read only replica.",
            "Redis (address not in the log): is read-only",
        ),
        (
            "redis.exceptions.AuthenticationError: NOAUTH Authentication required.",
            "Redis (address not in the log): rejects the login",
        ),
    ],
)
def test_other_wordings(text: str, about: str) -> None:
    speaker = Speaker()
    lines = ["Traceback (most recent call last):", '  File "/srv/x.py", line 1, in f']
    every = [one for line in [*lines, *text.split("\n")] for one in speaker.take(1.0, line)]
    every += speaker.end()
    found = services_named.complaint(every[0])
    assert found is not None and found.about == about


def test_systemds_words_of_the_process_that_was_to_become_the_app(at: Layout) -> None:
    line = f"{UNIT}: Failed at step EXEC spawning /srv/a/gunicorn: Permission denied"
    assert list(read(at, [line])) == ["unit-failed"]


def test_a_worker_that_is_killed_because_it_does_not_stop(at: Layout) -> None:
    lines = [
        "[2026-11-30 16:57:10 +0000] [7] [INFO] Handling signal: term",
        "[2026-11-30 16:57:40 +0000] [7] [ERROR] Worker (pid:8) was sent SIGKILL! Perhaps out of"
        " memory?",
    ]
    assert read(at, lines) == {}
    assert read(at, lines[1:]) == {"worker-memory": [("web", 1)]}


def test_lines_of_other_units_do_not_count(at: Layout) -> None:
    assert read(at, ["ERROR x"], unit="cartwheel-shop_web.web.1.0@1.service") == {}
    assert read(at, ["ERROR x"], unit="nginx.service") == {}


def test_an_exception_of_the_app_while_it_handles_one_of_a_service(at: Layout) -> None:
    lines = [
        "ERROR shop: Exception on /pay [GET]",
        "Traceback (most recent call last):",
        f'  File "{SITE}/shop/pay.py", line 7, in pay',
        "redis.exceptions.ConnectionError: Error 111 connecting to cache:6379. Connection refused.",
        "",
        "During handling of the above exception, another exception occurred:",
        "",
        "Traceback (most recent call last):",
        f'  File "{SITE}/shop/pay.py", line 9, in pay',
        "shop.errors.PaymentError: try again",
    ]
    assert read(at, lines) == {"service": [("Redis cache:6379: refuses connections", 1)]}
    own = [*lines[:3], "KeyError: 'total'", *lines[4:]]
    assert read(at, own) == {"exception": [("shop.errors.PaymentError at shop/pay.py:9 in pay", 1)]}


def test_tracebacks_of_two_processes_at_once(at: Layout) -> None:
    lines = recorded("gunicorn-27-sync")
    begin = next(
        number for number, line in enumerate(lines) if "handling request GET /boom" in line
    )
    trace = lines[begin : begin + 8]
    log = AppLog(at)
    for number, line in enumerate(trace):
        for pid in ("1", "2"):
            text = line.replace("/srv/", f"{at.base}/")
            log.take(Entry(1000.0 + number, text, f"50{pid}", UNIT))
    log.end()
    counted = [(one.about, one.count) for one in log.tally.signs() if one.kind == "exception"]
    assert counted == [(ORDER, 2)]


def test_a_flood_is_counted_by_minute(at: Layout) -> None:
    log = AppLog(at)
    for number in range(3000):
        log.take(Entry(6000.0 + number / 100, f"GET /item/{number} 200", "7", UNIT))
    log.end()
    found = {one.kind: one for one in log.tally.signs()}
    assert found["flood"].count == 3000
    assert found["flood-text"].count == 3000
    log.lose(Entry(6060.0, f"Suppressed 12 messages from {UNIT}", "9", "systemd-journald.service"))
    assert {one.kind: one.count for one in log.tally.signs()}["flood-lost"] == 12


def test_shapes() -> None:
    same = {
        shape("2026-11-30 16:43:53,522 ERROR shop: order 17 of 'bob' failed"),
        shape("2026-11-30 16:44:53,522 ERROR shop: order 9 of 'eve' failed"),
        shape("[2026-11-30 16:44:53 +0000] [88] [ERROR] shop: order 9 of 'eve' failed"),
    }
    assert same == {"shop: order * of '*' failed"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('could not translate host name "db" to address: Name or service not known', "db"),
        ("failed to resolve host 'db': [Errno -2] Name or service not known", "db"),
        ("Error -2 connecting to cache:6379. Name or service not known.", "cache"),
        ("socket.gaierror: [Errno -2] Name or service not known", ""),
    ],
)
def test_the_name_that_is_looked_up(text: str, name: str) -> None:
    assert wording.looked_up(text) == name


def test_words_alone_are_no_complaint() -> None:
    assert services_named.complaint(Said(1.0, "the user's session timed out")) is None
    assert services_named.complaint(Said(1.0, "connection refused by bouncer policy")) is None


def test_who_raised_an_exception_is_known(at: Layout) -> None:
    trace = ["Traceback (most recent call last):", '  File "x.py", line 1, in f', "KeyError: 'a'"]
    log = AppLog(at)
    for number, unit in enumerate((UNIT, UNIT.replace(".web.", ".worker."))):
        for line in trace:
            log.take(Entry(1000.0, line, str(number + 70), unit))
    log.print("timer tidy", 1000.0, "\n".join(trace))
    log.end()
    (sign,) = (one for one in log.tally.signs() if one.kind == "exception")
    assert sign.count == 3
    assert sign.processes == ("timer tidy", "web", "worker")


def test_files_of_one_folder_are_counted_together(at: Layout) -> None:
    denied = [
        f"PermissionError: [Errno 13] Permission denied: '/srv/a/{one}'" for one in range(500)
    ]
    found = read(at, [*denied, "KeyError: 'a'", "ERROR shop: order 7 failed"])
    assert found == {
        "permission": [(f"{at.base}/a/*", 500)],
        "error": [("shop: order * failed", 1)],
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("OSError: [Errno 24] Too many open files: '/etc/a'", "files"),
        ("PermissionError: [Errno 13] Permission denied: '/etc/a'", "permission"),
        ("ModuleNotFoundError: No module named 'x'", ""),
    ],
)
def test_why_an_app_cannot_start_is_known(at: Layout, text: str, reason: str) -> None:
    log = AppLog(at)
    lines = recorded("gunicorn-27-module")[3:16]
    for line in [text if one.startswith("ModuleNotFound") else one for one in lines]:
        log.take(Entry(1000.0, line.replace("/srv/", f"{at.base}/"), "70", UNIT))
    log.end()
    (boot,) = (one for one in log.tally.signs() if one.kind == "worker-boot")
    assert (boot.reason, boot.lines[0]) == (reason, text)


def test_a_second_line_of_an_exception_is_no_error_of_its_own(at: Layout) -> None:
    said = 'connection to server at "127.0.0.1", port 5432 failed: FATAL:  password'
    said += ' authentication failed for user "shop"'
    lines = [
        "ERROR app: Exception on /orders [GET]",
        "Traceback (most recent call last):",
        f'  File "{SITE}/shop/web.py", line 7, in pay',
        f"psycopg.OperationalError: connection failed: {said}",
        said,
        "ERROR app: order 7 failed",
    ]
    assert read(at, lines) == {
        "service": [("PostgreSQL 127.0.0.1:5432: rejects the login", 1)],
        "error": [("app: order * failed", 1)],
    }
