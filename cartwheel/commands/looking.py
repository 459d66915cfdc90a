"""Looks at hosts for a watcher that asks for them by its pipes (monitor's piped.py).

Each host has a thread and a session of its own, so that one that hangs holds no other up.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from cartwheel import programs
from cartwheel.decoded import Fields
from cartwheel.errors import CartwheelError, HostError
from cartwheel.fleet.sessions import Result
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.look import AskLook, HostLook

if TYPE_CHECKING:
    from cartwheel.ssh.session import Session

Open = Callable[[str], "Session"]

_LOOK_SECONDS = 15.0
_AGAIN_SECONDS = 10.0  # until a host that could not be reached is tried again
_LEAVE_SECONDS = 2.0
_SLICE_SECONDS = 60.0


class Looking:
    """Looks at one host, over a session that is opened when it is needed."""

    def __init__(self, host: str, open_session: Open) -> None:
        self._host = host
        self._open = open_session
        self._session: Session | None = None
        self._lost: tuple[float, CartwheelError] | None = None

    def look(self, cursor: str) -> Result[HostLook]:
        """What the host says since the cursor, or why it says nothing."""
        if self._session is not None:
            try:
                return self._asked(self._session, cursor)
            except HostError as error:
                return error
            except CartwheelError:  # its session was lost meanwhile; that is no trouble of the host
                self.close()
        if self._lost is not None and time.monotonic() - self._lost[0] < _AGAIN_SECONDS:
            return self._lost[1]
        try:
            self._session = self._open(self._host)
            found = self._asked(self._session, cursor)
        except HostError as error:
            return error
        except CartwheelError as error:
            self.close()
            self._lost = time.monotonic(), error
            return error
        self._lost = None
        return found

    def close(self) -> None:
        """Leave the host. Never raises."""
        session, self._session = self._session, None
        if session is not None:
            session.close(seconds=0)

    def _asked(self, session: Session, cursor: str) -> HostLook:
        return session.request(AskLook(cursor), deadline_seconds=_LOOK_SECONDS)


class Answering:
    """Answers a watcher as long as it asks. As a context manager it leaves all hosts at the end."""

    def __init__(self, watcher: programs.Begun, hosts: Iterable[str], open_session: Open) -> None:
        self._watcher = watcher
        self._writing = threading.Lock()
        self._news = threading.Condition()
        self._wishes: dict[str, Fields] = {}
        self._is_over = False
        self._hosts = {
            host: threading.Thread(
                target=self._serve, args=(host, open_session), name=f"look {host}", daemon=True
            )
            for host in hosts
        }

    def __enter__(self) -> Answering:
        for thread in self._hosts.values():
            thread.start()
        threading.Thread(target=self._hear, name="wishes", daemon=True).start()
        return self

    def __exit__(self, *_failure: object) -> None:
        with self._news:
            self._is_over = True
            self._news.notify_all()
        until = time.monotonic() + _LEAVE_SECONDS
        for thread in self._hosts.values():
            thread.join(max(0.0, until - time.monotonic()))

    def _hear(self) -> None:
        for line in self._watcher.stdout or ():
            wish: Fields = json.loads(line)
            with self._news:
                # The watcher has given up on an older one.
                self._wishes[wish["host"]] = wish
                self._news.notify_all()

    def _serve(self, host: str, open_session: Open) -> None:
        looking = Looking(host, open_session)
        while (wish := self._next(host)) is not None:
            try:
                found = looking.look(wish["cursor"])
            except Exception as error:
                looking.close()
                found = CartwheelError("host-side", f"unexpected {type(error).__name__}")
            if isinstance(found, CartwheelError):
                self._answer({"number": wish["number"], "problem": found.message})
            else:
                self._answer({"number": wish["number"], "look": to_json(found)})
        looking.close()

    def _next(self, host: str) -> Fields | None:
        with self._news:
            while not self._is_over:
                if host in self._wishes:
                    return self._wishes.pop(host)
                self._news.wait(_SLICE_SECONDS)
        return None

    def _answer(self, answer: Fields) -> None:
        pipe = self._watcher.stdin
        with self._writing, suppress(OSError, ValueError):  # the watcher has ended
            if pipe is not None:
                pipe.write(json.dumps(answer).encode() + b"\n")
                pipe.flush()
