"""The book is built in both languages, without a network; no link leads nowhere."""

from __future__ import annotations

import re
import subprocess
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from book import site
from tests.kit.project import CHECKOUT

_TWIN = re.compile(r'hreflang="(?:en|zh)"\s+href="([^"]+)"\s+title=')
_ASKED = re.compile(r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="(https?://[^"]+)"([^>]*)')


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    site.build(folder)
    return folder


def test_each_page_leads_to_its_twin(built: Path) -> None:
    pages = list(built.rglob("index.html"))
    assert len(pages) > 2 * 60
    for page in pages:
        found = _TWIN.search(page.read_text())
        assert found, page
        twin = (page.parent / unquote(unescape(found[1]))).resolve()
        assert (twin / "index.html").is_file(), page
        assert (built / "zh" in page.parents) != (built / "zh" in (twin / "x").parents), page


def test_no_page_asks_another_host(built: Path) -> None:
    for page in built.rglob("index.html"):
        asked = [url for url, more in _ASKED.findall(page.read_text()) if "canonical" not in more]
        assert [url for url in asked if urlsplit(url).hostname != "cartwheel.example.org"] == []


@pytest.mark.parametrize("link", ["missing.md", "index.md#missing", "../missing.toml"])
def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path, link: str) -> None:
    """Tried on a copy with one page, because the book itself has none."""
    for name in ("book", "docs/zh", "docs/pictures"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("mkdocs.yml", "hooks.py"):
        text = (CHECKOUT / "book" / name).read_text()
        (tmp_path / "book" / name).write_text(text.split("\nnav:")[0] + "\n")
    (tmp_path / "book/overrides").symlink_to(CHECKOUT / "book/overrides")
    (tmp_path / "docs/index.md").write_text(f"# Title\n\nSee [this]({link}).\n")
    done = subprocess.run(
        [*site.BUILD, "-f", "book/mkdocs.yml", "-d", str(tmp_path / "out")],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode, done.stderr
    assert "missing" in done.stderr
