"""What of a folder never gets into a wheel, and wheels that are refused."""

from __future__ import annotations

import os
import subprocess
import typing
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from cartwheel.build.chosen import Chosen, choose
from cartwheel.build.ignored import ignored_in
from cartwheel.build.plain import About, package_plain
from cartwheel.build.private import Privacy, check_wheel, privacy_for
from cartwheel.build.source import Source, find_source
from cartwheel.build.wheel import write_wheel
from cartwheel.errors import BuildError, UsageError
from cartwheel.settings.named import named_files
from cartwheel.settings.patterns import fits
from cartwheel.settings.toml_tables import Secret, Settings
from tests.kit.wheels import wheel_names

PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    + "MIIEpAIBAAKCAQEA" * 4
    + "\n-----END RSA PRIVATE KEY-----\n"
)
OPENSSH = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    "b3BlbnNzaC1rZXktdjEAAAAA\n"
    "-----END OPENSSH PRIVATE KEY-----\n"
)
SECRET = "hunter2-s3cret-word"
ROWS = (
    "CREATE TABLE u (n text, p text);\nINSERT INTO u (n, p) VALUES ('ann', 'pbkdf2:sha256:1$x');\n"
)


def settings(**tables: Any) -> Settings:
    app = {"name": "shop", "source": ".", **tables.pop("app", {})}
    return Settings.model_validate({"app": app, **tables})


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True)


def chosen(folder: Path, of: Settings | None = None) -> Chosen:
    of = of or settings()
    source = find_source(of.app.source, folder)
    return choose(source, privacy_for(of, folder, source.path))


def carried(folder: Path, of: Settings | None = None) -> list[str]:
    return [name for name, _ in chosen(folder, of).carried]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return write(tmp_path / "shop", {"app.py": "app = None\n", "templates/index.html": "<p>\n"})


ALWAYS = ["app.py", "templates/index.html"]


# --- plain folders: names and contents ---------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *(
            "id_rsa",
            "conf/id_ed25519",
            "id_rsa.old",
            "server.key",
            "Server.KEY",
            "cert.p12",
            "a.pfx",
        ),
        *("a/b.jks", "team.kdbx", "login.ppk", "vpn.ovpn"),
        *(".env", ".env.production", "sub/.env.local", "prod.env", ".envrc"),
        *("credentials.json", "sub/credentials.json", "service-account.json"),
        *("my-service_account-prod.json", "client_secret_12.json", ".netrc", ".pypirc", ".pgpass"),
        *(
            ".htpasswd",
            "htpasswd",
            "secrets.yml",
            "secrets.toml",
            "x/token.json",
            "terraform.tfstate",
        ),
        *("db.sqlite3", "data/shop.db", "data/shop.db-wal", "shop.SQLITE", "x.duckdb", "dump.rdb"),
        *("backup.sql", "shop-dump.sql", "dump-2024.json", "site.sql.gz", "a.dump", "app.py.bak"),
        *("config.ini~", ".config.ini.swp", "settings.old"),
        *("media/cat.jpg", "uploads/2024/cat.jpg", "shop/media/cat.jpg", "static/uploads/cat.jpg"),
    ],
)
def test_what_is_left_out_by_its_name(app: Path, name: str) -> None:
    write(app, {name: "nothing special\n"})
    assert carried(app) == ALWAYS


@pytest.mark.parametrize(
    "content",
    [
        PEM,
        OPENSSH,
        "Bag Attributes\n    friendlyName: x\n" + PEM,
        "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n" + PEM,
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\r\nMIIE\r\n-----END ENCRYPTED PRIVATE KEY-----\r\n",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQVYBF\n-----END PGP PRIVATE KEY BLOCK-----\n",
        "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n",
        "# created: 2024-01-01\nAGE-SECRET-KEY-1" + "Q" * 58 + "\n",
        b"SQLite format 3\0" + bytes(84),
        "-- MySQL dump 10.13  Distrib 8.0\n--\n",
        "--\n-- PostgreSQL database dump\n--\n",
        "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n",
        b"PGDMP\x01\x0e",
        '{\n "format": 1,\n "app": "shop",\n "hosts": {}\n}\n',
    ],
)
def test_what_is_left_out_by_its_content(app: Path, content: str | bytes) -> None:
    write(app, {"notes.txt": content, "deep/er/notes.dat": content})
    assert carried(app) == ALWAYS


def test_what_is_left_out_by_both(app: Path) -> None:
    write(
        app,
        {
            "data.sql": ROWS,
            "copy.sql": "COPY public.users (id) FROM stdin;\n1\n\\.\n",
            "robot.json": '{"type": "service_account", "private_key": "x"}',
            "other.json": '{"private_key": "' + PEM.replace("\n", "\\n") + '"}',
        },
    )
    assert carried(app) == ALWAYS


def test_what_only_looks_like_it_is_carried(app: Path) -> None:
    kept = {
        "schema.sql": "-- the tables\nCREATE TABLE u (n text);\n",
        "queries/add.sql": "INSERT INTO u (n, p) VALUES (:n, ?);\n",
        "id_rsa.pub": "ssh-rsa AAAA\n",
        "ca.pem": "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n",
        "credentials.py": "def load(): ...\n",
        "media/__init__.py": "",
        "media/logo.png": "x",
        "uploads/views.py": "",
        "static/media/logo.png": "x",
        "templates/uploads/list.html": "x",
        "keys.py": "MARK = '-----BEGIN RSA PRIVATE KEY-----'\n",
        "help.md": "A key looks like\n-----BEGIN RSA PRIVATE KEY-----\n...\n",
        "backup.py": "",
        "tokens.json": "{}",
        "GeoLite2.mmdb": "x",
        "env.py": "",
    }
    write(app, dict(kept))
    assert carried(app) == sorted([*ALWAYS, *kept])
    assert chosen(app).notes == ()


def test_the_note_counts_and_names_them(app: Path) -> None:
    pictures: dict[str, str | bytes] = {f"media/{number}.jpg": "x" for number in range(12)}
    write(app, {"db.sqlite3": "x", "id_rsa": PEM, **pictures, "media/.gitkeep": ""})
    assert chosen(app).notes == (
        "left out of the wheel: 14 files (db.sqlite3, id_rsa, media/ 12 files); "
        "app.include includes files",
    )


def test_names_of_any_bytes_are_told_and_refused_in_a_wheel(app: Path, tmp_path: Path) -> None:
    (app / os.fsdecode(b"db\xff.sqlite3")).touch()
    assert "(db\\udcff.sqlite3)" in chosen(app).notes[0]
    (app / os.fsdecode(b"x\xff.txt")).touch()
    with pytest.raises(BuildError, match=r"a wheel cannot contain x\\udcff.txt") as caught:
        package_plain(Source("plain", app), About("shop"), tmp_path, chosen(app))
    assert "app.exclude" in caught.value.hint


def test_include_names_what_is_carried_all_the_same_and_exclude_what_is_not(app: Path) -> None:
    data = {"data/words.db": "x", "data/users.db": "x", "id_rsa": PEM, ".well-known/a.txt": "x"}
    write(app, {**data, "notes/a.txt": "x", "notes/deep/b.txt": "x"})
    more = settings(
        app={"include": ["data/w*.db", "./.well-known/", "id_rsa", "gone"], "exclude": ["notes"]}
    )
    assert carried(app, more) == sorted([*ALWAYS, ".well-known/a.txt", "data/words.db", "id_rsa"])
    assert chosen(app, more).notes == (
        "app.include: there is no gone",
        "left out of the wheel: 1 file (data/users.db); app.include includes files",
    )
    assert carried(app, settings(app={"exclude": ["**/*.html", "data/", "id_rsa"]})) == [
        "app.py",
        "notes/a.txt",
        "notes/deep/b.txt",
    ]


def test_what_is_served_as_static_files_is_carried_but_for_secrets(app: Path) -> None:
    static = {"www/media/a.jpg": "x", "www/dist/app.js": "x", "www/words.db": "x"}
    write(app, {**static, "www/key.pem": PEM, "www/.env": "x", ".gitignore": "dist/\n"})
    served = settings(web={"static_url": "/static/", "static_dir": "www/"})
    assert carried(app, served) == sorted([*ALWAYS, *static])


@pytest.mark.parametrize(
    ("pattern", "name", "is_in"),
    [
        ("a", "a/b/c", True),
        ("a/", "a", True),
        ("a", "ab", False),
        ("*.db", "x.db", True),
        ("*.db", "a/x.db", False),
        ("**/*.db", "x.db", True),
        ("**/*.db", "a/b/x.db", True),
        ("a/**", "a/b/c", True),
        ("a/*", "a/b/c", True),
        ("a?.txt", "a.txt", False),
        (".", "any/thing", True),
        ("a[1].txt", "a[1].txt", True),
    ],
)
def test_patterns(pattern: str, name: str, is_in: bool) -> None:
    assert fits((pattern,), name) is is_in


# --- plain folders: git --------------------------------------------------------------------


IGNORED: dict[str, str | bytes] = {
    ".gitignore": "*.log\nlocal_settings.py\ncache/\n",
    "debug.log": "x",
    "local_settings.py": "PASSWORD = 1\n",
    "deep/cache/x.txt": "x",
    "deep/kept.txt": "x",
    "tracked.log": "x",
}


def test_what_git_ignores_is_left_out_and_what_it_tracks_stays(app: Path) -> None:
    write(app, IGNORED)
    git(app, "init", "-q")
    git(app, "add", "-f", "tracked.log", "deep/kept.txt")
    assert carried(app) == sorted([*ALWAYS, "deep/kept.txt", "tracked.log"])
    more = settings(app={"include": ["deep/cache"]})
    assert "deep/cache/x.txt" in carried(app, more)


def test_outside_of_a_repository_gitignore_decides(app: Path) -> None:
    write(app, IGNORED)
    assert carried(app) == sorted([*ALWAYS, "deep/kept.txt"])


def test_a_repository_around_that_ignores_the_whole_folder_says_nothing(app: Path) -> None:
    write(app, IGNORED)
    git(app.parent, "init", "-q")
    write(app.parent, {".gitignore": "*\n"})
    assert carried(app) == sorted([*ALWAYS, "deep/kept.txt"])


def test_a_repository_inside_ignores_for_itself(app: Path) -> None:
    write(app / "part", {"here.py": "", "x.tmp": "x", ".gitignore": "*.tmp\n"})
    git(app, "init", "-q")
    git(app / "part", "init", "-q")
    assert carried(app) == sorted([*ALWAYS, "part/here.py"])


def test_a_git_hook_that_runs_us_does_not_matter(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(app, IGNORED)
    git(app, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert carried(app) == sorted([*ALWAYS, "deep/kept.txt"])
    assert not (tmp_path / "index").exists()


def test_without_git_a_note_says_that_gitignore_does_not_count(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ignored_in(app).notes == ()
    write(app, IGNORED)
    assert "debug.log" in carried(app)
    assert chosen(app).notes == (
        "git is not installed here, so .gitignore is ignored; use app.exclude",
    )


def test_an_ignored_file_is_not_carried_by_a_link_to_it(app: Path) -> None:
    write(app, IGNORED)
    (app / "alias").symlink_to("deep/cache")
    (app / "copy.txt").symlink_to("debug.log")
    assert carried(app) == sorted([*ALWAYS, "deep/kept.txt"])


# --- what the settings name ------------------------------------------------------------------


def test_what_the_settings_name_stays_by_any_path_and_name(app: Path) -> None:
    write(
        app,
        {
            "secret-key.txt": SECRET,
            "conf/other.txt": SECRET,  # a copy
            "conf/word": "x",
            "vars.list": "A=1\n",
            "deep/real.dat": "another-secret",
        },
    )
    (app / "link").symlink_to("secret-key.txt")
    (app / "linked-folder").symlink_to("conf")
    (app / "named-link").symlink_to("deep/real.dat")
    os.link(app / "vars.list", app / "hard.txt")
    of = settings(
        app={"include": ["."]},
        env_file="vars.list",
        secrets={
            "A": {"file": "./conf/../secret-key.txt"},
            "B": {"file": str(app / "conf" / "word")},
            "C": {"file": "named-link"},
        },
    )
    assert carried(app, of) == ALWAYS


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("config/deploy.toml", 'env_file = "f.txt"'),
        ("config/environments/live.toml", '[secrets]\nKEY = { file = "f.txt" }'),
        ("config/environments/live.toml", '[ssh]\nsudo_password = { file = "f.txt" }'),
        ("config/apps/other.toml", '[ssh]\nknown_hosts = "f.txt"'),
        ("config/deploy.toml", '[inventory.groups.eu]\nidentity = "f.txt"'),
        ("config/deploy.toml", '[artifacts]\nread_password = { file = "f.txt" }'),
        ("config/deploy.toml", '[balancer]\nsecret = { file = "f.txt" }'),
        ("config/deploy.toml", '[secrets]\nKEY = { command = "cat <f.txt | head -1" }'),
        ("config/deploy.toml", "[index]\npassword.command = \"gpg -d --output=- 'f.txt'\""),
    ],
)
def test_every_settings_file_of_the_project_counts(app: Path, file: str, text: str) -> None:
    write(app, {"config/deploy.toml": "", file: text, "f.txt": "x", "kept.txt": "x"})
    assert carried(app) == sorted([*ALWAYS, "kept.txt"])


def test_plain_variables_and_commands_name_nothing(app: Path) -> None:
    text = '[env]\nfile = "f.txt"\n[hooks.password]\nbefore = "run"\ncommand = "cat f.txt"\n'
    write(app, {"config/deploy.toml": text, "f.txt": "x"})
    assert "f.txt" in carried(app)


def test_a_settings_file_that_cannot_be_read_stops_it(app: Path) -> None:
    write(app, {"config/deploy.toml": "", "config/environments/live.toml": "[secrets\n"})
    with pytest.raises(UsageError, match=r"config/environments/live\.toml:1"):
        chosen(app)


def test_empty_and_short_files_are_not_taken_for_copies(app: Path) -> None:
    write(app, {"known": "", "pin": "1234\n", "py.typed": "", "number.txt": "1234\n"})
    of = settings(ssh={"known_hosts": "known"}, secrets={"PIN": {"file": "pin"}})
    assert carried(app, of) == sorted([*ALWAYS, "number.txt", "py.typed"])


def _fields(model: type[BaseModel], seen: tuple[type, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        yield name, field.annotation
        for inner in _models(field.annotation):
            if inner not in seen:
                yield from _fields(inner, (*seen, inner))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for one in typing.get_args(annotation):
        yield from _models(one)


def test_no_setting_that_names_a_file_is_forgotten(tmp_path: Path) -> None:
    """What ends in these words is a file; each is private or known not to be."""
    not_private = {"config_file", "host_key", "page_host_key"}
    names = {name for name, _ in _fields(Settings)}
    files = {name for name in names if name.endswith(("file", "identity", "known_hosts", "key"))}
    tables = dict.fromkeys(files - not_private, "x")
    found = {one.setting for one in named_files(settings(), write(tmp_path, {}))}
    assert found == set()
    write(
        tmp_path,
        {"config/deploy.toml": "[t]\n" + "\n".join(f'{name} = "x"' for name in tables)},
    )
    expected = {"t" if name == "file" else f"t.{name}" for name in tables}
    assert {one.setting for one in named_files(settings(), tmp_path)} == expected
    # Every command of a secret is looked through for files.
    secrets = {name for name, kind in _fields(Settings) if Secret in set(_models(kind))}
    for name in secrets:
        by_name = {"secrets": "secrets.X", "to": "notify.to.X"}
        text = f'{by_name.get(name, f"a.{name}")}.command = "cat f"'
        (tmp_path / "config" / "deploy.toml").write_text(text)
        assert tmp_path / "f" in {one.path for one in named_files(settings(), tmp_path)}, name


# --- packages: the copy that is built, and the wheel ----------------------------------------


def test_a_package_is_built_without_what_the_settings_name(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"pyproject.toml": '[build-system]\nrequires = ["hatchling"]\n'
             'build-backend = "hatchling.build"\n[project]\nname = "shop"\nversion = "1"\n',
             "shop/__init__.py": "",
         "shop/key.txt": SECRET, "shop/db.sqlite3": "x", "notes.txt": "x"},
    )  # fmt: skip
    of = settings(app={"exclude": ["notes.txt"]}, secrets={"KEY": {"file": "shop/key.txt"}})
    found = chosen(tmp_path, of)
    assert [name for name, _ in found.build] == [
        "pyproject.toml",
        "shop/__init__.py",
        "shop/db.sqlite3",
    ]
    assert found.notes == ("left out of the wheel: 1 file (shop/key.txt); the settings name it",)


def wheel_of(folder: Path, files: dict[str, str]) -> Path:
    path = folder / "shop-1.0-py3-none-any.whl"
    info = {"shop-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n"}
    content = {name: (text.encode(), False) for name, text in {**info, **files}.items()}
    write_wheel(path, content, "shop-1.0.dist-info")
    return path


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("shop/cert.txt", PEM, "a private key"),
        ("shop/settings.py", f'KEY = """{PEM}"""', "a private key"),
        ("shop/robot.json", '{"k": "' + PEM.replace("\n", "\\n") + '"}', "a private key"),
        ("shop/id", OPENSSH, "a private key"),
        ("shop/.env", "A=1", "an environment file"),
        ("shop/.env.production", "A=1", "an environment file"),
    ],
)
def test_a_wheel_that_carries_a_key_or_an_environment_is_refused(
    tmp_path: Path, name: str, content: str, why: str
) -> None:
    path = wheel_of(tmp_path, {"shop/__init__.py": "", name: content})
    with pytest.raises(BuildError) as caught:
        check_wheel(path, Privacy())
    assert caught.value.slug == "private-file"
    assert caught.value.message == f"{path.name} contains {name} ({why})"
    assert f'app.include = ["{name}"]' in caught.value.hint
    assert "MIIE" not in caught.value.message + caught.value.hint + caught.value.detail
    check_wheel(path, Privacy(include=("shop/*",)))


def test_a_wheel_that_carries_what_the_settings_name_is_refused_whatever_is_included(
    tmp_path: Path,
) -> None:
    write(tmp_path, {"secret-key.txt": SECRET + "\n", "src/shop/old.txt": "a newer secret"})
    of = settings(secrets={"A": {"file": "secret-key.txt"}, "B": {"file": "src/shop/old.txt"}})
    path = wheel_of(tmp_path, {"shop/any.dat": SECRET, "shop/old.txt": "an older secret"})
    privacy = privacy_for(of, tmp_path, path)
    for one in (privacy, Privacy(privacy.named, include=("**",))):
        with pytest.raises(BuildError) as caught:
            check_wheel(path, one)
        assert caught.value.message == (
            f"{path.name} contains shop/any.dat (secrets.A names it), "
            "shop/old.txt (secrets.B names it)"
        )
        assert SECRET not in str(caught.value) + caught.value.hint


def test_a_wheel_may_carry_examples_and_public_keys(tmp_path: Path) -> None:
    certificate = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"
    code = "if text.startswith('-----BEGIN RSA PRIVATE KEY-----'):\n    pass\n"
    files = {"shop/.env.example": "A=", "shop/ca.pem": certificate, "shop/read.py": code}
    check_wheel(wheel_of(tmp_path, files), Privacy())


def test_the_wheel_of_a_plain_folder_carries_none_of_it(app: Path, tmp_path: Path) -> None:
    write(
        app,
        {
            "secret-key.txt": SECRET, "db.sqlite3": b"SQLite format 3\0", "id_rsa": OPENSSH,
            "credentials.json": "{}", "media/a/b.jpg": "x", ".env.production": "A=1", **IGNORED,
            "deep/secret/id_ed25519": OPENSSH, "deep/db.sqlite3": "x", "deep/media/x": "x",
        },
    )  # fmt: skip
    git(app, "init", "-q")
    git(app, "add", "-f", "tracked.log", "db.sqlite3", "id_rsa")
    of = settings(secrets={"SECRET_KEY": {"file": "secret-key.txt"}})
    path = package_plain(Source("plain", app), About("shop"), tmp_path, chosen(app, of))
    names = {name for name in wheel_names(path) if ".dist-info/" not in name}
    assert names == {*ALWAYS, "deep/kept.txt", "tracked.log"}
    with zipfile.ZipFile(path) as archive:
        assert SECRET.encode() not in b"".join(archive.read(name) for name in archive.namelist())
