"""Verification runs a release as its service would, and refuses one that cannot work."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from cartwheel_lab import LabHost
from tests.kit import apps
from tests.kit.host import await_sessions, current, get
from tests.kit.project import Done, Project, new_project
from tests.kit.tiers import tiered

QUICK = """
[app]
name = "shop"
source = "app"
entry = "app:app"
[deploy]
drain_seconds = 2
probation_seconds = 0.5
[gunicorn]
workers = 1
[health]
deadline_seconds = 6
"""


@pytest.fixture(scope="module")
def shop(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = new_project(tmp_path_factory.mktemp("verified"))
    project.settings(QUICK)
    project.fab("setup", "-H", module_host.name)
    project.fab("deploy", "-H", module_host.name)
    return project


def write(project: Project, head: str, text: str = "two") -> None:
    """An application with something more at its beginning; `HERE` is its own folder."""
    here = "import os\nHERE = os.path.dirname(os.path.abspath(__file__))\n"
    body = apps.plain(text).lstrip()
    (project.folder / "app/app.py").write_text(here + head + "\n" + body)


def deploy(project: Project, host: LabHost, code: int = 0) -> Done:
    return project.fab("deploy", "-H", host.name, code=code)


def assert_refused(project: Project, host: LabHost, slug: str, *says: str) -> None:
    serving = current(host, "shop")
    done = deploy(project, host, 1)
    lines = [line for line in done.err.splitlines() if line.endswith(f"[{slug}]")]
    assert len(lines) == 1, done.text
    missing = [word for word in says if word not in lines[0]]
    assert not missing, f"{missing} not in {lines[0]}"
    assert 'File "/usr/local/lib/cartwheel' not in done.err.replace("witness.py", "")
    assert current(host, "shop") == serving
    assert get(host, "/healthz") == "ok"
    assert_nothing_left(host)


def assert_nothing_left(host: LabHost) -> None:
    await_sessions(host)
    assert host.sh("ls -A /run/systemd/system | grep cartwheel-verify || true") == ""
    assert host.sh("ls -A /run/cartwheel | grep verify || true") == ""
    assert host.sh("systemctl list-units --all --plain --no-legend 'cartwheel-verify*'") == ""


WRITES = {
    "a log": ("import logging; logging.FileHandler(HERE + '/shop.log')", "/shop.log"),
    "a folder": ("os.makedirs(HERE + '/uploads/big', exist_ok=True)", "/uploads"),
    "a database": (
        "import sqlite3; sqlite3.connect(HERE + '/shop.db').execute('create table a (b)')",
        "/shop.db",
    ),
    "a database's address": (
        "import sqlite3; sqlite3.connect(f'file:{HERE}/shop.db?mode=rwc', uri=True)"
        ".execute('create table a (b)')",
        "/shop.db",
    ),
    "a temporary file": ("import tempfile; tempfile.NamedTemporaryFile(dir=HERE)", "/tmp"),
    "its own code": ("open(__file__, 'a').close()", "/app.py"),
    "a name": ("os.rename(__file__, HERE + '/other.py')", "/app.py"),
    "less": ("os.remove(__file__)", "/app.py"),
    "a copy": ("import shutil; shutil.copy(__file__, HERE + '/copy.py')", "/copy.py"),
    "by descriptor": ("os.open(HERE + '/x', os.O_WRONLY | os.O_CREAT)", "/x"),
    "the system's log": ("open('/var/log/shop.log', 'a')", "/var/log/shop.log"),
    "a wrapped error": (
        "import sqlite3\n"
        "try:\n    sqlite3.connect(HERE + '/shop.db').execute('select 1 from a')\n"
        "except sqlite3.Error as error:\n"
        "    raise RuntimeError('unable to open database file\\n[SQL:\\n a\\n b\\n c\\n d\\n]"
        "\\n(Background on this)') from error",
        "/shop.db",
    ),
}


@pytest.mark.parametrize(
    "name",
    tiered(
        WRITES,
        nightly=set(WRITES) - {"a log", "a database"},
    ),
)
def test_what_writes_beside_its_code_at_import_is_refused(
    shop: Project, module_host: LabHost, name: str
) -> None:
    head, path = WRITES[name]
    write(shop, head)
    path = path if path.startswith("/var") or path == "/tmp" else f"site-packages{path} "
    assert_refused(shop, module_host, "CW420", path, "/srv/shop/shared", "app:app")


def test_a_write_that_is_swallowed_is_noted_and_its_shared_folder_is_its_own(
    shop: Project, module_host: LabHost
) -> None:
    write(
        shop,
        "import sys\n"
        "try:\n    os.makedirs(sys.prefix + '/var/app-instance')\nexcept OSError:\n    pass\n"
        "open('seen', 'a').close()\n",
    )
    done = deploy(shop, module_host)
    notes = [line for line in done.text.splitlines() if "could not write" in line]
    assert len(notes) == 1, done.text
    assert "/venv/var " in notes[0]
    assert "/srv/shop/shared" in notes[0]
    assert (
        module_host.sh("stat -c '%U:%G %a' /srv/shop/shared/seen").strip() == "shop:shop-http 640"
    )


@pytest.mark.nightly
def test_what_reads_fails_and_does_no_harm_is_no_write(shop: Project, module_host: LabHost) -> None:
    write(shop, "open('/etc/shadow').read()")
    assert_refused(shop, module_host, "CW507", "Permission denied: '/etc/shadow'")
    # What is there already, bytecode, and a database that is only read.
    write(
        shop,
        "import sqlite3, py_compile\n"
        "os.makedirs(HERE, exist_ok=True)\n"
        "try:\n    py_compile.compile(__file__)\nexcept OSError:\n    pass\n"
        "sqlite3.connect('file:/nowhere/x.db?mode=ro', uri=True) if 0 else None\n"
        "sqlite3.connect(':memory:')\n",
        text="quiet",
    )
    assert "could not write" not in deploy(shop, module_host).text


CONDITIONS = """
import json, sys
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
def can_make(path):
    try:
        os.mkdir(path)
    except OSError as error:
        return error.strerror
    os.rmdir(path)
    return "yes"
umask = os.umask(0)
os.umask(umask)
seen = {
    "ids": [os.getuid(), os.getgid(), sorted(os.getgroups())],
    "folder": os.getcwd(),
    "umask": umask,
    "variables": {k: v for k, v in os.environ.items()
        if k not in ("INVOCATION_ID", "NOTIFY_SOCKET", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID",
            "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "SERVER_SOFTWARE", "GUNICORN_FD",
            "GUNICORN_PID")},
    "sandbox": [status[name].strip() for name in ("NoNewPrivs", "Seccomp", "CapBnd", "CapEff")],
    "path": sys.path,
    "program": sys.argv[0],
    "places": {p: can_make(p + "/cartwheel-test")
        for p in ("/srv/shop/shared", "/tmp", "/srv/shop", "/usr", "/etc", "/home", "/var/lib")},
    "homes": os.path.exists("/home/somebody"),
    "users": open("/proc/self/uid_map").read().split(),
}
name = "tried" if "--check-config" in sys.argv else "serving"
with open(name + ".json", "w") as file:
    json.dump(seen, file)
"""


def test_it_runs_under_the_conditions_of_the_service(shop: Project, module_host: LabHost) -> None:
    module_host.sh("mkdir -p /home/somebody")
    shop.settings(QUICK + '[env]\nWORD = "said"\n')
    write(shop, CONDITIONS, "conditions")
    deploy(shop, module_host)
    tried, serving = (
        json.loads(module_host.sh(f"cat /srv/shop/shared/{name}.json"))
        for name in ("tried", "serving")
    )
    assert tried == serving
    assert tried["variables"]["WORD"] == "said"
    assert tried["places"]["/srv/shop/shared"] == "yes"
    assert tried["places"]["/usr"] == "Read-only file system"
    assert tried["homes"] is False


@pytest.mark.nightly
def test_what_it_prints_is_for_root_alone(shop: Project, module_host: LabHost) -> None:
    shop.write("secret", "correct-horse-battery\n")
    shop.settings(QUICK + '[secrets]\nWORD = { file = "secret" }\n')
    write(shop, "import sys\nif '--check-config' in sys.argv: print(os.environ['WORD'])", "prints")
    deploy(shop, module_host)
    assert_nothing_left(module_host)
    found = module_host.sh(
        "journalctl --sync; journalctl --no-pager -o cat | grep -c correct-horse || true;"
        " grep -rls correct-horse /run /var/log /tmp /var/tmp || true"
    )
    assert found.split()[0] == "0", found
    assert [one for one in found.split()[1:] if "systemd/journal" not in one] == []


@pytest.mark.nightly
def test_an_import_that_hangs_or_is_killed_leaves_nothing(
    shop: Project, module_host: LabHost
) -> None:
    shop.settings(QUICK)
    write(shop, "import time; time.sleep(600)")
    assert_refused(shop, module_host, "CW507", "was not imported within 6 s")
    write(shop, "import signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert_refused(shop, module_host, "CW507", "signal")


@pytest.mark.nightly
def test_a_static_folder_that_is_not_there_is_refused(shop: Project, module_host: LabHost) -> None:
    shop.settings(QUICK + '[web]\nstatic_url = "/static/"\nstatic_dir = "shop/static"\n')
    write(shop, "")
    assert_refused(
        shop, module_host, "CW421", "web.static_dir", "shop/static", "site-packages/shop/static"
    )
    shop.settings(QUICK)


@pytest.mark.nightly
def test_a_unit_of_ones_own_is_what_is_tried(shop: Project, module_host: LabHost) -> None:
    unit = (Path(__file__).parents[2] / "templates/web.service.j2").read_text()
    unit = unit.replace("[Unit]\n", "[Unit]\nOnFailure=cartwheel-alarm.service\n")
    unit = unit.replace(
        "[Service]\n",
        "[Service]\nEnvironment=FROM_TEMPLATE=yes\nExecStartPre=/bin/sh -c 'echo ran >> pre'\n",
    )
    module_host.sh(
        "printf '[Service]\\nType=oneshot\\nExecStart=/bin/touch /root/alarm\\n'"
        " > /run/systemd/system/cartwheel-alarm.service; systemctl daemon-reload"
    )
    template = shop.write("templates/web.service.j2", unit)
    try:
        write(shop, "os.environ['FROM_TEMPLATE']", "own unit")
        deploy(shop, module_host)
        assert module_host.sh("cat /srv/shop/shared/pre").split() == ["ran"], "the service's own"
        write(shop, "raise ValueError('no')")
        assert_refused(shop, module_host, "CW507", "ValueError: no")
        assert module_host.sh("ls /root/alarm 2>&1 || true").startswith("ls: ")
        # What systemd itself cannot do.
        template.write_text(
            unit.replace("User={{ user }}", "User={{ user }}\nRootDirectory=/nowhere")
        )
        write(shop, "", "elsewhere")
        assert_refused(shop, module_host, "CW508", "exit status 2")
    finally:
        template.unlink()
        template.parent.rmdir()


LAZY = """
def app(environ, start_response, served=app):
    if environ["PATH_INFO"] == "/":
        os.mkdir(HERE + "/late")
    return served(environ, start_response)
"""


@pytest.mark.nightly
def test_further_paths_decide_too(shop: Project, module_host: LabHost) -> None:
    write(shop, "", "lazy")
    with (shop.folder / "app/app.py").open("a") as file:
        file.write(LAZY)
    shop.settings(QUICK + 'also = ["/pid", "/"]\n')
    assert_refused(shop, module_host, "CW602", "/ has no answer", "site-packages/late'")
    write(shop, "", "healthy")
    deploy(shop, module_host)
    assert get(module_host) == "healthy"


def test_a_trial_ends_with_its_session(shop: Project, module_host: LabHost) -> None:
    write(shop, "import time; time.sleep(300)")
    shop.settings(QUICK.replace("deadline_seconds = 6", "deadline_seconds = 200"))
    run = subprocess.Popen(
        shop.command("deploy", "-H", module_host.name),
        cwd=shop.folder,
        env=shop.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 60
        while not module_host.sh("pgrep -f '[w]itness.py' || true").strip():
            assert time.monotonic() < until
            time.sleep(0.1)
        module_host.sh("systemctl kill --signal=SIGKILL 'cartwheel-session-shop-*'")
        assert run.wait(60) != 0
    finally:
        run.kill()
        run.wait()
    assert_nothing_left(module_host)
    assert module_host.sh("pgrep -f '[w]itness.py' || true").strip() == ""
    shop.settings(QUICK)
    write(shop, "", "after")
    deploy(shop, module_host)
    assert get(module_host) == "after"
