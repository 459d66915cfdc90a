"""Why an authority gave no certificate: from real logs of certbot 2.1, which asked Pebble."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.host.web import ca_words

LOGS = Path(__file__).parent / "certbot_logs"
URN = "urn:ietf:params:acme:error:"
WORDS = {
    "rejected": URN + "rejectedIdentifier: Order included an identifier for which issuance is"
    ' forbidden by policy: "blocked.example.org"',
    "account": URN + "accountDoesNotExist: Account"
    " https://ca.example.org:14000/my-account/2c5e4e9e9eb6132c not found.",
    "down": "Requesting ca.example.org/dir: Connection refused",
}


def log(name: str) -> str:
    return (LOGS / f"{name}.log").read_text()


@pytest.mark.parametrize("name", WORDS)
def test_the_authoritys_own_words(name: str) -> None:
    assert ca_words.words(log(name)) == WORDS[name]


def test_every_name_that_failed_is_said() -> None:
    first, second = ca_words.words(log("challenge")).split("; ")
    assert first.startswith(URN + 'connection: Get "http://nowhere.example.org:80/.well-known/')
    assert second.startswith(URN + "unauthorized: Non-200 status code from HTTP: http://shop.")


def test_an_unknown_account_is_known() -> None:
    found = {name for name in (*WORDS, "challenge") if ca_words.is_account_unknown(log(name))}
    assert found == {"account"}


def problem(kind: str, detail: str = "why", more: str = "") -> str:
    return f'HTTP 400\n{{\n  "type": "{URN}{kind}",\n  "detail": "{detail}"{more}\n}}\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ""),
        (problem("badNonce"), URN + "badNonce: why"),
        (problem("badNonce") + problem("rateLimited", "too many"), URN + "rateLimited: too many"),
        (problem("a") * 2, URN + "a: why"),
        (problem("a", r"<p>{\n  x"), URN + "a: <p>{ x"),
        (problem("a", more=', "subproblems": [{"x": {}}]'), URN + "a: why"),
        ("".join(map(problem, "abcde")), f"{URN}a: why; {URN}b: why; {URN}c: why; and 2 more"),
        (f"x.Error: {URN}dns :: DNS failed :: looking up A", f"{URN}dns: looking up A"),
        ("requests.exceptions.ReadTimeout: no answer\n", "no answer"),
        (f'{{"type": "{URN}torn', ""),
    ],
)
def test_other_logs(text: str, says: str) -> None:
    assert ca_words.words(text) == says
