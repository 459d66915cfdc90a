"""Releases are known by their manifests; prune spares what a host may still need."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host.layout import Layout
from cartwheel.host.state import journal, pending, releases
from cartwheel.host.system import children, files, systemd
from cartwheel.host.system.children import Done
from cartwheel.host.system.context import OpError
from cartwheel.host.system.systemd import Units
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.messages import Table
from cartwheel.host.wire.pending import Pending, Saved
from tests.unit.hostside import host_in, slot_of, web

_REAL_UNITS = systemd.units


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setattr(systemd, "units", lambda _at: Units({}))
    return host_in(tmp_path, monkeypatch)


def make(at: Layout, name: str, seq: int, wheel: str = "aa") -> None:
    folder = at.release(name)
    folder.mkdir()
    manifest: Table = {"release": name, "seq": seq, "wheel_sha256": wheel}
    files.write_json(folder / "release.json", manifest)
    for slot in ("1", "web-b"):
        at.unit_file(web(name, slot)).write_text("")


def mark(**more: Any) -> Pending:
    values: dict[str, Any] = {
        "id": "1",
        "kind": "deploy",
        "to": "2.b",
        "to_slot": "web",
        "was": "1.a",
        "was_slot": "web",
        "was_fallback": "1.a",
        "was_previous": None,
        "shared": {"/etc/nginx/x": Saved(text="\udcff old"), "/etc/nginx/y": None},
        "fresh": True,
        "started": 1.5,
        "version": "2",
        "who": "ann",
        "message": "",
    }
    return Pending(**{**values, **more})


def test_the_order_is_the_sequence_not_the_name_or_the_time(at: Layout) -> None:
    for name, seq in (("9.0.z", 1), ("10.0.a", 3), ("1.0.m", 2)):
        make(at, name, seq)
    assert [one.release for one in releases.complete(at)] == ["9.0.z", "1.0.m", "10.0.a"]
    assert releases.next_sequence(at) == 4


def test_what_has_no_manifest_of_its_own_is_a_leftover(at: Layout) -> None:
    make(at, "1.a", 1)
    at.release("2.half").mkdir()
    make(at, "3.copy", 3)
    (at.release("3.copy") / "release.json").write_text(json.dumps({"release": "1.a"}))
    (at.releases / ".gone-0.x").mkdir()
    (at.releases / "file").write_text("")
    (at.releases / "backup").mkdir()
    (at.releases / "4.theirs").mkdir()
    (at.releases / "4.theirs" / "notes.txt").write_text("")
    assert releases.leftovers(at) == ["2.half", ".gone-0.x"], "what others made is theirs"
    assert releases.names(at) == ["1.a", "2.half", "3.copy", "4.theirs", "backup"]
    assert releases.next_sequence(at) == 2


def test_a_host_without_the_application_has_nothing(tmp_path: Path) -> None:
    at = Layout("shop", tmp_path / "none")
    assert releases.complete(at) == []
    assert releases.leftovers(at) == []
    assert releases.next_sequence(at) == 1
    assert releases.pointed(at.current) is None


def test_links_name_releases(at: Layout) -> None:
    assert releases.point(at, at.current, "1.a")
    assert not releases.point(at, at.current, "1.a")
    assert at.current.readlink() == Path("releases/1.a")
    assert releases.pointed(at.current) == "1.a"
    assert releases.point(at, at.current, None)
    assert not releases.point(at, at.current, None)


def test_slots(at: Layout) -> None:
    make(at, "1.a", 1)
    assert slot_of(at, "1.a") is None
    for slot in ("1", "12", "web-b"):
        releases.point_slot(at, web("1.a", slot))
        assert slot_of(at, "1.a") == slot


def test_protected_is_all_that_serves_falls_back_comes_before_switches_or_runs(
    at: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    for link, name in ((at.current, "c"), (at.fallback, "f"), (at.previous, "p")):
        releases.point(at, link, name)
    pending.write(at, mark(to="to", was="was", was_fallback="wf", was_previous="wp"))
    running = Units({web("r", "web"): systemd.STOPPING}, jobs=(("mail", "j"),))
    monkeypatch.setattr(systemd, "units", lambda _at: running)
    assert releases.protected(at) == {"c", "f", "p", "to", "was", "wf", "wp", "r", "j"}


def test_nothing_is_pruned_while_it_is_not_known_what_runs(
    at: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seq in range(1, 4):
        make(at, f"{seq}.x", seq)
    monkeypatch.setattr(systemd, "units", _REAL_UNITS)
    monkeypatch.setattr(
        children, "run", lambda *_args, **_more: Done(1, "Failed to connect to bus")
    )
    with pytest.raises(OpError, match="systemctl does not answer"):
        releases.prune(at, 1)
    assert releases.names(at) == ["1.x", "2.x", "3.x"]


def test_where_a_rollback_would_go_is_protected(at: Layout) -> None:
    """Also while `previous` lags behind: its session died before it got to it."""
    for seq in range(1, 5):
        make(at, f"{seq}.x", seq)
        journal.append(at.journal, Entry(kind="deploy", result="confirmed", release=f"{seq}.x"))
    releases.point(at, at.current, "2.x")
    assert releases.protected(at) == {"1.x", "2.x"}
    assert releases.prune(at, 1) == ["3.x", "4.x"]


def test_prune_takes_the_oldest_and_the_half_ones_with_their_units(at: Layout) -> None:
    for seq in range(1, 6):
        make(at, f"{seq}.x", seq)
    at.release("9.half").mkdir()
    at.release("9.mine").mkdir()
    releases.point(at, at.current, "5.x")
    releases.point(at, at.previous, "1.x")
    assert releases.prune(at, 3, but="9.mine") == ["2.x", "3.x", "9.half"]
    assert releases.names(at) == ["1.x", "4.x", "5.x", "9.mine"]
    assert "2.x" not in releases.unit_files(at).values()
    assert at.unit_file(web("1.x", "7")).exists()
    assert at.unit_file(web("1.x", "web-b")).exists()
    assert releases.prune(at, 3, but="9.mine") == []


def test_prune_never_touches_a_neighbour(at: Layout) -> None:
    neighbour = Layout("shop-admin", at.base)
    neighbour.releases.mkdir(parents=True)
    for one in (at, neighbour):
        for seq in (1, 2, 3):
            make(one, f"{seq}.x", seq)
    releases.prune(at, 0)
    assert releases.names(at) == []
    assert releases.names(neighbour) == ["1.x", "2.x", "3.x"]
    assert neighbour.unit_file(web("1.x")).exists()


def test_prune_takes_wheels_that_no_release_names(at: Layout) -> None:
    needed, unneeded = "aa" * 32, "bb" * 32
    make(at, "1.a", 1, wheel=needed)
    for name in (needed, unneeded, "theirs"):
        (at.cache / "wheels" / name).mkdir(parents=True)
    releases.prune(at, 5)
    assert {path.name for path in (at.cache / "wheels").iterdir()} == {needed, "theirs"}


def test_prune_takes_what_an_earlier_prune_left(at: Layout) -> None:
    (at.releases / ".gone-1.a" / "venv").mkdir(parents=True)
    assert releases.prune(at, 5) == [".gone-1.a"]
    assert list(at.releases.iterdir()) == []


def test_pending_survives_the_way_through_the_file(at: Layout) -> None:
    assert pending.read(at) is None
    pending.write(at, mark())
    assert pending.read(at) == mark()
    assert at.pending.stat().st_mode & 0o777 == 0o600
    pending.clear(at, mark())
    pending.clear(at, mark())
    assert pending.read(at) is None


@pytest.mark.parametrize("text", ["{}", '{"id": "1", "to": "2.b"}', "{", "[]"])
def test_a_pending_switch_that_is_damaged_says_so(at: Layout, text: str) -> None:
    at.pending.write_text(text)
    with pytest.raises(OpError, match=r"pending\.json is damaged") as caught:
        pending.read(at)
    assert caught.value.slug == "host-state"


def test_an_earlier_version_reads_a_pending_switch_and_is_read(at: Layout) -> None:
    """Its `recover` may be the one that goes back: it wants each of its own words."""
    pending.write(at, mark())
    written = json.loads(at.pending.read_text())
    words = {"id", "kind", "to", "to_slot", "was", "was_slot", "was_fallback", "was_previous"}
    words |= {"shared", "fresh", "started", "version", "who", "message"}
    new = {"next_previous", "commit", "to_assigned", "was_assigned"}
    assert set(written) == words | new
    assert written["shared"] == {"/etc/nginx/x": {"text": "\udcff old"}, "/etc/nginx/y": None}
    at.pending.write_text(json.dumps({key: written[key] for key in words}))
    assert pending.read(at) == mark()


def test_the_journals_line_of_a_switch() -> None:
    line = to_json(mark().entry("reverted", "why"))
    expected = {
        "kind": "deploy",
        "release": "2.b",
        "version": "2",
        "result": "reverted",
        "who": "ann",
        "message": "",
        "from": "1.a",
        "reason": "why",
    }
    assert {key: line[key] for key in expected} == expected
    assert "reason" not in to_json(mark().entry("confirmed"))


def test_a_damaged_manifest_hides_its_own_release_only(at: Layout) -> None:
    make(at, "1.a", 1)
    make(at, "2.b", 2)
    releases.manifest_path(at, "1.a").write_text("{torn")
    assert [manifest.release for manifest in releases.complete(at)] == ["2.b"]
    assert releases.leftovers(at) == ["1.a"]


def test_cached_wheels_of_what_lies_beside_an_application_stay_with_it(at: Layout) -> None:
    mine, beside = "a" * 64, "b" * 64
    make(at, "1.a", 1, wheel=mine)
    manifest = replace(releases.manifest(at, "1.a"), beside={"money": beside})
    files.write_json(at.release("1.a") / "release.json", to_json(manifest))
    for sha in (mine, beside, "c" * 64):
        (at.cache / "wheels" / sha).mkdir(parents=True)
    (at.cache / "wheels" / "not ours").mkdir()
    assert releases.unwanted_wheels(at) == [at.cache / "wheels" / ("c" * 64)]
