"""What can be said of a page without running it: its blocks, and the names that it uses.

Settings and tasks of other programs look alike: `fab hello` of a reader's own fabfile, `web.py`.
"""

from __future__ import annotations

import ast
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from invoke.parser import ParserContext

from book.blocks import Block, Page
from cartwheel.errors import UsageError
from cartwheel.settings.loading import load
from cartwheel.settings.validation import known_keys

_TOP = Path(__file__).resolve().parent.parent
_CODE = re.compile(r"`([^`\n]+)`")
_SETTING = re.compile(r"\[?([a-z_]+)\.([a-z_]+)\]?(?:\.([a-z_]+))?(?: = .*)?")
# What stands behind a dot in names of files, of Flask's `app`, and of tasks in groups of their own.
_NO_KEYS = frozenset(("conf", "config", "json", "main", "py", "user", "wsgi_app", "run", "route"))
_APP = '[app]\nname = "shop"\nsource = "."\n'


def wrong_blocks(page: Page) -> Iterator[str]:
    """Blocks that are not what their language says."""
    for block in page.blocks:
        if not block.not_run and (text := _wrong(block)):
            yield f"{page.path.name}:{block.line}: {text}"


def _wrong(block: Block) -> str:
    if block.language == "toml" and not block.title:
        return _wrong_settings(block.text)
    if block.language == "python":
        try:
            ast.parse(block.text)
        except SyntaxError as error:
            return str(error)
    if not block.title and block.language not in ("console", "sh", "toml", "python"):
        return (
            f"nothing runs a block of {block.language}: give it a title, or say why it is not run"
        )
    return ""


def _wrong_settings(text: str) -> str:
    """What is wrong in a fragment of settings, as `fab config.check` says it."""
    try:
        has = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return str(error)
    app = has.get("app", {})
    missing = "".join(line for line in _APP.splitlines(True)[1:] if line.split()[0] not in app)
    whole = text.replace("[app]\n", "[app]\n" + missing, 1) if app else text + _needed(has)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cartwheel.toml").write_text(whole)
        try:
            load(Path(folder), None, None)
        except UsageError as error:
            return f"{error}\n{error.detail}"
    return ""


def _needed(has: dict[str, object]) -> str:
    return "" if "app" in has else f"\n{_APP}"


def unknown_settings(text: str) -> Iterator[str]:
    """Names in code that look like settings of a table that exists, and are none."""
    known = {".".join(key) for key, _ in known_keys()}
    tables = {key.split(".")[0] for key in known if "." in key}
    for code in _CODE.finditer(text):
        found = _SETTING.fullmatch(code[1])
        if not found or found[1] not in tables or found[2] in _NO_KEYS or code[1] in _tasks():
            continue
        if f"{found[1]}.{found[2]}" not in known and not _is_room(found[1], found[2]):
            yield code[1]


def _is_room(folder: str, name: str) -> bool:
    """Whether this is a room or a module of Cartwheel."""
    tops = [_TOP / "cartwheel" / folder, _TOP / "cartwheel" / "host" / folder]
    return any((top / name).is_dir() or (top / f"{name}.py").is_file() for top in tops)


_FAB = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:fab|cartwheel) (.+)$", re.MULTILINE)
_TAKES_VALUE = ("-H", "-i", "-t", "-S", "-f", "-c", "-r", "--hosts")
_WORD = re.compile(r"[a-z]+(?:[.-][a-z]+)*")
_OPTION = re.compile(r"--?[a-z][a-z-]*")


@cache
def _tasks() -> Mapping[str, ParserContext]:
    sys.path[:0] = [str(_TOP), str(_TOP / "lab")]
    from tasks import namespace

    return {str(context.name): context for context in namespace.to_contexts()}


@cache
def _core() -> frozenset[str]:
    """The options of `fab` itself, which stand before the task."""
    from fabric.main import program

    names = [name for argument in program.core_args() for name in argument.names]
    return frozenset(("--" if name[1:] else "-") + name for name in names)


def unknown_tasks(text: str) -> Iterator[str]:
    """Command lines of `fab` in code that name a task or an option that does not exist."""
    commands = [found[1] for code in _CODE.finditer(text) for found in _FAB.finditer(code[1])]
    commands += [found[1] for found in re.finditer(r"^\$ (?:fab|cartwheel) (.+)$", text, re.M)]
    for command in commands:
        for part in re.split(r" (?:&& (?:fab|cartwheel)|&&|\|\|?|;|>>?|#) ", command)[:1]:
            if wrong := _unknown(part.split(" -- ")[0].split()):
                yield f"fab {part}: {wrong}"


def _unknown(words: list[str]) -> str:
    options, task, before = set(_core()), "", ""
    for word in words:
        if word.startswith("-"):
            name = word.split("=")[0]
            if _OPTION.fullmatch(name) and name not in options:
                return f"no option {name}"
        elif not task and _WORD.fullmatch(word) and before not in _TAKES_VALUE:
            task = word.removeprefix("cartwheel.")  # how it is called beside a reader's own
            if task not in _tasks():
                return f"no task {word}"
            options |= set(_tasks()[task].flags)
        before = word
    return ""
