from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.build.plain import package_plain, read_requirements
from cartwheel.build.source import (
    PLAN_BEGINS,
    Source,
    copy_source,
    find_source,
    source_digest,
    source_files,
)
from cartwheel.build.wheel import read_metadata, verify_wheel
from cartwheel.errors import BuildError
from tests.kit.wheels import wheel_names


def write(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    return folder


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("setup.py",), "project"),
        (("setup.cfg",), "project"),
        (("app.py", "requirements.txt"), "plain"),
        (("app.py",), "plain"),
    ],
)
def test_what_a_folder_is(tmp_path: Path, names: tuple[str, ...], kind: str) -> None:
    write(tmp_path / "here", *names)
    assert find_source("here", tmp_path).kind == kind


def test_a_pyproject_that_only_configures_tools_packages_nothing(tmp_path: Path) -> None:
    write(tmp_path, "app.py", "requirements.txt")
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 99\n")
    assert find_source(".", tmp_path).kind == "plain"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\n')
    assert find_source(".", tmp_path).kind == "project"


def test_a_pinned_name_is_of_the_index(tmp_path: Path) -> None:
    found = find_source("Some.App==1.0.post1+local", tmp_path)
    assert (found.kind, found.name, found.version) == ("index", "Some.App", "1.0.post1+local")


@pytest.mark.parametrize("source", ["nowhere", "missing.whl", "name>=1", "empty", "broken"])
def test_what_cannot_be_a_source(tmp_path: Path, source: str) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "broken", "app.py")
    (tmp_path / "broken" / "pyproject.toml").write_text("[project\n")
    with pytest.raises(BuildError) as caught:
        find_source(source, tmp_path)
    assert caught.value.slug == "source"


def test_caches_and_earlier_builds_do_not_count_but_what_an_application_serves_does(
    tmp_path: Path,
) -> None:
    kept = [
        "pyproject.toml",
        "shop/__init__.py",
        "shop/build/x.py",
        "shop/static/dist/app.js",
        ".flaskenv",
    ]
    write(tmp_path, *kept)
    write(
        tmp_path,
        ".git/HEAD", "shop/__pycache__/a.pyc", "shop/b.pyc", ".venv/pyvenv.cfg", "env/pyvenv.cfg",
        "env/lib/x.py", "build/lib/shop/__init__.py", "build/bdist.linux-x86_64/y", "dist/shop.whl",
        "shop.egg-info/PKG-INFO", "src/shop.egg-info/PKG-INFO", ".pytest_cache/z",
    )  # fmt: skip
    assert [name for name, _ in source_files(tmp_path)] == sorted(kept)


def test_a_build_folder_that_no_back_end_left_counts(tmp_path: Path) -> None:
    write(tmp_path, "build/assets.py", "dist/index.html")
    assert [name for name, _ in source_files(tmp_path)] == ["build/assets.py", "dist/index.html"]


def test_a_plan_that_was_written_into_the_folder_does_not_count(tmp_path: Path) -> None:
    write(tmp_path, "app.py", "requirements.txt")
    (tmp_path / "of-production").write_bytes(PLAN_BEGINS + b' "format": 1}\n')
    (tmp_path / "other.json").write_text('{\n "cartwheel": "plane"}')
    names = [name for name, _ in source_files(tmp_path)]
    assert names == ["app.py", "other.json", "requirements.txt"]


def test_links_are_followed_without_going_round(tmp_path: Path) -> None:
    root = write(tmp_path / "root", "shop/a.py")
    write(tmp_path / "shared", "data.csv")
    (root / "shop" / "data").symlink_to(tmp_path / "shared")
    (root / "shop" / "again").symlink_to(root)
    (root / "gone").symlink_to(tmp_path / "nothing")
    names = [name for name, _ in source_files(root)]
    assert names == ["shop/a.py", "shop/data/data.csv"]
    before = source_digest(Source("project", root))
    (tmp_path / "shared" / "data.csv").write_text("other")
    assert source_digest(Source("project", root)) != before


def test_the_digest_sees_names_content_and_modes_only(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one", "a.py", "b.py"), write(tmp_path / "two", "b.py", "a.py")
    first = source_digest(Source("project", one))
    assert source_digest(Source("project", two)) == first
    (two / "a.py").chmod(0o755)
    assert source_digest(Source("project", two)) != first


def test_a_copy_has_what_the_digest_has(tmp_path: Path) -> None:
    source = Source("project", write(tmp_path / "one", "a.py", "c/d.txt", ".git/HEAD"))
    (source.path / "a.py").chmod(0o700)
    copy = copy_source(source, tmp_path / "copy")
    assert source_digest(Source("project", copy)) == source_digest(source)
    assert not (copy / ".git").exists()


# --- plain folders ---------------------------------------------------------------------


def plain(folder: Path) -> Source:
    write(
        folder,
        "app.py", "helpers/__init__.py", "templates/index.html", "static/dist/app.js", "schema.sql",
        "gunicorn_conf.py", "tests/test_app.py", "test_more.py", "README.md", ".env",
        "instance/db.sqlite", ".secrets/key", "requirements-dev.txt",
    )  # fmt: skip
    (folder / "requirements.txt").write_text("flask>=3\n")
    return Source("plain", folder)


def test_a_plain_folder_becomes_a_wheel(tmp_path: Path) -> None:
    wheel = package_plain(plain(tmp_path / "src"), "My-Shop", tmp_path)
    names = {name for name in wheel_names(wheel) if ".dist-info/" not in name}
    assert names == {
        "app.py", "helpers/__init__.py", "templates/index.html", "static/dist/app.js", "schema.sql",
        "gunicorn_conf.py",
    }  # fmt: skip
    metadata = verify_wheel(wheel)
    assert metadata.name == "my-shop"
    assert metadata.requires_dist == ("flask>=3",)


def test_a_plain_version_follows_what_it_carries(tmp_path: Path) -> None:
    source = plain(tmp_path / "src")
    version = read_metadata(package_plain(source, "shop", tmp_path)).version
    (source.path / "tests" / "test_app.py").write_text("changed")
    assert read_metadata(package_plain(source, "shop", tmp_path)).version == version
    (source.path / "requirements.txt").write_text("flask>=3.1\n")
    assert read_metadata(package_plain(source, "shop", tmp_path)).version != version


def test_a_requirements_file_with_everything_in_it(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("werkzeug ; python_version < '4'\n")
    (tmp_path / "pins.txt").write_text("click==8.1\n")
    (tmp_path / "requirements.txt").write_text(
        "# a comment\n-i https://u:p@mirror.example/simple\n--extra-index-url=https://x.example\n"
        "-r base.txt\n-c pins.txt\nFlask[async]==3.0 \\\n"
        f"    --hash=sha256:{'a' * 64} \\\n    --hash=sha256:{'b' * 64}  # two\n"
        "thing @ https://files.example/thing-1.0.zip#sha256=12\n"
    )
    found = read_requirements(tmp_path / "requirements.txt")
    assert [line.replace('"', "'") for line in found.wanted] == [
        "werkzeug; python_version < '4'",
        "Flask[async]==3.0",
        "thing",
    ]
    assert [(one.name, one.kind, one.place, one.sha256) for one in found.origins] == [
        ("thing", "url", "https://files.example/thing-1.0.zip", "12")
    ]
    assert found.constraints == ("click==8.1",)
    assert found.hashes == {"flask": frozenset({f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"})}
    assert [note.split()[0] for note in found.notes] == [
        "requirements.txt:2:",
        "requirements.txt:3:",
    ]
    assert "u:p" not in "".join(found.notes)


@pytest.mark.parametrize("line", ["-e .", "./local", "flask=3", "../x.whl"])
def test_what_cannot_be_locked_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "requirements.txt").write_text(f"flask\n{line}\n")
    with pytest.raises(BuildError, match=r"requirements\.txt:2: "):
        read_requirements(tmp_path / "requirements.txt")
