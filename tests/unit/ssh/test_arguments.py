"""Ansible's variables with a command line of ssh: taken apart as ssh does, or refused by name."""

from __future__ import annotations

import subprocess

import pytest

from cartwheel.ssh.arguments import ArgumentError, Option, parse

COMMAND = "ssh -W %h:%p -q ann@gate"


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", []),
        ("-C -o ControlMaster=auto -o ControlPersist=60s", []),
        ("-J ann@gate:2", [("proxyjump", "ann@gate:2")]),
        ("-qJgate,two", [("proxyjump", "gate,two")]),
        ("-o ProxyJump=gate", [("proxyjump", "gate")]),
        ("-oProxyJump=gate", [("proxyjump", "gate")]),
        ('-o "ProxyJump gate"', [("proxyjump", "gate")]),
        ("-o 'proxyjump = gate'", [("proxyjump", "gate")]),
        ("-o IdentityFile=~/.ssh/acme-jump.pem", [("identityfile", "~/.ssh/acme-jump.pem")]),
        ("-i '/my keys/-J'", [("identityfile", '"/my keys/-J"')]),
        (f'-o ProxyCommand="{COMMAND}"', [("proxycommand", COMMAND)]),
        ("-l ann -p2200 -4", [("user", "ann"), ("port", "2200"), ("addressfamily", "inet")]),
        ("-o StrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null",
         [("userknownhostsfile", "/dev/null")]),
        ("-vvv -o ServerAliveInterval=30 -o User=b -o User=c", [("user", "b"), ("user", "c")]),
        ("-e none -S /tmp/%h -E log -b 10.0.0.1", [("bindaddress", "10.0.0.1")]),
    ],
)  # fmt: skip
def test_what_is_taken(text: str, options: list[Option]) -> None:
    assert parse(text) == tuple(options)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-F other_config", "-F cannot be honoured"),
        ("-L 1:h:2", "-L cannot be honoured"),
        ("-W h:1", "-W cannot be honoured"),
        ("-o Tunnel=yes", "-o Tunnel=yes cannot be honoured"),
        ("-o CertificateFile=/x", "-o CertificateFile=/x cannot be honoured"),
        ("-o PorxyJump=x", "-o PorxyJump=x cannot be honoured"),
        ("-o Port", "-o Port has no value"),
        ("-J", "-J has no value"),
        ("-z", "-z is not an option of ssh"),
        ("gate", "gate is not an option of ssh"),
        ("-C -- x", "-- is not an option of ssh"),
        ("-J 'x", "is not a command line"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse(text)
    assert said in str(caught.value)


def test_the_letters_are_those_of_ssh() -> None:
    """A letter that takes a value there takes one here."""
    from cartwheel.ssh import arguments

    done = subprocess.run(["ssh"], capture_output=True, text=True, check=False)
    alone = done.stderr.partition("[-")[2].partition("]")[0]
    with_value = {
        word[1] for word in done.stderr.split("[")[2:] if word.startswith("-") and " " in word
    }
    ours = arguments._LETTERS_WITHOUT_EFFECT | set(arguments._MEANING)
    valued = arguments._VALUES_WITHOUT_EFFECT | arguments._VALUES_REFUSED | {"o"}
    valued |= set(arguments._KEYWORD_OF)
    assert set(alone) - {"G", "V"} <= ours, "no letter of them is taken for a value's"
    assert with_value <= valued
    assert not ours & valued
