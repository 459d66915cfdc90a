from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.build.chosen import choose
from cartwheel.build.index import Access
from cartwheel.build.plain import about_plain, package_plain, plain_requirements
from cartwheel.build.private import Privacy, check_wheel
from cartwheel.build.source import (
    PLAN_BEGINS,
    Source,
    copy_source,
    empty_submodules,
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


SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
HATCH = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
PROJECT = '[project]\nname = "x"\nversion = "1"\n'
FOLDERS: dict[str, tuple[dict[str, str], str]] = {
    "setup.py": ({"setup.py": ""}, "project"),
    "setup.cfg of a package": ({"setup.cfg": "[metadata]\nname = x\n"}, "project"),
    "setup.cfg of tools": ({"setup.cfg": "[flake8]\nmax-line-length = 99\n"}, "plain"),
    "pyproject.toml of tools": ({"pyproject.toml": "[tool.ruff]\nline-length = 99\n"}, "plain"),
    "a back end": ({"pyproject.toml": PROJECT + HATCH}, "project"),
    "setuptools": ({"pyproject.toml": PROJECT + SETUPTOOLS}, "project"),
    "setuptools and its table": ({"pyproject.toml": f"{PROJECT}[tool.setuptools]\n"}, "project"),
    "a build system of nothing": ({"pyproject.toml": SETUPTOOLS}, "plain"),
    "uv init --app": ({"pyproject.toml": PROJECT}, "plain"),
    "uv": ({"pyproject.toml": f"{PROJECT}{HATCH}[tool.uv]\npackage = false\n"}, "plain"),
    "uv package": ({"pyproject.toml": f"{PROJECT}[tool.uv]\npackage = true\n"}, "project"),
    "poetry": ({"pyproject.toml": f"{HATCH}[tool.poetry]\npackage-mode = false\n"}, "plain"),
    "poetry alone": ({"pyproject.toml": "[tool.poetry]\n"}, "plain"),
    "pdm": ({"pyproject.toml": f"{PROJECT}{HATCH}[tool.pdm]\ndistribution = false\n"}, "plain"),
    "app.py": ({"app.py": ""}, "plain"),
    "Pipfile": ({"Pipfile": ""}, "plain"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_what_a_folder_is(tmp_path: Path, name: str) -> None:
    files, kind = FOLDERS[name]
    write(tmp_path, "main.py")
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    assert find_source(".", tmp_path).kind == kind


DECLARATIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "the usual": (("requirements.txt", "requirements-dev.txt"), "requirements.txt"),
    "for production": (("requirements/base.txt", "requirements/production.txt"), "production.txt"),
    "prod": (("requirements/prod.txt", "requirements/local.txt"), "prod.txt"),
    "shared": (("requirements/base.txt", "requirements/dev.txt"), "base.txt"),
    "beside": (("requirements-prod.txt", "requirements-dev.txt"), "requirements-prod.txt"),
    "before": (("prod-requirements.txt", "dev-requirements.txt"), "prod-requirements.txt"),
    "dotted": (("requirements.prod.txt", "requirements.test.txt"), "requirements.prod.txt"),
    "the only one": (("requirements/web.txt", "requirements/tests.txt"), "web.txt"),
    "compiled": (("requirements/base.in", "requirements/base.txt"), "base.txt"),
    "not compiled": (("requirements.in",), "requirements.in"),
    "several": (("requirements/web.txt", "requirements/worker.txt"), "several"),
    "for others only": (("requirements-dev.txt",), "none"),
    "before a Pipfile": (("requirements.txt", "Pipfile"), "requirements.txt"),
    "a Pipfile": (("Pipfile", "Pipfile.lock"), "Pipfile"),
    "its lock": (("Pipfile.lock", "requirements-dev.txt"), "Pipfile.lock"),
    "a lock": (("pylock.toml",), "pylock.toml"),
    "of conda": (("environment.yml",), "conda"),
    "not of conda": (("environment.yml", "requirements.txt"), "requirements.txt"),
    "nothing": ((), "none"),
}


@pytest.mark.parametrize("name", DECLARATIONS)
def test_which_file_declares_requirements(tmp_path: Path, name: str) -> None:
    files, chosen = DECLARATIONS[name]
    write(tmp_path, "main.py", *files)
    found = find_source(".", tmp_path).declaration
    assert found is not None
    assert chosen in (found.kind, found.path.name)


UNUSED = {
    "for another process": (("requirements.txt", "requirements-worker.txt"), "requirements-w"),
    "for production": (("requirements.txt", "requirements/prod.txt"), "requirements/prod.txt"),
    "beside the chosen one": (("requirements/prod.txt", "requirements/worker.txt"), "worker.txt"),
    "for development": (("requirements.txt", "requirements-dev.txt"), ""),
    "the source of a compiled one": (("requirements.in", "requirements.txt"), ""),
}


@pytest.mark.parametrize("name", UNUSED)
def test_other_files_of_requirements_are_named(tmp_path: Path, name: str) -> None:
    files, note = UNUSED[name]
    write(tmp_path, "main.py", *files)
    found = find_source(".", tmp_path).declaration
    assert found is not None
    assert note in "".join(found.unused)
    assert bool(note) == bool(found.unused)


def test_files_of_requirements_that_are_included_are_used(tmp_path: Path) -> None:
    write(tmp_path, "main.py", "requirements/base.txt", "requirements/more.txt")
    (tmp_path / "requirements.txt").write_text("-r requirements/prod.txt\n")
    (tmp_path / "requirements/prod.txt").write_text("-rbase.txt\n")
    found = find_source(".", tmp_path).declaration
    assert found is not None
    assert found.notes == ("requirements: requirements.txt; not used: requirements/more.txt",)


def test_an_environment_in_the_folder_itself_is_left_out(tmp_path: Path) -> None:
    inside = ("lib/python3.11/site-packages/flask/app.py", "bin/activate", "bin/pip", "pyvenv.cfg")
    write(tmp_path, "main.py", "lib/own.py", *inside)
    found = {name for name, _ in choose(Source("plain", tmp_path), entry="main:app").carried}
    assert found == {"main.py", "lib/own.py", "pyvenv.cfg"}


def test_a_source_with_extras(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="has extras") as caught:
        find_source("datasette[rich]==0.65", tmp_path)
    assert caught.value.hint == "Put them into app.extras: rich."


def test_requirements_may_be_around_the_folder_but_not_around_the_project(tmp_path: Path) -> None:
    write(tmp_path, "requirements.txt", "shop/requirements.txt", "shop/web/main.py")
    found = find_source("web", tmp_path / "shop").declaration
    assert found is not None
    assert found.path == tmp_path / "shop/requirements.txt"
    (tmp_path / "shop/requirements.txt").unlink()
    found = find_source("web", tmp_path / "shop").declaration
    assert found is not None
    assert found.kind == "none"


def test_a_folder_without_code_names_the_one_that_has_it(tmp_path: Path) -> None:
    write(tmp_path, "README.md", "server/main.py", "server/requirements.txt")
    with pytest.raises(BuildError, match="no Python file") as caught:
        find_source(".", tmp_path)
    assert 'app.source = "server"' in caught.value.hint


ENTRIES = {
    "at the top": (("main.py", "src/main.py"), "main:app", {"main.py", "src/main.py"}),
    "src": (("src/shop/__init__.py", "data.csv"), "shop:app", {"shop/__init__.py", "data.csv"}),
    "src itself": (("src/main.py",), "src.main:app", {"src/main.py"}),
    "another folder": (("backend/site/wsgi.py", "x.py"), "site.wsgi:app", {"site/wsgi.py", "x.py"}),
    "two folders": (("a/web.py", "b/web.py"), "web:app", {"a/web.py", "b/web.py"}),
    "a package": (("a/__init__.py", "a/web.py"), "web:app", {"a/__init__.py", "a/web.py"}),
    "itself": (("__init__.py", "main.py"), "app.main:app", {"app/__init__.py", "app/main.py"}),
    "its name only": (("main.py",), "main:app", {"main.py"}),
}  # fmt: skip


@pytest.mark.parametrize("name", ENTRIES)
def test_python_finds_the_entry(tmp_path: Path, name: str) -> None:
    files, entry, carried = ENTRIES[name]
    folder = write(tmp_path / "app", *files)
    found = choose(Source("plain", folder), entry=entry)
    assert {inside for inside, _ in found.carried} == carried


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
    return find_source(str(folder), folder)


def packed(source: Source, folder: Path) -> Path:
    about = about_plain(source.declaration, "My-Shop", plain_requirements(source, Access()))
    return package_plain(source, about, folder)


def test_a_plain_folder_becomes_a_wheel(tmp_path: Path) -> None:
    wheel = packed(plain(tmp_path / "src"), tmp_path)
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
    version = read_metadata(packed(source, tmp_path)).version
    (source.path / "tests" / "test_app.py").write_text("changed")
    assert read_metadata(packed(source, tmp_path)).version == version
    (source.path / "requirements.txt").write_text("flask>=3.1\n")
    assert read_metadata(packed(source, tmp_path)).version != version


def test_requirements_of_a_project_have_their_lines_and_addresses(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "shop"\ndependencies = [\n  "Flask[async]>=3",\n'
        "  \"money @ file:///${PROJECT_ROOT}/../money ; os_name == 'posix'\",\n]\n"
        "[project.optional-dependencies]\nlive = [\"celery; os_name == 'a' or os_name == 'b'\"]\n"
    )
    found = plain_requirements(find_source(".", tmp_path), Access())
    toml = f"{tmp_path}/pyproject.toml"
    assert found.places == {"flask": f"{toml}:4", "money": f"{toml}:5", "celery": f"{toml}:8"}
    assert [line.replace('"', "'") for line in found.wanted] == [
        "Flask[async]>=3",
        "money; os_name == 'posix'",
        "celery; (os_name == 'a' or os_name == 'b') and extra == 'live'",
    ]
    [origin] = found.origins
    assert (origin.name, origin.kind, origin.place) == ("money", "path", f"{tmp_path.parent}/money")


# --- files --------------------------------------------------------------------------------


def carried(
    folder: Path, *, static_dirs: tuple[str, ...] = (), include: tuple[str, ...] = ()
) -> set[str]:
    privacy = Privacy(static_dirs=static_dirs, include=include)
    return {name for name, _ in choose(find_source(".", folder), privacy).carried}


def test_folders_of_a_front_end_are_carried(tmp_path: Path) -> None:
    write(tmp_path, "app.py", "dist/index.html", "build/x.js", "docs/__init__.py", "tests/t.py")
    assert carried(tmp_path) == {"app.py", "dist/index.html", "build/x.js", "docs/__init__.py"}
    (tmp_path / "docs/__init__.py").unlink()
    write(tmp_path, "docs/conf.py", "docs/index.html")
    assert carried(tmp_path) == {"app.py", "dist/index.html", "build/x.js"}
    assert "docs/index.html" in carried(tmp_path, static_dirs=("docs",))
    assert "tests/t.py" in carried(tmp_path, include=("tests/",))


def test_what_is_named_is_no_result_of_a_build(tmp_path: Path) -> None:
    write(tmp_path, "app.py", "dist/shop.zip", "build/lib/x.py")
    assert carried(tmp_path) == {"app.py"}
    assert carried(tmp_path, static_dirs=("dist",)) == {"app.py", "dist/shop.zip"}
    assert carried(tmp_path, include=("dist/*.zip",)) == {"app.py", "dist/shop.zip"}
    assert carried(tmp_path, static_dirs=("build/lib",)) == {"app.py", "build/lib/x.py"}


def test_what_is_served_is_carried_though_git_ignores_it(tmp_path: Path) -> None:
    write(tmp_path, "app.py", "dist/index.html", "dist/.well-known/a.json", "dist/.env", "src/x.py")
    (tmp_path / ".gitignore").write_text("dist/\n")
    assert carried(tmp_path) == {"app.py", "src/x.py"}
    served = {"app.py", "src/x.py", "dist/index.html", "dist/.well-known/a.json"}
    assert carried(tmp_path, static_dirs=("dist",)) == served


def test_an_own_folder_of_settings_is_the_applications(tmp_path: Path) -> None:
    own = ["app.py", "config/__init__.py", "config/apps/a.yaml", "config/environments/live.py"]
    write(tmp_path, *own, "config/apps/shop.toml", "config/environments/live.toml", "fabfile.py")
    (tmp_path / "config/deploy.toml").write_text("")
    assert carried(tmp_path) == set(own)


def test_what_a_folder_refers_to_and_does_not_have_is_noted(tmp_path: Path) -> None:
    write(tmp_path, "app.py", "vendor/full/x.py", ".git")
    (tmp_path / "vendor/empty").mkdir()
    (tmp_path / "logo.png").symlink_to("gone.png")
    (tmp_path / ".gitmodules").write_text(
        '[submodule "a"]\n\tpath = vendor/empty\n[submodule "b"]\n\tpath = vendor/full\n'
        '[submodule "c"]\n\tpath = vendor/gone\n'
    )
    notes = choose(find_source(".", tmp_path)).notes
    assert "links to nothing are left out: logo.png" in notes
    assert [note.split()[2] for note in notes if "submodule" in note] == [
        "vendor/empty",
        "vendor/gone",
    ]


def test_a_pointer_of_git_lfs_is_no_file(tmp_path: Path) -> None:
    write(tmp_path / "src", "app.py")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12345\n"
    (tmp_path / "src/logo.png").write_text(pointer)
    wheel = packed(find_source("src", tmp_path), tmp_path)
    with pytest.raises(BuildError, match=r"pointers of Git LFS instead of files: logo\.png"):
        check_wheel(wheel, Privacy())


def test_a_submodule_whose_path_is_too_long_is_not_there(tmp_path: Path) -> None:
    path = "a" * 5000
    (tmp_path / ".gitmodules").write_text(f'[submodule "a"]\n\tpath = {path}\n')
    assert empty_submodules(tmp_path) == [path]
