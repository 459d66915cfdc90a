"""The pages of a package index: HTML (PEP 503) or JSON (PEP 691)."""

from __future__ import annotations

import html.parser
import json
import urllib.parse
from dataclasses import dataclass

ACCEPT = (
    "application/vnd.pypi.simple.v1+json, "
    "application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
)


@dataclass(frozen=True)
class File:
    """One file of a project, as in PEP 691; `url` is absolute."""

    filename: str
    url: str
    hashes: dict[str, str]
    requires_python: str | None = None
    metadata: dict[str, str] | bool = False
    yanked: str | bool = False


class _Links(html.parser.HTMLParser):
    def __init__(self, base: str) -> None:
        super().__init__()
        self.base = base
        self.files: list[File] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "base" and values.get("href"):
            self.base = urllib.parse.urljoin(self.base, values["href"])
        if tag != "a" or not values.get("href"):
            return
        url, fragment = urllib.parse.urldefrag(
            urllib.parse.urljoin(self.base, values["href"] or "")
        )
        metadata = values.get("data-core-metadata", values.get("data-dist-info-metadata"))
        self.files.append(
            File(
                filename=urllib.parse.unquote(url.rsplit("/", 1)[-1]),
                url=url,
                hashes=_hash(fragment),
                requires_python=values.get("data-requires-python"),
                metadata=(_hash(metadata or "") or True) if metadata is not None else False,
                yanked=(values["data-yanked"] or True) if "data-yanked" in values else False,
            )
        )


def _hash(text: str) -> dict[str, str]:
    name, equals, value = text.partition("=")
    return {name: value} if equals else {}


def parse_page(body: bytes, content_type: str, url: str) -> list[File]:
    """The files on a project's page, HTML (PEP 503) or JSON (PEP 691)."""
    if "json" not in content_type:
        parser = _Links(url)
        parser.feed(body.decode(errors="replace"))
        return parser.files
    return [
        File(
            filename=item["filename"],
            url=urllib.parse.urljoin(url, item["url"]),
            hashes=item.get("hashes") or {},
            requires_python=item.get("requires-python"),
            metadata=item.get("core-metadata") or item.get("dist-info-metadata") or False,
            yanked=item.get("yanked") or False,
        )
        for item in json.loads(body)["files"]
    ]
