"""The unit in which a release is tried, and what is made of how it went."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.host.layout import Layout
from cartwheel.host.release import trial, verify
from cartwheel.host.release.trial import Trial
from tests.unit.hostside import host_in

RENDERED = """[Unit]
OnFailure=pager.service \\
  other.service
 OnSuccess = pager.service
Description=shop
[Service]
ExecStart=/srv/shop/venv/bin/gunicorn
ExecStartPre=/bin/ruin
User=shop
RuntimeDirectory=cartwheel/shop/1.0.a/%i
Environment=AT=100%%i OF=%n
"""


def test_the_unit_is_the_services_but_for_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = host_in(tmp_path, monkeypatch)
    monkeypatch.setattr(trial, "_own_unit", lambda: "cartwheel-session-shop-1.service")
    text = trial._unit(at, "1.0.a", RENDERED, tmp_path / "out", 30)
    assert "pager" not in text
    assert "other.service" not in text
    assert text.startswith("[Unit]\nDescription=shop\n[Service]\n")
    lines = text.splitlines()
    assert "BindsTo=cartwheel-session-shop-1.service" in lines
    assert "TimeoutStartSec=40" in lines
    assert f"StandardOutput=file:{tmp_path}/out" in lines
    assert "RuntimeDirectory=cartwheel/shop/1.0.a/1" in lines, "its slot is filled in"
    assert "Environment=AT=100%%i OF=%n" in lines
    # Emptied after what was rendered, and then ours.
    commands = [line for line in lines if line.startswith("ExecStart=")]
    assert commands[1] == "ExecStart="
    assert commands[2].endswith("--config " + str(at.release("1.0.a") / "gunicorn.conf.py"))
    assert lines.index("ExecStartPre=") > lines.index("ExecStartPre=/bin/ruin")


def test_what_a_killed_session_left_is_found_by_its_name_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = host_in(tmp_path, monkeypatch)
    folder = tmp_path / "run_units"
    ours = folder / "cartwheel-verify-shop-0123abcd.service"
    for name in (ours.name, "cartwheel-verify-shop-a-0123abcd.service", "nginx.service"):
        (folder / name).touch()
    (folder / "cartwheel-verify-shop-0123abcd.service.d").mkdir()
    assert trial.left(at) == [ours]


EROFS = (
    "Traceback (most recent call last):\n  File\nOSError: [Errno 30] Read-only file system: '{}'"
)
DENIED = "Traceback (most recent call last):\nPermissionError: [Errno 13] Permission denied: '{}'"


@pytest.mark.parametrize(
    ("output", "refused", "slug", "says"),
    [
        (EROFS.format("/code/a.log"), ("/code/a.log",), "read-only", "writes /code/a.log when"),
        (EROFS.format("a.log"), ("/other", "/code/a.log"), "read-only", "writes /code/a.log when"),
        # By no call of Python's.
        (EROFS.format("/code/a.log"), (), "read-only", "writes /code/a.log when"),
        ("...: unable to open database file", ("/a", "/code/db"), "read-only", "writes /code/db "),
        (DENIED.format("/var/x"), ("/var/x",), "read-only", "writes /var/x when"),
        # It reads what it may not, or the write that was refused was caught.
        (DENIED.format("/etc/shadow"), (), "import-failed", "Permission denied: '/etc/shadow'"),
        (DENIED.format("/etc/shadow"), ("/code/x",), "import-failed", "'/etc/shadow'"),
        (EROFS.format("/a") + "\n" + DENIED.replace("{}", "b"), ("/a",), "import-failed", "'b'"),
        ("KeyError: 'A'", ("/code/x",), "import-failed", "cannot be imported: KeyError: 'A'"),
        ("", (), "import-failed", "exit status 1"),
    ],
)
def test_why_it_does_not_import(
    output: str, refused: tuple[str, ...], slug: str, says: str
) -> None:
    at = Layout("shop")
    error = verify._import_error(at, "shop:app", Trial("exit status 1", True, refused, output))
    assert error.slug == slug
    assert says in error.message
    assert ("/srv/shop/shared" in error.message) == (slug == "read-only")


def test_what_never_began_is_the_units_fault() -> None:
    tried = Trial("exit status 226", False, (), "Failed\nat step NAMESPACE")
    error = verify._import_error(Layout("shop"), "shop:app", tried)
    assert error.slug == "unit-refused"
    assert "exit status 226" in error.message
    assert "at step NAMESPACE" in error.message


def test_a_process_that_was_killed_is_told_so() -> None:
    error = verify._import_error(Layout("shop"), "shop:app", Trial("oom-kill", True, (), "loading"))
    assert error.message == "shop:app cannot be imported: oom-kill (loading)"
