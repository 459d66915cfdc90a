"""What has a source of its own is made from it, and no index is ever asked for its name."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import subprocess
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cartwheel.build.apptests import run_app_tests
from cartwheel.build.artifact import build_app
from cartwheel.build.lock import lock_for, pins
from cartwheel.build.order import Order
from cartwheel.build.products import Lock
from cartwheel.build.wheel import read_metadata
from cartwheel.errors import BuildError
from cartwheel.events import silent
from tests.build.conftest import BOOKWORM, Heard, settings_for
from tests.build.indexes import LocalIndex, make_wheel, serve
from tests.build.packages import package, write
from tests.kit.tiers import tiered

pytestmark = [pytest.mark.build, pytest.mark.usefixtures("lonely")]


@pytest.fixture
def index(index: LocalIndex) -> LocalIndex:
    """It has a stranger's package of each name that we use."""
    for name in ("gunicorn", "flask"):
        index.add(name, "23.0")
    for name in ("money", "coins", "billing-core", "testkit"):
        index.add(name.replace("-", "_"), "9.9")
    return index


class Maker:
    def __init__(self, top: Path, index: LocalIndex, emit: Heard) -> None:
        self.top, self.index, self.emit = top, index, emit

    def lock(self, source: str = "shop", **app: object) -> Lock:
        settings = settings_for(
            source, app={"entry": "shop:app", **app}, index={"url": self.index.url}
        )
        state = self.top / "state"
        artifact = build_app(Order(settings, self.top, state, self.emit))
        return lock_for(Order(settings, self.top, state, self.emit), artifact, BOOKWORM)

    def asked(self) -> set[str]:
        """The names that the index was asked for."""
        return {path.split("/")[2] for path in self.index.asked if path.startswith("/simple/")}

    def ours(self, lock: Lock, *names: str) -> None:
        """Just these are made here, of our code, and no index heard of them."""
        assert sorted(one.name for one in lock.wheels) == sorted(names)
        assert not set(names) & {*pins(lock.text), *self.asked()}
        for one in lock.wheels:
            assert one.version == "1.0"
            assert " @ " not in str(read_metadata(one.wheel).requires_dist)


@pytest.fixture
def maker(tmp_path: Path, index: LocalIndex, heard: Heard) -> Maker:
    return Maker(tmp_path, index, heard)


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    argv = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def committed(folder: Path, message: str = "one") -> str:
    if not (folder / ".git").exists():
        git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", message)
    return git(folder, "rev-parse", "HEAD")


# --- where a table names it ---------------------------------------------------------------


TABLES = {
    "uv path": '[tool.uv.sources]\nmoney = { path = "../money" }',
    "uv editable": '[tool.uv.sources.Money]\npath = "../money"\neditable = true',
    "uv list": (
        "[tool.uv.sources]\n"
        'money = [{ path = "../other", marker = "sys_platform == \'darwin\'" },'
        ' { path = "../money", marker = "sys_platform == \'linux\'" }]'
    ),
    "uv extra": (
        "[tool.uv.sources]\n"
        'money = [{ path = "../other", extra = "b" }, { path = "../money", extra = "a" }]\n'
        "[project.optional-dependencies]\na = []\nb = []"
    ),
    "uv git": '[tool.uv.sources]\nmoney = { git = "REPOSITORY", branch = "main" }',
    "uv git tag": '[tool.uv.sources]\nmoney = { git = "REPOSITORY", tag = "v1" }',
    "uv git rev": '[tool.uv.sources]\nmoney = { git = "REPOSITORY", rev = "COMMIT" }',
    "uv git short": '[tool.uv.sources]\nmoney = { git = "REPOSITORY", rev = "SHORT" }',
    "poetry path": (
        '[tool.poetry.dependencies]\npython = ">=3.9"\n'
        'money = { path = "../money", develop = true }'
    ),
    "poetry git": '[tool.poetry.dependencies]\nmoney = { git = "REPOSITORY", rev = "COMMIT" }',
    "poetry group": '[tool.poetry.group.own.dependencies]\nmoney = { path = "../money" }',
    "poetry several": (
        "[tool.poetry.dependencies]\n"
        'money = [{ path = "../other", platform = "darwin" },'
        ' { path = "../money", platform = "linux" }]'
    ),
    "pdm override": '[tool.pdm.resolution.overrides]\nmoney = "file:///${PROJECT_ROOT}/../money"',
    "uv override": '[tool.uv]\noverride-dependencies = ["money @ TOP/money"]',
    "group": '[dependency-groups]\ndev = ["money @ file:../money"]',
    "pdm group": (
        '[tool.pdm.dev-dependencies]\ndev = ["-e file:///${PROJECT_ROOT}/../money#egg=money"]'
    ),
}


# Each tool, by a path and by Git; the others are variants.
EVERY_RUN = {"uv path", "uv git short", "poetry path", "poetry git", "pdm override", "group"}


@pytest.mark.parametrize("table", tiered(sorted(TABLES), nightly=TABLES.keys() - EVERY_RUN))
def test_a_table_that_names_a_source(table: str, maker: Maker, tmp_path: Path) -> None:
    package(tmp_path / "other", "other")
    commit = committed(package(tmp_path / "money", "money"))
    git(tmp_path / "money", "tag", "-am", "x", "v1")
    text = TABLES[table].replace("REPOSITORY", (tmp_path / "money").as_uri())
    text = text.replace("COMMIT", commit).replace("SHORT", commit[:9])
    text = text.replace("TOP", tmp_path.as_uri())
    package(tmp_path / "shop", "shop", requires='"money>=1", "flask"', tool=text)
    lock = maker.lock(extras=["a"] if table == "uv extra" else [])
    maker.ours(lock, "money")
    assert set(pins(lock.text)) == {"flask", "gunicorn"}


REFERENCES = {
    "absolute": "money @ file://TOP/money",
    "beside": "money @ {root:uri}/../money",
    "pdm": "money @ file:///${PROJECT_ROOT}/../money",
    "git": "money @ git+file://TOP/money@COMMIT",
    "branch": "money @ git+file://TOP/money@main",
    "extra": "money[fast] @ file://TOP/money ; python_version > '3'",
}


@pytest.mark.parametrize(
    "reference", tiered(sorted(REFERENCES), nightly={"absolute", "pdm", "branch", "extra"})
)
def test_a_requirement_that_is_an_address(reference: str, maker: Maker, tmp_path: Path) -> None:
    commit = committed(
        package(tmp_path / "money", "money", '[project.optional-dependencies]\nfast = ["flask"]')
    )
    line = REFERENCES[reference].replace("TOP", str(tmp_path)).replace("COMMIT", commit)
    package(tmp_path / "shop", "shop", requires=json.dumps(line))
    lock = maker.lock()
    maker.ours(lock, "money")
    assert ("flask" in pins(lock.text)) == ("fast" in reference or reference == "extra")


def test_the_wheel_does_not_say_where_it_was_built(tmp_path: Path, maker: Maker) -> None:
    """Two checkouts of one content have one wheel, and so one release."""
    found = []
    for name in ("one", "two"):
        top = tmp_path / name
        package(top / "money", "money")
        package(top / "shop", "shop", requires='"money @ {root:uri}/../money"')
        settings = settings_for("shop", app={"entry": "shop:app"}, index={"url": maker.index.url})
        state = tmp_path / f"state-{name}"
        found.append(build_app(Order(settings, top, state, silent)))
    assert found[0].wheel_sha256 == found[1].wheel_sha256
    assert found[0].references == ("money @ file:../money",)


# --- locks, which also know what others need -------------------------------------------------


LOCKS = {
    "uv.lock": (
        '[[package]]\nname = "money"\nversion = "1.0"\nsource = { SOURCE }\n',
        {
            "editable": 'editable = "../money"',
            "directory": 'directory = "../money"',
            "git": 'git = "REPOSITORY?rev=main#COMMIT"',
            "path": 'path = "../money-1.0-py3-none-any.whl"',
            "folder": (
                'registry = ".." }\nwheels = [{ path = "money-1.0-py3-none-any.whl" }]\nx = {'
            ),
            "url": 'url = "INDEX/money-1.0-py3-none-any.whl"',
        },
    ),
    "poetry.lock": (
        '[[package]]\nname = "money"\nversion = "1.0"\nfiles = []\n[package.source]\nSOURCE\n',
        {
            "directory": 'type = "directory"\nurl = "../money"',
            "file": 'type = "file"\nurl = "../money-1.0-py3-none-any.whl"',
            "git": (
                'type = "git"\nurl = "REPOSITORY"\n'
                'reference = "main"\nresolved_reference = "COMMIT"'
            ),
            "url": 'type = "url"\nurl = "INDEX/money-1.0-py3-none-any.whl"',
        },
    ),
    "pdm.lock": (
        '[[package]]\nname = "money"\nversion = "1.0"\nSOURCE\n',
        {
            "path": 'path = "./../money"',
            "git": 'git = "REPOSITORY"\nrevision = "COMMIT"\nref = "main"',
            "url": 'url = "INDEX/money-1.0-py3-none-any.whl"',
        },
    ),
    "pylock.toml": (
        'lock-version = "1.0"\n[[packages]]\nname = "money"\nversion = "1.0"\nSOURCE\n',
        {
            "directory": 'directory = { path = "../money", editable = true }',
            "vcs": 'vcs = { type = "git", url = "REPOSITORY", commit-id = "COMMIT" }',
            "archive": (
                'archive = { url = "INDEX/money-1.0-py3-none-any.whl",'
                ' hashes = { sha256 = "HASH" } }'
            ),
            "wheel": 'wheels = [{ path = "../money-1.0-py3-none-any.whl", hashes = {} }]',
        },
    ),
}


NAMED = [(file, source) for file in LOCKS for source in LOCKS[file][1]]
# Each file, and each kind of source.
NAMED_IN_EVERY_RUN = {
    ("uv.lock", "editable"),
    ("uv.lock", "git"),
    ("poetry.lock", "directory"),
    ("poetry.lock", "url"),
    ("pdm.lock", "git"),
    ("pylock.toml", "archive"),
}


@pytest.mark.parametrize(
    "named", tiered(NAMED, nightly=set(NAMED) - NAMED_IN_EVERY_RUN), ids="-".join
)
def test_a_lock_that_names_a_source(
    named: tuple[str, str], maker: Maker, tmp_path: Path, index: LocalIndex
) -> None:
    """Also where the project itself does not, because only another package asks for it."""
    file, source = named
    commit = committed(package(tmp_path / "money", "money"))
    wheel = make_wheel(tmp_path, "money", "1.0")
    (index.folder / wheel.name).write_bytes(wheel.read_bytes())
    index.add("ledger", "2.0", ("money",))
    text = LOCKS[file][0].replace("SOURCE", LOCKS[file][1][source])
    text = text.replace("REPOSITORY", (tmp_path / "money").as_uri()).replace("COMMIT", commit)
    text = text.replace("INDEX", index.url.replace("/simple", "/files"))
    text = text.replace("HASH", hashlib.sha256(wheel.read_bytes()).hexdigest())
    package(tmp_path / "shop", "shop", requires='"ledger"')
    write(tmp_path / "shop" / file, text)
    lock = maker.lock()
    maker.ours(lock, "money")
    assert pins(lock.text)["ledger"] == "2.0"


def test_a_branch_stays_at_the_commit_that_the_lock_names(maker: Maker, tmp_path: Path) -> None:
    commit = committed(package(tmp_path / "money", "money"))
    write(tmp_path / "money" / "money" / "__init__.py", "LATER = True\n")
    committed(tmp_path / "money", "two")
    url = (tmp_path / "money").as_uri()
    sources = f'[tool.uv.sources]\nmoney = {{ git = "{url}", branch = "main" }}'
    package(tmp_path / "shop", "shop", requires='"money"', tool=sources)
    latest = maker.lock().wheels[0]
    write(
        tmp_path / "shop" / "uv.lock",
        '[[package]]\nname = "money"\nversion = "1.0"\n'
        f'source = {{ git = "{url}?branch=main#{commit}" }}\n',
    )
    [locked] = maker.lock().wheels
    assert locked.wheel_sha256 != latest.wheel_sha256
    (tmp_path / "money").rename(tmp_path / "gone")  # a known commit needs no repository
    assert maker.lock().wheels == (locked,)


# --- workspaces ------------------------------------------------------------------------------


def workspace(top: Path, sources: str, member: str = "") -> None:
    write(
        top / "pyproject.toml",
        '[project]\nname = "mono"\nversion = "0"\n'
        '[tool.uv.workspace]\nmembers = ["apps/*", "libs/*"]\n'
        f'exclude = ["libs/broken"]\n{sources}',
    )
    package(
        top / "libs" / "money",
        "money",
        requires='"coins"',
        tool="[tool.uv.sources]\ncoins = { workspace = true }",
    )
    package(
        top / "libs" / "coins",
        "coins",
        requires='"money"',
        tool="[tool.uv.sources]\nmoney = { workspace = true }",
    )
    package(top / "apps" / "shop", "shop", requires='"money"', tool=member)


@pytest.mark.parametrize(
    "how", tiered(["member", "root", "silent", "lock"], nightly={"root", "silent"})
)
def test_a_member_of_a_workspace_with_the_root_above(
    how: str, maker: Maker, tmp_path: Path
) -> None:
    """Its members refer to each other, in a circle too."""
    source = "[tool.uv.sources]\nmoney = { workspace = true }\n"
    workspace(
        tmp_path, source if how == "root" else "", source if how in ("member", "lock") else ""
    )
    if how == "lock":
        write(
            tmp_path / "uv.lock",
            '[[package]]\nname = "flask"\nversion = "22.0"\n'
            'source = { registry = "https://x.example/simple" }\n'
            '[[package]]\nname = "mono"\nversion = "0"\nsource = { virtual = "." }\n'
            '[[package]]\nname = "coins"\nversion = "1.0"\nsource = { editable = "libs/coins" }\n',
        )
        maker.index.add("flask", "22.0")
        lock = maker.lock("apps/shop", requirements=["flask"])
        assert pins(lock.text)["flask"] == "22.0"
    else:
        lock = maker.lock("apps/shop")
    maker.ours(lock, "money", "coins")


# --- what comes from elsewhere, and what others ask for ---------------------------------------


def test_a_package_of_the_index_that_wants_ours_gets_ours(maker: Maker, tmp_path: Path) -> None:
    maker.index.add("ledger", "2.0", ("money[fast]>=0.5", "coins"))
    package(tmp_path / "money", "money", '[project.optional-dependencies]\nfast = ["billing-core"]')
    package(tmp_path / "coins", "coins")
    package(tmp_path / "billing_core", "billing_core")
    package(
        tmp_path / "shop",
        "shop",
        requires='"ledger"',
        tool='[tool.uv.sources]\nmoney = { path = "../money" }\ncoins = { path = "../coins" }\n'
        'billing_core = { path = "../billing_core" }\nunused = { path = "../nowhere" }',
    )
    lock = maker.lock()
    maker.ours(lock, "money", "coins", "billing-core")


def test_sources_of_sources_are_followed(maker: Maker, tmp_path: Path) -> None:
    """Also inside one repository, whose folders are gone when it was built."""
    mono = tmp_path / "mono"
    package(
        mono / "money",
        "money",
        requires='"coins"',
        tool='[tool.uv.sources]\ncoins = { path = "../coins" }',
    )
    package(mono / "coins", "coins", requires='"billing-core @ {root:uri}/../billing"')
    package(mono / "billing", "billing_core")
    commit = committed(mono)
    url = mono.as_uri()
    package(
        tmp_path / "shop",
        "shop",
        requires=f'"money @ git+{url}@{commit}#subdirectory=money"',
    )
    maker.ours(maker.lock(), "money", "coins", "billing-core")


def test_the_settings_and_the_tests_name_sources_too(maker: Maker, tmp_path: Path) -> None:
    package(tmp_path / "money", "money")
    package(tmp_path / "testkit", "testkit")
    package(
        tmp_path / "shop",
        "shop",
        tool='[tool.uv.sources]\ntestkit = { path = "../testkit", group = "dev" }',
    )
    maker.index.add("pytest", "8.0")
    code = "import money, testkit; print(money.OURS, testkit.OURS)"
    settings = settings_for(
        "shop",
        app={"entry": "shop:app", "requirements": ["money @ file:money"]},
        index={"url": maker.index.url},
        tests={"command": f'python -c "{code}"', "requirements": ["testkit", "pytest"]},
    )
    state = tmp_path / "state"
    artifact = build_app(Order(settings, tmp_path, state, silent))
    maker.ours(lock_for(Order(settings, tmp_path, state, silent), artifact, BOOKWORM), "money")
    heard = Heard()
    assert run_app_tests(Order(settings, tmp_path, state, heard), artifact) is True
    assert heard[-1].detail == "money testkit"
    assert not {"money", "testkit"} & maker.asked()


@pytest.mark.parametrize("kind", tiered(["wheel", "sdist", "zip"], nightly={"zip"}))
def test_a_file_beside_the_project_or_at_an_address(
    kind: str, maker: Maker, tmp_path: Path
) -> None:
    name = {"wheel": "money-1.0-py3-none-any.whl", "sdist": "money-1.0.tar.gz", "zip": "main.zip"}
    file = maker.index.folder / name[kind]
    if kind == "wheel":
        make_wheel(maker.index.folder, "money", "1.0")
    elif kind == "sdist":
        with tarfile.open(file, "w:gz") as archive:
            archive.add(package(tmp_path / "money-1.0", "money"), "money-1.0")
    else:
        import shutil

        package(tmp_path / "packed" / "money-main", "money")
        shutil.make_archive(str(file.with_suffix("")), "zip", tmp_path / "packed")
    for source in (
        f'{{ url = "{maker.index.url.replace("/simple", "/files")}/{file.name}" }}',
        f'{{ path = "{file}" }}',
    ):
        package(
            tmp_path / "shop",
            "shop",
            requires='"money"',
            tool=f"[tool.uv.sources]\nmoney = {source}",
        )
        maker.ours(maker.lock(), "money")


LINES = (
    "../money", "-e ../money", "git+file://TOP/money@COMMIT", "../money-1.0-py3-none-any.whl",
    "../money[fast] ; python_version > '3'", "-r more/more.txt", "ledger\n-c own.txt",
)  # fmt: skip
OTHER_WAYS_TO_WRITE_THEM = (
    "--editable=../money", "file:../money", "money @ file:../money",
    "-e file://TOP/money#egg=money", "-e git+file://TOP/money@main#egg=money",
    "money @ git+file://TOP/money",
)  # fmt: skip


@pytest.mark.parametrize(
    "line", tiered([*LINES, *OTHER_WAYS_TO_WRITE_THEM], nightly=OTHER_WAYS_TO_WRITE_THEM)
)
def test_a_requirements_file_with_addresses(line: str, maker: Maker, tmp_path: Path) -> None:
    commit = committed(
        package(tmp_path / "money", "money", '[project.optional-dependencies]\nfast = ["flask"]')
    )
    make_wheel(tmp_path, "money", "1.0")
    maker.index.add("ledger", "2.0", ("money",))
    line = line.replace("TOP", str(tmp_path)).replace("COMMIT", commit)
    write(tmp_path / "shop" / "app.py")
    write(tmp_path / "shop" / "more" / "more.txt", "-e ../../money")
    write(tmp_path / "shop" / "own.txt", "money @ file:../money")
    write(tmp_path / "shop" / "requirements.txt", f"{line}\n")
    lock = maker.lock()
    maker.ours(lock, "money")
    assert ("flask" in pins(lock.text)) == ("fast" in line)


# --- what is kept ------------------------------------------------------------------------------


def test_only_its_code_changes_and_the_lock_stays(maker: Maker, tmp_path: Path) -> None:
    package(tmp_path / "money", "money")
    sources = '[tool.uv.sources]\nmoney = { path = "../money" }'
    package(tmp_path / "shop", "shop", requires='"money", "flask"', tool=sources)
    first = maker.lock()
    maker.index.asked.clear()
    maker.emit.clear()
    assert maker.lock() == first
    assert [event.state for event in maker.emit if event.state in ("done", "unchanged")] == [
        "unchanged"
    ] * 3
    write(tmp_path / "money" / "money" / "__init__.py", "OURS = 'more'\n")
    second = maker.lock()
    assert second.sha256 == first.sha256
    assert second.wheels[0].wheel_sha256 != first.wheels[0].wheel_sha256
    assert not maker.asked()
    package(
        tmp_path / "money",
        "money",
        requires='"coins"',
        tool='[tool.uv.sources]\ncoins = { path = "../coins" }',
    )
    package(tmp_path / "coins", "coins")
    maker.ours(maker.lock(), "money", "coins")


# --- indexes that are sources --------------------------------------------------------------------


INDEXES = {
    "uv": (
        '[tool.uv.sources]\nmoney = { index = "acme" }\n'
        '[[tool.uv.index]]\nname = "acme"\nurl = "URL"\nexplicit = true'
    ),
    "poetry": (
        '[tool.poetry.dependencies]\nmoney = { version = "*", source = "acme" }\n'
        '[[tool.poetry.source]]\nname = "acme"\nurl = "URL"\npriority = "explicit"'
    ),
    "pdm": '[[tool.pdm.source]]\nname = "acme"\nurl = "URL"\ninclude_packages = ["mon*"]',
}


@pytest.mark.parametrize("tool", sorted(INDEXES))
def test_a_source_that_is_an_index_is_asked_there_only(
    tool: str, maker: Maker, tmp_path: Path
) -> None:
    folder = tmp_path / "acme"
    folder.mkdir()
    with serve(folder) as acme:
        wheel = acme.add("money", "1.0")
        maker.index.add("ledger", "2.0", ("money",))
        text = INDEXES[tool].replace("URL", acme.url)
        package(tmp_path / "shop", "shop", requires='"money", "ledger"', tool=text)
        lock = maker.lock()
        assert pins(lock.text)["money"] == "1.0"
        address = acme.url.replace("/simple", "/files")
        assert f"money @ {address}/{wheel.name} \\\n    --hash=sha256:" in lock.text
        assert lock.wheels == ()
        assert "money" not in maker.asked()
        asked = {path.split("/")[2] for path in acme.asked if path.startswith("/simple/")}
        assert asked == {"money"}


@pytest.mark.parametrize("tool", ["uv.lock", "poetry.lock"])
def test_what_a_lock_found_at_another_index_is_asked_there(
    tool: str, maker: Maker, tmp_path: Path
) -> None:
    folder = tmp_path / "acme"
    folder.mkdir()
    with serve(folder) as acme:
        acme.add("money", "1.0")
        declared = {
            "uv.lock": f'[[tool.uv.index]]\nname = "acme"\nurl = "{acme.url}"',
            "poetry.lock": (
                '[[tool.poetry.source]]\nname = "acme"\n'
                f'url = "{acme.url}"\npriority = "supplemental"'
            ),
        }
        source = {
            "uv.lock": f'source = {{ registry = "{acme.url}" }}',
            "poetry.lock": (
                f'[package.source]\ntype = "legacy"\nurl = "{acme.url}"\nreference = "acme"'
            ),
        }
        package(tmp_path / "shop", "shop", requires='"money"', tool=declared[tool])
        write(
            tmp_path / "shop" / tool,
            f'[[package]]\nname = "money"\nversion = "1.0"\n{source[tool]}\n',
        )
        assert pins(maker.lock().text)["money"] == "1.0"
        assert "money" not in maker.asked()


def test_an_index_of_one_name_may_want_a_password(maker: Maker, tmp_path: Path) -> None:
    folder = tmp_path / "acme"
    folder.mkdir()
    with serve(folder) as acme:
        acme.add("money", "1.0")
        acme.credentials = "me:se cret"
        text = INDEXES["uv"].replace("URL", acme.url)
        package(tmp_path / "shop", "shop", requires='"money"', tool=text)
        known = acme.url.replace("http://", "http://me:se%20cret@")
        settings = settings_for(
            "shop", app={"entry": "shop:app"}, index={"url": maker.index.url, "extra_urls": [known]}
        )
        state = tmp_path / "state"
        artifact = build_app(Order(settings, tmp_path, state, silent))
        lock = lock_for(Order(settings, tmp_path, state, silent), artifact, BOOKWORM)
        assert pins(lock.text)["money"] == "1.0"
        assert "cret" not in lock.text


# --- the same name and version, and yet another package -----------------------------------------


LOCKED_HASH = {
    "uv.lock": (
        'source = { registry = "https://acme.example/simple" }\n'
        'wheels = [{ url = "x", hash = "HASH" }]'
    ),
    "poetry.lock": 'files = [{ file = "x", hash = "HASH" }]',
    "pdm.lock": 'files = [{ file = "x", hash = "HASH" }]',
    "pylock.toml": 'wheels = [{ url = "https://acme.example/x", hashes = { sha256 = "BARE" } }]',
}


@pytest.mark.parametrize("file", tiered(sorted(LOCKED_HASH), nightly={"pdm.lock", "poetry.lock"}))
def test_what_has_none_of_the_files_that_the_lock_names_is_another_package(
    file: str, maker: Maker, tmp_path: Path
) -> None:
    """The lock was made with an index of the project's; the settings ask another."""
    wheel = maker.index.add("ledger", "2.0")
    package(tmp_path / "shop", "shop", requires='"ledger"')
    key = "packages" if file == "pylock.toml" else "package"

    def lock(digest: str) -> None:
        said = LOCKED_HASH[file].replace("HASH", f"sha256:{digest}").replace("BARE", digest)
        write(tmp_path / "shop" / file, f'[[{key}]]\nname = "ledger"\nversion = "2.0"\n{said}\n')

    lock(hashlib.sha256(wheel.read_bytes()).hexdigest())
    assert pins(maker.lock().text)["ledger"] == "2.0"
    lock("ab" * 32)
    with pytest.raises(
        BuildError, match=f"the files of ledger==2.0 on .* differ from {file}"
    ) as caught:
        maker.lock()
    assert caught.value.slug == "hash-mismatch"


def test_indexes_of_the_project_that_are_not_asked_are_told(maker: Maker, tmp_path: Path) -> None:
    text = (
        '[[tool.uv.index]]\nname = "acme"\nurl = "https://me:se-cret@acme.example/simple"\n'
        '[[tool.uv.index]]\nname = "own"\nurl = "https://own.example/simple"\nexplicit = true\n'
        f'[[tool.uv.index]]\nname = "known"\nurl = "{maker.index.url}"\n'
    )
    package(tmp_path / "shop", "shop", tool=text)
    maker.lock()
    [note] = [event.detail for event in maker.emit if event.state == "note"]
    assert note.startswith("pyproject.toml:")
    assert note.endswith("https://acme.example/simple is ignored: the settings name an index")


# --- what is refused -----------------------------------------------------------------------------


def test_what_is_no_pure_wheel_is_refused(maker: Maker, tmp_path: Path) -> None:
    package(tmp_path / "money", "money", 'description = "cp311-cp311-linux_x86_64"')
    text = (tmp_path / "money" / "pyproject.toml").read_text()
    head, _, tail = text.partition('\ndescription = "cp311-cp311-linux_x86_64"')
    write(
        tmp_path / "money" / "pyproject.toml",
        head.replace("[project]", '[project]\ndescription = "cp311-cp311-linux_x86_64"') + tail,
    )
    package(
        tmp_path / "shop",
        "shop",
        requires='"money"',
        tool='[tool.uv.sources]\nmoney = { path = "../money" }',
    )
    caught = refused(maker, "not-pure")
    assert "money-1.0-cp311-cp311-linux_x86_64.whl" in caught.message


REFUSED = {
    '{ path = "../nowhere" }': "there is no",
    "{ workspace = true }": "not a member of a workspace",
    '{ index = "acme" }': "there is no index 'acme'",
    '{ git = "file:///nowhere/money" }': "cannot be read",
    '{ path = "../other" }': "is a different package, other",
    '{ path = "../empty" }': "neither pyproject.toml nor setup.py",
    '{ path = "../broken" }': "the moon is not full",
    '{ path = "../other", marker = "sys_platform == \'win32\'" }': "no source is for this platform",
    '{ url = "http://127.0.0.1:9/money-1.0.tar.gz" }': "cannot be fetched",
    '{ path = "../other/back.py" }': "neither a wheel nor an archive",
}


@pytest.mark.parametrize("source", sorted(REFUSED))
def test_what_cannot_be_made_is_refused_by_name_file_and_line(
    source: str, maker: Maker, tmp_path: Path
) -> None:
    package(tmp_path / "other", "other")
    write(tmp_path / "empty" / "x.py")
    write(
        package(tmp_path / "broken", "money") / "back.py",
        "raise SystemExit('the moon is not full')",
    )
    package(
        tmp_path / "shop",
        "shop",
        requires='"money"',
        tool=f"\n\n[tool.uv.sources]\nmoney = {source}",
    )
    slugs = {"cannot be read": "git-source", "the moon is not full": "build-failed"}
    caught = refused(maker, slugs.get(REFUSED[source], "source-unusable"))
    assert REFUSED[source] in caught.message + caught.detail
    assert "money" not in maker.asked()


def refused(maker: Maker, slug: str) -> BuildError:
    shop = maker.top / "shop" / "pyproject.toml"
    number = 1 + next(
        number
        for number, line in enumerate(shop.read_text().splitlines())
        if line.startswith("money")
    )
    with pytest.raises(BuildError) as caught:
        maker.lock()
    assert caught.value.slug == slug, caught.value.message
    assert caught.value.message.startswith(f"{shop}:{number}: money: ")
    return caught.value


@pytest.mark.parametrize("source", ['{ path = "../money" }', "{ workspace = true }"])
def test_what_builds_a_project_is_taken_from_no_index_instead(
    source: str, maker: Maker, tmp_path: Path
) -> None:
    package(tmp_path / "money", "money")
    package(tmp_path / "shop", "shop", tool=f"[tool.uv.sources]\nmoney = {source}")
    path = tmp_path / "shop" / "pyproject.toml"
    path.write_text(path.read_text().replace("requires = []", 'requires = ["money"]'))
    write(tmp_path / "pyproject.toml", '[tool.uv.workspace]\nmembers = ["shop", "money"]')
    assert "build requirements of shop" in refused(maker, "source-unusable").message
    assert "money" not in maker.asked()


def test_two_sources_of_one_name_are_refused(maker: Maker, tmp_path: Path) -> None:
    for name in ("coins", "other"):
        package(tmp_path / name, "coins")
    money = '[tool.uv.sources]\ncoins = { path = "../other" }'
    package(tmp_path / "money", "money", requires='"coins"', tool=money)
    shop = '[tool.uv.sources]\nmoney = { path = "../money" }\ncoins = { path = "../coins" }'
    package(tmp_path / "shop", "shop", requires='"money"', tool=shop)
    with pytest.raises(
        BuildError, match=r"shop/pyproject\.toml:\d+\).*money/pyproject\.toml:\d+\)"
    ) as caught:
        maker.lock()
    assert caught.value.slug == "source-conflict"


def test_a_given_wheel_that_names_addresses_keeps_its_bytes(maker: Maker, tmp_path: Path) -> None:
    package(tmp_path / "money", "money")
    wheel = make_wheel(tmp_path, "shop", "1.0", (f"money @ file://{tmp_path}/money",))
    before = wheel.read_bytes()
    lock = maker.lock(str(wheel))
    maker.ours(lock, "money")
    assert wheel.read_bytes() == before


def test_a_given_wheel_in_its_project_has_the_sources_of_that(maker: Maker, tmp_path: Path) -> None:
    """A wheel does not say where its requirements come from; the project that it is of does."""
    package(tmp_path / "money", "money")
    sources = '[tool.uv.sources]\nmoney = { path = "../money" }'
    package(tmp_path / "shop", "shop", requires='"money"', tool=sources)
    (tmp_path / "shop" / "dist").mkdir()
    wheel = make_wheel(tmp_path / "shop" / "dist", "shop", "1.0", ("money",))
    maker.ours(maker.lock(str(wheel)), "money")


def test_git_runs_nothing_that_an_address_names(maker: Maker, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    text = f'[tool.uv.sources]\nmoney = {{ git = "ext::sh -c touch% {mark}" }}'
    package(tmp_path / "shop", "shop", requires='"money"', tool=text)
    refused(maker, "git-source")
    assert not mark.exists()


def test_git_is_about_the_sources_repository_also_in_a_hook(
    maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = committed(package(tmp_path / "money", "money"))
    package(tmp_path / "shop", "shop", requires=f'"money @ git+file://{tmp_path}/money@main"')
    pushed = committed(tmp_path / "shop")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "shop" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "shop" / ".git" / "index"))
    maker.ours(maker.lock(), "money")
    monkeypatch.undo()
    assert git(tmp_path / "shop", "status", "--porcelain") == ""
    assert git(tmp_path / "shop", "rev-parse", "HEAD") == pushed
    assert git(tmp_path / "money", "rev-parse", "HEAD") == commit


def test_a_password_for_a_repository_is_kept_to_oneself(
    maker: Maker, tmp_path: Path, own_cache: Path
) -> None:
    committed(package(tmp_path / "money", "money"))
    git(tmp_path / "money", "update-server-info")
    word = "Basic " + base64.b64encode(b"me:se-cret").decode()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") == word:
                return super().do_GET()
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            return self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://me:se-cret@127.0.0.1:{server.server_address[1]}/money/.git"
        package(tmp_path / "shop", "shop", requires=f'"money @ git+{url}@main"')
        maker.ours(maker.lock(), "money")
        # A git that was killed leaves its locks behind.
        [clone] = (own_cache / "cartwheel" / "git").glob("*/HEAD")
        clone.with_name("packed-refs.lock").touch()
        write(tmp_path / "money" / "more.txt", "more")
        committed(tmp_path / "money", "two")
        git(tmp_path / "money", "update-server-info")
        maker.ours(maker.lock(), "money")
        server.shutdown()
    kept = [*own_cache.rglob("*"), *(tmp_path / "state").rglob("*")]
    assert len([path for path in kept if path.is_file()]) > 10
    holders = [path for path in kept if path.is_file() and b"se-cret" in path.read_bytes()]
    # Only what the wheel was asked to have, as it stands in the project, for its user alone.
    assert {(path.name, path.stat().st_mode & 0o777) for path in holders} == {
        ("artifact.json", 0o600)
    }
    assert "se-cret" not in "".join(event.detail for event in maker.emit)
    package(tmp_path / "shop", "shop", requires=f'"money @ git+{url}@gone"')
    with pytest.raises(BuildError) as caught:
        maker.lock()
    assert caught.value.slug == "git-source"
    assert "se-cret" not in caught.value.message + caught.value.detail
