"""Load a release under the very conditions of its service, before it serves.

The unit is the rendered one with another command: user, groups, sandbox, variables and folder
are the service's. It ends with the session (`BindsTo=`) and has a deadline of its own; what it
prints goes to the session alone, because an application may print its secrets.
"""

from __future__ import annotations

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
from cartwheel.host.system import children, systemd
from cartwheel.host.system.context import Context, OpError

_TAIL_LINES = 200
_LINE_BYTES = 64 << 10
_OUTPUT_SECONDS = 3.0  # what was printed is there when the unit has ended
_MARGIN_SECONDS = 10.0  # above our own deadline: for the case that we are gone
_STOP_SECONDS = 5.0
_LOG_LINES = 5
_SESSION = re.compile(r"/([^/\n]+\.service)$", re.MULTILINE)
# What must not happen for a trial, and cannot be taken back by an empty value.
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
    """How it went: systemd's words for the `problem`, "" if it was well. `began`: whether the
    program was reached at all; `refused`: the paths that it could not write."""

    problem: str
    began: bool
    refused: Tuple[str, ...]
    output: str


def run(ctx: Context, at: Layout, release: str, *, seconds: float) -> Trial:
    """What gunicorn says of the release's configuration and application.

    Raises OpError("deadline"), with its output as the log, and ContactLost.
    """
    token = secrets.token_hex(4)
    unit_file, output_path = _unit_file(at, token), _socket(at, token)
    rendered = at.unit_source(layout.first_of(release))
    text = _unit(at, release, rendered.read_text(encoding="utf-8"), output_path, seconds)
    unit_file.parent.mkdir(parents=True, exist_ok=True)
    unit_file.touch(0o600)  # first: it stands for all that is left of a killed session
    try:
        unit_file.write_text(text, encoding="utf-8")
        with _Output(output_path, seconds) as output:
            return _run(ctx, unit_file.name, output, seconds)
    finally:
        _remove(unit_file)


def _run(ctx: Context, unit: str, output: "_Output", seconds: float) -> Trial:
    began = time.time()
    try:
        done = children.run(
            ctx, ["systemctl", "start", unit], timeout_seconds=seconds, step="verify"
        )
    except BaseException as error:
        systemd.kill(unit)
        if isinstance(error, OpError):
            error.log = output.text()
        raise
    if done.status == 0:
        return _trial("", output)
    problem = systemd.ended(unit)
    log = "" if output.began() else "\n".join([done.output, systemd.log(unit, _LOG_LINES, began)])
    systemd.forget_failure(unit)
    return _trial(problem, output, log)


def _trial(problem: str, output: "_Output", log: str = "") -> Trial:
    text = output.text()
    refused = [one for one in output.told if one.startswith(witness.REFUSED)]
    return Trial(
        problem,
        output.began(),
        tuple(one[len(witness.REFUSED) :] for one in refused),
        log or text,
    )


def _unit(at: Layout, release: str, rendered: str, output: Path, seconds: float) -> str:
    """The rendered unit, and what is different: a later value wins over an earlier one."""
    venv = at.release(release) / "venv" / "bin"
    command = [
        *(str(venv / "python"), str(at.lib / "current/cartwheel/host/release/witness.py")),
        *(str(venv / "gunicorn"), "--check-config"),
        *("--config", str(at.release(release) / "gunicorn.conf.py")),
    ]
    session = _own_unit()
    return _LEFT_OUT.sub("", _as_instance(rendered)) + _OWN.format(
        app=at.app,
        release=release,
        binds="BindsTo={}\n".format(session) if session else "",
        command=" ".join(command),
        seconds=seconds + _MARGIN_SECONDS,
        stop_seconds=_STOP_SECONDS,
        output=output,
    )


def _as_instance(template: str) -> str:
    """With its slot filled in (%i, systemd.unit(5)): the trial's unit is no instance of it."""
    return re.sub("%[%iI]", lambda one: one[0] if one[0] == "%%" else layout.FIRST_SLOT, template)


def _own_unit() -> Optional[str]:
    """The session's unit, by its control group (cgroups(7)); None where it is in none."""
    found = _SESSION.search(Path("/proc/self/cgroup").read_text(encoding="utf-8"))
    return found.group(1) if found else None


class _Output:
    """What the unit prints. systemd connects standard output to a socket as it does for its
    journal (systemd.exec(5)), so nothing of it is kept anywhere."""

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
        _remove(self._path)

    def _read(self) -> None:
        try:
            connection, _address = self._listener.accept()
        except OSError:  # it never got so far
            return
        with connection, connection.makefile("rb") as stream:
            for raw in iter(lambda: stream.readline(_LINE_BYTES), b""):
                self._take(raw.decode("utf-8", "replace").rstrip("\r\n"))

    def _take(self, line: str) -> None:
        if line.startswith(witness.MARK):
            self.told.append(line[len(witness.MARK) :])
            if self._tail and not self._tail[-1]:
                self._tail.pop()  # the line break before our own line
        else:
            self._tail.append(line)

    def began(self) -> bool:
        """Whether the program was reached; to be asked once the unit has ended, as `text`."""
        self._await()
        return witness.BEGAN in self.told

    def text(self) -> str:
        """The last lines of the application's own."""
        self._await()
        return "\n".join(self._tail)

    def _await(self) -> None:
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # else it waits for one who never came
        except OSError:
            pass
        self._reader.join(_OUTPUT_SECONDS)


# --- what a killed session leaves ---------------------------------------------------------


def left(at: Layout) -> List[Path]:
    """The unit files of trials, also of one that runs."""
    ours = re.compile(r"cartwheel-verify-{}-[0-9a-f]{{8}}\.service".format(re.escape(at.app)))
    try:
        names = sorted(os.listdir(layout.RUN_UNITS))
    except FileNotFoundError:
        return []
    return [layout.RUN_UNITS / name for name in names if ours.fullmatch(name)]


def clear(at: Layout, unit_file: Path) -> None:
    """End one that was `left`, and take away all of it; its file last."""
    systemd.kill(unit_file.name)
    _remove(_socket(at, unit_file.stem[-8:]))
    _remove(unit_file)


def _unit_file(at: Layout, token: str) -> Path:
    return layout.RUN_UNITS / "cartwheel-verify-{}-{}.service".format(at.app, token)


def _socket(at: Layout, token: str) -> Path:
    return layout.RUN / ".verify.{}.{}".format(at.app, token)  # no application is called so


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except FileNotFoundError:
        pass
