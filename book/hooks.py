"""What MkDocs asks us while it builds a language of the book (`hooks:` in book/mkdocs.yml).

Pages are plain Markdown that reads well in the repository, so their links are those of files. Here
links that leave the book lead to the repository, and pictures are shared by both languages.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPO = Path(__file__).resolve().parent.parent
DOCS = REPO / "docs"
_SOURCE = "https://cartwheel.example.org/source/"  # pyproject.toml: Source
# Pages for people with a question come before those with figures.
_WEIGHTS = {"faq": 2, "architecture.md": 0.5, "bench.md": 0.5, "faults.md": 0.5, "scale.md": 0.5}
_LINK = re.compile(r"(\]\()([^)#\s]+)([^)\s]*\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Both books have the navigation of book/mkdocs.yml; the Chinese one has its own titles."""
    if sections := config.extra.get("sections"):
        config.nav = [_renamed(entry, sections) for entry in config.nav or []]
    return config


def _renamed(entry: str | dict[str, Any], sections: dict[str, str]) -> str | dict[str, Any]:
    if isinstance(entry, str):
        return entry
    return {sections[title]: pages for title, pages in entry.items()}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The Chinese book shows the pictures of the English one."""
    if Path(config.docs_dir) != DOCS:
        for picture in sorted((DOCS / "pictures").iterdir()):
            name = f"pictures/{picture.name}"
            files.append(File.generated(config, name, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Weigh the page for the search; lead links out of the book to the repository, and those to
    pictures to this book's own."""
    weight = next((_WEIGHTS[part] for part in Path(page.file.src_uri).parts if part in _WEIGHTS), 1)
    page.meta["search"] = {"boost": weight}
    folder = Path(config.docs_dir) / page.file.src_uri
    return _LINK.sub(lambda link: link[1] + _target(folder, link[2], config) + link[3], markdown)


def _target(page: Path, link: str, config: MkDocsConfig) -> str:
    if ":" in link:
        return link
    place = (page.parent / link).resolve()
    docs = Path(config.docs_dir)
    if place.is_relative_to(docs):
        return link
    if place.is_relative_to(DOCS / "pictures"):
        ups = "../" * (len(page.relative_to(docs).parts) - 1)
        return f"{ups}pictures/{place.name}"
    if not place.exists():
        raise PluginError(f"{page.relative_to(REPO)}: {link} does not exist")
    return _SOURCE + str(place.relative_to(REPO))
