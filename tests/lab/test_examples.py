"""Real applications on a real host: ours in examples/, and one that no one here wrote."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import shutil
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from cartwheel.build.lock import pins
from cartwheel_lab import LabHost
from tests.kit import jobs
from tests.kit.host import current, get, main_pids, status
from tests.kit.jobs import BOARD, SHOP
from tests.kit.project import CHECKOUT, QUICK, Project, new_project
from tests.kit.waiting import until

_INSTALLED = """
import importlib.metadata as m, json
print(json.dumps({d.metadata["Name"]: d.version for d in m.distributions()}))
"""


@dataclass(frozen=True)
class Example:
    """An application on the host, answering to a name of its own."""

    app: str
    host: LabHost
    project: Project

    @property
    def name(self) -> str:
        return f"{self.app}.test"

    def fab(self, *words: str) -> str:
        return self.project.fab(*words, "-H", self.host.name).out

    def get(self, path: str = "/") -> str:
        return get(self.host, path, self.name)

    def exposure(self) -> float:
        """What `systemd-analyze security` says of its unit: 0 is shut, 10 open."""
        (unit,) = main_pids(self.host, self.app)
        text = self.host.sh(f"systemd-analyze security --no-pager {unit} | tail -1")
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", text)
        assert found, text
        return float(found[1])

    def assert_installed_is_the_lock(self, own: str, version: str) -> None:
        """What Python finds on the host is the lock and the application: no more, no less."""
        release = f"/srv/{self.app}/releases/{current(self.host, self.app)}"
        found = self.host.exec(
            [f"{release}/venv/bin/python", "-I", "-c", _INSTALLED]
        ).stdout.decode()
        installed = {_normal(name): one for name, one in json.loads(found).items()}
        locked = {
            _normal(name): one
            for name, one in pins(self.host.sh(f"cat {release}/lock.txt")).items()
        }
        assert "gunicorn" in locked
        assert installed == {**locked, _normal(own): version}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def deployed(host: LabHost, folder: Path, app: str, settings: str) -> Example:
    """A project of its own for this example, set up and deployed."""
    project = new_project(folder)
    shutil.rmtree(folder / "app")
    project.settings(f'{settings}\n[web]\nserver_names = ["{app}.test"]\n' + QUICK)
    example = Example(app, host, project)
    example.fab("setup")
    example.fab("deploy")
    return example


def copied(name: str, folder: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", ".pytest_cache", "build")
    shutil.copytree(CHECKOUT / "examples" / name, folder / name, ignore=ignored)


@pytest.mark.nightly
def test_hello_and_its_static_files(module_host: LabHost, tmp_path: Path) -> None:
    copied("hello", tmp_path)
    settings = '[app]\nname = "hello"\nsource = "hello"\nentry = "hello:app"\n'
    hello = deployed(module_host, tmp_path, "hello", settings)
    assert "Hello from Cartwheel" in hello.get()
    assert json.loads(hello.get("/healthz"))["version"] == "1.0.0"
    hello.assert_installed_is_the_lock("hello", "1.0.0")
    assert hello.exposure() <= 2

    # From here on nginx serves the static files itself, also those of the page before.
    hello.project.settings(
        settings
        + '[web]\nserver_names = ["hello.test"]\n'
        + 'static = { "/static/" = "hello/static" }\n'
        + QUICK
    )
    static = tmp_path / "hello/src/hello/static"
    style = (static / "hello.css").read_text()
    hello.fab("deploy")
    assert hello.get("/static/hello.css") == style
    assert upstream_of(module_host, "hello", "/static/hello.css") == "-"
    (static / "hello.css").rename(static / "hello.v2.css")
    hello.fab("deploy", "--skip-tests")
    assert hello.get("/static/hello.v2.css") == style
    assert hello.get("/static/hello.css") == style  # an older page asks for it
    assert status(module_host, "/static/other.css", hello.name) == 404
    assert status(module_host, "/static/../../env", hello.name) in (400, 404)
    (static / "third.css").write_text("body {}")
    hello.fab("deploy", "--skip-tests")
    assert status(module_host, "/static/hello.css", hello.name) == 404
    hello.fab("rollback")
    assert hello.get("/static/hello.v2.css") == style


def upstream_of(host: LabHost, app: str, path: str) -> str:
    """Who answered the last request for `path`: `-` is nginx itself."""
    lines = host.sh(f"grep -F '{path} ' /var/log/nginx/{app}.access.log").splitlines()
    found = re.search(r'upstream="([^"]*)"', lines[-1])
    assert found, lines[-1]
    return found[1]


@pytest.mark.nightly
def test_a_plain_folder(module_host: LabHost, tmp_path: Path) -> None:
    copied("plain", tmp_path)
    plain = deployed(module_host, tmp_path, "plain", '[app]\nname = "plain"\nsource = "plain"\n')
    assert "<h1>Just app.py and requirements.txt</h1>" in plain.get()
    assert json.loads(plain.get("/healthz")) == {"status": "ok"}
    version = json.loads(
        module_host.sh("cat /srv/plain/releases/*/release.json")  # its only release
    )["version"]
    plain.assert_installed_is_the_lock("plain", version)
    assert plain.exposure() <= 2


@pytest.mark.nightly
def test_compiled_wheels_and_a_database_in_shared(module_host: LabHost, tmp_path: Path) -> None:
    copied("inventory", tmp_path)
    (tmp_path / "key").write_text("a key for exports")
    settings = (
        '[app]\nname = "inventory"\nsource = "inventory"\nentry = "inventory.wsgi:app"\n'
        '[env]\nINVENTORY_DATABASE = "/srv/inventory/shared/inventory.sqlite3"\n'
        '[secrets]\nINVENTORY_KEY = { file = "key" }\n'
    )
    inventory = deployed(module_host, tmp_path, "inventory", settings)
    inventory.assert_installed_is_the_lock("inventory", "1.0.0")
    assert inventory.exposure() <= 2
    body = urllib.parse.urlencode({"name": "wheels", "amount": "4"}).encode()
    request = urllib.request.Request(
        module_host.url("/items"), data=body, headers={"Host": inventory.name}, method="POST"
    )
    opener = urllib.request.build_opener(_NoRedirect())
    with pytest.raises(urllib.error.HTTPError) as answer:
        opener.open(request, timeout=10)
    assert answer.value.code == 303
    answer.value.close()
    assert json.loads(inventory.get("/items.json")) == {"wheels": 4}

    (tmp_path / "key").write_text("another key")
    inventory.fab("deploy")
    assert json.loads(inventory.get("/items.json")) == {"wheels": 4}
    export = urllib.request.Request(module_host.url("/items.xml"), headers={"Host": inventory.name})
    with urllib.request.urlopen(export, timeout=10) as xml:
        expected = hmac.new(b"another key", xml.read(), hashlib.sha256).hexdigest()
        assert xml.headers["X-Signature"] == expected


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: object) -> None:
        return None


@pytest.mark.nightly
def test_an_application_from_the_index(module_host: LabHost, tmp_path: Path) -> None:
    pypi = deployed(
        module_host,
        tmp_path,
        "pypiserver",
        '[app]\nname = "pypiserver"\nsource = "pypiserver==2.4.1"\nentry = "pypiserver:app()"\n'
        '[health]\npath = "/health"\n',
    )
    assert "pypiserver" in pypi.get()
    assert pypi.get("/health") == "Ok"
    pypi.assert_installed_is_the_lock("pypiserver", "2.4.1")
    assert pypi.exposure() <= 2


@pytest.mark.nightly
def test_the_apps_own_gunicorn_configuration_is_honoured(
    module_host: LabHost, tmp_path: Path
) -> None:
    project = new_project(tmp_path, name="own", settings='[web]\nserver_names = ["own.test"]\n')
    project.write(
        "app/gunicorn_conf.py",
        """
        workers = 3
        bind = "127.0.0.1:9999"  # this one is Cartwheel's


        def when_ready(server):
            server.log.info("the app's own hook ran")
        """,
    )
    project.fab("setup", "-H", module_host.name)
    project.fab("deploy", "-H", module_host.name)
    assert get(module_host, name="own.test") == "one"
    ((unit, pid),) = main_pids(module_host, "own").items()
    assert len(module_host.sh(f"cat /proc/{pid}/task/{pid}/children").split()) == 3
    assert "the app's own hook ran" in module_host.sh(f"journalctl -o cat -u {unit}")
    assert ":9999" not in module_host.sh("ss -Hltn")
    # A change of it is a change of the release.
    project.write("app/gunicorn_conf.py", "workers = 2\n")
    project.fab("deploy", "-H", module_host.name)
    ((_, pid),) = main_pids(module_host, "own").items()
    assert len(module_host.sh(f"cat /proc/{pid}/task/{pid}/children").split()) == 2


@pytest.mark.parametrize(
    "example",
    [pytest.param(BOARD, id="rq"), pytest.param(SHOP, id="celery")],
)
@pytest.mark.nightly
def test_jobs_go_on_while_their_workers_are_replaced(
    example: jobs.Example, module_host: LabHost, tmp_path: Path
) -> None:
    settings = "[tests]\nskip = true\n[deploy]\ndrain_seconds = 2\nprobation_seconds = 0.5\n"
    queue = jobs.copied(example, module_host, tmp_path / example.name, settings)
    fab, host = queue.project.fab, module_host.name
    fab("setup", "-H", host)
    fab("deploy", "-H", host)
    first = queue.put(0.1)
    until(lambda: queue.is_done(first))
    for number, task in enumerate(("deploy", "rollback")):
        queue.release(number + 1)
        taken = [queue.put(6)]
        until(partial(queue.has_begun, taken[0]))
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(fab, task, "-H", host)
            while not running.done():
                taken.append(queue.put(0.1))
                time.sleep(0.1)
            running.result()
        queue.await_done(*taken)
        queue.assert_done_once(*taken)
    if example is SHOP:
        said = fab("timer.run", "-H", host, "--name", "cleanup", "--follow").text
        assert re.search(r"^0 of \d+ orders forgotten$", said, re.MULTILINE)
        listed = fab("timer.list", "-H", host).text
        assert re.search(r"cleanup +30 3 \* \* \* .* 1 .* done, asked for by ", listed)
        assert_a_stopping_worker_keeps_no_order(queue)


def assert_a_stopping_worker_keeps_no_order(queue: jobs.Queue) -> None:
    """When it is asked to stop, it waits for Redis to hand it another order."""
    host = queue.host
    long = queue.put(15)
    until(partial(queue.has_begun, long))
    listed = host.sh("systemctl list-units --plain --no-legend 'cartwheel-shop.worker.*@*'")
    (unit,) = (line.split()[0] for line in listed.splitlines() if " active " in line)
    host.sh(f"systemctl stop --no-block {unit}")
    short = queue.put(0.1)
    until(lambda: "shop.jobs.pack" in host.sh("redis-cli lrange celery 0 -1"))
    assert not queue.has_begun(short)
    assert not queue.is_done(long)
    host.sh(f"systemctl start {unit}")
    queue.await_done(long, short)
    queue.assert_done_once(long, short)


PUT = """
import json, sys, urllib.request
for _ in range(24):
    request = urllib.request.Request(sys.argv[1], headers={"Host": "shop.test"}, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        print(json.load(answer)["id"], file=open("orders", "a"))
"""
TASK = """

@app.task
def {name}(order, seconds):
    store.note(order, "{name}-by-" + __import__("os").environ["CARTWHEEL_RELEASE"])
"""


@pytest.mark.nightly
def test_a_new_task_and_its_callers(module_host: LabHost, tmp_path: Path) -> None:
    """Orders come in while a switch is pending: workers of both releases take them."""
    settings = (
        "[tests]\nskip = true\n[deploy]\ndrain_seconds = 2\nprobation_seconds = 0.5\n"
        '[hooks.orders]\nbefore = "confirm"\n'
        f'command = "{sys.executable} put.py {module_host.url("/orders")}"\n'
    )
    queue = jobs.copied(SHOP, module_host, tmp_path / "shop", settings)
    project, host = queue.project, module_host.name
    project.write("put.py", PUT)
    sources, log = project.folder / "src/shop", project.folder / "orders"
    called = "pack"

    def add(name: str) -> None:
        with (sources / "jobs.py").open("a") as file:
            file.write(TASK.format(name=name))

    def call(name: str) -> None:
        nonlocal called
        text = (sources / "web.py").read_text()
        (sources / "web.py").write_text(text.replace(f"jobs.{called}.", f"jobs.{name}."))
        called = name

    def deploy() -> tuple[list[int], str, str]:
        """The orders during the switch, the release before and after."""
        log.write_text("")
        before = current(module_host, "shop")
        project.fab("deploy", "-H", host)
        return list(map(int, log.read_text().split())), before, current(module_host, "shop")

    def done_by(orders: list[int], name: str) -> Counter[str]:
        found = [step.what for order in orders for step in queue.steps(order)]
        return Counter(what for what in found if what.startswith(name + "-by-"))

    project.fab("setup", "-H", host)
    add("wrap")
    project.fab("deploy", "-H", host)
    call("wrap")  # one release later
    orders, before, after = deploy()
    until(lambda: done_by(orders, "wrap").total() == len(orders) == 24)
    assert set(done_by(orders, "wrap")) == {f"wrap-by-{before}", f"wrap-by-{after}"}

    add("gift")
    call("gift")  # in the same release: what the old worker takes, Celery drops
    orders, _before, after = deploy()
    units = "systemctl list-units --all --plain --no-legend 'cartwheel-shop.worker.*'"
    until(lambda: "deactivating" not in module_host.sh(units))
    last = queue.put(0)
    until(lambda: done_by([last], "gift"))
    assert 0 < done_by(orders, "gift").total() < 24

    add("card")
    call("card")
    project.settings(
        (project.folder / "cartwheel.toml")
        .read_text()
        .replace("ready =", "overlap = false\nready ="),
        "cartwheel.toml",
    )
    orders, _before, after = deploy()
    until(lambda: done_by(orders, "card") == {f"card-by-{after}": 24})
    ticks = queue.asked("/")["ticks"]
    until(lambda: queue.asked("/")["ticks"] > ticks)
