"""What addresses mean, and what files say of where names come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.build.declared import declared, own_indexes, terms_for
from cartwheel.build.origins import Origin, merged, origin_at
from cartwheel.build.products import Platform
from cartwheel.build.requirements_file import read_requirements
from cartwheel.build.workspace import workspace_of
from cartwheel.errors import CATALOGUE, BuildError

HERE = Path("/home/me/shop")
LINUX = Platform("3.11.2", "glibc", "2.36", "x86_64")
MAC = Platform("3.12.1", "darwin", "", "arm64")


@pytest.mark.parametrize(
    ("address", "kind", "place", "reference", "subdirectory"),
    [
        ("../money", "path", "/home/me/money", "", ""),
        ("file:../money", "path", "/home/me/money", "", ""),
        ("file://../money", "path", "/home/me/money", "", ""),
        ("file:///opt/a%20b", "path", "/opt/a b", "", ""),
        ("file://localhost/opt/x", "path", "/opt/x", "", ""),
        ("https://x.example/money-1.0.tar.gz#subdirectory=a/b",
         "url", "https://x.example/money-1.0.tar.gz", "", "a/b"),
        ("git+https://x.example/money.git@v1", "git", "https://x.example/money.git", "v1", ""),
        ("git+https://me:pw@x.example/money@feature/x",
         "git", "https://me:pw@x.example/money", "feature/x", ""),
        ("git+ssh://git@x.example/money.git#subdirectory=a",
         "git", "ssh://git@x.example/money.git", "", "a"),
        ("git+git@x.example:me/money.git@main", "git", "git@x.example:me/money.git", "main", ""),
        ("git+git@x.example:me/money.git", "git", "git@x.example:me/money.git", "", ""),
        ("git+../money@v1", "git", "file:///home/me/money%40v1", "", ""),
        ("git+file:///opt/money@v1", "git", "file:///opt/money", "v1", ""),
        ("hg+https://x.example/money", "refused", "hg is not supported, only git", "", ""),
        ("ftp://me:pw@x.example/money.zip",
         "refused", "ftp://x.example/money.zip is not the address of a package", "", ""),
    ],
)  # fmt: skip
def test_addresses(address: str, kind: str, place: str, reference: str, subdirectory: str) -> None:
    found = origin_at("Mo.Ney", address, HERE, "x:1")
    assert (found.name, found.kind, found.place) == ("mo-ney", kind, place)
    assert (found.reference, found.subdirectory) == (reference, subdirectory)
    assert "pw" not in found.text + repr(found)


def test_variables_stand_in_addresses_as_pip_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "pw")
    found = origin_at("money", "git+https://${TOKEN}@x.example/money@main", HERE, "x:1")
    assert found.place == "https://pw@x.example/money"
    assert found.text == "https://x.example/money@main"


def test_a_commit_is_what_a_branch_stands_for() -> None:
    branch = Origin("money", "git", "https://x.example/money.git", "a:1", "main")
    commit = Origin("money", "git", "https://x.example/money", "b:2", "a" * 40)
    assert merged({"money": commit}, {"money": branch}) == {"money": commit}
    for other in (
        Origin("money", "git", "https://x.example/other", "b:2", "main"),
        Origin("money", "git", "https://x.example/money", "b:2", "next"),
        Origin("money", "path", "/money", "b:2"),
    ):
        with pytest.raises(BuildError, match=r"\(a:1\) and from .* \(b:2\)") as caught:
            merged({"money": branch}, {"money": other})
        assert caught.value.slug == "source-conflict"


def test_conditions_decide_between_sources(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.uv.sources]\n"
        'a = [{ path = "one", marker = "sys_platform == \'darwin\'" },'
        ' { path = "two", marker = "python_version < \'3.12\'" }]\n'
        'b = [{ index = "cpu", marker = "platform_system == \'Windows\'" }]\n'
        'c = { path = "three", group = "dev" }\n'
        'd = [{ path = "x", extra = "x" }, { path = "y", extra = "y" }]\n'
        '[[tool.uv.index]]\nname = "cpu"\nurl = "https://cpu.example/simple/"\n'
    )
    here = terms_for(LINUX, ["y"])
    found = declared(tmp_path, here)
    assert {name: (one.kind, Path(one.place).name) for name, one in found.items()} == {
        "a": ("path", "two"),
        "c": ("refused", "no source is for this platform"),
        "d": ("path", "y"),
    }
    assert declared(tmp_path, terms_for(MAC, []))["a"].place.endswith("/one")
    assert declared(tmp_path, terms_for(LINUX, [], tests=True))["c"].kind == "path"
    assert [(one.url, one.is_default) for one in own_indexes(tmp_path)] == [
        ("https://cpu.example/simple", False)
    ]


def test_a_workspace_is_the_nearest_one_that_has_the_folder(tmp_path: Path) -> None:
    for name in ("apps/shop", "libs/money", "libs/old", "other"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "pyproject.toml").write_text(f'[project]\nname = "{Path(name).name}"\n')
    (tmp_path / "pyproject.toml").write_text(
        '[tool.uv.workspace]\nmembers = ["apps/*", "libs/*"]\nexclude = ["libs/old"]\n'
    )
    found = workspace_of(tmp_path / "apps/shop")
    assert (found.root, sorted(found.members)) == (tmp_path, ["money", "shop"])
    assert not workspace_of(tmp_path / "libs/old").members
    assert not workspace_of(tmp_path / "other").members


@pytest.mark.parametrize("slug", ["source-unusable", "not-pure", "git-source", "source-conflict"])
def test_each_refusal_has_its_number(slug: str) -> None:
    """Made from the real thing in tests/build/test_sources.py."""
    assert 320 <= CATALOGUE[slug].number <= 329


def test_what_has_no_name_in_a_requirements_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thing").mkdir()
    (tmp_path / "requirements.txt").write_text("flask\n./thing\n")
    with pytest.raises(BuildError, match=r"requirements\.txt:2: .*write NAME @ URL"):
        read_requirements(tmp_path / "requirements.txt")
    (tmp_path / "thing" / "setup.py").write_text("setup(name='Thing.Two')")
    [origin] = read_requirements(tmp_path / "requirements.txt").origins
    assert (origin.name, origin.kind) == ("thing-two", "path")
