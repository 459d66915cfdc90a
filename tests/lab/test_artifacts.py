"""Two hosts behind one store: a wheel is published once, and each host fetches it by its hash."""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.build.packages import package
from tests.kit import artifact_store
from tests.kit.artifact_store import Request
from tests.kit.host import current, get, main_pids
from tests.kit.ports import free_port
from tests.kit.project import Done, Project, new_project

_EVERYWHERE = "/etc /srv /var /run /tmp /usr/local /opt /home /root /dev/shm"


@dataclass
class Stage:
    """A project whose hosts share a store: a process here and one inside each host's network,
    at one address, over one folder. `heard` is all that `fab` ever said."""

    pair: list[LabHost]
    project: Project
    shelf: Path
    port: int
    passwords: dict[str, str]
    heard: list[str] = field(default_factory=list)

    def fab(self, *words: str, code: Exit = Exit.OK) -> Done:
        names = ",".join(host.name for host in self.pair)
        done = self.project.fab(*words, "-H", names, code=None)
        self.heard.append(done.text)
        assert done.code == code, done
        return done

    def use(self, kind: str) -> None:
        where = {"folder": ("files", "files"), "index": ("simple", "legacy/")}[kind]
        url, upload_url = (f"http://127.0.0.1:{self.port}/{path}" for path in where)
        text = (self.project.folder / "config/deploy.toml").read_text().split("[artifacts]")[0]
        self.project.settings(
            f"""{text}[artifacts]
kind = "{kind}"
url = "{url}"
upload_url = "{upload_url}"
username = "writer"
password = {{ file = "writer-password" }}
read_username = "reader"
read_password = {{ file = "reader-password" }}
timeout_seconds = 5
"""
        )

    def asked(self, name: str) -> list[Request]:
        return artifact_store.requests(self.shelf, name)

    def changes(self) -> list[Request]:
        """What was sent over the operator's line."""
        return [one for one in self.asked("here") if one.method in ("PUT", "POST")]

    def fetches(self, host: LabHost) -> list[Request]:
        found = self.asked(host.name)
        assert {(one.method, one.user) for one in found} <= {("GET", "reader")}
        return found

    def state(self) -> list[Any]:
        return [(current(host, "shop"), main_pids(host, "shop"), get(host)) for host in self.pair]

    def serving(self, host: LabHost | None) -> AbstractContextManager[None]:
        """The store on this machine's loopback or on the host's."""
        logins = [f"{who}:{self.passwords[who]}" for who in ("writer", "reader")]
        if host is None:
            return artifact_store.process(self.port, self.shelf, "here", logins=logins)
        start = host.popen_in_netns
        return artifact_store.process(self.port, self.shelf, host.name, logins=logins, start=start)


@pytest.fixture(scope="module")
def stage(pair: list[LabHost], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("artifacts")
    project = new_project(folder / "project")
    (folder / "store").mkdir()
    passwords = {who: f"S3ntinel{who}{secrets.token_hex(8)}" for who in ("writer", "reader")}
    for who, password in passwords.items():
        project.write(f"{who}-password", password)
    made = Stage(pair, project, folder / "store", free_port(), passwords)
    made.use("folder")
    with ExitStack() as stack:
        stack.enter_context(made.serving(None))
        for host in pair[:1]:
            stack.enter_context(made.serving(host))
        made.fab("setup")
        yield made


@pytest.fixture
def second(stage: Stage) -> Iterator[None]:
    """The second host's way to the store; without it the store is down for that host."""
    with stage.serving(stage.pair[1]):
        yield


def test_a_plan_publishes_nothing(stage: Stage, second: None) -> None:
    assert "fetch" in stage.fab("plan").text
    assert stage.asked("here") == []


def test_the_wheel_crosses_the_operators_line_once(stage: Stage, second: None) -> None:
    before = [host.line()["to_host"] for host in stage.pair]
    done = stage.fab("deploy", "--json")
    carried = [
        host.line()["to_host"] - count for host, count in zip(stage.pair, before, strict=True)
    ]
    said = [json.loads(line) for line in done.out.splitlines()]
    events = [one for one in said if one["type"] == "event"]
    ended = {(one["step"], one["state"], one["host"]) for one in events}
    for host in stage.pair:
        assert ("fetch", "changed", host.name) in ended
        assert get(host) == "one"
        pip, wheel = stage.fetches(host)
        assert pip.sent > wheel.sent > 0
    assert not [one for one in ended if one[0] == "upload"]
    wheel_sent, pip_sent = stage.changes()
    assert wheel_sent.user == pip_sent.user == "writer"
    assert [wheel_sent.received, pip_sent.received] == [wheel.sent, pip.sent]
    assert max(carried) < pip.sent / 2, "neither went over SSH"


@pytest.mark.nightly
def test_an_update_is_one_more_and_what_is_there_is_not_sent_again(
    stage: Stage, second: None
) -> None:
    before = len(stage.changes()), [len(stage.fetches(host)) for host in stage.pair]
    stage.project.app("two")
    stage.fab("deploy")
    stage.fab("deploy")  # nothing to do
    assert [get(host) for host in stage.pair] == ["two", "two"]
    after = len(stage.changes()), [len(stage.fetches(host)) for host in stage.pair]
    assert after == (before[0] + 1, [count + 1 for count in before[1]])


@pytest.mark.nightly
def test_what_comes_from_a_repository_is_published_as_the_application_is(
    stage: Stage, second: None
) -> None:
    folder = package(stage.project.folder / "money", "money")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run(
            ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.example", *words],
            check=True,
        )
    [head] = (folder / ".git" / "refs" / "heads").iterdir()
    commit = head.read_text().strip()
    stage.project.app("with money")
    stage.project.write("app/requirements.txt", f"git+{folder.as_uri()}@{commit}\n")
    before = len(stage.changes())
    stage.fab("deploy")
    sent = {Path(one.path).name.split("-")[0] for one in stage.changes()[before:]}
    assert sent == {"shop", "money"}
    for host in stage.pair:
        assert get(host) == "with money"
        fetched = {Path(one.path).name.split("-")[0] for one in stage.fetches(host)[-2:]}
        assert fetched == sent
        host.sh("test -f /srv/shop/current/venv/lib/python3*/site-packages/money/__init__.py")


@pytest.mark.nightly
def test_a_package_index_does_as_well(stage: Stage, second: None) -> None:
    stage.use("index")
    stage.project.app("three")
    before = len(stage.changes())
    try:
        stage.fab("deploy")
    finally:
        stage.use("folder")
    assert [get(host) for host in stage.pair] == ["three", "three"]
    sent = stage.changes()[before:]
    assert [(one.method, one.path, one.status) for one in sent] == [("POST", "/legacy/", 200)] * 2
    for host in stage.pair:
        assert stage.fetches(host)[-1].path.startswith("/packages/shop-")


@pytest.mark.nightly
def test_setup_takes_uv_from_the_store(stage: Stage, second: None) -> None:
    text = (stage.project.folder / "config/deploy.toml").read_text()
    stage.project.settings(text.replace("[deploy]", '[deploy]\ninstaller = "uv"'))
    published = len(stage.changes())
    before = [host.line()["to_host"] for host in stage.pair]
    try:
        stage.fab("setup")
        stage.fab("setup")  # nothing to do
    finally:
        stage.project.settings(text)
    [uv] = stage.changes()[published:]
    assert Path(uv.path).name.startswith("uv-")
    for host, count in zip(stage.pair, before, strict=True):
        assert stage.fetches(host)[-1].path.endswith(Path(uv.path).name)
        assert host.line()["to_host"] - count < uv.received / 10
        assert host.sh("ls /usr/local/lib/cartwheel/.uv/*/uv")


def test_other_bytes_in_the_store_are_never_installed(stage: Stage, second: None) -> None:
    before = stage.state()
    stage.project.app("four")
    built = stage.project.fab("build").text
    wheel = next(Path(word) for word in built.split() if word.endswith(".whl") and "/" in word)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    there = stage.shelf / "files" / digest / wheel.name
    there.parent.mkdir()
    there.write_bytes(bytes(wheel.stat().st_size))  # as long, so that it looks whole
    done = stage.fab("deploy", code=Exit.FAILED)
    [line] = [one for one in done.text.splitlines() if one.startswith("error: ")]
    assert f"/files/{digest}/" in line
    assert "differs from what was published [CW313]" in line
    assert "Remove the file from the store" in done.text
    assert stage.state() == before
    for host in stage.pair:
        assert host.sh(f"find /srv/shop/cache/wheels/{digest} -type f 2>/dev/null || true") == ""
    there.unlink()
    stage.fab("deploy")
    assert [get(host) for host in stage.pair] == ["four", "four"]


@pytest.mark.nightly
def test_one_host_that_cannot_reach_the_store_keeps_both_as_they_were(stage: Stage) -> None:
    before = stage.state()
    stage.project.app("five")
    done = stage.fab("deploy", code=Exit.FAILED)
    [line] = [one for one in done.text.splitlines() if one.startswith("error: ")]
    assert line.startswith(f"error: {stage.pair[1].name}: http://127.0.0.1:{stage.port}/files/")
    assert line.endswith("cannot be fetched: Connection refused [CW310]")
    assert stage.state() == before


@pytest.mark.nightly
def test_a_store_that_is_down_for_us_is_gone_around(stage: Stage) -> None:
    """Nobody can publish, and the deploy goes on over SSH, and says so."""
    stage.project.app("six")
    text = (stage.project.folder / "config/deploy.toml").read_text()
    stage.project.settings(text.replace(f":{stage.port}/", f":{free_port()}/"))
    try:
        done = stage.fab("deploy")
    finally:
        stage.project.settings(text)
    assert "is uploaded over SSH instead" in done.text
    assert [get(host) for host in stage.pair] == ["six", "six"]


@pytest.mark.nightly
def test_without_a_store_uploads_take_turns(stage: Stage) -> None:
    text = (stage.project.folder / "config/deploy.toml").read_text()
    bounds = '[fleet]\nuploads_at_once = 1\nupload_bytes_per_second = "200K"\n'
    stage.project.settings(text.split("[artifacts]")[0] + bounds)
    size = 1_200_000  # six seconds for each
    (stage.project.folder / "app/data.bin").write_bytes(secrets.token_bytes(size))
    before = [host.line()["to_host"] for host in stage.pair]
    try:
        done = stage.fab("deploy", "--json")
    finally:
        stage.project.settings(text)
    said = [json.loads(line) for line in done.out.splitlines()]
    waited = {
        one["host"] for one in said if one.get("detail") == "waiting for its turn to be uploaded"
    }
    assert len(waited) == 1, "the other was first"
    for host, count in zip(stage.pair, before, strict=True):
        assert host.line()["to_host"] - count > size


def test_the_stores_passwords_are_nowhere(stage: Stage) -> None:
    patterns = "\n".join(stage.passwords.values()).encode()
    for text in stage.heard:
        assert not [word for word in stage.passwords.values() if word in text]
    for host in stage.pair:
        kept = host.exec(["grep", "-rlFs", "-f", "-", *_EVERYWHERE.split()], input=patterns)
        assert kept.stdout == b""
        logged = host.exec(["sh", "-c", "journalctl --no-pager --all -o verbose"])
        assert b"cartwheel" in logged.stdout
        assert not [word for word in stage.passwords.values() if word.encode() in logged.stdout]
