from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.build.index import (
    Access,
    IndexOptions,
    access_for,
    bare,
    local_pip_environment,
    own_access,
    pip_access,
    pip_environment,
    uv_arguments,
    uv_environment,
)
from cartwheel.build.uv import default_for
from cartwheel.errors import UsageError
from cartwheel.hidden import Hidden
from cartwheel.host.release.pip_output import classify_pip_output, without_crash
from cartwheel.settings.mirrors import PRESETS
from cartwheel.settings.toml_tables import Index

NOTHING = {"PIP_CONFIG_FILE": "/dev/null"}


def test_without_settings_hosts_keep_their_own_configuration() -> None:
    assert pip_environment(Index()) == {}


def test_one_setting_serves_both_sides() -> None:
    index = Index(
        url="https://mirror.example/simple",
        extra_urls=("https://mirror.example/more", "https://other.example/simple"),
        trusted_hosts=("mirror.example",),
        username="reader",
    )
    full = "https://reader:p%40ss@mirror.example/simple"
    extras = "https://reader:p%40ss@mirror.example/more https://other.example/simple"
    on_host = pip_environment(index, Hidden("p@ss"))
    assert on_host["PIP_INDEX_URL"] == Hidden(full)
    assert on_host["PIP_EXTRA_INDEX_URL"] == Hidden(extras)
    assert on_host["PIP_TRUSTED_HOST"] == Hidden("mirror.example")
    access = access_for(index, Hidden("p@ss"), NOTHING)
    here = uv_environment(access)
    assert (here["UV_DEFAULT_INDEX"], here["UV_INDEX"]) == (full, extras)
    assert here["UV_INSECURE_HOST"] == "mirror.example"
    assert "p@ss" not in repr(access.identity) + access.name
    assert "p%40ss" not in repr(access.identity) + access.name


def test_both_tools_get_a_secret_by_their_environment() -> None:
    index = Index(url="https://mirror.example/simple", username="reader")
    access = access_for(index, Hidden("sekrit"))
    for environment in (uv_environment(access), local_pip_environment(access)):
        assert "sekrit" in " ".join(environment.values())


def test_a_preset_is_an_address() -> None:
    assert pip_environment(Index(preset="tuna"))["PIP_INDEX_URL"] == Hidden(PRESETS["tuna"])
    assert pip_environment(Index(preset="Tsinghua"))["PIP_INDEX_URL"] == Hidden(PRESETS["tuna"])
    with pytest.raises(UsageError, match="nosuch"):
        pip_environment(Index(preset="nosuch"))
    assert all(url.startswith("https://") for url in PRESETS.values())


def test_a_host_with_extra_indexes_of_its_own_does_not_ask_them() -> None:
    # pip ignores an empty variable, so the index itself takes their place.
    env = pip_environment(Index(url="https://mirror.example/simple"))
    assert env["PIP_EXTRA_INDEX_URL"] == Hidden("https://mirror.example/simple")


def test_pip_configuration_decides_for_uv_too(tmp_path: Path) -> None:
    weak, strong = tmp_path / "weak.conf", tmp_path / "strong.conf"
    weak.write_text(
        "[global]\nindex-url = https://weak.example/simple\ncert = /etc/ca.pem\ntimeout = 7\n"
        "extra-index-url =\n    file:///srv/one/simple\n    file:///srv/two/simple\n"
    )
    strong.write_text(
        "[global]\nindex_url = https://strong.example/simple\n[install]\nno-index = false\n"
    )
    access = pip_access(
        {"PIP_TRUSTED_HOST": "a b", "PIP_FIND_LINKS": "/wheels /more"}, [weak, strong]
    )
    env = uv_environment(access)
    assert env["UV_DEFAULT_INDEX"] == "https://strong.example/simple"
    assert env["UV_INDEX"] == "file:///srv/one/simple file:///srv/two/simple"
    assert env["UV_FIND_LINKS"] == "/wheels,/more"
    assert env["UV_INSECURE_HOST"] == "a b"
    assert env["SSL_CERT_FILE"] == "/etc/ca.pem"
    assert env["UV_HTTP_TIMEOUT"] == "7"
    assert uv_arguments(access) == []
    assert local_pip_environment(access)["PIP_CERT"] == "/etc/ca.pem"


def test_named_indexes_replace_pips_but_its_certificates_stay(tmp_path: Path) -> None:
    env = {
        **NOTHING,
        "PIP_CERT": "/etc/ca.pem",
        "PIP_EXTRA_INDEX_URL": "https://own.example/simple",
    }
    access = access_for(Index(url="https://mirror.example/simple"), None, env)
    assert (access.cert, access.extra_urls) == ("/etc/ca.pem", ())


def test_what_uvs_variables_say_of_the_network_counts_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://file.example/simple\ntimeout = 7\n")
    env = {
        "UV_INDEX_URL": "https://older.example/simple",
        "UV_DEFAULT_INDEX": "https://uv.example/simple",
        "UV_INDEX": "inner-one=https://inner.example/simple?a=b https://other.example/simple",
        "UV_INDEX_INNER_ONE_USERNAME": "reader",
        "UV_INDEX_INNER_ONE_PASSWORD": "sekrit",
        "UV_FIND_LINKS": "/one,/two",
        "UV_INSECURE_HOST": "a b",
        "UV_HTTP_TIMEOUT": "9",
        "UV_KEYRING_PROVIDER": "subprocess",
        "UV_SYSTEM_CERTS": "true",
        "UV_OFFLINE": "1",
        "UV_PRERELEASE": "allow",
        "PIP_PRE": "1",
        "PIP_NO_BINARY": ":all:",
        "PIP_TARGET": "/elsewhere",
    }
    access = pip_access(env, [file])
    known = uv_environment(access)
    assert known["UV_DEFAULT_INDEX"] == "https://uv.example/simple"
    inner = "https://reader:sekrit@inner.example/simple?a=b"
    assert known["UV_INDEX"] == f"{inner} https://other.example/simple"
    assert access.secrets == ("sekrit",)
    assert (known["UV_FIND_LINKS"], known["UV_INSECURE_HOST"]) == ("/one,/two", "a b")
    assert (known["UV_HTTP_TIMEOUT"], known["UV_KEYRING_PROVIDER"]) == ("9", "subprocess")
    assert known["UV_SYSTEM_CERTS"] == "1"
    assert not known.keys() & {"UV_OFFLINE", "UV_PRERELEASE"}
    assert uv_arguments(access) == []
    stronger = pip_access({**env, "PIP_INDEX_URL": "https://pip.example/simple"}, [file])
    assert stronger.url == "https://pip.example/simple"
    named = access_for(Index(url="https://mirror.example/simple"), None, {**NOTHING, **env})
    assert (named.url, named.extra_urls) == ("https://mirror.example/simple", ())


def test_a_broken_pip_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("index-url = x\n")
    with pytest.raises(UsageError, match=r"pip\.conf"):
        pip_access({}, [tmp_path / "pip.conf"])


def test_bare_takes_only_the_credentials() -> None:
    assert bare("https://a:b@c.example:8/simple?x=1") == "https://c.example:8/simple?x=1"
    assert bare("file:///srv/simple") == "file:///srv/simple"


LOOKING = "Looking in indexes: http://u:****@m.example/simple, http://n.example/simple\n"
BOTH = "http://m.example/simple, http://n.example/simple"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Successfully installed flask-3.0\n", None),
        (
            "ERROR: Could not install packages due to an OSError:"
            " [Errno 28] No space left on device\n",
            None,
        ),
        (
            LOOKING + "ERROR: Could not find a version that satisfies the requirement flask==9"
            " (from -r lock.txt (line 3)) (from versions: none)\n",
            ("index-lacks", f"{BOTH} has no flask==9"),
        ),
        (
            LOOKING + "WARNING: Retrying (Retry(total=4, connect=None)) after connection broken by "
            "'NewConnectionError('<x>: Failed to establish a new connection:"
            " [Errno 111] Connection refused')': /simple/flask/\n"
            "ERROR: Could not find a version that satisfies the requirement flask"
            " (from versions: none)\n",
            ("index-unreachable", f"{BOTH} does not answer for flask (connection refused)"),
        ),
        (
            LOOKING + "WARNING: Retrying (Retry(total=0)) after connection broken by"
            " 'NameResolutionError(\"x: Failed to resolve 'm.example'"
            " ([Errno -2] Name or service not known)\")': /simple/flask/\n",
            (
                "index-unreachable",
                f"{BOTH} does not answer for flask (its name cannot be resolved)",
            ),
        ),
        (
            LOOKING + "pip._vendor.urllib3.exceptions.ReadTimeoutError:"
            " HTTPConnectionPool(host='m.example', port=80): Read timed out.\n",
            ("index-unreachable", f"{BOTH} does not answer"),
        ),
        (
            "ERROR: foo-1.0-cp39-cp39-linux_armv7l.whl is not a supported wheel"
            " on this platform.\n",
            ("wheel-platform", "foo-1.0-cp39-cp39-linux_armv7l.whl is for another platform"),
        ),
        (
            "ERROR: Package 'foo' requires a different Python: 3.9.2 not in '>=3.10'\n",
            ("lock-conflict", "foo needs Python >=3.10; this is 3.9.2"),
        ),
        (
            "ERROR: Hashes are required in --require-hashes mode, but they are missing from some"
            " requirements. Add lines:\n"
            "    itsdangerous==2.2.0 --hash=sha256:c6\n",
            ("hash-mismatch", "itsdangerous==2.2.0 is needed but not in the lock"),
        ),
    ],
)
def test_what_pip_says(text: str, expected: tuple[str, str] | None) -> None:
    assert classify_pip_output(text) == expected


PIP_CRASHED = """\
Collecting flask
ERROR: Exception:
Traceback (most recent call last):
  File "/x/base_command.py", line 107, in _run_wrapper
    status = _inner_run()
             ^^^^^^^^^^^^
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/x/temp_dir.py", line 175, in _create
    path = mkdtemp()
OSError: [Errno 28] No space left on device: '/srv/x'
"""
BUILD_FAILED = """\
  error: subprocess-exited-with-error
      Traceback (most recent call last):
        File "setup.py", line 1
      RuntimeError: no compiler
ERROR: Failed to build 'flask'
"""


def test_a_crash_of_pip_is_one_line_and_a_build_that_fails_stays_whole() -> None:
    short = "ERROR: OSError: [Errno 28] No space left on device: '/srv/x'"
    assert without_crash(PIP_CRASHED) == f"Collecting flask\n{short}"
    assert without_crash(BUILD_FAILED) == BUILD_FAILED


def test_which_indexes_only_the_applications_files_name() -> None:
    options = IndexOptions(
        where="requirements.txt:1",
        url="https://default.example/simple/",
        extra_urls=("https://me:word@own.example/simple", "https://configured.example/simple"),
        find_links=("/srv/wheels",),
    )
    access = Access(url="https://mirror.example/simple", extra_urls=(options.extra_urls[1],))
    default = "https://default.example/simple"
    found = own_access(access, options, Index(), default)
    assert found.url == f"{default}/"
    assert found.own == ("https://own.example/simple", "file:///srv/wheels")
    assert found.is_own("https://own.example/simple/")
    assert not found.is_own(default), "hosts may use a mirror of it"
    assert "word" in found.secrets
    settled = own_access(access, options, Index(url="https://mirror.example/simple"), default)
    assert (settled.url, settled.own) == (access.url, ())


def test_uv_says_which_index_it_asks_by_default() -> None:
    assert default_for(IndexOptions(url="https://own.example/simple")).startswith("https://")
    assert default_for(IndexOptions()) == "", "nobody needs it"
