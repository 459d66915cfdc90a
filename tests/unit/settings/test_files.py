"""[files]: refused names, variables and sources, and the meaning of a secret's file."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.errors import UsageError
from cartwheel.settings.loading import load
from cartwheel.settings.named import named_files
from cartwheel.settings.shown import secrets_of

APP = '[app]\nname = "shop"\nsource = "."\n'


def write(project: Path, text: str, live: str = "") -> Path:
    (project / "cartwheel.toml").write_text(APP + text)
    (project / ".cartwheel/environments").mkdir(parents=True)
    (project / ".cartwheel/environments/live.toml").write_text(live)
    return project


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[files."a/b"]\ntemplate = "x"\n', "a file's name, or shared/ and a file's name"),
        ('[files."../b"]\ntemplate = "x"\n', "a file's name, or shared/"),
        ('[files."shared/.ssh"]\ntemplate = "x"\n', "a file's name, or shared/"),
        ("[files.a]\n", "exactly one of template and secret"),
        ('[files.a]\ntemplate = "x"\nsecret = { env = "X" }\n', "exactly one of"),
        ('[files.a]\ntemplate = "x"\nmode = "rw"\n', "permissions like `0640`"),
        ('[files.a]\ntemplate = "x"\nowner = "me"\n', "one of 'root' or 'app'"),
        ('[files.a]\ntemplate = "x"\nvariable = "A B"\n', "expected a name of letters"),
        ('[files.a]\ntemplate = "x"\nvariable = "CARTWHEEL_X"\n', "is reserved"),
        ('[files.a]\ntemplate = "x"\nvariable = "X"\n[env]\nX = "1"\n', "is also set elsewhere"),
        (
            '[files.a]\ntemplate = "x"\n[files."shared/a"]\ntemplate = "x"\n',
            "a release has one file of this name",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(write(tmp_path, text), None, None)
    assert message in caught.value.detail
    assert caught.value.detail.startswith("cartwheel.toml:")


def test_a_secret_of_a_file_is_a_secret(tmp_path: Path) -> None:
    """It stays out of wheels, is listed, and a later file replaces it as a whole."""
    write(
        tmp_path,
        '[files.token]\nsecret = { file = "token.json" }\n',
        '[files.token]\nsecret = { env = "TOKEN" }\n',
    )
    settings = load(tmp_path, None, None)
    assert [one.path for one in named_files(settings, tmp_path)] == [tmp_path / "token.json"]
    assert list(secrets_of(settings)) == ["files.token.secret"]
    live = load(tmp_path, None, "live").files["token"].secret
    assert live is not None
    assert (live.file, live.env) == (None, "TOKEN")
