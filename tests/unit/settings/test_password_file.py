"""Files of users and hashes: what is taken, and what is said of the rest."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from cartwheel.settings.password_file import MAKE_ONE, MAX_ROUNDS, users_of

OPENSSL = shutil.which("openssl") or "openssl"
SHA_512 = "$6$pepper$" + "x" * 86
SHA_256 = "$5$pepper$" + "x" * 43


def mistakes(text: str) -> list[str]:
    with pytest.raises(ValueError, match=MAKE_ONE) as caught:
        users_of(text)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("kind", ["-6", "-5"])
def test_what_openssl_makes_is_taken(kind: str) -> None:
    done = subprocess.run(
        [OPENSSL, "passwd", kind, "-stdin"],
        input="secret",
        capture_output=True,
        text=True,
        check=True,
    )
    line = f"ann:{done.stdout.strip()}"
    assert users_of(f"# the team\n\n  {line}\r\n") == [line]


def test_rounds_have_a_limit() -> None:
    for rounds in (1000, MAX_ROUNDS):
        line = "ann:" + SHA_512.replace("$6$", f"$6$rounds={rounds}$")
        assert users_of(line) == [line]
    costly = "ann:" + SHA_256.replace("$5$", f"$5$rounds={MAX_ROUNDS + 1}$")
    assert mistakes(costly)[0].startswith("1: 10001 rounds take the web server too long")


@pytest.mark.parametrize(
    ("hashed", "said"),
    [
        ("$2y$12$" + "x" * 53, "bcrypt takes the web server too long"),
        ("$y$j9T$abc$" + "x" * 43, "yescrypt takes the web server too long"),
        ("$7$CU..../....abc$" + "x" * 43, "scrypt takes the web server too long"),
        ("$argon2id$v=19$m=65536$abc", "no web server knows argon2"),
        ("$apr1$abc$" + "x" * 22, "MD5 is too weak"),
        ("$1$abc$" + "x" * 22, "MD5 is too weak"),
        ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SHA-1 is too weak"),
        ("{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SHA-1 is too weak"),
        ("{PLAIN}hunter2", "a plain password"),
        ("hunter2", "a plain password, or an unknown kind of hash"),
        ("", "a plain password, or an unknown kind of hash"),
        (SHA_512[:-1], "the hash is not whole"),
        (SHA_512 + ":a comment", "the hash is not whole"),
        (SHA_512.replace("pepper", "pep per"), "the hash is not whole"),
    ],
)
def test_every_other_kind_is_refused_with_its_line(hashed: str, said: str) -> None:
    found = mistakes(f"# no user\nbob:{SHA_256}\nann:{hashed}\n")
    assert found == [f"3: {said}; make one with `openssl passwd -6`"]
    assert not hashed or hashed not in found[0], "no message shows a hash"


def test_all_mistakes_at_once() -> None:
    assert [
        one.partition(":")[0] for one in mistakes(f"ann\n:x\n{SHA_512}\nann:{SHA_512}\nb:x")
    ] == [
        "1",
        "2",
        "3",
        "4",
        "5",
    ]
    assert mistakes("# nobody\n")[0].startswith("1: there is no user")
