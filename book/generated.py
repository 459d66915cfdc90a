"""Generate pages of docs/, the settings' schema and the monitor's catalogue of messages from the
code; find the test of each error."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

from book import digests, errors_page, settings_page, tasks_page, translations
from book import monitor_catalogue as catalogue
from book.voice import ENGLISH, Voice
from cartwheel.errors import CATALOGUE
from cartwheel.render.release import template_names
from cartwheel.settings import schema
from cartwheel.settings.project_files import OLD
from cartwheel.settings.toml_tables import App, Settings

REPO = Path(__file__).resolve().parent.parent
TIERS = ("lab", "ssh", "build", "unit")  # the most real one first


def settings(voice: Voice) -> str:
    """docs/settings.md."""
    example = Settings(app=App(name="shop", source="."))
    return settings_page.page(template_names(example), voice)


def errors(voice: Voice) -> str:
    """docs/errors.md."""
    return errors_page.page(tests_by_slug(), voice)


# By their paths in docs/, and in docs/zh/.
IN_BOTH: dict[str, translations.Page] = {
    "errors.md": errors,
    "settings.md": settings,
    "reference/tasks.md": tasks_page.page,
}


def _english(name: str) -> str:
    return IN_BOTH[name](ENGLISH)


def _chinese(name: str) -> str:
    """With the digest of the English page, which has to be written first."""
    return digests.digest_line(REPO / "docs" / name) + IN_BOTH[name](translations.chinese())


@cache
def tests_by_slug() -> dict[str, str]:
    """For each slug the first test, in the most real tier, that names it or its number."""
    found: dict[str, str] = {}
    for tier in TIERS:
        for path in sorted((REPO / "tests" / tier).rglob("test_*.py")):
            for name, source in _functions(path):
                for slug in _named(source):
                    found.setdefault(slug, f"`{path.relative_to(REPO)}`: {name}")
    return found


def _functions(path: Path) -> Iterator[tuple[str, str]]:
    """Each test of a module with its source, and with the tables of the module it may read."""
    text = path.read_text()
    lines, tree = text.splitlines(), ast.parse(text)

    def source_of(node: ast.stmt | ast.expr) -> str:  # ast's own splits the text for each node
        return "\n".join(lines[node.lineno - 1 : node.end_lineno])

    tables = {
        target.id: source_of(node)
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            parts: list[ast.stmt | ast.expr] = [*node.decorator_list, node]
            source = "\n".join(map(source_of, parts))
            read = [table for name, table in tables.items() if re.search(rf"\b{name}\b", source)]
            yield node.name, "\n".join([source, *read])


def _named(source: str) -> Iterator[str]:
    for slug, problem in CATALOGUE.items():
        # A slug of one word, such as "source", may stand there for something else.
        plain = "-" in slug or "slug" in source
        if f"CW{problem.number}" in source or (plain and f'"{slug}"' in source):
            yield slug


PAGES: dict[Path, Callable[[], str | bytes]] = {
    translations.SOURCE: partial(translations.source, IN_BOTH),
    **{REPO / "docs" / name: partial(_english, name) for name in IN_BOTH},
    **{REPO / "docs/zh" / name: partial(_chinese, name) for name in IN_BOTH},
    REPO / OLD.schema: schema.text,
    catalogue.SOURCE: catalogue.source,
    catalogue.COMPILED: catalogue.renewed,
}


def content(path: Path) -> bytes:
    """What one of PAGES should be."""
    made = PAGES[path]()
    return made if isinstance(made, bytes) else made.encode()


if __name__ == "__main__":
    for each in PAGES:
        each.parent.mkdir(parents=True, exist_ok=True)
        each.write_bytes(content(each))
