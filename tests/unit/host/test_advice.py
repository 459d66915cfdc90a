"""Advice about an answer or a log, and the setting that decides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cartwheel.host.process import advice
from cartwheel.host.wire.health import Probe

PROBE = Probe("/healthz", "shop.example", "http", 200, 3, 0.15, 2.0, 0.3)


@pytest.mark.parametrize(
    ("status", "location", "says"),
    [
        (404, "", 'The app has no /healthz: set health.path to a path that answers, e.g. "/"'),
        (405, "", "set health.path"),
        (301, "https://shop.example/healthz", 'health.scheme = "https"'),
        (308, "https://other.example/healthz", 'health.scheme = "https"'),
        (301, "http://www.shop.example/healthz", 'health.host = "www.shop.example"'),
        (308, "/healthz/", 'health.path = "/healthz/"'),
        (302, "/accounts/login/?next=/healthz", "It asks for a login"),
        (302, "/shop", 'health.path = "/shop", or health.status = 302'),
        (303, "", "without login and redirect"),
        (302, "https://www.shop.example/", 'health.host = "www.shop.example" if that is its own'),
        (307, "http://shop.example:8080/healthz", 'health.host = "shop.example:8080" if'),
        (302, "//sso.example.org/start", "It asks for a login"),
        (302, "https://idp.example.org/start", "else health.path, and choose a path"),
        (302, "/healthz", "Set health.path, and choose a path that answers without"),
        (302, "?cookies=1", "Set health.path, and choose a path that answers without"),
        (302, "start", 'health.path = "/start"'),
        (400, "", "rejects the Host header shop.example: allow it (Django: ALLOWED_HOSTS)"),
        (421, "", "rejects the Host header shop.example"),
        (401, "", "It asks for a login: set health.path"),
        (403, "", "or health.status"),
        (204, "", "health.status = 204"),
        (418, "", "health.status = 418"),
        (429, "", "without a limit"),
        (500, "", "The app fails at /healthz: see its log, or set health.path to another path."),
        (503, "", "if it is still starting then, raise health.deadline_seconds"),
    ],
)
def test_a_status_and_what_to_set(status: int, location: str, says: str) -> None:
    said = advice.of_answer(status, location, PROBE)
    assert says in said


def test_a_front_page_that_is_missing_is_no_example_of_one_that_answers() -> None:
    said = advice.of_answer(404, "", replace(PROBE, path="/"))
    assert said == "The app has no /: set health.path to a path that answers."


@pytest.mark.parametrize("status", [204, 301, 400, 401, 403, 404, 418])
def test_an_answer_that_will_come_again(status: int) -> None:
    assert advice.is_steady(status)


@pytest.mark.parametrize("status", [408, 423, 425, 429, 500, 502, 503])
def test_an_answer_that_may_pass(status: int) -> None:
    assert not advice.is_steady(status)


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (
            "TypeError: FastAPI.__call__() missing 1 required positional argument: 'send'",
            'gunicorn.kind = "asgi"',
        ),
        (
            "TypeError: app() missing 2 required positional arguments: 'receive' and 'send'",
            'gunicorn.kind = "asgi"',
        ),
        (
            "TypeError: Flask.__call__() takes 3 positional arguments but 4 were given",
            'gunicorn.kind = "wsgi"',
        ),
        (
            "ImportError: libpq.so.5: cannot open shared object file: No such file or directory",
            "lacks the library libpq.so.5: name its package in host.packages",
        ),
        ("[CRITICAL] WORKER TIMEOUT (pid:12)", "gunicorn.timeout_seconds"),
        ("Worker (pid:9) was sent SIGKILL! Perhaps out of memory?", "hardening.memory_max"),
        ("    os.nice(5)\nPermissionError: [Errno 1] Operation not permitted", '["nice"]'),
        (
            "    os.setpriority(os.PRIO_PROCESS, 0, 5)\n    ^^^\nPermissionError: [Errno 1] "
            "Operation not permitted",
            '["nice"]',
        ),
        (
            "    os.sched_setaffinity(0, {0})\nPermissionError: [Errno 1] Operation not permitted",
            '["affinity"]',
        ),
        (
            "    s = socket.socket(socket.AF_NETLINK)\nOSError: [Errno 97] Address family not "
            "supported by protocol",
            'hardening.allow = ["netlink"]',
        ),
        ("OSError: [Errno 97] Address family not supported by protocol", '["raw-sockets"]'),
        (
            "    socket.socket(socket.AF_INET, socket.SOCK_RAW)\nPermissionError: [Errno 1] "
            "Operation not permitted",
            '["raw-sockets"]',
        ),
        (
            "OSError: [Errno 30] Read-only file system: '/var/lib/shop/x.db'",
            'hardening.folders = ["/var/lib/shop"]',
        ),
        (
            "OSError: [Errno 30] Read-only file system: '/var/lib/radicale'",
            'hardening.folders = ["/var/lib/radicale"]',
        ),
        (
            "OSError: [Errno 30] Read-only file system: '/var/lib/radicale/collections/x.db'",
            'hardening.folders = ["/var/lib/radicale"]',
        ),
        (
            "OSError: [Errno 30] Read-only file system: '/data/shop/app.db'",
            'hardening.folders = ["/data/shop"]',
        ),
        (
            "PermissionError: [Errno 13] Permission denied: '/home/me/key'",
            "cannot see home folders",
        ),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/dev/ttyUSB0'",
            "PrivateDevices=no",
        ),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/srv/x'", ""),
        ("PermissionError: [Errno 1] Operation not permitted: '/srv/x'", ""),
        ("KeyError: 'SECRET_KEY'", ""),
        (
            "OSError: [Errno 30] Read-only file system: '/srv/shop/releases/1.0.ab/venv/lib/x'",
            "A release is never edited",
        ),
        (
            "PermissionError: [Errno 13] Permission denied: '/opt/s/releases/1/files/x'",
            "never edited",
        ),
        ("sqlite3.OperationalError: unable to open database file", "in its shared folder"),
        ("sqlite3.OperationalError: attempt to write a readonly database", "in its shared folder"),
        (
            "OSError: [Errno 30] Read-only file system: '/var/log/shop.log'",
            'hardening.folders = ["/var/log/shop"]',
        ),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/var/log/shop/app.log'\n\n"
            "The above was the direct cause\nValueError: Unable to configure handler 'file'",
            'hardening.folders = ["/var/log/shop"]',
        ),
        (
            "  (3 frames below; the last is /usr/lib/python3.11/subprocess.py:1901 in "
            "_execute_child)\nFileNotFoundError: [Errno 2] No such file or directory: 'ffmpeg'",
            "lacks the program ffmpeg",
        ),
        (
            '  File "/usr/lib/python3.13/subprocess.py", line 1974, in _execute_child\n'
            "    raise child_exception_type(errno_num, err_msg, err_filename)\n"
            "FileNotFoundError: [Errno 2] No such file or directory: 'git'",
            "lacks the program git",
        ),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: 'data/words.txt'",
            "relative path begins in the app's shared folder",
        ),
        (
            "RuntimeError: Directory 'static' does not exist",
            "relative path begins in the app's shared folder",
        ),
        (
            "jinja2.exceptions.TemplateNotFound: 'item.html' not found in search path: 'templates'",
            "relative path begins in the app's shared folder",
        ),
        (
            "OSError: [Errno 30] Read-only file system: '/srv/shop/releases/1.0.ab/venv/var'",
            'instance_path=os.environ.get("CARTWHEEL_SHARED")',
        ),
        (
            'sudo: The "no new privileges" flag is set, which prevents sudo from running as root.',
            "can never become root",
        ),
        (
            "    self.socket.bind(address)\nPermissionError: [Errno 13] Permission denied",
            "ports below 1024",
        ),
        (
            "    time.clock_settime(0, 1)\nPermissionError: [Errno 1] Operation not permitted",
            "hardening.unit",
        ),
    ],
)
def test_a_log_and_what_to_set(log: str, says: str) -> None:
    said = advice.of_log(f"first\n{log}\nlast")
    assert (says in said) if says else not said


@pytest.mark.parametrize(
    "output",
    [
        "Error: Path doesn't exist: migrations.  Please use the 'init' command.",
        "FAILED: No 'script_location' key found in configuration.",
        "  FAILED: No config file 'alembic.ini' found, or file has no '[alembic]' section",
        "python: can't open file '/srv/shop/shared/manage.py': [Errno 2] No such file or directory",
    ],
)
def test_a_migration_that_does_not_find_its_files(output: str) -> None:
    assert '`cd "$CARTWHEEL_CODE" &&`' in advice.of_command("alembic upgrade head", output)
    there = advice.of_command('cd "$CARTWHEEL_CODE" && alembic upgrade head', output)
    assert there.startswith("The release does not have these files: app.include")
    assert advice.of_command("alembic upgrade head", "OperationalError: no such table") == ""
