"""Prune over random histories with faults: it never takes what a host may still need.

The code is the real one on real directories; of systemd only which units run is a stand-in
(tests/unit/host/test_switch.py). A fault is an error of the n-th file operation, or a death
at it: from then on no operation of that process has any effect.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cartwheel.host.layout import Layout
from cartwheel.host.process import health
from cartwheel.host.state import journal, releases
from cartwheel.host.switch import switch as switching
from cartwheel.host.system import files
from cartwheel.host.system.context import ContactLost, OpError
from cartwheel.host.upkeep import jobs
from cartwheel.host.wire.messages import Table
from cartwheel.host.wire.running import Stop
from cartwheel.host.wire.switching import Confirm, Finish
from cartwheel.settings.phases import Kind
from tests.kit.tiers import tiered
from tests.unit.host.test_switch import Stage, _stage
from tests.unit.hostside import Session, web

_CALLS = (
    *("open", "mkdir", "chmod", "fsync", "rename", "symlink", "unlink", "rmdir", "write", "pread"),
    *("stat", "lstat", "readlink", "listdir", "scandir"),
)
_FILES = ("web@.service", "env", "venv/one", "venv/lib/two", "http.sock")
_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class DiedError(BaseException):
    """The process is gone: nothing catches this."""


@dataclass
class Fault:
    """What happens at the file operation `number` (counted from 0)."""

    kind: str  # "die", or the name of an errno
    number: int
    dead: bool = False

    def strike(self) -> None:
        if self.number == 0 and self.kind == "die":
            self.dead = True
        if self.dead:
            raise DiedError
        self.number -= 1
        if self.number == -1:
            code = getattr(errno, self.kind)
            raise OSError(code, os.strerror(code))


@contextmanager
def struck(fault: Fault | None) -> Iterator[None]:
    """The block's file operations meet the fault."""
    if fault is None:
        yield
        return

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            fault.strike()
            return real(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in _CALLS:
            patch.setattr(os, name, wrap(getattr(os, name)))
        patch.setattr(Path, "read_bytes", wrap(Path.read_bytes))
        yield


@dataclass(frozen=True)
class Look:
    """A host as anybody sees it, past Cartwheel's own code; rollback's target aside."""

    there: frozenset[str]
    complete: frozenset[str]  # what says of itself that it is
    whole: frozenset[str]  # what has every file
    needed: frozenset[str]

    @classmethod
    def at(cls, at: Layout, units: Path) -> Look:
        there = {path.name for path in at.releases.iterdir()}
        complete = {name for name in there if _says_complete(at.releases / name)}
        links = [at.current, at.fallback, at.previous]
        needed = {link.readlink().name for link in links if link.is_symlink()}
        if at.pending.exists():
            pending = json.loads(at.pending.read_text())
            needed |= {pending[key] for key in ("was", "to", "was_fallback", "was_previous")}
        # cartwheel-APP.web.RELEASE@SLOT.service
        needed |= {unit.name.split(".", 2)[2].partition("@")[0] for unit in units.iterdir()}
        current = at.current.readlink().name if at.current.is_symlink() else None
        needed.add(
            journal.rollback_target(journal.read(at.journal), current, sorted(complete)) or ""
        )
        return cls(
            there=frozenset(there),
            complete=frozenset(complete),
            whole=frozenset(
                name
                for name in there
                if all(os.path.lexists(at.releases / name / part) for part in _FILES)
            ),
            needed=frozenset(needed & there),
        )


def _says_complete(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / "release.json").read_text())["release"] == folder.name)
    except (OSError, ValueError):
        return False


@dataclass
class History:
    """A host and what is done to it; every prune is checked, also those of a deploy."""

    stage: Stage
    real_prune: Callable[..., list[str]] = releases.prune
    made: int = 0
    told: list[list[str] | None] = field(default_factory=list)  # of each prune; None: it failed

    def look(self) -> Look:
        return Look.at(self.stage.at, self.stage.units)

    def checked_prune(self, at: Layout, keep: int, **more: Any) -> list[str]:
        with unstruck():
            before = self.look()
        told: list[str] | None = None
        try:
            told = self.real_prune(at, keep, **more)
        finally:
            with unstruck():
                self.check(before, self.look(), keep, told)
        return told

    def check(self, before: Look, after: Look, keep: int, told: list[str] | None) -> None:
        gone = before.there - after.there
        assert not gone & before.needed, "what is needed went"
        assert len(after.complete) >= min(keep, len(before.complete)), "more went than asked"
        assert after.complete <= before.complete, "nothing becomes complete by a prune"
        self.told.append(told)
        if told is None:
            return  # it failed, or died
        assert len(told) == len(set(told))
        assert set(told) == gone, "what went is what was told"
        kept = before.complete & before.needed
        assert len(after.complete) == min(len(before.complete), max(keep, len(kept)))
        assert after.there - after.complete <= before.needed, "half ones went"

    def check_all(self) -> None:
        """At any time, whatever happened."""
        look = self.look()
        assert look.complete <= look.whole, "a release looks complete and is not"
        current = releases.pointed(self.stage.at.current)
        assert current is None or current in look.complete, "what serves is gone"

    # -- what happens

    def make(self) -> str:
        self.made += 1
        name = f"{self.made}.r"
        at = self.stage.at
        for part in _FILES[:-1]:
            path = at.release(name) / part
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        releases.point_slot(at, web(name))
        manifest: Table = {"release": name, "seq": releases.next_sequence(at), "version": name}
        files.write_json(releases.manifest_path(at, name), manifest)
        for part in _FILES[:3]:  # a folder's order is nobody's promise: here these come first
            path = at.release(name) / part
            path.unlink()
            path.write_text(name)
        return name

    def half(self, parts: int) -> None:
        """A release that was begun: its marks are there from the beginning."""
        self.made += 1
        folder = self.stage.at.release(f"{self.made}.half")
        for part in ("steps.json", *_FILES[:parts]):
            path = folder / part
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")

    def tear(self, bytes_left: int) -> None:
        """The journal's last line is torn."""
        path = self.stage.at.journal
        if path.exists():
            data = path.read_bytes()
            start = data.rfind(b"\n", 0, max(0, len(data) - 1)) + 1
            path.write_bytes(data[: start + bytes_left])

    def slow(self) -> None:
        """From now on what is asked to stop has requests under way."""
        self.stage.slow = True

    def end_all(self) -> None:
        self.stage.slow = False
        self.stage.let_end()

    def reboot(self) -> None:
        for unit in list(self.stage.units.iterdir()):
            unit.unlink()

    def switch(self, to: str | None, kind: Kind, fate: str, keep: int, fresh: bool) -> None:
        if to is None or self.stage.at.stopped.exists():
            return
        session = self.stage.session()
        asked = self.stage.asked(to, kind, keep_releases=keep, fresh=fresh)
        with pytest.MonkeyPatch.context() as patch:
            if fate in ("failed", "reverted"):
                patch.setattr(health, "prove" if fate == "failed" else "watch", _unwell)
            try:
                answer = switching.switch(session.ctx(), asked)
                if fate == "confirmed":
                    switching.confirm(session.ctx(), Confirm(answer.id))
                    switching.finish(session.ctx(), Finish())
            except Exception:
                self.end(session)
                raise
        self.end(session)

    def end(self, session: Session) -> None:
        """As the server does: what fails at the end is said and no more."""
        session.lost.set()
        while session.at_end:
            with suppress(Exception):
                session.at_end.pop()()

    def rollback(self, number: int | None, keep: int) -> None:
        at = self.stage.at
        current = releases.pointed(at.current)
        whole = [manifest.release for manifest in releases.complete(at)]
        to = journal.rollback_target(journal.read(at.journal), current, whole)
        if number is not None:
            to = whole[number % len(whole)] if whole else None
        if current is not None and to != current:
            self.switch(to, "rollback", "confirmed", keep, fresh=False)

    def deploy(self, number: int | None, fate: str, keep: int) -> None:
        whole = [manifest.release for manifest in releases.complete(self.stage.at)]
        known = whole[number % len(whole)] if whole and number is not None else None
        if known is not None and known == releases.pointed(self.stage.at.current):
            return
        self.switch(known or self.make(), "deploy", fate, keep, fresh=known is None)

    def stop(self) -> None:
        jobs.stop(Session(self.stage.at).ctx(), Stop(drain_seconds=1))

    def start(self) -> None:
        self.stage.at.stopped.unlink(missing_ok=True)
        self.stage.settle()


def _unwell(*_args: Any, **_more: Any) -> Any:
    raise OpError("unhealthy", "it answered 500")


_REAL = {name: getattr(os, name) for name in _CALLS}
_REAL_READ = Path.read_bytes


@contextmanager
def unstruck() -> Iterator[None]:
    """Looking at the host meets no fault."""
    with pytest.MonkeyPatch.context() as patch:
        for name, real in _REAL.items():
            patch.setattr(os, name, real)
        patch.setattr(Path, "read_bytes", _REAL_READ)
        yield


KEEP = st.integers(min_value=0, max_value=5)
SOME = st.none() | st.integers(min_value=0, max_value=9)
FATES = st.sampled_from(["confirmed"] * 4 + ["failed", "reverted", "lost"])
STEPS = st.one_of(
    st.tuples(st.just("deploy"), SOME, FATES, KEEP),
    st.tuples(st.just("deploy"), st.none(), st.just("confirmed"), st.just(5)),
    st.tuples(st.just("rollback"), SOME, KEEP),
    st.tuples(st.just("restart")),
    st.tuples(st.just("stop")),
    st.tuples(st.just("start")),
    *[st.tuples(st.just("prune"), KEEP)] * 3,
    st.tuples(st.just("half"), st.integers(min_value=0, max_value=4)),
    st.tuples(st.just("tear"), st.integers(min_value=0, max_value=30)),
    st.tuples(st.just("reboot")),
    st.tuples(st.just("slow")),
    st.tuples(st.just("ended")),
)
FAULTS = st.none() | st.builds(
    Fault,
    st.sampled_from(["die", "die", "die", "ENOSPC", "EIO", "EACCES"]),
    st.integers(min_value=0, max_value=15) | st.integers(min_value=0, max_value=120),
)
_DEPLOYED = (("deploy", None, "confirmed", 5), None)
Steps = list[tuple[tuple[Any, ...], Fault | None]]
HISTORIES = st.builds(
    lambda deployed, more: [_DEPLOYED] * deployed + more,
    st.integers(min_value=0, max_value=4),
    st.lists(st.tuples(STEPS, FAULTS), max_size=12),
)


def live(history: History, steps: Steps) -> None:
    """Do the steps; before each the host is put in order, as taking the lock does."""
    acts: dict[str, Callable[..., Any]] = {
        "deploy": history.deploy,
        "rollback": history.rollback,
        "restart": lambda: history.switch(
            releases.pointed(history.stage.at.current), "restart", "confirmed", 3, False
        ),
        "stop": history.stop,
        "start": history.start,
        "prune": lambda keep: releases.prune(history.stage.at, keep),
        "half": history.half,
        "tear": history.tear,
        "reboot": history.reboot,
        "slow": history.slow,
        "ended": history.end_all,
    }
    for (word, *args), planned in steps:
        # Hypothesis may use the same one again.
        fault = None if planned is None else Fault(planned.kind, planned.number)
        if word not in ("tear", "half", "reboot", "slow", "ended"):
            history.stage.settle()
        expected = (OSError, ContactLost, DiedError) if fault else ()
        with suppress(OpError, *expected), struck(fault):
            acts[word](*args)
        history.check_all()
    history.end_all()
    history.stage.settle()
    releases.prune(history.stage.at, 2)
    history.check_all()
    assert len(history.look().there) <= 5, "nothing is left over"


@contextmanager
def history(prune: Callable[..., list[str]] = releases.prune) -> Iterator[History]:
    with (
        tempfile.TemporaryDirectory(prefix="cartwheel-", dir=_MEMORY) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        for stage in _stage(Path(folder), patch):
            one = History(stage, prune)
            patch.setattr(releases, "prune", one.checked_prune)
            yield one


QUICK = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)


@pytest.mark.slow
@QUICK
@given(HISTORIES)
def test_prune_never_takes_what_is_needed(steps: Steps) -> None:
    with history() as one:
        live(one, steps)


def dying_everywhere(first: int = 0, step: int = 1) -> None:
    """The same prune, dead at each of its operations in turn (or at every `step`th), and then
    another one."""
    for number in range(first, 1000, step):
        with history() as one:
            fault = Fault("die", number)
            live(one, [_DEPLOYED] * 4 + [(("prune", 2), fault)])
            if one.told[-2] is not None:
                break
    assert number > 50


@pytest.mark.parametrize("first", tiered([0, 1, 2], nightly={1, 2}))
def test_a_prune_may_die_anywhere(first: int) -> None:
    dying_everywhere(first, step=3)


def test_a_removal_in_place_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test of the test before."""
    monkeypatch.setattr(files, "remove_tree", _in_place)
    with pytest.raises(AssertionError, match="looks complete and is not"):
        dying_everywhere()


def _in_place(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)


def _only_current(at: Layout, *_units: object) -> set[str]:
    return {releases.pointed(at.current) or ""}


def _one_fewer(order: Sequence[str], protected: set[str], keep: int) -> list[str]:
    return _to_prune(order, protected, keep - 1)


def _untold(at: Layout, keep: int, **more: Any) -> list[str]:
    return _prune(at, keep, **more)[:-1]


_to_prune, _prune = journal.to_prune, releases.prune


@pytest.mark.parametrize(
    ("module", "name", "planted", "found"),
    [
        (releases, "protected", _only_current, "what is needed went"),
        (journal, "to_prune", _one_fewer, "more went than asked"),
        (releases, "prune", _untold, "what went is what was told"),
    ],
    ids=["only current", "one fewer", "untold"],
)
def test_a_planted_mistake_is_found(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, planted: Any, found: str
) -> None:
    """A test of the test: each of these must make it fail."""
    monkeypatch.setattr(module, name, planted)

    @settings(QUICK, max_examples=1000, derandomize=True, phases=[Phase.generate], database=None)
    @given(HISTORIES)
    def search(steps: Steps) -> None:
        with history(releases.prune) as one:
            live(one, steps)

    with pytest.raises(AssertionError, match=found):
        search()
