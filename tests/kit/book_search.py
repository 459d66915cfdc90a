"""The search of the built book, typed into a real browser."""

from __future__ import annotations

import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.kit.browser import Browser, browser
from tests.kit.certificates import certificate
from tests.kit.waiting import until

SHOWN = 3  # people look at the first few
_QUIET_SECONDS = 0.3
_BOX = "[data-md-component=search-query]"
_READY = ("Type to start searching", "键入以开始搜索")


@dataclass(frozen=True)
class Question:
    """What somebody typed, and the pages (`faq/web`) that have its answer."""

    text: str
    lang: str
    pages: frozenset[str]


def questions(path: Path) -> list[Question]:
    """Those of a file of questions."""
    rows = tomllib.loads(path.read_text())["question"]
    return [
        Question(row["text"], row["lang"], frozenset(row.get("pages") or [row["page"]]))
        for row in rows
    ]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Requests are not shown."""


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The address of the built book."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def searching(site: Path) -> Iterator[Searching]:
    """A browser at the built book."""
    with served(site) as address, browser({}, certificate("localhost")) as window:
        yield Searching(window, address)


@dataclass(frozen=True)
class Searching:
    """Types questions into the search of each language."""

    window: Browser
    address: str

    def first(self, question: Question) -> list[str]:
        """The first results: `PAGE#ANCHOR`, best first, the sections of a page after it."""
        self.window.open(f"{self.address}/{'zh/' if question.lang == 'zh' else ''}")
        until(lambda: self._said() in _READY)
        self.window.run("document.querySelector('#__search').checked = true")
        self.window.type(_BOX, question.text)
        until(lambda: self._said() not in _READY)
        until(self._is_quiet)
        return [self._place(one) for one in self._results()]

    def answers(self, question: Question) -> bool:
        """Whether one of the first results is a page with the answer."""
        pages = list(dict.fromkeys(place.split("#")[0] for place in self.first(question)))
        return bool(question.pages & set(pages[:SHOWN]))

    def _is_quiet(self) -> bool:
        """Whether the list of results stays as it is; it is drawn piece by piece."""
        before = self._html()
        time.sleep(_QUIET_SECONDS)
        return before == self._html()

    def _html(self) -> object:
        return self.window.run("return document.querySelector('.md-search-result').innerHTML")

    def _said(self) -> str:
        return str(self.window.find(".md-search-result__meta").get_attribute("textContent")).strip()

    def _results(self) -> list[str]:
        links = self.window.find_all(".md-search-result__link")
        return [str(one.get_attribute("href")) for one in links]

    def _place(self, link: str) -> str:
        parts = urlsplit(link)
        page = unquote(parts.path).removeprefix("/zh").strip("/")
        return f"{page}#{unquote(parts.fragment)}"
