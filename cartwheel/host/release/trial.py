"""Load a release under the conditions of its service, before it goes live.

The unit is the rendered one with another command: user, groups, sandbox, variables and folder are
the service's. It ends with the session (`BindsTo=`) and has its own deadline. Its output goes only
to the session, because an application may print its secrets.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Deque, List, Optional, Tuple

from cartwheel.host import layout
from cartwheel.host.layout import Layout
from cartwheel.host.release import witness
from cartwheel.host.system import children, files, systemd
from cartwheel.host.system.context import Context, OpError

_TAIL_LINES = 200
_LINE_BYTES = 64 << 10
_OUTPUT_SECONDS = 3.0  # the output is complete once the unit has ended
# Longer than this process's deadline: for the case that this process is gone.
_MARGIN_SECONDS = 10.0
_STOP_SECONDS = 5.0
_LOG_LINES = 5
_SESSION = re.compile(r"/([^/\n]+\.service)$", re.MULTILINE)
# Options that must not apply to a trial, and that an empty value cannot reset.
_LEFT_OUT = re.compile(r"^[ \t]*(?:OnFailure|OnSuccess)[ \t]*=(?:.*\\\n)*.*\n?", re.MULTILINE)

_OWN = """

[Unit]
Description=Trial of {app}, release {release}
StartLimitIntervalSec=0
FailureAction=none
SuccessAction=none
{binds}
[Service]
Type=oneshot
RemainAfterExit=no
Restart=no
RestartForceExitStatus=
SuccessExitStatus=
KillMode=control-group
WatchdogSec=0
PIDFile=
ExecCondition=
ExecStartPre=
ExecStart=
ExecStart={command}
ExecStartPost=
ExecReload=
ExecStop=
ExecStopPost=
# The service's own folders stay as they are.
RuntimeDirectoryPreserve=yes
TimeoutStartSec={seconds:.0f}
TimeoutStopSec={stop_seconds:.0f}
StandardInput=null
StandardOutput=file:{output}
StandardError=inherit
"""


@dataclass(frozen=True)
class Trial:
    """The result: `problem` in systemd's words, "" if there was none. `began`: whether the program
    started at all; `refused`: the paths that it could not write."""

    problem: str
    began: bool
    refused: Tuple[str, ...]
    output: str


def run(ctx: Context, at: Layout, release: str, *, seconds: float) -> Trial:
    """Have gunicorn check the release's configuration and application.

    Raises OpError("deadline"), with its output as the log, and ContactLost.
    """
    token = secrets.token_hex(4)
    unit_file, output_path = _unit_file(at, token), _socket(at, token)
    rendered = at.unit_source(layout.first_of(release))
    text = _unit(at, release, rendered.read_text(encoding="utf-8"), output_path, seconds)
    unit_file.parent.mkdir(parents=True, exist_ok=True)
    unit_file.touch(0o600)  # first: by it a killed session's leftovers are found
    try:
        unit_file.write_text(text, encoding="utf-8")
        with _Output(output_path, seconds) as output:
            return _run(ctx, unit_file.name, output, seconds)
    finally:
        unit_file.unlink(missing_ok=True)


def _run(ctx: Context, unit: str, output: "_Output", seconds: float) -> Trial:
    began, argv = time.time(), ["systemctl", "start", unit]
    try:
        done = children.run(ctx, argv, timeout_seconds=seconds, step="verify")
    except BaseException as error:
        systemd.kill(unit)
        if isinstance(error, OpError):
            error.log = output.text()
        raise
    problem, log = "", ""
    if done.status != 0:
        problem = systemd.ended(unit)
        if not output.began():
            log = "\n".join([done.output, systemd.log(unit, _LOG_LINES, began)])
        systemd.forget_failure(unit)
    text, told, mark = output.text(), output.told, witness.REFUSED
    refused = tuple(one[len(mark) :] for one in told if one.startswith(mark))
    return Trial(problem, output.began(), refused, log or text)


def _unit(at: Layout, release: str, rendered: str, output: Path, seconds: float) -> str:
    """The rendered unit and the changes: later values override earlier ones."""
    venv = at.release(release) / "venv" / "bin"
    witness_py = at.lib / "current/cartwheel/host/release/witness.py"
    checked = f"--check-config --config {at.release(release)}/gunicorn.conf.py"
    session = _own_unit()
    return _LEFT_OUT.sub("", _as_instance(rendered)) + _OWN.format(
        app=at.app,
        release=release,
        binds=f"BindsTo={session}\n" if session else "",
        command=f"{venv}/python {witness_py} {venv}/gunicorn {checked}",
        seconds=seconds + _MARGIN_SECONDS,
        stop_seconds=_STOP_SECONDS,
        output=output,
    )


def _as_instance(template: str) -> str:
    """The text with its slot filled in (%i, systemd.unit(5)): the trial is no template instance."""
    return re.sub("%[%iI]", lambda one: one[0] if one[0] == "%%" else layout.FIRST_SLOT, template)


def _own_unit() -> Optional[str]:
    """The session's unit, from its control group (cgroups(7)); None if it has none."""
    found = _SESSION.search(Path("/proc/self/cgroup").read_text(encoding="utf-8"))
    return found.group(1) if found else None


class _Output:
    """The unit's output. systemd connects standard output to a socket, as it does for its journal
    (systemd.exec(5)), so the output is not stored anywhere."""

    def __init__(self, path: Path, seconds: float) -> None:
        self.told: List[str] = []
        self._path = path
        self._tail: Deque[str] = deque(maxlen=_TAIL_LINES)
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.settimeout(seconds + _MARGIN_SECONDS)
        self._listener.bind(str(path))
        os.chmod(path, 0o600)  # nobody can connect before it listens
        self._listener.listen(1)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "_Output":
        return self

    def __exit__(self, *_failure: object) -> None:
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _read(self) -> None:
        try:
            connection, _address = self._listener.accept()
        except OSError:  # it did not get this far
            return
        with connection, connection.makefile("rb") as stream:
            for raw in iter(lambda: stream.readline(_LINE_BYTES), b""):
                self._take(raw.decode("utf-8", "replace").rstrip("\r\n"))

    def _take(self, line: str) -> None:
        if line.startswith(witness.MARK):
            self.told.append(line[len(witness.MARK) :])
            if self._tail and not self._tail[-1]:
                self._tail.pop()  # the line break before the witness's line
        else:
            self._tail.append(line)

    def began(self) -> bool:
        """Whether the program started; call it after the unit has ended, as `text`."""
        self._await()
        return witness.BEGAN in self.told

    def text(self) -> str:
        """The last lines of the application's own output."""
        self._await()
        return "\n".join(self._tail)

    def _await(self) -> None:
        # Otherwise it would wait for a connection that never came.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._reader.join(_OUTPUT_SECONDS)


# --- leftovers of a killed session --------------------------------------------------------


def left(at: Layout) -> List[Path]:
    """The unit files of trials, including running ones."""
    ours = re.compile(rf"cartwheel-verify-{re.escape(at.app)}-[0-9a-f]{{8}}\.service")
    names = files.names(layout.RUN_UNITS)
    return [layout.RUN_UNITS / name for name in names if ours.fullmatch(name)]


def clear(at: Layout, unit_file: Path) -> None:
    """Stop a trial that was `left` over and remove all of it; its file last."""
    systemd.kill(unit_file.name)
    _socket(at, unit_file.stem[-8:]).unlink(missing_ok=True)
    unit_file.unlink(missing_ok=True)


def _unit_file(at: Layout, token: str) -> Path:
    return layout.RUN_UNITS / f"cartwheel-verify-{at.app}-{token}.service"


def _socket(at: Layout, token: str) -> Path:
    return layout.RUN / f".verify.{at.app}.{token}"  # no application has this name
