"""No file that a person wrote makes a traceback: mutations of real-looking files, for each parser.

Only our own errors may come out, and they name the file (and the line where there is one).
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cartwheel.build.index import access_for
from cartwheel.errors import CartwheelError
from cartwheel.inventory.gather import hosts_printed
from cartwheel.settings import load_placed
from cartwheel.settings.hosts import from_settings
from cartwheel.settings.toml_tables import Index, Settings, Ssh
from cartwheel.settings.variables import dotenv
from cartwheel.ssh.config import Configuration
from cartwheel.ssh.known_hosts import HostKey, is_known
from cartwheel.ssh.options import SshOptions
from cartwheel.ssh.target import Target, resolve_target
from tests.unit import seeds
from tests.unit.build.test_mutations import BESIDE, FILES, readers

SAMPLE, SWEEP = 150, 100_000
# What breaks parsers: quotes, escapes, brackets, tokens, other scripts' digits and blanks, ends of
# lines, bytes that are no UTF-8, numbers that are too large, names that are too long.
BITS = [
    *(bytes([byte]) for byte in b"\"'\\#=:,@%${}[]!*~-/; \t\n\r\0\x0b\x0c\x85\xff\xc3"),
    *(b"\xed\xa0\x80", b"~nobody-here/", b"${", b"${NO_SUCH_VARIABLE}", b"%%", b"%C", b"[[", b"]]"),
    *(
        b"'''",
        b'"""',
        b"--",
        b"..",
        b"|1|",
        b"||",
        b"none",
        b"true",
        b"null",
        b"-1",
        b"0",
        b"1e999",
    ),
    *(b"9" * 20, b"1" * 5000, b"a" * 300, b"[" * 3000, b'{"a":' * 3000, b"http://[", b"file:///"),
    *(text.encode() for text in ("²", "٣", "\u2028", "\ufeff", "İ", "ﬁ", "a @ b", "-r x\n")),
    *(b"https://user:pass@host:port/", b"git+ssh://"),
]
VALUES = [
    *(b"1", b"-1", b"1.5", b"nan", b"true", b"null", b"2026-01-01", b'"', b'""', b'"x"'),
    *(b"[]", b"{}", b"[1]", b'["x"]', b'{"a": 1}', b"{a = 1}", b"[{}]", b"[[]]", b'"\\u0000"'),
]
SPANS = {
    "word": re.compile(rb"([\w.-]+)"),
    "value": re.compile(rb"[=:] *([^\n,}]+)"),
    "line": re.compile(rb"([^\n]+)\n"),
    "quoted": re.compile(rb"([\"'][^\"'\n]*[\"'])"),
}


@dataclass(frozen=True)
class Parser:
    """`read` takes the folder in which the mutated file has this name."""

    name: str
    file: str
    seeds: Iterable[str]
    read: Callable[[Path], object]
    beside: Mapping[str, str] = field(default_factory=dict)  # other files in the same folder


def _ssh_config(folder: Path) -> None:
    for path in (None, folder / ".ssh/config"):
        configuration = Configuration(path)
        configuration.names()
        for typed in ("web", "anna@db:2200", "10.0.0.7"):
            resolve_target(typed, ssh=Ssh(), options=SshOptions(), lab={}, ssh_config=configuration)


def _known_hosts(folder: Path) -> None:
    target = Target("web", "web", 22, "anna", known_hosts=(folder / "known_hosts",))
    is_known(target, HostKey("ssh-ed25519", base64.b64decode(seeds.KEY)))


def _inventory(folder: Path) -> None:
    text = (folder / "inventory").read_bytes()
    hosts_printed(str(folder / "inventory"), lambda *_options: text)


def _settings(folder: Path) -> None:
    placed = load_placed(folder, None, None)
    from_settings(placed.settings, placed.place)


def _dotenv(folder: Path) -> None:
    base = Settings.model_construct(env_file=str(folder / ".env"))
    list(dotenv(base, folder))


def _pip(folder: Path) -> None:
    access_for(Index(), None, {"PIP_CONFIG_FILE": str(folder / "pip.conf"), "HOME": str(folder)})


def _project(folder: Path) -> None:
    for read in readers(folder):
        read()


PARSERS = [
    Parser("ssh_config", ".ssh/config", seeds.SSH_CONFIG, _ssh_config),
    Parser("known_hosts", "known_hosts", seeds.KNOWN_HOSTS, _known_hosts),
    Parser("inventory", "inventory", seeds.INVENTORY, _inventory),
    Parser("settings", "cartwheel.toml", seeds.SETTINGS, _settings),
    Parser("dotenv", ".env", seeds.DOTENV, _dotenv),
    Parser("pip.conf", "pip.conf", seeds.PIP_CONF, _pip),
    *(
        Parser(name, name.split(" ", maxsplit=1)[0], [text], _project, BESIDE)
        for name, text in FILES.items()
    ),
]


@st.composite
def mutated(draw: st.DrawFn, texts: list[bytes]) -> bytes:
    """A file with some bytes, words or values replaced, by others or by what breaks parsers."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        kind = draw(st.sampled_from([*SPANS, "bytes", "cut", "ends"]))
        if kind == "cut":
            text = text[: draw(st.integers(0, len(text)))]
        elif kind == "ends":
            text = text.replace(b"\n", draw(st.sampled_from([b"\r\n", b"\n\n", b"\r"])))
        elif kind == "bytes":
            start = draw(st.integers(0, len(text)))
            end = start + draw(st.sampled_from([0, 0, 1, 1, 2, 20]))
            text = text[:start] + draw(st.sampled_from([b"", *BITS])) + text[end:]
        else:
            spans = [found.span(1) for found in SPANS[kind].finditer(text)]
            start, end = draw(st.sampled_from(spans or [(0, 0)]))
            others = [found[1] for found in SPANS[kind].finditer(draw(st.sampled_from(texts)))]
            new = draw(st.sampled_from([*others, *(VALUES if kind == "value" else BITS)]))
            text = text[:start] + new + text[end:]
    return text


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_only_our_own_errors(parser: Parser, tmp_path: Path, monkeypatch: Any) -> None:
    _try(parser, tmp_path, monkeypatch, SAMPLE)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_only_our_own_errors_at_length(parser: Parser, tmp_path: Path, monkeypatch: Any) -> None:
    _try(parser, tmp_path, monkeypatch, int(os.environ.get("CARTWHEEL_MUTATIONS", SWEEP)))


def _try(parser: Parser, folder: Path, monkeypatch: Any, count: int) -> None:
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("PATH", str(folder))  # no ssh: our own parser reads
    monkeypatch.setenv("SHELL", "/bin/true")  # no mutated command is run
    monkeypatch.chdir(folder)
    file = folder / parser.file
    file.parent.mkdir(exist_ok=True)
    for name, text in parser.beside.items():
        (file.parent / name).write_text(text)
    kept = {file, *file.parent.iterdir()}
    refused = 0

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated([text.encode("utf-8", "surrogateescape") for text in parser.seeds]))
    def attempt(text: bytes) -> None:
        nonlocal refused
        for path in set(file.parent.iterdir()) - kept:  # what the last one wrote
            if path.is_file():
                path.unlink()
        file.write_bytes(text)
        try:
            parser.read(folder)
        except CartwheelError as error:
            refused += 1
            assert file.name in f"{error}\n{error.detail}"

    attempt()
    assert refused < count * 0.95, "else the mutations are too wild"
