"""Requirements files: we read them as pip does, or name file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.build.index import Access, IndexOptions
from cartwheel.build.requirements_file import (
    Requirements,
    decoded,
    logical_lines,
    read_lines,
    read_requirements,
)
from cartwheel.errors import BuildError

A, B = "a" * 64, "b" * 64


def read(folder: Path, content: str | bytes, **others: str) -> Requirements:
    """The requirements in `content`; `others` are files `NAME.txt` beside it."""
    for name, text in others.items():
        (folder / f"{name}.txt").write_text(text)
    path = folder / "requirements.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_requirements(path)


def test_everything_in_one_file(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "# a comment\n-r base.txt\n-c pins.txt\nFlask[async]==3.0 \\\n"
        f"    --hash=sha256:{A} \\\n    --hash=sha256:{B}  # two\n"
        "thing @ https://files.example/thing-1.0.zip#sha256=12\n",
        base="werkzeug ; python_version < '4'\n",
        pins="click==8.1\n",
    )
    assert [line.replace('"', "'") for line in found.wanted] == [
        "werkzeug; python_version < '4'",
        "Flask[async]==3.0",
        "thing",
    ]
    assert [(one.name, one.kind, one.place, one.sha256) for one in found.origins] == [
        ("thing", "url", "https://files.example/thing-1.0.zip", "12")
    ]
    assert found.constraints == ("click==8.1",)
    assert found.hashes == {"flask": frozenset({f"sha256:{A}", f"sha256:{B}"})}
    assert found.notes == ()
    assert found.places["flask"] == f"{tmp_path}/requirements.txt:4"
    assert found.places["werkzeug"] == f"{tmp_path}/base.txt:1"


ENCODINGS: dict[str, bytes] = {
    "utf-8": "flask  # Grüße\n".encode(),
    "utf-8 with a mark": "flask\n".encode("utf-8-sig"),
    "utf-16 of PowerShell": "flask\r\n".encode("utf-16"),
    "utf-16 little": b"\xff\xfe" + "flask\n".encode("utf-16-le"),
    "utf-16 big": b"\xfe\xff" + "flask\n".encode("utf-16-be"),
    "utf-32": "flask\n".encode("utf-32"),
    "declared": "# -*- coding: latin-1 -*-\nflask  # Grüße\n".encode("latin-1"),
    "declared for vim": "#!\n# vim: set fileencoding=cp1252 :\nflask  # „x“\n".encode("cp1252"),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_encodings(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, ENCODINGS[name]).wanted == ("flask",)


@pytest.mark.parametrize(
    "content", [b"flask # Gr\xfc\xdfe\n", b"# coding: klingon\nflask\n", b"\xff\xfef"]
)
def test_an_encoding_that_nobody_knows(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BuildError, match=r"requirements\.txt cannot be read") as caught:
        read(tmp_path, content)
    assert "coding: latin-1" in caught.value.hint


INCLUDED = {
    "-r base.txt": "-r",
    "-rbase.txt": "-r",
    "--requirement base.txt": "-r",
    "--requirement=base.txt": "-r",
    "--requirem base.txt": "-r",
    '-r "base.txt"': "-r",
    "-r 'base.txt'": "-r",
    "-r ./base.txt  # a comment": "-r",
    "-r file:base.txt": "-r",
    "-c base.txt": "-c",
    "-cbase.txt": "-c",
    "--constraint=base.txt": "-c",
    '--constraint "base.txt"': "-c",
}


@pytest.mark.parametrize("line", INCLUDED)
def test_files_that_are_included(tmp_path: Path, line: str) -> None:
    found = read(tmp_path, f"{line}\n", base="flask==3.0\n")
    into = found.wanted if INCLUDED[line] == "-r" else found.constraints
    assert into == ("flask==3.0",)


def test_a_name_with_a_blank_and_folders(tmp_path: Path) -> None:
    (tmp_path / "my files").mkdir()
    (tmp_path / "my files/a.txt").write_text("-r ../base.txt\nbottle\n")
    found = read(tmp_path, '-r "my files/a.txt"\n', base="flask\n")
    assert found.wanted == ("flask", "bottle")


def test_lines_are_joined_as_pip_joins_them(tmp_path: Path) -> None:
    text = (
        "flask\\\n==3.0\nbottle # no \\\ncelery \\\n# ends here\n  \\\n\nurl#not-a-comment\nlast\\"
    )
    assert list(logical_lines(text)) == [
        (1, "flask==3.0"),
        (3, "bottle"),
        (8, "url#not-a-comment"),
        (9, "last"),
    ]


def test_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANTED", "flask")
    monkeypatch.delenv("UNSET", raising=False)
    assert list(logical_lines("${WANTED}==3\n$WANTED\n${wanted}\n${UNSET}\n")) == [
        (1, "flask==3"),
        (2, "$WANTED"),
        (3, "${wanted}"),
        (4, "${UNSET}"),
    ]


def test_options_about_indexes(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    found = read(
        tmp_path,
        "-i https://one.example/simple\n--extra-index-url=https://two.example/simple --pre\n"
        "--trusted-host one.example\n-f wheels\n--find-links https://links.example/\n"
        "--no-binary a,b\n--only-binary=:all:\n--no-binary c\n--no-index\n",
    )
    assert found.indexes == IndexOptions(
        where=f"{tmp_path}/requirements.txt:1",
        url="https://one.example/simple",
        extra_urls=("https://two.example/simple",),
        find_links=(f"{tmp_path}/wheels", "https://links.example/"),
        trusted_hosts=("one.example",),
        no_index=True,
        pre=True,
        no_binary=("c",),
        only_binary=(":all:",),
    )


def test_binaries_count_on_the_line_of_a_requirement_too(tmp_path: Path) -> None:
    found = read(tmp_path, "--only-binary :all:\npsycopg2==2.9 --no-binary psycopg2\nflask\n")
    assert found.wanted == ("psycopg2==2.9", "flask")
    assert (found.indexes.no_binary, found.indexes.only_binary) == (("psycopg2",), (":all:",))
    assert found.notes == ()


NOTES = {
    "pkg-resources==0.0.0": "pkg-resources==0.0.0 is ignored",
    "pkg_resources==0.0.0": "pkg_resources==0.0.0 is ignored",
    "--prefer-binary": "--prefer-binary is ignored",
    "--use-feature fast-deps": "fast-deps is ignored",
    f"--hash sha256:{A}": "pip ignores --hash without a requirement",
    "flask -r other.txt": "give them their own line",
    "flask -i https://one.example": "give them their own line",
}


@pytest.mark.parametrize("line", NOTES)
def test_what_is_not_used_is_named(tmp_path: Path, line: str) -> None:
    found = read(tmp_path, f"bottle\n{line}\n")
    [note] = found.notes
    assert note.startswith("requirements.txt:2: ")
    assert NOTES[line] in note
    assert found.indexes == IndexOptions()
    assert found.wanted in (("bottle",), ("bottle", "flask"))


REFUSED = {
    "-e .": "its name cannot be read",
    "./local": "there is no",
    "flask=3": "is not a requirement",
    "../x-1.0.whl": "there is no",
    "x @ file:///croot/x_166/work": "if `pip freeze` wrote this, write x==VERSION",
    "-r": "-r option requires 1 argument",
    "--process-dependency-links": "no such option",
    "--no-binary --pre": "'--pre' is no package",
    "-r base.txt other.txt": "'other.txt' belongs to no option",
    "-r base.txt -c other.txt": "pip reads only one file on a line",
    "-r requirements.txt": "includes this file again",
    "-r missing.txt": "missing.txt cannot be read",
    '-r "base.txt': "No closing quotation",
    "flask --hash=md5:12": "only sha256 hashes can be compared",
    "flask --config-settings=--a=b": "options for its build cannot be passed to hosts",
    "flask -C a=b": "options for its build cannot be passed to hosts",
    "flask --global-option=x": "options for its build cannot be passed to hosts",
    "pytz>dev": "is not a requirement",
    f"x @ git+https://host.example/x --hash=sha256:{A}": "pip only compares hashes of files",
    f"-e ./folder --hash=sha256:{A}": "pip only compares hashes of files",
    f"./folder --hash=sha256:{A}": "pip only compares hashes of files",
    f"x @ https://files.example/x-1.zip --hash=sha256:{A} --hash=sha256:{B}": "has only one hash",
    "x @ https://files.example/x-1.zip --hash=md5:12": "only sha256 hashes can be compared",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_used_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/pyproject.toml").write_text('[project]\nname = "x"\n')
    with pytest.raises(BuildError, match=r"requirements\.txt:2: ") as caught:
        read(tmp_path, f"bottle\n{line}\n", base="flask\n", other="flask\n")
    assert REFUSED[line] in caught.value.message


def test_what_only_another_program_can_fetch_is_refused_when_it_is_needed(tmp_path: Path) -> None:
    [origin] = read(tmp_path, "hg+https://host.example/x#egg=x\n").origins
    assert (origin.kind, origin.where) == ("refused", f"{tmp_path}/requirements.txt:1")


def test_the_file_at_an_address_has_its_hash(tmp_path: Path) -> None:
    (tmp_path / "pure-1.0-py3-none-any.whl").write_bytes(b"")
    found = read(
        tmp_path,
        f"a @ https://files.example/a-1.0.zip --hash=sha256:{A}\n"
        f"https://files.example/b-1.0.zip#sha256={B} \\\n  --hash=sha256:{B} --hash=sha512:12\n"
        f"./pure-1.0-py3-none-any.whl#sha256={A}\n",
    )
    assert [(one.name, one.sha256) for one in found.origins] == [("a", A), ("b", B), ("pure", A)]


def test_constraints_have_no_extras(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"pins\.txt:1: a constraint cannot have extras"):
        read(tmp_path, "-c pins.txt\n", pins="flask[async]==3\n")


def test_the_settings_name_files_too(tmp_path: Path) -> None:
    (tmp_path / "prod.txt").write_text("flask\n-c pins.txt\n")
    (tmp_path / "pins.txt").write_text("flask==3\n")
    found = read_lines(("-r prod.txt", "bottle"), "app.requirements", tmp_path, Access())
    assert (found.wanted, found.constraints) == (("flask", "bottle"), ("flask==3",))
    assert found.places["bottle"] == "app.requirements[1]"
    with pytest.raises(BuildError, match=r"app\.requirements\[0\]: .*gone\.txt cannot be read"):
        read_lines(("-r gone.txt",), "app.requirements", tmp_path, Access())


def test_text_that_is_no_text() -> None:
    with pytest.raises(BuildError, match="here cannot be read"):
        decoded(b"\xff", "here")
