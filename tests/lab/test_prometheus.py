"""/metrics, the dashboard and the alert rules with a real Prometheus, in the nightly run.

`script/prometheus-packages` puts it there. It scrapes the page, which gunicorn serves over a store
that grows.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from tests.kit import monitored
from tests.kit.monitored import Filled
from tests.kit.ports import free_port
from tests.kit.waiting import until

pytestmark = pytest.mark.nightly

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".venv" / "prometheus"
MONITOR = ROOT / "monitor"
TOKEN = "0123456789abcdef"
_NAME = re.compile(r"\bcartwheel_\w+")


@dataclass(frozen=True)
class Prometheus:
    """One that scrapes the page of `filled`, at `page`."""

    url: str
    page: str
    filled: Filled

    def ask(self, expression: str) -> list[Any]:
        """The result now. Any: as Prometheus says it. It fails for one that cannot be parsed."""
        text = urlencode({"query": expression})
        found = _json(f"{self.url}/api/v1/query?{text}")
        assert found["status"] == "success", found
        result: list[Any] = found["data"]["result"]
        return result

    def rules(self) -> list[Any]:
        found: list[Any] = _json(f"{self.url}/api/v1/rules")["data"]["groups"]
        return [rule for group in found for rule in group["rules"]]


def _json(url: str) -> Any:
    with urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())


def _metrics(page: str) -> bytes:
    asked = Request(f"{page}/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    with urlopen(asked, timeout=10) as answer:
        data: bytes = answer.read()
        return data


def tool(*arguments: str, given: bytes = b"") -> str:
    """What promtool says; it fails where promtool does."""
    path = TOOLS / "promtool"
    assert path.exists(), f"there is no {path}: run script/prometheus-packages"
    ran = subprocess.run(
        [str(path), *arguments],
        input=given,
        check=False,
        capture_output=True,
        cwd=MONITOR,
        timeout=60,
    )
    said = (ran.stdout + ran.stderr).decode()
    assert ran.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """A project with all that can have a series; its store grows each second."""
    found = monitored.fill(tmp_path_factory.mktemp("monitor"), time.time())
    path = found.places.lists / "shop.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, "metrics": TOKEN, "messengers": {"ops": "json://x"}}))
    ending = threading.Event()
    growing = threading.Thread(target=_grow, args=(found, ending))
    growing.start()
    try:
        yield found
    finally:
        ending.set()
        growing.join()


def _grow(filled: Filled, ending: threading.Event) -> None:
    while not ending.is_set():
        now = time.time()
        monitored.grow(filled, now)
        ops = {"name": "ops", "waiting": 0, "problem": "", "given_up": 0}
        itself = {
            "store": {"lost": 0},
            "messengers": [ops],
            "heartbeat": {"at": now, "problem": ""},
        }
        said = {"format": 1, "time": now, "problems": [], "projects": {"shop": itself}}
        new = filled.places.status.with_suffix(".new")
        new.write_text(json.dumps(said))
        new.replace(filled.places.status)
        ending.wait(1.0)


@contextmanager
def running(command: list[str], log: Path, **variables: str) -> Iterator[None]:
    """A program of the test's own, which is ended after the block."""
    with log.open("ab") as out:
        one = subprocess.Popen(
            command, stdout=out, stderr=out, env={**os.environ, **variables}, cwd=log.parent
        )
    try:
        yield
        assert one.poll() is None, log.read_text()
    finally:
        one.terminate()
        try:
            one.wait(20)
        except subprocess.TimeoutExpired:
            one.kill()
            one.wait()


@contextmanager
def serving(filled: Filled, port: int, folder: Path) -> Iterator[str]:
    """The page, by gunicorn."""
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "--threads", "2"]
    command += ["--no-control-socket", "cartwheel_monitor.web:app"]
    sources = os.pathsep.join((str(MONITOR), str(ROOT)))
    shared = str(filled.places.shared)
    with running(
        command, folder / "gunicorn.log", PYTHONPATH=sources, CARTWHEEL_SHARED=shared,
        CARTWHEEL_DASHBOARD_TOKEN="0123456789abcdef-page",
    ):  # fmt: skip
        page = f"http://127.0.0.1:{port}"
        until(lambda: _answers(f"{page}/healthz"), shown=(folder / "gunicorn.log").read_text)
        yield page


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def prometheus(filled: Filled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    port, own = free_port(), free_port()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "2s"},
        "rule_files": [str(MONITOR / "alerts.yml")],
        "scrape_configs": [
            {
                "job_name": "cartwheel",
                "authorization": {"credentials": TOKEN},
                "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # YAML has all of JSON
    tool("check", "config", str(folder / "prometheus.yml"))
    command = [
        str(TOOLS / "prometheus"), f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{own}",
    ]  # fmt: skip
    with running(command, folder / "prometheus.log"):
        found = Prometheus(f"http://127.0.0.1:{own}", f"http://127.0.0.1:{port}", filled)
        until(lambda: _answers(f"{found.url}/-/ready"), shown=folder / "prometheus.log")
        with serving(filled, port, folder):
            until(lambda: found.ask("cartwheel_watcher_up"))
        # A page that was away and came back changes no counter.
        with serving(filled, port, folder):
            until(lambda: len(found.ask("count_over_time(cartwheel_watcher_up[1m]) > 10")))
            yield found


def expressions() -> list[tuple[str, str]]:
    """Those of the dashboard, each with its title, and with its variables filled in."""
    board = json.loads((MONITOR / "grafana.json").read_text())
    found = [(one["name"], one["expr"]) for one in board["annotations"]["list"]]
    found += [(one["title"], each["expr"]) for one in board["panels"] for each in one["targets"]]
    filled = {"$__rate_interval": "30s", "$app": ".*", "$host": ".*"}
    for name, value in filled.items():
        found = [(title, one.replace(name, value)) for title, one in found]
    assert not [one for _title, one in found if "$" in one]
    return found


def alerts() -> list[str]:
    return re.findall(r"- alert: (\w+)", (MONITOR / "alerts.yml").read_text())


def test_promtool_finds_nothing_wrong(prometheus: Prometheus) -> None:
    said = tool("check", "metrics", given=_metrics(prometheus.page))
    assert said.strip() == ""


def test_the_rules_do_what_they_should() -> None:
    tool("check", "rules", "alerts.yml")
    assert "SUCCESS" in tool("test", "rules", "alerts_test.yml")


def test_every_alert_is_tried() -> None:
    text = (MONITOR / "alerts_test.yml").read_text()
    assert [one for one in alerts() if f'alertname="{one}"' not in text] == []


@pytest.mark.parametrize(("title", "expression"), expressions())
def test_every_panel_shows_something(prometheus: Prometheus, title: str, expression: str) -> None:
    found = until(lambda: prometheus.ask(expression), shown=f"{title}: {expression}")
    assert "NaN" not in [one["value"][1] for one in found]


def test_counters_only_grow(prometheus: Prometheus) -> None:
    for name in ("cartwheel_requests_total", "cartwheel_request_duration_seconds_bucket"):
        assert prometheus.ask(f"resets({name}[10m])")
        assert prometheus.ask(f"resets({name}[10m]) > 0") == []
    growing = prometheus.ask("rate(cartwheel_requests_total[30s]) > 0")
    assert {one["metric"]["host"] for one in growing} == {"web1", "web2"}
    share = "sum(increase(cartwheel_requests_failed_total[30s]))"
    (one,) = prometheus.ask(f"{share} / sum(increase(cartwheel_requests_total[30s]))")
    assert float(one["value"][1]) == pytest.approx(1 / 20, rel=0.05)


def test_every_alert_asks_for_what_there_is(prometheus: Prometheus) -> None:
    rules = until(lambda: [one for one in prometheus.rules() if one["health"] != "unknown"])
    assert {one["name"] for one in rules} == set(alerts())
    assert [one for one in rules if one["health"] != "ok"] == []
    names = {name for one in rules for name in _NAME.findall(one["query"])}
    assert [name for name in names if not prometheus.ask(f"count({name})")] == []
    firing = {one["name"] for one in rules if one["alerts"]}
    assert firing <= {"CartwheelErrors"}, "one in twenty fails here"
