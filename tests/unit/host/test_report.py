"""What a host says of itself, without changing anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.host.layout import Layout
from cartwheel.host.look import listing
from cartwheel.host.wire.history import AskHistory
from tests.unit.hostside import Session, host_in


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    return host_in(tmp_path, monkeypatch)


def test_the_history_is_the_end_of_the_journal(at: Layout) -> None:
    at.journal.write_text("".join(f'{{"seq": {number}}}\n' for number in range(1, 9)))
    entries = listing.history(Session(at).ctx(), AskHistory(lines=3)).entries
    assert [entry.seq for entry in entries] == [6, 7, 8]
