"""Run the blocks of a page on disposable hosts, as its reader would.

    script/page docs/start/first-deploy.md ...

Prints the first difference between a page and what happens.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from book import output
from book.blocks import Block, Hidden, Page, read
from book.shell import Done, Shell
from cartwheel_lab import Lab, LabHost

REPO = Path(__file__).resolve().parent.parent
STATE = "CARTWHEEL_LAB_STATE"
_CARTWHEEL = "import sys; from cartwheel.fab.fabfile import main; sys.argv[0] = 'cartwheel'; main()"
_COMMAND = re.compile(r"^\$ ", re.MULTILINE)
# Set by whoever started us, not by the reader.
_ADDED = ("PYTHONDONTWRITEBYTECODE", "COLUMNS", "LINES", "PYTHONPATH", STATE)
# `use shop` copies that example into the folder.
_BEGIN = 'use() { cp -r "$REPO/examples/$1/." .; }\nset -o pipefail\n'


class StoryError(Exception):
    """A page does not show what happens."""


@dataclass(frozen=True)
class Command:
    """A command of a console block, and the lines that the page shows below it."""

    text: str
    shown: list[str]


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console block. A command goes on after a backslash, and in a here-document
    in lines that begin with `> `."""
    for piece in _COMMAND.split(block.text)[1:]:
        lines = piece.splitlines()
        end = 1
        while end < len(lines) and (lines[end - 1].endswith("\\") or lines[end].startswith("> ")):
            end += 1
        text = "\n".join(line.removeprefix("> ") for line in lines[:end])
        yield Command(text, lines[end:])


def run(page: Page) -> None:
    """Run a page's story. Raises StoryError with the first difference."""
    with _story(page) as shell:
        for part in page.parts:
            try:
                _run_part(shell, page, part)
            except (TimeoutError, EOFError) as error:
                done = Done(1, str(error).splitlines())
                raise _wrong(page, part.line, "...", "it does not end", done) from error


def _run_part(shell: Shell, page: Page, part: Block | Hidden) -> None:
    if isinstance(part, Hidden):
        done = shell.run(part.command)
        if done.code:
            raise _wrong(page, part.line, part.command, f"exit code {done.code}", done)
    elif part.not_run:
        return
    elif part.title:
        file = shell.folder / part.title
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(part.text)
    elif part.language == "sh":
        _check(shell.run(part.text), Command(part.text, []), page, part, part.exits)
    elif part.language == "console":
        every = list(commands(part))
        for command in every:
            exits = part.exits if command is every[-1] else 0
            _check(_do(shell, part, command), command, page, part, exits)


def _do(shell: Shell, block: Block, command: Command) -> Done:
    if block.keyboard:
        return shell.typed(command.text, command.shown, shell.home / ".answers")
    if command.shown[-1:] != ["^C"]:
        return shell.run(command.text)
    shown = command.shown[:-1]

    def has_shown(lines: list[str]) -> bool:
        return not output.difference([*shown, output.ANY], lines)

    done = shell.run(command.text, has_shown)
    return Done(0, [*done.lines, "^C"])


def _check(done: Done, command: Command, page: Page, block: Block, exits: int) -> None:
    if done.code != exits:
        text = f"exit code {done.code} instead of {exits}"
        raise _wrong(page, block.line, command.text, text, done)
    is_compared = any(line.strip() for line in command.shown)
    if is_compared and (text := output.difference(command.shown, done.lines)):
        raise _wrong(page, block.line, command.text, text, done)


def _wrong(page: Page, line: int, command: str, text: str, done: Done) -> StoryError:
    printed = "\n".join(done.lines)
    return StoryError(f"{page.path}:{line}: $ {command}\n{text}\n--- it printed:\n{printed}")


@contextmanager
def _story(page: Page) -> Iterator[Shell]:
    """A shell in an empty ~/shop of a person who can reach the page's hosts."""
    with ExitStack() as stack:
        top = Path(tempfile.mkdtemp(prefix="story-"))
        stack.callback(shutil.rmtree, top, ignore_errors=True)
        home = top / "you"
        (home / "shop").mkdir(parents=True)
        stack.callback(_end_labs, home)
        lab = Lab(home / ".local/state/cartwheel/lab/story")
        hosts = lab.up(len(page.hosts)) if page.hosts else []
        environment = _environment(top, home, lab.state if hosts else None)
        if hosts:
            _lead(home, page.hosts, hosts)
        yield stack.enter_context(Shell(home / "shop", environment, _BEGIN, home))


def _environment(top: Path, home: Path, lab: Path | None) -> Mapping[str, str]:
    programs = top / "bin"
    programs.mkdir()
    fab = Path(sys.executable).with_name("fab")
    _program(programs / "cartwheel", f'exec {sys.executable} -c "{_CARTWHEEL}" "$@"')
    _program(programs / "fab", f'exec {fab} "$@"')
    _program(programs / "ssh", f'exec /usr/bin/ssh -F "{home}/.ssh/config" "$@"')
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    mine = {name: value for name, value in os.environ.items() if name not in _ADDED}
    here = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    of_lab = {STATE: str(lab)} if lab else {}
    return {
        **mine,
        **of_lab,
        "HOME": str(home),
        "PATH": here,
        "PYTHONPATH": f"{REPO}:{REPO / 'lab'}",
        "REPO": str(REPO),
        "XDG_CACHE_HOME": cache,
        "LANG": "C.UTF-8",
        "TERM": "dumb",
    }


def _program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def _lead(home: Path, names: Sequence[str], hosts: Sequence[LabHost]) -> None:
    """Let the names of the story, and all names that curl is asked for, lead to its hosts."""
    folder = home / ".ssh"
    folder.mkdir(mode=0o700)
    tables = [
        f"Host {name}\n  HostName {host.address}\n  Port {host.port}\n  User root\n"
        f"  IdentityFile {host.identity}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {host.known_hosts}\n"
        for name, host in zip(names, hosts, strict=True)
    ]
    (folder / "config").write_text("\n".join(tables))
    first = hosts[0]
    ports = ((80, first.http_port), (443, first.https_port))
    lines = [f'connect-to = ":{port}:{first.address}:{real}"\n' for port, real in ports]
    (home / ".curlrc").write_text("".join(lines) + "silent\nshow-error\n")


def _end_labs(home: Path) -> None:
    """Take down the story's labs, also those that the page itself started."""
    for folder in (home / ".local/state/cartwheel/lab").glob("*"):
        Lab(folder).down()


def main(names: Sequence[str]) -> int:
    """Run these pages; 1 if one of them shows what does not happen."""
    failed = 0
    for name in names:
        try:
            run(read(Path(name).resolve()))
        except StoryError as error:
            failed = 1
            print(error)
        else:
            print(f"{name}: as shown")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
