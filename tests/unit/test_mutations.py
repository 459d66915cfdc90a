"""No file that a person wrote makes a traceback: mutations of real-looking files, for each parser.

Only our own errors may come out, in one line that names the file.
"""

from __future__ import annotations

import base64
import os
import random
import re
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from cartwheel.build.declared import declared, own_indexes, terms_for
from cartwheel.build.index import Access, access_for
from cartwheel.build.locked import read_locked, read_pipfile_lock
from cartwheel.build.origins import pyproject
from cartwheel.build.plain import about_plain, plain_requirements, project_requirements
from cartwheel.build.poetry import write_stand_in
from cartwheel.build.products import operator_platform
from cartwheel.build.source import empty_submodules, find_source
from cartwheel.errors import CartwheelError
from cartwheel.inventory.gather import hosts_printed
from cartwheel.project.begin import advice, answers_of
from cartwheel.project.detect import detect
from cartwheel.project.files import settings_text
from cartwheel.settings.hosts import from_settings
from cartwheel.settings.loading import load_placed
from cartwheel.settings.toml_tables import Index, Settings, Ssh
from cartwheel.settings.variables import dotenv
from cartwheel.ssh.config import Configuration
from cartwheel.ssh.known_hosts import HostKey, is_known
from cartwheel.ssh.options import SshOptions
from cartwheel.ssh.target import Target, resolve_target
from tests.unit import seeds

SAMPLE, SWEEP = 150, 100_000
AT_ONCE = 50  # mutations of one of hypothesis's examples: it takes longer than a parser
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
    *(b"\\ud800", b"a.b", b"file:", b"git+", b"-r ", b">=", b"=="),
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


Read = Callable[[Path], object]


@dataclass(frozen=True)
class Parser:
    """Each of `reads` takes the folder in which the mutated file has this name."""

    name: str
    file: str
    seeds: Iterable[str]
    reads: tuple[Read, ...]
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


def _init(folder: Path) -> None:
    """What config.init makes of it is TOML, whatever it is."""
    found = detect(folder)
    answers = answers_of(
        found, source=".", name="shop", entry="main:app", hosts=("web1",), server_names=()
    )
    told = "\n".join(advice(found, answers))
    text = settings_text(answers, own_file=True, schema="settings.schema.json")
    tomllib.loads((text + "".join(f"# {line}\n" for line in told.splitlines())).encode().decode())


def _packed(folder: Path) -> None:
    source = find_source(".", folder)
    if source.kind == "plain":
        about_plain(source.declaration, "shop", plain_requirements(source, Access())).metadata("1")


def _stand_in(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as other:
        write_stand_in(pyproject(folder), Path(other))


TERMS = terms_for(operator_platform(), None)
# Whatever a build reads of a project's files.
PROJECT: tuple[Read, ...] = (
    *(_packed, _stand_in, own_indexes, project_requirements, read_pipfile_lock, empty_submodules),
    lambda folder: declared(folder, TERMS, ["money"]),
    lambda folder: read_locked(folder, ()),
)
PARSERS = [
    Parser("ssh_config", ".ssh/config", seeds.SSH_CONFIG, (_ssh_config,)),
    Parser("known_hosts", "known_hosts", seeds.KNOWN_HOSTS, (_known_hosts,)),
    Parser("inventory", "inventory", seeds.INVENTORY, (_inventory,)),
    Parser("settings", "cartwheel.toml", seeds.SETTINGS, (_settings,)),
    Parser("dotenv", ".env", seeds.DOTENV, (_dotenv,)),
    Parser("pip.conf", "pip.conf", seeds.PIP_CONF, (_pip,)),
    Parser("Procfile", "Procfile", seeds.PROCFILE, (_init,), seeds.PROJECT_BESIDE),
    Parser("app.json", "app.json", seeds.APP_JSON, (_init,), seeds.PROJECT_BESIDE),
    *(
        Parser(name, name.split(" ", maxsplit=1)[0], [text], PROJECT, seeds.PROJECT_BESIDE)
        for name, text in seeds.PROJECT_FILES.items()
    ),
]


def mutated(pick: random.Random, texts: list[bytes]) -> bytes:
    """A file with some bytes, words or values replaced, by others or by what breaks parsers."""
    text = pick.choice(texts)
    for _ in range(pick.choice([1, 1, 1, 2, 3])):
        kind = pick.choice([*SPANS, "bytes", "cut", "ends", "again"])
        if kind == "cut":
            text = text[: pick.randint(0, len(text))]
        elif kind == "ends":
            text = text.replace(b"\n", pick.choice([b"\r\n", b"\n\n", b"\r"]))
        elif kind == "again":
            lines = text.split(b"\n")
            lines.insert(pick.randint(0, len(lines)), pick.choice(lines))
            text = b"\n".join(lines)
        elif kind == "bytes":
            start = pick.randint(0, len(text))
            end = start + pick.choice([0, 0, 1, 1, 2, 20])
            text = text[:start] + pick.choice([b"", *BITS]) + text[end:]
        else:
            spans = [found.span(1) for found in SPANS[kind].finditer(text)]
            start, end = pick.choice(spans or [(0, 0)])
            others = [found[1] for found in SPANS[kind].finditer(pick.choice(texts))]
            new = pick.choice([*others, *(VALUES if kind == "value" else BITS)])
            text = text[:start] + new + text[end:]
    return text


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_only_our_own_errors(parser: Parser, memory: Path, monkeypatch: Any) -> None:
    _try(parser, memory, monkeypatch, SAMPLE)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_only_our_own_errors_at_length(parser: Parser, memory: Path, monkeypatch: Any) -> None:
    _try(parser, memory, monkeypatch, int(os.environ.get("CARTWHEEL_MUTATIONS", SWEEP)))


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

    texts = [text.encode("utf-8", "surrogateescape") for text in parser.seeds]

    @settings(
        max_examples=count // AT_ONCE,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=True))
    def attempt(pick: random.Random) -> None:
        nonlocal refused
        for _ in range(AT_ONCE):
            for path in set(file.parent.iterdir()) - kept:  # what the last one wrote
                if path.is_file():
                    path.unlink()
            text = mutated(pick, texts)
            file.write_bytes(text)
            try:
                refused += _is_refused(parser, folder, file.name)
            except Exception:
                note(repr(text))
                raise

    attempt()
    assert refused < count * 0.95, "else the mutations are too wild"


def _is_refused(parser: Parser, folder: Path, name: str) -> bool:
    refusals = [error for read in parser.reads if (error := _refusal(read, folder))]
    for error in refusals:
        assert name in f"{error}\n{error.detail}"
        assert "\n" not in error.message
    return bool(refusals)


def _refusal(read: Read, folder: Path) -> CartwheelError | None:
    try:
        read(folder)
    except CartwheelError as error:
        return error
    return None
