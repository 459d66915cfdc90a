"""What [web.static] and [web.media] take, and what they refuse: each with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.settings import served
from cartwheel.settings.loading import load
from cartwheel.settings.served import Mapping, Media
from tests.unit.settings.test_process_checks import MINIMAL, refused

STATIC = "[web.static]\n"
MEDIA = "[web.media]\n"
COMMAND = '"/a/" = { command = "make" }\n'

CASES = {
    "no path": (
        STATIC + '"static" = "shop/static"',
        "2: web.static.static: expected a URL path: it starts with `/` and contains no space",
    ),
    "the root": (STATIC + '"/" = "shop"', '2: web.static."/": expected a path below'),
    "a folder up": (STATIC + '"/a/../b" = "shop"', "expected a path below the site's root"),
    "two slashes": (STATIC + '"/a//b" = "shop"', "expected a path below the site's root"),
    "a dot in front": (STATIC + '"/a/.b/" = "shop"', "expected a path below the site's root"),
    "a challenge": (
        STATIC + '"/.well-known/acme-challenge/" = "shop"',
        "expected a path below the site's root",
    ),
    "our own place": (STATIC + '"/.cartwheel/" = "shop"', "expected a path below the site's root"),
    "a word of a configuration": (STATIC + '"/a;b/" = "s"', "expected a path below the site's"),
    "a variable": (MEDIA + '"/$uri/" = "s"', "expected a path below the site's root"),
    "a folder outside": (
        STATIC + '"/a/" = "../x"',
        '2: web.static."/a/": expected a folder inside',
    ),
    "an absolute folder": (STATIC + '"/a/" = "/srv/x"', "expected a folder inside"),
    "no folder": (STATIC + '"/a/" = ""', '2: web.static."/a/"'),
    "a number": (STATIC + '"/a/" = 5', '2: web.static."/a/": expected a table, got 5'),
    "both": (
        STATIC + '"/a/" = { folder = "x", command = "y" }',
        '2: web.static."/a/": static files need exactly one of folder and command',
    ),
    "neither": (STATIC + '"/a/" = { immutable = true }', "need exactly one of folder and command"),
    "unknown": (
        STATIC + '"/a/" = { comand = "x" }',
        '2: web.static."/a/".comand: unknown key; did you mean web.static."/a/".command?',
    ),
    "two commands": (
        STATIC + COMMAND + '"/b/" = { command = "other" }',
        '3: web.static."/b/".command: "/a/" has a command too, and STATIC_ROOT is one folder',
    ),
    "twice": (
        STATIC + '"/a" = "x"\n"/a/" = "y"',
        '3: web.static."/a/": /a/ is mapped twice, also by web.static."/a"',
    ),
    "twice with media": (
        STATIC + '"/a/" = "x"\n' + MEDIA + '"/a/" = "y"',
        '4: web.media."/a/": /a/ is mapped twice, also by web.static."/a/"',
    ),
    "twice in both forms": (
        '[web]\nstatic_url = "/a"\nstatic_dir = "x"\n' + STATIC + '"/a/" = "x"',
        '5: web.static."/a/": /a/ is mapped twice, also by web.static_dir',
    ),
    "the health check": (
        '[health]\npath = "/app/health?x=/"\n' + STATIC + '"/app/" = "x"',
        '4: web.static."/app/": /app/ hides /app/health?x=/ (health.path), which the app must',
    ),
    "an encoded health check": (
        '[health]\npath = "/%61pp/health"\n' + MEDIA + '"/app/" = "x"',
        '4: web.media."/app/": /app/ hides /%61pp/health (health.path)',
    ),
    "another page of it": (
        '[health]\nalso = ["/", "/a/x"]\n' + STATIC + '"/a/" = "x"',
        '4: web.static."/a/": /a/ hides /a/x (health.also)',
    ),
    "media outside": (MEDIA + '"/m/" = ".."', '2: web.media."/m/": expected a folder in shared/'),
    "all of shared": (MEDIA + '"/m/" = "."', "expected a folder in shared/"),
    "a hidden folder": (MEDIA + '"/m/" = ".ssh"', "expected a folder in shared/"),
    "media by a command": (MEDIA + '"/m/" = { command = "x" }', '2: web.media."/m/": expected a'),
    "a file of configuration": (
        MEDIA + '"/m/" = "token.json"\n[files."shared/token.json"]\nsecret = { env = "X" }',
        '2: web.media."/m/": shared/token.json is a file of [files]',
    ),
    "its variable": (
        STATIC + COMMAND + '[env]\nSTATIC_ROOT = "x"',
        "4: env.STATIC_ROOT: is reserved: web.static has a command",
    ),
    "its variable as a secret": (
        STATIC + COMMAND + '[secrets]\nSTATIC_ROOT = { env = "x" }',
        "4: secrets.STATIC_ROOT: is reserved",
    ),
    "its variable in a process": (
        STATIC + COMMAND + '[processes.worker]\ncommand = "w"\nenv = { STATIC_ROOT = "x" }',
        "5: processes.worker.env.STATIC_ROOT: is reserved",
    ),
    "its variable in a timer": (
        STATIC
        + COMMAND
        + '[timers.tick]\ncommand = "w"\nschedule = "@daily"\nenv = { STATIC_ROOT = "x" }',
        "6: timers.tick.env.STATIC_ROOT: is reserved",
    ),
    "its variable for a file": (
        STATIC + COMMAND + '[files.a]\nsecret = { env = "X" }\nvariable = "STATIC_ROOT"',
        "5: files.a.variable: is reserved",
    ),
    "compression": ('[web]\ngzip = "yes"', "2: web.gzip: expected true or false, got 'yes'"),
}


@pytest.mark.parametrize(("text", "said"), CASES.values(), ids=CASES)
def test_mistakes(tmp_path: Path, text: str, said: str) -> None:
    (found,) = refused(tmp_path, text)
    assert said in found


def loaded(folder: Path, text: str) -> tuple[tuple[Mapping, ...], tuple[Media, ...]]:
    (folder / "config").mkdir()
    (folder / "config/deploy.toml").write_text(MINIMAL + text)
    settings = load(folder, None, None)
    return served.static(settings), served.media(settings)


def test_all_forms(tmp_path: Path) -> None:
    static, media = loaded(
        tmp_path,
        '[web]\nstatic_url = "/old"\nstatic_dir = "x/old/"\n'
        + STATIC
        + '"/a" = "x/a/"\n"/a/b/" = { command = "make", timeout_seconds = 5 }\n'
        + '"/c/" = { folder = "x/c", immutable = true }\n'
        + MEDIA
        + '"/media" = "up/media/"\n"/healthz-not/" = "x"\n',
    )
    assert static == (
        Mapping("/old/", "x/old", immutable=False, key=("web", "static_dir")),
        Mapping("/a/", "x/a", immutable=False, key=("web", "static", "/a")),
        Mapping("/a/b/", None, immutable=False, key=("web", "static", "/a/b/")),
        Mapping("/c/", "x/c", immutable=True, key=("web", "static", "/c/")),
    )
    assert media == (
        Media("/media/", "up/media", ("web", "media", "/media")),
        Media("/healthz-not/", "x", ("web", "media", "/healthz-not/")),
    )


def test_the_variable_is_free_without_a_command(tmp_path: Path) -> None:
    loaded(tmp_path, STATIC + '"/a/" = "x"\n[env]\nSTATIC_ROOT = "x"\n')


def test_a_dotenv_file_may_not_have_it_either(tmp_path: Path) -> None:
    from cartwheel.errors import UsageError
    from cartwheel.settings.variables import environment

    (tmp_path / ".env").write_text("A=1\nSTATIC_ROOT=x\n")
    loaded(tmp_path, f"{STATIC}{COMMAND}")
    text = (tmp_path / "config/deploy.toml").read_text()
    (tmp_path / "config/deploy.toml").write_text('env_file = ".env"\n' + text)
    with pytest.raises(UsageError, match=r"\.env:2: STATIC_ROOT is reserved: web\.static has"):
        environment(load(tmp_path, None, None), tmp_path)
