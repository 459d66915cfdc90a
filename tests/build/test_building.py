"""Real builds by real back ends, and what is kept of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cartwheel.build.apptests import run_app_tests
from cartwheel.build.artifact import build_app
from cartwheel.build.lock import lock_for, pins
from cartwheel.build.order import Order
from cartwheel.build.products import Artifact, operator_platform
from cartwheel.errors import BuildError
from cartwheel.events import silent
from tests.build.conftest import BOOKWORM, EXAMPLES, Heard, settings_for
from tests.kit.tiers import tiered
from tests.kit.wheels import wheel_names

pytestmark = pytest.mark.build

BACK_ENDS = {
    "setuptools": (
        '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "Shop.App"\nversion = "1.2"\n'
        '[tool.setuptools]\npackages = ["shop"]\n'
        '[tool.setuptools.package-data]\nshop = ["*.html"]\n'
    ),
    "hatchling": (
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "Shop.App"\nversion = "1.2"\n'
        '[tool.hatch.build.targets.wheel]\npackages = ["shop"]\n'
    ),
    "poetry-core": (
        '[build-system]\nrequires = ["poetry-core>=2"]\nbuild-backend = "poetry.core.masonry.api"\n'
        '[project]\nname = "Shop.App"\nversion = "1.2"\n'
        '[tool.poetry]\npackages = [{ include = "shop" }]\n'
    ),
    "flit-core": (
        '[build-system]\nrequires = ["flit_core>=3.9"]\nbuild-backend = "flit_core.buildapi"\n'
        '[project]\nname = "Shop.App"\nversion = "1.2"\ndescription = "x"\n'
        '[tool.flit.module]\nname = "shop"\n'
    ),
}


# Those that differ from the others in nothing but their own options.
FURTHER = {"flit-core", "poetry-core"}


def make_project(folder: Path, back_end: str) -> Path:
    (folder / "shop").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(BACK_ENDS[back_end])
    (folder / "shop" / "__init__.py").write_text("app = None\n")
    (folder / "shop" / "page.html").write_text("<h1>shop</h1>\n")
    return folder


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("back_end", sorted(BACK_ENDS))
def test_every_back_end_gives_the_same_bytes_twice_and_leaves_the_source_alone(
    back_end: str, tmp_path: Path
) -> None:
    built: list[Artifact] = []
    for name in ("one", "other"):
        project = make_project(tmp_path / name / "project", back_end)
        for number, path in enumerate(sorted(project.rglob("*"))):
            os.utime(path, (1_600_000_000 + number, 1_600_000_000 + len(name) * number))
        before = listing(project)
        built.append(
            build_app(Order(settings_for(project), tmp_path, tmp_path / name / "state", silent))
        )
        assert listing(project) == before
    assert built[0].wheel_sha256 == built[1].wheel_sha256
    assert (built[0].name, built[0].version) == ("shop-app", "1.2")
    assert {"shop/__init__.py", "shop/page.html"} <= wheel_names(built[0].wheel)


@pytest.mark.parametrize("back_end", tiered(sorted(BACK_ENDS), nightly=FURTHER))
def test_no_back_end_gets_what_the_settings_name(back_end: str, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", back_end)
    for name in ("secret.html", "linked.html"):
        (project / "shop" / name).write_text("a secret word")
    (project / "shop" / "linked.html").unlink()
    (project / "shop" / "linked.html").symlink_to("secret.html")
    secrets = {"KEY": {"file": str(project / "shop" / "secret.html")}}
    settings = settings_for(project, secrets=secrets)
    artifact = build_app(Order(settings, tmp_path, tmp_path / "state", silent))
    assert "shop/page.html" in wheel_names(artifact.wheel)
    assert not {"shop/secret.html", "shop/linked.html"} & wheel_names(artifact.wheel)


def test_a_package_with_a_key_is_refused_each_time_until_it_is_allowed(
    tmp_path: Path, state: Path
) -> None:
    project = make_project(tmp_path / "project", "hatchling")
    body = "MIIEpAIBAAKCAQEA" * 4
    key = f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"
    (project / "shop" / "testing.pem").write_text(key)
    (project / "shop" / ".env").write_text("A=1\n")
    for _ in range(2):
        with pytest.raises(BuildError) as caught:
            build_app(Order(settings_for(project), tmp_path, state, silent))
        assert caught.value.slug == "private-file"
        assert "shop/.env (an environment file)" in caught.value.message
        assert "shop/testing.pem (a private key)" in caught.value.message
        assert 'app.include = ["shop/.env", "shop/testing.pem"]' in caught.value.hint
        assert body not in str(caught.value) + caught.value.detail + caught.value.hint
    allowed = settings_for(project, app={"include": ["shop/.env", "shop/testing.pem"]})
    artifact = build_app(Order(allowed, tmp_path, state, silent))
    assert "shop/testing.pem" in wheel_names(artifact.wheel)
    # What was built with leave is refused without it, also as a wheel that is given.
    for source in (project, artifact.wheel):
        with pytest.raises(BuildError) as caught:
            build_app(Order(settings_for(source), tmp_path, state, silent))
        assert caught.value.slug == "private-file"


def test_data_of_a_plain_folder_changes_no_release(
    tmp_path: Path, state: Path, heard: Heard
) -> None:
    source = tmp_path / "plain"
    shutil.copytree(EXAMPLES / "plain", source)
    (source / "db.sqlite3").write_text("some rows")
    first = build_app(Order(settings_for(source), tmp_path, state, heard))
    (source / "db.sqlite3").write_text("more rows")
    assert build_app(Order(settings_for(source), tmp_path, state, heard)) == first
    assert heard.states("build") == ["start", "note", "done", "start", "note", "unchanged"]
    assert first.left_out == ("db.sqlite3",)


def test_unchanged_content_is_not_built_again_whatever_its_times(
    tmp_path: Path, state: Path, heard: Heard
) -> None:
    project = make_project(tmp_path / "project", "flit-core")
    settings = settings_for(project)
    first = build_app(Order(settings, tmp_path, state, heard))
    os.utime(project / "shop" / "page.html", (0, 0))
    (project / "shop" / "__pycache__").mkdir()
    assert build_app(Order(settings, tmp_path, state, heard)) == first
    assert heard.states("build") == ["start", "done", "start", "unchanged"]
    (project / "shop" / "page.html").write_text("<h1>SHOP</h1>\n")
    assert build_app(Order(settings, tmp_path, state, heard)).wheel_sha256 != first.wheel_sha256


def test_a_damaged_cache_is_made_anew(tmp_path: Path, state: Path) -> None:
    settings = settings_for(EXAMPLES / "plain")
    first = build_app(Order(settings, tmp_path, state, silent))
    content = first.wheel.read_bytes()
    first.wheel.write_bytes(content[:-10])
    assert build_app(Order(settings, tmp_path, state, silent)).wheel.read_bytes() == content


def test_a_back_end_that_fails_shows_its_reason(tmp_path: Path, state: Path) -> None:
    project = make_project(tmp_path / "project", "setuptools")
    (project / "setup.py").write_text("raise SystemExit('the moon is not full')\n")
    with pytest.raises(BuildError) as caught:
        build_app(Order(settings_for(project), tmp_path, state, silent))
    assert caught.value.slug == "build-failed"
    assert "the moon is not full" in caught.value.detail


def test_a_release_of_the_index_and_its_lock(tmp_path: Path, state: Path, heard: Heard) -> None:
    settings = settings_for("pypiserver==2.4.1", app={"entry": "pypiserver:app()"})
    artifact = build_app(Order(settings, tmp_path, state, heard))
    assert (artifact.name, artifact.version) == ("pypiserver", "2.4.1")
    build_app(Order(settings_for(artifact.wheel), tmp_path, state, heard))
    steps = {event.step for event in heard}
    assert (steps & {"download", "wheel", "build"}) == {"download", "wheel"}, "nothing was built"
    found = pins(lock_for(Order(settings, tmp_path, state, silent), artifact, BOOKWORM).text)
    assert "gunicorn" in found
    assert "pypiserver" not in found


def test_an_sdist_of_the_index_is_built(tmp_path: Path, state: Path) -> None:
    artifact = build_app(Order(settings_for("blinker==1.4"), tmp_path, state, silent))
    assert artifact.wheel.name == "blinker-1.4-py3-none-any.whl"


def test_old_and_other_platforms_get_locks_of_their_own(tmp_path: Path, state: Path) -> None:
    from cartwheel.build.products import Platform

    settings = settings_for(EXAMPLES / "inventory")
    artifact = build_app(Order(settings, tmp_path, state, silent))
    bullseye = Platform("3.9.2", "glibc", "2.31", "aarch64")
    alpine = Platform("3.13.5", "musl", "1.2", "x86_64")
    locks = {
        platform: lock_for(Order(settings, tmp_path, state, silent), artifact, platform)
        for platform in (BOOKWORM, bullseye, alpine)
    }
    # 23.0 is the last gunicorn for Python 3.9.
    assert pins(locks[bullseye].text)["gunicorn"] == "23.0.0"
    assert int(pins(locks[BOOKWORM].text)["gunicorn"].split(".")[0]) > 23
    assert "lxml" in pins(locks[alpine].text)
    assert len({lock.sha256 for lock in locks.values()}) >= 2


def test_pip_installs_exactly_the_lock_for_another_platform(tmp_path: Path, state: Path) -> None:
    """The hashes in the lock are of files that fit: pip, told the platform, takes them."""
    from cartwheel.build.index import access_for, local_pip_environment
    from cartwheel.build.pip_wheel import pip_wheel
    from cartwheel.build.products import Platform
    from cartwheel.process_env import of_tools

    settings = settings_for(EXAMPLES / "plain")
    artifact = build_app(Order(settings, tmp_path, state, silent))
    platform = Platform("3.9.2", "glibc", "2.31", "aarch64")
    lock = lock_for(Order(settings, tmp_path, state, silent), artifact, platform)
    (tmp_path / "lock.txt").write_text(lock.text)
    pip = pip_wheel(state, silent)
    argv = [sys.executable, f"{pip}/pip", "download", "--require-hashes", "--no-deps", "-q"]
    argv += ["--only-binary=:all:", "--python-version=3.9.2", "--implementation=cp", "--abi=cp39"]
    argv += ["--platform=manylinux_2_17_aarch64", "--platform=manylinux2014_aarch64"]
    argv += ["-d", str(tmp_path / "wheels"), "-r", str(tmp_path / "lock.txt")]
    env = of_tools(local_pip_environment(access_for(settings.index)))
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "wheels").iterdir())) == len(pins(lock.text))


def test_the_uv_for_hosts_is_fetched_once(state: Path, heard: Heard) -> None:
    """For another platform than this one too."""
    from cartwheel.build.index import access_for
    from cartwheel.build.products import Platform
    from cartwheel.build.uv_wheel import uv_wheel

    access = access_for(settings_for(".").index)
    for _ in range(2):
        wheel, _sha256 = uv_wheel(
            Platform("", "glibc", "2.31", "aarch64"), state, heard, access=access
        )
        assert "aarch64" in wheel.name
    states = [state for state in heard.states("uv") if state != "progress"]
    assert states == ["start", "done"]


def test_each_uv_that_is_pinned_is_one_of_the_index(tmp_path: Path) -> None:
    from cartwheel.build.index import access_for
    from cartwheel.build.uv import uv_program, uv_variables
    from cartwheel.build.uv_wheel import UV_VERSION, WHEELS

    (tmp_path / "uv.in").write_text(f"uv=={UV_VERSION}\n")
    argv = [uv_program(), "pip", "compile", "--generate-hashes", "--no-deps", "uv.in"]
    env = uv_variables(access_for(settings_for(".").index))
    done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    pinned = {sha256 for wheels in WHEELS.values() for _tags, sha256 in wheels.values()}
    assert pinned == {sha256 for sha256 in pinned if f"sha256:{sha256}" in done.stdout}


def test_the_examples_own_tests_run_once(tmp_path: Path, state: Path, heard: Heard) -> None:
    settings = settings_for(EXAMPLES / "hello")
    artifact = build_app(Order(settings, tmp_path, state, silent))
    for _ in range(2):
        assert run_app_tests(Order(settings, tmp_path, state, heard), artifact) is True
    assert heard.states("test") == ["start", "done", "unchanged"]
    assert "passed" in [event for event in heard if event.step == "test"][1].detail
    skipped = settings_for(EXAMPLES / "hello", tests={"skip": True})
    assert run_app_tests(Order(skipped, tmp_path, state, heard), artifact) is False


def test_failing_tests_stop_it_and_are_tried_again(tmp_path: Path, state: Path) -> None:
    source = tmp_path / "hello"
    shutil.copytree(EXAMPLES / "hello", source)
    (source / "tests" / "test_more.py").write_text("def test_sums():\n    assert 1 + 1 == 3\n")
    settings = settings_for(source)
    artifact = build_app(Order(settings, tmp_path, state, silent))
    before = listing(source)
    for _ in range(2):
        with pytest.raises(BuildError) as caught:
            run_app_tests(Order(settings, tmp_path, state, silent), artifact)
        assert caught.value.slug == "tests-failed"
        assert "1 + 1" in caught.value.detail
    assert listing(source) == before


def test_tests_that_hang_are_ended_with_all_their_children(tmp_path: Path, state: Path) -> None:
    source = tmp_path / "plain"
    shutil.copytree(EXAMPLES / "plain", source)
    mark = f"{os.getpid()}.25"
    tests = {"command": f"sleep {mark} & sleep {mark}", "timeout_seconds": 1, "requirements": []}
    settings = settings_for(source, tests=tests)
    artifact = build_app(Order(settings, tmp_path, state, silent))
    with pytest.raises(BuildError) as caught:
        run_app_tests(Order(settings, tmp_path, state, silent), artifact)
    assert caught.value.slug == "tests-failed"
    assert "1 s" in caught.value.message
    assert not running(f"sleep\0{mark}")


def test_interrupting_ends_the_children(tmp_path: Path) -> None:
    mark = f"{os.getpid()}.75"
    code = (
        "from pathlib import Path; import os\n"
        "from cartwheel.build.tool import run_tool\n"
        f"run_tool(['sh', '-c', 'sleep {mark} & sleep {mark}'], env=os.environ, cwd=Path('/'),"
        " deadline_seconds=60, emit=lambda e: None, step='x')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=EXAMPLES.parent, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 20
        while not running(f"sleep\0{mark}"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        assert not running(f"sleep\0{mark}")
    finally:
        process.kill()
        process.wait()


def running(command: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cmdline").read_text().startswith(command):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_two_builds_at_once_make_one_wheel(tmp_path: Path, state: Path) -> None:
    project = make_project(tmp_path / "project", "hatchling")
    heard = [Heard(), Heard()]
    found: list[Artifact] = []

    def build(listener: Heard) -> None:
        found.append(build_app(Order(settings_for(project), tmp_path, state, listener)))

    threads = [threading.Thread(target=build, args=(listener,)) for listener in heard]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(found) == 2
    assert found[0] == found[1]
    assert sorted(listener.states("build")[-1] for listener in heard) == ["done", "unchanged"]


def test_an_empty_home_is_enough(
    tmp_path: Path, state: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    settings = settings_for(EXAMPLES / "hello")
    artifact = build_app(Order(settings, tmp_path, state, silent))
    lock = lock_for(Order(settings, tmp_path, state, silent), artifact, operator_platform())
    assert "flask" in pins(lock.text)
    assert listing(home) == []


def test_a_version_from_git_tags(tmp_path: Path, state: Path) -> None:
    project = make_project(tmp_path / "project", "setuptools")
    text = (project / "pyproject.toml").read_text()
    text = text.replace('"setuptools>=77"', '"setuptools>=77", "setuptools-scm>=8"')
    (project / "pyproject.toml").write_text(
        text.replace('version = "1.2"', 'dynamic = ["version"]') + "[tool.setuptools_scm]\n"
    )
    git = ["git", "-C", str(project), "-c", "user.name=a", "-c", "user.email=a@b.example"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"], ["tag", "v3.1"]):
        subprocess.run([*git, *arguments], check=True)
    settings = settings_for(project)
    assert build_app(Order(settings, tmp_path, state, silent)).version == "3.1"
    subprocess.run([*git, "tag", "-d", "v3.1"], check=True, capture_output=True)
    subprocess.run([*git, "tag", "v3.2"], check=True)
    assert build_app(Order(settings, tmp_path, state, silent)).version == "3.2"


SCM = (
    '[build-system]\nrequires = ["setuptools>=77", "setuptools-scm>=8"]\n'
    'build-backend = "setuptools.build_meta"\n[project]\nname = "shop"\ndynamic = ["version"]\n'
    '[tool.setuptools]\npackages = ["shop"]\n[tool.setuptools_scm]\n'
)
ASKS_GIT = {
    "pyproject.toml": SCM,
    "setup.py": (
        "from setuptools import setup\n"
        "setup(name='shop', packages=['shop'], use_scm_version=True,"
        " setup_requires=['setuptools-scm'])\n"
    ),
}


# Where the repository is. Each in every run, with one of both files.
SHAPES = ("repository", "worktree", "submodule", "folder")
SHAPED = [(name, shape) for name in ASKS_GIT for shape in SHAPES]
ASKED = set(zip(("setup.py", "pyproject.toml") * 2, SHAPES, strict=True))


def git_in(folder: Path, *arguments: str) -> None:
    options = ("-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "init.defaultBranch=main")
    local = ("-c", "protocol.file.allow=always", "-C", str(folder))
    subprocess.run(["git", *options, *local, *arguments], check=True, capture_output=True)


def tagged(folder: Path, name: str, text: str, inside: str = "") -> Path:
    """A repository with a tag, and a package in it."""
    (folder / inside / "shop").mkdir(parents=True)
    (folder / inside / "shop/__init__.py").write_text("")
    (folder / inside / name).write_text(text)
    git_in(folder, "init", "-q")
    git_in(folder, "add", ".")
    git_in(folder, "commit", "-qm", "x")
    git_in(folder, "tag", "v1.2.3")
    return folder


@pytest.mark.parametrize("asked", tiered(SHAPED, nightly=set(SHAPED) - ASKED), ids=str)
def test_a_version_from_git_in_every_shape(asked: tuple[str, str], tmp_path: Path) -> None:
    name, shape = asked
    text = ASKS_GIT[name]
    source = top = tmp_path / "top"
    if shape == "folder":
        text = text.replace("[tool.setuptools_scm]", '[tool.setuptools_scm]\nroot = ".."')
        text = text.replace("use_scm_version=True", "use_scm_version={'root': '..'}")
        source = tagged(top, name, text, "server") / "server"
    else:
        tagged(top, name, text)
    if shape == "worktree":
        source = tmp_path / "tree"
        git_in(top, "worktree", "add", "-q", str(source), "-b", "other")
    if shape == "submodule":
        outer = tagged(tmp_path / "outer", "other.txt", "")
        git_in(outer, "submodule", "add", "-q", str(top), "sub")
        source = outer / "sub"
    settings = settings_for(source)
    artifact = build_app(Order(settings, tmp_path, tmp_path / "state", silent))
    assert artifact.version == "1.2.3"


@pytest.mark.nightly
def test_a_variable_may_say_the_version_instead(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tagged(tmp_path / "top", "pyproject.toml", SCM)
    settings = settings_for(source)
    for version in ("5.0", "5.1"):
        monkeypatch.setenv("SETUPTOOLS_SCM_PRETEND_VERSION", version)
        assert build_app(Order(settings, tmp_path, state, silent)).version == version
    shutil.rmtree(source / ".git")
    monkeypatch.setenv("SETUPTOOLS_SCM_PRETEND_VERSION", "5.2")
    assert build_app(Order(settings, tmp_path, state, silent)).version == "5.2"


def test_what_stays_here_makes_no_version_of_git_dirty(tmp_path: Path, state: Path) -> None:
    """Cartwheel's own files and those that the settings name are not in the copy that is built."""
    project = make_project(tmp_path / "project", "setuptools")
    text = (project / "pyproject.toml").read_text()
    text = text.replace('"setuptools>=77"', '"setuptools>=77", "setuptools-scm>=8"')
    (project / "pyproject.toml").write_text(
        text.replace('version = "1.2"', 'dynamic = ["version"]') + "[tool.setuptools_scm]\n"
    )
    (project / "config").mkdir()
    (project / "config" / "deploy.toml").write_text("")
    (project / "secret.txt").write_text("a secret word")
    git = ["git", "-C", str(project), "-c", "user.name=a", "-c", "user.email=a@b.example"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"], ["tag", "v3.1"]):
        subprocess.run([*git, *arguments], check=True)
    settings = settings_for(project, secrets={"KEY": {"file": str(project / "secret.txt")}})
    assert build_app(Order(settings, project, state, silent)).version == "3.1"
    (project / "shop" / "page.html").unlink()
    assert build_app(Order(settings, project, state, silent)).version.startswith("3.2.dev0+")
