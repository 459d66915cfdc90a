"""Where in the code an exception came from: the app's own last frame, else the innermost."""

from __future__ import annotations

import re
from typing import Callable, Dict, Optional, Sequence

from cartwheel.host.diagnose.said import Frame, Raised, Said
from cartwheel.host.layout import Layout
from cartwheel.host.state import releases
from cartwheel.host.system.context import OpError
from cartwheel.host.system.tracebacks import own_files

_RELEASE = re.compile(r"/releases/([^/]+)/")
_SHOWN = re.compile(
    r"^.*/site-packages/|^.*?/releases/[^/]+/(?:files/)?|^.*?/shared/|^.*?/python3\.\d+/"
)
_PLACE_CHARACTERS = 160


class Places:
    """The places of an application's exceptions."""

    def __init__(self, at: Layout) -> None:
        self._at = at
        self._own: Dict[str, Callable[[str], bool]] = {}

    def of(self, said: Said) -> str:
        """`shop/orders.py:14 in total`; "" if there are no frames. Of the first cause, if the app's
        own code is in its traceback."""
        for one in said.raised:
            own = self._last_own(one.frames)
            if own is not None:
                return place(own)
        last = innermost(said.raised)
        return place(last) if last is not None else ""

    def _last_own(self, frames: Sequence[Frame]) -> Optional[Frame]:
        return next((one for one in reversed(frames) if self._is_own(one.file)), None)

    def _is_own(self, file: str) -> bool:
        found = _RELEASE.search(file)
        if not found:
            return False
        if "/site-packages/" not in file:
            return "/venv/" not in file
        release = found.group(1)
        if release not in self._own:
            self._own[release] = self._of_release(release)
        return self._own[release](file)

    def _of_release(self, release: str) -> Callable[[str], bool]:
        try:
            entry = releases.manifest(self._at, release).entry
            return own_files(self._at.packages(release), entry)
        except (OpError, OSError):
            return lambda _file: False


def innermost(raised: Sequence[Raised]) -> Optional[Frame]:
    """The innermost frame of the first cause that has any."""
    return next((one.frames[-1] for one in raised if one.frames), None)


def place(frame: Frame) -> str:
    """As it is shown."""
    file = _SHOWN.sub("", frame.file)
    name = f" in {frame.name}" if frame.name else ""  # a SyntaxError's last line has none
    return f"{file}:{frame.line}{name}"[:_PLACE_CHARACTERS]
