"""The rendered gunicorn.conf.py in a real gunicorn."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cartwheel.errors import UsageError
from cartwheel.host.layout import Layout
from cartwheel.render import RenderFacts, render_release
from cartwheel.render.release import OWN_CONFIG, workers
from cartwheel.settings.toml_tables import Settings

# Proves that the app came from the site and not from the writable folder.
APP = "def app(environ, start_response):\n    raise NotImplementedError\n"


def configured(tmp_path: Path, slot: str = "1", **more: Any) -> dict[str, str]:
    """What gunicorn makes of the rendered file: its own `--print-config`, by name."""
    settings = Settings.model_validate(
        {"app": {"name": "shop", "source": "."}, "host": {"base": str(tmp_path)}, **more}
    )
    at = Layout("shop", tmp_path)
    folder = at.release("1")
    folder.mkdir(parents=True, exist_ok=True)
    at.shared.mkdir(exist_ok=True)
    site = tmp_path / "site"
    site.mkdir(exist_ok=True)
    (site / "app.py").write_text(APP)
    facts = RenderFacts(2, 252, "3.11.2", default_server_free=True, ipv6=True)
    for name, file in render_release(settings, facts, "1", tmp_path).items():
        if not file.shared:
            (folder / name).write_text(file.content)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(site), "CARTWHEEL_SLOT": slot}
    command = [str(Path(sys.executable).with_name("gunicorn")), "--config"]
    done = subprocess.run(
        [*command, str(folder / "gunicorn.conf.py"), "--print-config"],
        capture_output=True,
        text=True,
        check=False,
        cwd=at.shared,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.partition("=") for line in done.stdout.splitlines()]
    return {name.strip(): value.strip() for name, _, value in lines}


def test_every_setting_arrives(tmp_path: Path) -> None:
    found = configured(
        tmp_path,
        gunicorn={
            "workers": "cpus * 3",
            "threads": 4,
            "timeout_seconds": 45,
            "keepalive_seconds": 7,
            "max_requests": 1000,
            "max_requests_jitter": 50,
            "access_log": True,
            "log_level": "warning",
            "preload": True,
        },
        deploy={"drain_seconds": 12.5},
    )
    wanted = {
        "bind": "['unix:/run/cartwheel/shop/1/1/http.sock']",
        "wsgi_app": "app:app",
        "workers": "6",
        "threads": "4",
        "worker_class": "gthread",
        "timeout": "45",
        "graceful_timeout": "13",
        "keepalive": "7",
        "max_requests": "1000",
        "max_requests_jitter": "50",
        "accesslog": "-",
        "errorlog": "-",
        "loglevel": "warning",
        "preload_app": "True",
        "worker_tmp_dir": "/dev/shm",
        "control_socket_disable": "True",
        "chdir": f"{tmp_path}/shop/shared",
        "umask": "7",
        "proc_name": "shop 1",
    }
    assert {name: found[name] for name in wanted} == wanted


def test_each_slot_has_a_socket_of_its_own(tmp_path: Path) -> None:
    for slot in ("1", "12"):
        found = configured(tmp_path, slot=slot)["bind"]
        assert found == f"['unix:/run/cartwheel/shop/1/{slot}/http.sock']"


def test_no_access_log_unless_wanted(tmp_path: Path) -> None:
    assert configured(tmp_path)["accesslog"] == "None"


HOSTILE = """
bind = "0.0.0.0:8000"
daemon = True
pidfile = "/tmp/pid"
graceful_timeout = 1
errorlog = "/tmp/log"
reload = True
_FIXED = {}
_SLOT = "else"
threads = 3
timeout = 99
class Helper: pass
def post_fork(server, worker): pass
"""


@pytest.mark.parametrize("named", [True, False])
def test_the_apps_own_file_is_honoured_but_never_binds(tmp_path: Path, named: bool) -> None:
    name = "conf/mine.py" if named else "gunicorn_conf.py"
    (tmp_path / "conf").mkdir()
    (tmp_path / name).write_text(HOSTILE)
    found = configured(tmp_path, gunicorn={"config_file": name} if named else {})
    assert (tmp_path / "shop/releases/1" / OWN_CONFIG).read_text() == HOSTILE
    assert (found["threads"], found["timeout"]) == ("3", "99")
    assert found["post_fork"] == "<post_fork()>"
    assert found["bind"] == "['unix:/run/cartwheel/shop/1/1/http.sock']"
    assert (found["daemon"], found["pidfile"], found["reload"]) == ("False", "None", "False")
    assert (found["graceful_timeout"], found["errorlog"]) == ("30", "-")


def test_an_upload_does_not_stand_in_for_a_module(tmp_path: Path) -> None:
    shared = tmp_path / "shop/shared"
    shared.mkdir(parents=True)
    (shared / "app.py").write_text("raise SystemExit('the upload was imported')\n")
    assert configured(tmp_path)["wsgi_app"] == "app:app"


@pytest.mark.parametrize(
    ("wanted", "cpus", "number"),
    [("cpus * 2 + 1", 2, 5), ("cpus * 2 + 1", 64, 8), (16, 2, 16), ("cpus // 2", 1, 1)],
)
def test_workers(wanted: int | str, cpus: int, number: int) -> None:
    settings = Settings.model_validate(
        {"app": {"name": "shop", "source": "."}, "gunicorn": {"workers": wanted}}
    )
    assert workers(settings, cpus) == number


def test_a_formula_that_fails_on_this_host_is_a_mistake_in_the_settings() -> None:
    settings = Settings.model_validate(
        {"app": {"name": "shop", "source": "."}, "gunicorn": {"workers": "1 / (cpus - 3)"}}
    )
    with pytest.raises(UsageError, match=r"gunicorn\.workers: .* divides by zero for 3 cpus"):
        workers(settings, 3)
