"""The env file: what is written is what systemd reads, byte for byte."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cartwheel.host.system import envfile

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True)
# systemd takes no noncharacters (Unicode 23.7).
NONCHARACTERS = "".join(map(chr, range(0xFDD0, 0xFDF0))) + "".join(
    chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF)
)
ODD = st.sampled_from(list("\"'\\`$#;=\n\t {}!%~-ü€😀\u2028\x85"))
VALUES = st.lists(
    st.one_of(
        ODD,
        st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters=NONCHARACTERS),
    ),
    max_size=30,
).map("".join)
VARIABLES = st.dictionaries(NAMES, VALUES, max_size=5)


@given(VARIABLES)
def test_what_is_written_is_read(variables: dict[str, str]) -> None:
    assert envfile.parse(envfile.dump(variables)) == variables


def _systemd() -> ctypes.CDLL:
    """systemd's own parser; its soname holds systemd's version."""
    name = "systemd/libsystemd-shared-*.so"
    found = [one for at in ("lib*", "lib/*") for one in Path("/usr").glob(f"{at}/{name}")]
    assert found, "run script/test-packages: systemd's library is missing"
    return ctypes.CDLL(str(found[0]))


def _read_by_systemd(library: ctypes.CDLL, path: Path) -> dict[str, str]:
    """`load_env_file` of systemd's src/basic/env-file.h, which services' files go through."""
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    libc.fclose.argtypes = [ctypes.c_void_p]
    library.load_env_file.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    library.strv_env_is_valid.restype = ctypes.c_bool
    entries = ctypes.POINTER(ctypes.c_char_p)()
    file = libc.fopen(bytes(path), b"r")
    try:
        assert library.load_env_file(file, bytes(path), ctypes.byref(entries)) == 0
    finally:
        libc.fclose(file)
    found: list[bytes] = []
    while entries and (entry := entries[len(found)]) is not None:
        found.append(entry)
    assert library.strv_env_is_valid(entries)
    return {name: value for name, _, value in (entry.decode().partition("=") for entry in found)}


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VARIABLES)
def test_systemd_reads_the_same(tmp_path: Path, variables: dict[str, str]) -> None:
    """tests/lab/test_envfile.py asks the whole of systemd, on real hosts."""
    library = _systemd()
    path = tmp_path / "env"
    path.write_text(envfile.dump(variables), encoding="utf-8", newline="")
    assert _read_by_systemd(library, path) == variables


@pytest.mark.parametrize(
    "value", ["a\0", "a\rb", "\x1b[0m", "\x7f", "\ud800", "\ufdd0", "\uffff", "\U0001fffe"]
)
def test_what_systemd_may_drop_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(ValueError, match=r"^KEY: the value ") as caught:
        envfile.dump({"KEY": value})
    assert value not in str(caught.value)


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "Ä", "A\n"])
def test_names_are_names(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of an environment variable"):
        envfile.dump({name: ""})


@pytest.mark.parametrize(
    "text", ["A=1\n", 'A="1"', 'A="1" \n', '# no\nA="1"\n', 'A="$x"\n', 'A="\\n"\n', "\n"]
)
def test_only_what_was_written_is_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"^line \d+ is not NAME"):
        envfile.parse('B="two\nlines"\n' + text)
