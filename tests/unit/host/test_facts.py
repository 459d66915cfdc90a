"""Looking at a host: interpreters, file systems, ports, what is cached."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cartwheel.host.layout import Layout
from cartwheel.host.look import facts, parts
from cartwheel.host.system import children, reach, systemd
from cartwheel.host.web import kinds
from cartwheel.host.wire.codec import from_message, to_json
from cartwheel.host.wire.facts import AskFacts, Facts, Interpreter
from tests.unit.hostside import Session, host_in


def script(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def fake_python(path: Path, version: str) -> str:
    return script(path, f"echo {version}; echo /usr; echo /usr/lib; echo /bin/sh\n")


def test_this_interpreter_by_its_path() -> None:
    real = os.path.realpath(sys.executable)  # the link to it may be in a checkout below /tmp
    found = facts.interpreter(real, "root")
    assert found == Interpreter(
        path=real,
        version=".".join(map(str, sys.version_info[:3])),
        stdlib=str(Path(os.__file__).parent),
        in_home=reach.in_home(real),
        obstacle="",
    )


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("3", "a"),
        ("3.11", "b"),
        ("3.1", None),
        ("3.11.2", "b"),
        ("3.11.20", None),
        ("3.13", "a"),
        ("3.13.0", "a"),
        ("3.12", None),
        ("2", None),
    ],
)
def test_a_version_chooses_the_first_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, chosen: str | None
) -> None:
    there = [fake_python(tmp_path / "a", "3.13.0"), fake_python(tmp_path / "b", "3.11.2")]
    monkeypatch.setattr(facts, "_candidates", lambda _wanted: [str(tmp_path / "none"), *there])
    found = facts.interpreter(wanted, "root")
    assert (found and Path(found.path).name) == chosen


def test_candidates_know_files_by_minor_version_only() -> None:
    for wanted in ("3.11.2", "3.11"):
        assert "/usr/bin/python3.11" in facts._candidates(wanted)
        assert "/usr/local/bin/python3.11" in facts._candidates(wanted)
        assert facts._candidates(wanted)[-2:] == ["/usr/bin/python3", "/usr/local/bin/python3"]
    assert facts._candidates("/opt/python") == ["/opt/python"]


@pytest.mark.parametrize(
    "text",
    ["exit 1", "echo 3.11.2", "echo oops >&2; exit 127", "printf '\\377\\377'", ""],
)
def test_what_is_no_python_is_none(tmp_path: Path, text: str) -> None:
    assert facts.interpreter(script(tmp_path / "python", text + "\n"), "root") is None


def test_a_python_without_venv_is_none(tmp_path: Path) -> None:
    text = "echo 3.11.2; echo /usr; echo /l; echo /p; echo 'No module named venv' >&2; exit 1\n"
    assert facts.interpreter(script(tmp_path / "python", text), "root") is None


def test_what_may_not_be_executed_is_none(tmp_path: Path) -> None:
    path = tmp_path / "python"
    path.write_text("")
    assert facts.interpreter(str(path), "root") is None
    assert facts.interpreter(str(tmp_path), "root") is None
    assert facts.interpreter(str(tmp_path / "none"), "root") is None


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, (100 * 512, 7)),
        ({"f_files": 0, "f_favail": 0}, (100 * 512, 1 << 32)),
        ({"f_frsize": 0}, (100 * 4096, 7)),
        ({"f_bavail": 0, "f_favail": 0}, (0, 0)),
    ],
)
def test_room_on_odd_file_systems(
    monkeypatch: pytest.MonkeyPatch, status: dict[str, int], expected: tuple[int, int]
) -> None:
    values = {"f_bavail": 100, "f_frsize": 512, "f_bsize": 4096, "f_files": 9, "f_favail": 7}
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(**{**values, **status}))
    assert parts.free_on(Path("/")) == expected


def test_room_where_the_folder_is_not_made_yet(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    for path in (tmp_path / "a" / "b", tmp_path / "dangling" / "x"):
        assert parts.existing(path) == tmp_path
        assert parts.free_on(path)[0] > 0
    assert parts.free_on(Path("/proc"))[1] > 0, "a file system without inodes"


SS = """
LISTEN 0      511          0.0.0.0:80         0.0.0.0:*    users:(("nginx",pid=71,fd=6),\
("nginx",pid=70,fd=6))
LISTEN 0      511             [::]:80            [::]:*    users:(("nginx",pid=71,fd=7))
LISTEN 0      4096   127.0.0.53%lo:53         0.0.0.0:*    users:(("systemd-resolve",pid=9,fd=14))
LISTEN 0      128                *:8080             *:*    users:(("my server (1)",pid=4,fd=3))
LISTEN 0      128    [fe80::1]%eth0:8443         [::]:*
LISTEN 0      128        127.0.0.1:631        0.0.0.0:*    users:(("cupsd",pid=4,fd=3))
"""


def test_listening_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "_output", lambda _argv: SS.strip())
    assert facts.listening_ports() == {
        "80": "nginx",
        "53": "systemd-resolve",
        "8080": "my server (1)",
        "8443": "unknown",
        "631": "cupsd",
    }
    for text in ("", "LISTEN", "ss: not found"):
        monkeypatch.setattr(facts, "_output", lambda _argv, text=text: text)
        assert facts.listening_ports() == {}


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("nginx version: nginx/1.22.1", "1.22.1"),
        ("nginx version: nginx/1.18.0 (Ubuntu)", "1.18.0"),
        ("nginx version: openresty/1.21.4.1", "1.21.4.1"),
        ("", None),
        ("sh: nginx: not found", None),
    ],
)
def test_the_web_servers_version(
    monkeypatch: pytest.MonkeyPatch, text: str, version: str | None
) -> None:
    noisy = children.Done(0, "", f"ERROR: ld.so: object '/a/b' cannot be preloaded\n{text}")
    monkeypatch.setattr(facts, "_ask", lambda _argv: noisy)
    assert facts._web_version(kinds.named("nginx")) == version


@pytest.mark.parametrize(
    "text",
    [
        "ID=debian\nVERSION_ID=\"12\"\n\n# x\nPRETTY_NAME='Debian 12'",
        "ID='debian'\nVERSION_ID=12\nPRETTY_NAME=\"Debian 12\"",
    ],
)
def test_the_systems_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(facts, "_read", lambda _path: text)
    assert facts._system() == "Debian 12"


def test_an_upload_that_was_killed_is_not_cached(tmp_path: Path) -> None:
    for digest, name in (("aa", "app-1.whl"), ("bb", ".app-1.whl.cartwheel-7"), (".new", "x.whl")):
        (tmp_path / digest).mkdir()
        (tmp_path / digest / name).write_text("")
    (tmp_path / "cc").mkdir()
    assert facts._cached(tmp_path) == ["aa"]
    assert facts._cached(tmp_path / "none") == []


def test_programs_that_are_missing_or_fail_say_nothing() -> None:
    assert facts._output(["no-such-program"]) == ""
    assert facts._output(["false"]) == ""


def test_a_probe_of_a_bare_host_writes_nothing_and_is_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host_in(tmp_path, monkeypatch)
    monkeypatch.setattr(systemd, "is_booted", lambda: False)
    before = sorted(tmp_path.rglob("*"))
    asked = AskFacts(
        python=sys.executable,
        user="no-such-user",
        files=(str(tmp_path / "none"), str(tmp_path)),
        carried=False,
        uv_version="",
        web_server="nginx",
    )
    session = Session(Layout("other", tmp_path / "none"))
    found = facts.probe(session.ctx(), asked)
    assert from_message(Facts, json.loads(json.dumps(to_json(found)))) == found
    assert (found.app.digest_key, found.app.current, found.app.releases) == (None, None, ())
    assert found.host.systemd is None
    assert set(found.files.values()) == {None}
    assert sorted(tmp_path.rglob("*")) == before


def test_a_host_with_python3_11_and_no_python3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "_BIN", (str(tmp_path),))
    for name in ("python3.9", "python3.12", "python3.12-config", "python3-config", "python3.x"):
        (tmp_path / name).touch()
    found = [path.rpartition("/")[2] for path in facts._candidates("3")]
    assert found == ["python3", "python3.12", "python3.9"]
    assert not [path for path in facts._candidates("3.11") if "3.12" in path]
