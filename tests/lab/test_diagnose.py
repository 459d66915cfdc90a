"""`fab diagnose` on a real host: the cause comes first, a host that is well has none, and no secret
leaves it. bench/diagnose plants many more faults."""

from __future__ import annotations

import json
import tarfile
import time

import pytest

from cartwheel_lab import LabHost
from tests.kit.project import SHOP, Project, new_project
from tests.kit.terminal import on_terminal
from tests.kit.visitors import loaded
from tests.kit.waiting import until

pytestmark = pytest.mark.timeout(300)

SECRET = "s3cret-of-the-sessions"
SETTINGS = f'{SHOP}[secrets]\nSESSION_KEY = {{ file = "key" }}\n'
APP = """
import os

WELL = "{text}"


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/orders":
        raise LookupError("no orders for " + os.environ["SESSION_KEY"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [WELL.encode()]
"""


@pytest.fixture(scope="module")
def project(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = new_project(tmp_path_factory.mktemp("shop"))
    project.settings(SETTINGS)
    project.write("key", SECRET)
    project.write("app/app.py", APP.replace("{text}", "one"))
    project.write("app/requirements.txt", "")
    project.fab("setup", "-H", module_host.name)
    project.fab("deploy", "-H", module_host.name)
    return project


def first(project: Project, host: LabHost, *words: str) -> dict[str, object]:
    """The likeliest cause."""
    done = project.fab("diagnose", "-H", host.name, "--json", *words, code=1)
    found: dict[str, object] = json.loads(done.out.splitlines()[-1])["hosts"][0]["causes"][0]
    return found


def test_a_host_that_is_well(project: Project, module_host: LabHost) -> None:
    with loaded(module_host, path="/", release_pattern="", slow=0, upload=0, stream=0):
        said = project.fab("diagnose", "-H", module_host.name).out
    assert said == f"[{module_host.name}] nothing is wrong (the last 2 h)\n"


def test_watched_on_the_terminal(project: Project, module_host: LabHost) -> None:
    said = project.fab("watch", "-H", module_host.name, "--times", "2", "--every", "1").out
    lines = said.splitlines()
    assert lines[1].split()[:2] == ["HOST", "LIVE"]
    assert lines[2].split()[0] == module_host.name
    assert " healthy " in lines[2]


def test_q_ends_it(project: Project, module_host: LabHost) -> None:
    with on_terminal(project, "watch", "-H", module_host.name, "--every", "60") as terminal:
        terminal.shows(" healthy ")
        terminal.type("q")
        assert terminal.end() == 0


def test_an_exception_at_one_path(project: Project, module_host: LabHost) -> None:
    for _ in range(30):
        module_host.sh("curl -s -o /dev/null http://127.0.0.1/orders")
    found = first(project, module_host)
    assert found["what"] == "exceptions"
    assert "LookupError at app.py:" in str(found)
    assert SECRET not in str(found), "it stands in the exception's text"


def test_a_bundle_to_send_on(project: Project, module_host: LabHost) -> None:
    done = project.fab("diagnose", "-H", module_host.name, "--out", "bundle.tgz", code=1)
    assert "wrote bundle.tgz" in done.out
    with tarfile.open(project.folder / "bundle.tgz") as archive:
        files = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        texts = {name: file.read().decode() for name, file in files.items() if file is not None}
    folder = f"diagnosis/{module_host.name}"
    assert {f"{folder}/{name}" for name in ("diagnosis.txt", "diagnosis.json", "app.log")} <= set(
        texts
    )
    assert "LookupError: no orders for ***" in texts[f"{folder}/app.log"]
    assert [name for name, text in texts.items() if SECRET in text] == []
    refused = project.fab("diagnose", "-H", module_host.name, "--out", "no/such/folder", code=2)
    assert "--out" in refused.err


@pytest.mark.nightly
def test_somebody_stopped_the_app(project: Project, module_host: LabHost) -> None:
    time.sleep(10)  # what is stopped sooner after a deploy may have been stopped by it
    module_host.sh("systemctl stop 'cartwheel-shop.web*'")
    found = first(project, module_host)
    assert "stopped web without Cartwheel" in str(found["title"])
    project.fab("start", "-H", module_host.name)


@pytest.mark.nightly
def test_after_a_while_it_is_over(project: Project, module_host: LabHost) -> None:
    """What began and ended before the time that is asked about is no cause."""

    def is_well() -> bool:
        done = project.fab("diagnose", "-H", module_host.name, "--since", "5s", code=None)
        return "nothing is wrong" in done.out

    until(is_well, 60, shown="nothing is wrong")
