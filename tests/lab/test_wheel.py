"""What lies beside an application and is nobody else's business: it never reaches a host."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from cartwheel_lab import LabHost
from tests.kit.host import current, footprint, get
from tests.kit.project import Project, new_project

WORD = "hunter2-nobody-else-s-business"
KEY = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{WORD}\n-----END OPENSSH PRIVATE KEY-----\n"

# The settings, the keys and the repository of an ordinary project with `source = "."`.
PRIVATE = {
    "secret-key.txt": f"{WORD}\n",
    "secret-copy.txt": f"{WORD}\n",
    "live-vars": f"B={WORD}\n",
    "staging-key.pem.txt": f"{WORD}-staging\n",
    "id_rsa": KEY,
    "deep/er/login": KEY,
    "credentials.json": f'{{"k": "{WORD}"}}',
    ".env.production": f"A={WORD}\n",
    "db.sqlite3": f"SQLite format 3\0{WORD}",
    "deep/data.bin": f"SQLite format 3\0{WORD}",
    "backup.sql": f"-- a row of {WORD}\n",
    "media/2024/cat.jpg": f"{WORD} in media/2024/cat.jpg",
    "deep/uploads/cat.jpg": f"{WORD} in deep/uploads/cat.jpg",
    "local_settings.py": f"PASSWORD = '{WORD}'\n",
    "deep/debug.log": f"{WORD} in deep/debug.log",
    "known": f"host ssh-rsa {WORD}\n",
}
OPEN = {"templates/index.html": "page", "tracked.log": "tracked", "deep/schema.sql": "CREATE"}
SETTINGS = """
env_file = "./deep/../live-vars"
[app]
name = "shop"
source = "."
[deploy]
drain_seconds = 2
probation_seconds = 0.5
[gunicorn]
workers = 1
[tests]
skip = true
[ssh]
known_hosts = "known"
[secrets]
SECRET_KEY = { file = "link-to-key" }
"""


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    subprocess.run(["git", "-C", folder, *who, *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def shop(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = new_project(tmp_path_factory.mktemp("wheel"))
    project.settings(SETTINGS.replace('known_hosts = "known"', ""))
    shutil.rmtree(project.folder / "app")
    project.app("one", ".")
    project.fab("setup", "-H", module_host.name)
    return project


def installed(host: LabHost) -> set[str]:
    """The application's own files in the release that serves."""
    names = host.sh(
        f"cd /srv/shop/releases/{current(host, 'shop')}/venv/lib/python3*/site-packages && "
        "find . -type f ! -path '*/gunicorn/*' ! -path '*.dist-info/*' ! -name '*.pyc'"
        " -printf '%P\\n'"
    )
    return {name for name in names.splitlines() if not name.startswith(("packaging/", "pip"))}


def test_nothing_private_arrives(shop: Project, module_host: LabHost) -> None:
    for name, text in {**PRIVATE, **OPEN}.items():
        shop.write(name, text)
    (shop.folder / "link-to-key").symlink_to("secret-key.txt")
    shop.write(".gitignore", "local_settings.py\n*.log\nstate/\n")
    shop.write(
        "config/environments/staging.toml",
        '[secrets]\nSECRET_KEY = { file = "staging-key.pem.txt" }\n[ssh]\nknown_hosts = "known"\n',
    )
    git(shop.folder, "init", "-q")
    git(shop.folder, "add", "-f", "tracked.log", "db.sqlite3", "app.py")
    done = shop.fab("deploy", "-H", module_host.name)
    assert "left out of the wheel: 19 files (" in done.text, done.text  # with two of `state`
    assert WORD not in done.text
    assert installed(module_host) == {"app.py", *OPEN}
    found = module_host.sh(f"grep -rlF {WORD} /srv/shop --exclude=env || true")
    assert found == ""
    assert get(module_host, "/env/SECRET_KEY") == f'"{WORD}"'


@pytest.mark.nightly
def test_what_the_serving_release_carries_is_not_taken_from_it_in_silence(
    shop: Project, module_host: LabHost
) -> None:
    where = ("-H", module_host.name)
    included = SETTINGS.replace('source = "."', 'source = "."\ninclude = ["db.sqlite3", "media"]')
    shop.settings(included.replace('known_hosts = "known"', ""))
    shop.fab("deploy", *where)
    assert {"db.sqlite3", "media/2024/cat.jpg"} <= installed(module_host)
    # As after a release that an older Cartwheel made.
    shop.settings(SETTINGS.replace('known_hosts = "known"', ""))
    before = footprint(module_host, "/srv/shop", "/etc/systemd/system", "/etc/nginx")
    refused = shop.fab("deploy", *where, code=1)
    assert "[CW330]" in refused.err
    assert "the live release contains db.sqlite3, media/, but the new one would" in refused.err
    assert 'app.include = ["db.sqlite3", "media/"]' in refused.err
    assert footprint(module_host, "/srv/shop", "/etc/systemd/system", "/etc/nginx") == before
    planned = shop.fab("plan", *where)
    assert 'app.exclude = ["db.sqlite3", "media/"]' in planned.out
    # Both lines do what they say.
    line = 'include = ["db.sqlite3"]\nexclude = ["media/"]'
    shop.settings(
        SETTINGS.replace('source = "."', f'source = "."\n{line}').replace(
            'known_hosts = "known"', ""
        )
    )
    shop.fab("deploy", *where)
    assert "db.sqlite3" in installed(module_host)
    assert "media/2024/cat.jpg" not in installed(module_host)


def test_a_package_with_a_key_reaches_no_host(shop: Project, module_host: LabHost) -> None:
    serving = current(module_host, "shop")
    shop.write(
        "pyproject.toml",
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "shop"\nversion = "1.0"\n'
        '[tool.hatch.build.targets.wheel]\npackages = ["shop"]\n',
    )
    shop.write("shop/__init__.py", "")
    shop.write("shop/server.txt", KEY)
    refused = shop.fab("deploy", "-H", module_host.name, code=1)
    assert "contains shop/server.txt (a private key)" in refused.err
    assert "[CW331]" in refused.err
    assert WORD not in refused.text
    assert current(module_host, "shop") == serving
