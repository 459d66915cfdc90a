"""People are told how a run ended; whom that does not reach holds nothing up."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit.project import SHOP, Project, new_project
from tests.kit.waiting import until
from tests.kit.webhook import TOKEN, Webhook, webhook

pytestmark = pytest.mark.timeout(300)

SETTINGS = f"""{SHOP}
[notify]
on = ["begun", "done", "failed"]
[notify.to]
ops = {{ env = "OPS_CHAT" }}
mute = {{ file = "mute.txt" }}
"""


@pytest.fixture(scope="module")
def messenger() -> Iterator[Webhook]:
    with webhook() as found:
        yield found


@pytest.fixture(scope="module")
def project(
    module_host: LabHost, messenger: Webhook, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    project = new_project(tmp_path_factory.mktemp("shop"))
    project.settings(SETTINGS)
    project = replace(project, env={"OPS_CHAT": messenger.address()})
    (project.folder / "mute.txt").write_text(messenger.address("silent"))
    project.fab("setup", "-H", module_host.name)
    return project


def test_a_deploy(project: Project, module_host: LabHost, messenger: Webhook) -> None:
    messenger.taken.clear()
    done = project.fab("deploy", "-H", module_host.name, "--message", "the first")
    assert "note: mute did not get the message: no answer within 3 s" in done.err
    assert TOKEN not in done.text
    assert messenger.titles[0] == "shop: deploy has begun"
    assert re.fullmatch(r"shop: \S+ is live", messenger.titles[1])
    body = messenger.taken[1][1]["message"]
    assert f"deploy on {module_host.name} by " in body
    assert body.splitlines()[0].endswith(": the first")
    assert [message["type"] for _path, message in messenger.taken] == ["info", "success"]


@pytest.mark.nightly
def test_one_that_changes_nothing(
    project: Project, module_host: LabHost, messenger: Webhook
) -> None:
    messenger.taken.clear()
    project.fab("deploy", "-H", module_host.name)
    assert messenger.titles == ["shop: deploy has begun"]


def test_one_that_fails(project: Project, module_host: LabHost, messenger: Webhook) -> None:
    messenger.taken.clear()
    project.write(
        "app/app.py",
        "def app(environ, start_response):\n    pass\n\nraise RuntimeError('broken')\n",
    )
    project.fab("deploy", "-H", module_host.name, code=Exit.FAILED)
    assert messenger.titles == ["shop: deploy has begun", "shop: deploy failed"]
    assert f"[{module_host.name}] " in messenger.taken[1][1]["message"]


@pytest.mark.nightly
def test_one_that_is_interrupted(
    project: Project, module_host: LabHost, messenger: Webhook
) -> None:
    messenger.taken.clear()
    project.app("text 2")
    running = project.begin("deploy", "-H", module_host.name)
    until(lambda: messenger.titles, shown="the message of its begin")
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == Exit.INTERRUPTED
    assert messenger.titles == ["shop: deploy has begun", "shop: deploy was interrupted"]


def test_by_hand(project: Project, messenger: Webhook) -> None:
    messenger.taken.clear()
    (project.folder / "mute.txt").write_text("nonsense://of-the-boss")
    done = project.fab("notify.test", code=1)
    assert "mute       Apprise does not know its address" in done.out
    assert messenger.titles == ["shop: a test"]
    assert "of-the-boss" not in done.text
    missing = replace(project, env={}).fab("deploy", "-H", "lab1", code=Exit.USAGE)
    assert "notify.to.ops: " in missing.text
