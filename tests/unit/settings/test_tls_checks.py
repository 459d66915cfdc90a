"""What [tls] refuses: each with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.settings.loading import load
from cartwheel.settings.named import named_files
from tests.unit.settings.test_process_checks import MINIMAL, refused

PAIR = '[tls]\ncertificate = "a.pem"\nkey = "a.key"\n'
ON_HOST = 'host_certificate = "/etc/ssl/a.pem"\nhost_key = "/etc/ssl/a.key"\n'
ACME = '[web]\nserver_names = ["shop.example.org"]\n[tls]\nacme = true\n'

CASES = {
    "no key": (
        '[tls]\ncertificate = "a.pem"',
        "2: tls.certificate: tls.key is missing: one is of no use without the other",
    ),
    "no certificate": ('[tls]\nkey = "a.key"', "2: tls.key: tls.certificate is missing"),
    "no key on the host": (
        '[tls]\nhost_certificate = "/a.pem"',
        "2: tls.host_certificate: tls.host_key is missing",
    ),
    "neither": ("[tls]\nlisten = 8443", "1: tls: tls.certificate is missing"),
    "both": (PAIR + ON_HOST, "4: tls.host_certificate: tls.certificate is also set"),
    "a CA for nothing": (
        "[tls]\n" + ON_HOST + 'ca = "r.pem"',
        "4: tls.ca: is for the check of tls.certificate",
    ),
    "the port of plain HTTP": (
        PAIR + "listen = 80",
        "4: tls.listen: web.listen is 80 too, the port of plain HTTP",
    ),
    "a folder up": (
        '[tls]\nhost_certificate = "/etc/../a.pem"\nhost_key = "/a.key"',
        "2: tls.host_certificate: expected the absolute path of a file",
    ),
    "no word of a configuration": (
        '[tls]\nhost_certificate = "/etc/a b.pem"\nhost_key = "/a.key"',
        "2: tls.host_certificate: '/etc/a b.pem' is not allowed in nginx's configuration",
    ),
    "two sources": (
        ACME + PAIR.removeprefix("[tls]\n"),
        "4: tls.acme: tls.certificate is also set; keep one of them",
    ),
    "no names": (
        "[tls]\nacme = true",
        "2: tls.acme: web.server_names is missing: the names that the certificate is for",
    ),
    "a wildcard": (
        ACME.replace("shop.", "*."),
        "2: web.server_names[0]: *.example.org: the authority could not check it over HTTP"
        " (tls.acme); get a certificate yourself, and name it in tls.certificate",
    ),
    "an address": (ACME.replace("shop.example.org", "192.0.2.1"), "2: web.server_names[0]: 192."),
    "no mailbox": (ACME + 'mail = "a@b"', "5: tls.mail: 'a@b' is not the address of one mailbox"),
    "two mailboxes": (ACME + 'mail = "a@b.de,c@d.de"', "5: tls.mail: "),
    "plain HTTP": (
        ACME + 'directory = "http://ca.example/dir"',
        "5: tls.directory: 'http://ca.example/dir' is no URL that begins with https://",
    ),
    "a port that is none": (ACME + 'directory = "https://a:b/"', "5: tls.directory: 'https://a:b"),
    "a mail without an authority": (
        PAIR + 'mail = "a@example.org"',
        "4: tls.mail: is for a certificate authority, and tls.acme is not true",
    ),
    "on hosts behind a balancer of ours": (
        PAIR + 'at = "hosts"\n[balancer]\nkind = "nginx"',
        "4: tls.at: with balancer.kind nginx HTTPS ends at the balancers",
    ),
    "the port of plain HTTP at the balancer": (
        PAIR + 'listen = 8080\n[balancer]\nkind = "nginx"\nlisten = 8080',
        "4: tls.listen: balancer.listen is 8080 too",
    ),
    "at a balancer that is somebody else's": (
        PAIR + 'at = "balancer"\n[balancer]\nkind = "haproxy"\nhaproxy_backend = "shop"',
        "4: tls.at: Cartwheel ends HTTPS only in a balancer of kind nginx, and balancer.kind is"
        " haproxy: end it in yours, remove [tls], and set health.scheme to https; or set this to"
        " hosts",
    ),
    "at a balancer that there is not": (
        PAIR + 'at = "balancer"',
        "4: tls.at: Cartwheel ends HTTPS only in a balancer of kind nginx, and balancer.kind is"
        " none: end it in yours, remove [tls], name its addresses in web.trusted_proxies, and",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused(tmp_path: Path, case: str) -> None:
    text, says = CASES[case]
    found = refused(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(says)


def test_a_key_is_a_path_or_a_secret(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    for key in ('"a.key"', '{ file = "a.key" }'):
        text = f'{MINIMAL}[tls]\ncertificate = "a.pem"\nkey = {key}\n'
        (tmp_path / "config/deploy.toml").write_text(text)
        settings = load(tmp_path, None, None)
        assert settings.tls.key is not None
        assert settings.tls.key.file == "a.key"
        names = {one.setting: one.path for one in named_files(settings, tmp_path)}
        assert tmp_path / "a.key" in names.values(), "it is no part of what is built"


def test_without_a_certificate_there_is_no_tls(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/deploy.toml").write_text(MINIMAL)
    assert not load(tmp_path, None, None).tls.is_on
