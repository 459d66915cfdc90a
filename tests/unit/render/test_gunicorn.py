"""The rendered gunicorn.conf.py in a real gunicorn."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cartwheel.errors import UsageError
from cartwheel.host.layout import Layout
from cartwheel.render.own_config import FIXED, own_config
from cartwheel.render.release import OWN_CONFIG, RenderFacts, render_release, workers
from cartwheel.settings.toml_tables import Settings

# Proves that the app came from the site and not from the writable folder.
APP = "def app(environ, start_response):\n    raise NotImplementedError\n"


def render_to(tmp_path: Path, text: str, values: dict[str, Any]) -> Path:
    """The folder of a rendered release; its application's text is on the import path."""
    base = {"app": {"name": "shop", "source": "."}, "host": {"base": str(tmp_path)}}
    settings = Settings.model_validate({**base, **values})
    at = Layout("shop", tmp_path)
    folder = at.release("1")
    folder.mkdir(parents=True, exist_ok=True)
    at.shared.mkdir(exist_ok=True)
    site = tmp_path / "site"
    site.mkdir(exist_ok=True)
    (site / "app.py").write_text(text)
    facts = RenderFacts(2, 252, "3.11.2", default_server_free=True, ipv6=True)
    for name, file in render_release(settings, facts, "1", tmp_path).items():
        if not file.shared:
            (folder / name).write_text(file.content)
    return folder


def gunicorn(
    tmp_path: Path, folder: Path, option: str, slot: str
) -> subprocess.CompletedProcess[str]:
    site = str(tmp_path / "site")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": site, "CARTWHEEL_SLOT": slot}
    command = [str(Path(sys.executable).with_name("gunicorn")), "--config"]
    return subprocess.run(
        [*command, str(folder / "gunicorn.conf.py"), option],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path / "shop/shared",
        env=environment,
    )


def check_config(tmp_path: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return gunicorn(tmp_path, folder, "--check-config", "1")


def configured(tmp_path: Path, slot: str = "1", **more: Any) -> dict[str, str]:
    """gunicorn's settings from the rendered file: its own `--print-config`, by name."""
    done = gunicorn(tmp_path, render_to(tmp_path, APP, more), "--print-config", slot)
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


@pytest.mark.parametrize(
    ("gunicorn", "worker", "lifespan"),
    [
        ({}, "gthread", "auto"),
        ({"kind": "asgi"}, "asgi", "auto"),
        ({"worker_class": "asgi", "lifespan": "on"}, "asgi", "on"),
        ({"kind": "uvicorn"}, "uvicorn_worker.UvicornWorker", "auto"),
        ({"worker_class": "gevent"}, "gevent", "auto"),
    ],
)
def test_the_worker_of_each_kind(
    tmp_path: Path, gunicorn: dict[str, str], worker: str, lifespan: str
) -> None:
    found = configured(tmp_path, gunicorn=gunicorn)
    assert (found["worker_class"], found["asgi_lifespan"]) == (worker, lifespan)


@pytest.mark.parametrize(
    "entry",
    [
        "app:app",
        "app",
        "app:make()",
        'app:make("prod", debug=True)',
        "app:held.inner.app",
        'app:Held("prod").app()',
    ],
)
def test_every_entry_is_loaded_as_gunicorn_does(tmp_path: Path, entry: str) -> None:
    """gunicorn itself takes a name and a call; the rest goes through the configuration."""
    text = (
        f"{APP}application = app\n"
        "def make(mode='', debug=False):\n    return app\n"
        "class Held:\n"
        "    def __init__(self, mode=''): self.inner = self\n"
        "    @staticmethod\n    def app(*_): return app\n"
        "held = Held()\n"
    )
    folder = render_to(tmp_path, text, {"app": {"name": "shop", "source": ".", "entry": entry}})
    done = check_config(tmp_path, folder)
    assert done.returncode == 0, done.stderr
    (tmp_path / "site/app.py").write_text("nothing = None\n")
    assert check_config(tmp_path, folder).returncode != 0


@pytest.mark.parametrize("name", ["gunicorn.conf.py", "gunicorn_conf.py"])
def test_a_configuration_beside_the_app_is_used(tmp_path: Path, name: str) -> None:
    """gunicorn reads gunicorn.conf.py of the folder where it is started."""
    text = "bind = '0.0.0.0:8000'\nworkers = 7\npidfile: str = '/x'\nwsgi_app = 'other:app'\n"
    (tmp_path / name).write_text(text)
    found = configured(tmp_path)
    assert found["workers"] == "7"
    assert "other" not in found["wsgi_app"], "app.entry, as on gunicorn's command line"
    assert found["bind"].startswith("['unix:")
    own = own_config(Settings.model_validate({"app": {"name": "shop", "source": "."}}), tmp_path)
    assert own is not None
    assert own.notes == (f"{name}: bind, pidfile, wsgi_app ignored: Cartwheel sets them itself",)


def test_what_a_configuration_says_of_its_worker(tmp_path: Path) -> None:
    def said(text: str) -> str | None:
        (tmp_path / "gunicorn.conf.py").write_text(text)
        own = own_config(Settings.model_validate({"app": {"name": "x", "source": "."}}), tmp_path)
        assert own is not None
        return own.worker_class

    assert said("workers = 2\n") == ""
    assert said("worker_class = 'uvicorn.workers.UvicornWorker'\n") == (
        "uvicorn.workers.UvicornWorker"
    )
    assert said("import os\nworker_class = os.environ['X']\n") is None
    (tmp_path / "gunicorn_conf.py").write_text("")
    own = own_config(Settings.model_validate({"app": {"name": "x", "source": "."}}), tmp_path)
    assert own is not None
    assert own.notes == ("gunicorn_conf.py is not used, because gunicorn.conf.py is",)


def test_the_fixed_settings_are_those_of_the_template(tmp_path: Path) -> None:
    configured(tmp_path)
    text = (Layout("shop", tmp_path).release("1") / "gunicorn.conf.py").read_text()
    fixed = re.findall(r'^    "(\w+)":', text.partition("_FIXED = {")[2], re.MULTILINE)
    assert frozenset(fixed) == FIXED
