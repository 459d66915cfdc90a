"""A process without standard streams, a home folder or a user name."""

from __future__ import annotations

import errno
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cartwheel.errors import CATALOGUE, Exit
from cartwheel.telling import exit_code, tell
from tests.kit.project import FAB, Project, new_project
from tests.kit.tiers import only_root, tiered

# No user of this machine.
_NOBODY = ("unshare", "--user", "--map-user=4242", "--map-group=4242")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = new_project(tmp_path)
    text = (tmp_path / "config/deploy.toml").read_text()
    made.settings(f'hosts = ["nowhere.invalid"]\n{text}')
    return made


def _started(
    project: Project, words: str, streams: str = "", under: tuple[str, ...] = (), **env: str | None
) -> subprocess.CompletedProcess[str]:
    """`fab WORDS` from a shell that closes streams, and takes variables with None away."""
    changed = {**project.environment(), **env}
    return subprocess.run(
        [*under, "sh", "-c", f"exec {FAB} {words} {streams}"],
        cwd=project.folder,
        env={name: value for name, value in changed.items() if value is not None},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


STREAMS = ("<&-", ">&-", "2>&-", "<&- >&- 2>&-")
CLOSED = [
    (words, streams)
    for words in ("config.check", "status", "deploy", "plan", "runs.list")
    for streams in STREAMS
]
# Each task without all of them, and one task without each.
CLOSED_IN_EVERY_RUN = {one for one in CLOSED if one[0] == "config.check" or one[1] == STREAMS[-1]}


@pytest.mark.parametrize(
    "closed", tiered(CLOSED, nightly=set(CLOSED) - CLOSED_IN_EVERY_RUN), ids="-".join
)
def test_closed_streams_change_nothing(project: Project, closed: tuple[str, str]) -> None:
    words, streams = closed
    usual = _started(project, words)
    done = _started(project, words, streams)
    assert done.returncode == usual.returncode
    assert "Unexpected" not in done.stdout + done.stderr
    for stream, kept, said in (
        (">&-", usual.stderr, done.stderr),
        ("2>&-", usual.stdout, done.stdout),
    ):
        if streams == stream:
            assert _errors(said) == _errors(kept)


def _errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("error: ")]


@only_root("has a user namespace here")
def test_a_user_without_a_name(project: Project) -> None:
    nameless = replace(project, env=dict.fromkeys(("LOGNAME", "USER", "LNAME", "USERNAME"), ""))
    done = _started(nameless, "status", under=_NOBODY, HOME=str(project.folder))
    assert "CW201" in done.stderr, "it got as far as the network"
    done = _started(nameless, "status", under=_NOBODY, HOME=None)
    assert done.returncode == Exit.USAGE
    assert "HOME is not set, and this machine has no user with the number 4242" in done.stderr


@pytest.mark.parametrize("words", ["config.check", "config.show --json", "plan --json"])
def test_lost_output_is_told(project: Project, words: str) -> None:
    usual = _started(project, words)
    done = _started(project, words, ">/dev/full")
    assert "standard output: No space left on device" in done.stderr
    assert done.returncode == (usual.returncode or Exit.FAILED)
    assert _started(project, words, "| head -c 1 2>/dev/null").stdout == usual.stdout[:1]


@pytest.mark.parametrize(
    "home", tiered(["", None, "/nonexistent/home", "/proc"], nightly={"", "/proc"})
)
def test_no_usable_home(project: Project, home: str | None) -> None:
    for words in ("config.check", "status", "plan"):
        done = _started(project, words, HOME=home, XDG_STATE_HOME=None)
        assert "Unexpected" not in done.stderr
        assert "Traceback" not in done.stderr


def test_what_cannot_be_read_or_written_is_named() -> None:
    """A full disk or a foreign folder is no fault of the program."""
    number = CATALOGUE["local-file"].number
    for error, said in (
        (
            PermissionError(errno.EACCES, "Permission denied", "/proc/x"),
            "/proc/x: Permission denied",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
    ):
        assert tell(error).startswith(f"error: {said} [CW{number}]\n")
        assert exit_code(error) == Exit.FAILED
    assert "Unexpected ConnectionResetError" in tell(ConnectionResetError(104, "reset"))
