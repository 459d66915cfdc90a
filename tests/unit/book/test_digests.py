"""A Chinese page knows which English page it was translated from."""

from __future__ import annotations

from pathlib import Path

import pytest

from book import digests


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two pages."""
    for name, value in (("REPO", ""), ("DOCS", "docs"), ("CHINESE", "docs/zh")):
        monkeypatch.setattr(digests, name, tmp_path / value)
    for name in ("README.md", "docs/faq/web.md", "docs/zh/faq/web.md", "README.zh.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    digests.stamp(tmp_path / "docs/zh/faq/web.md")
    digests.stamp(tmp_path / "README.zh.md")
    return tmp_path


def test_a_stamped_page_is_current(folder: Path) -> None:
    assert list(digests.behind()) == []
    first, *rest = (folder / "docs/zh/faq/web.md").read_text().splitlines()
    assert first.startswith("<!-- source: docs/faq/web.md ")
    assert rest == ["# docs/zh/faq/web.md"]


def test_a_stamp_is_written_over(folder: Path) -> None:
    page = folder / "docs/zh/faq/web.md"
    (folder / "docs/faq/web.md").write_text("# Changed\n")
    digests.stamp(page)
    assert page.read_text().count("<!-- source") == 1
    assert list(digests.behind()) == []


def test_a_page_whose_english_has_changed_is_behind(folder: Path) -> None:
    (folder / "docs/faq/web.md").write_text("# Changed\n")
    (folder / "README.zh.md").write_text("# never stamped\n")
    assert list(digests.behind()) == [
        "docs/zh/faq/web.md: docs/faq/web.md has changed since it was translated",
        "README.zh.md: README.md has changed since it was translated",
    ]


def test_a_page_without_its_twin(folder: Path) -> None:
    (folder / "docs/new.md").write_text("# New\n")
    (folder / "docs/zh/gone.md").write_text("# Gone\n")
    assert list(digests.behind()) == ["docs/zh/new.md: missing"]
    assert digests.without_english() == ["docs/zh/gone.md"]
