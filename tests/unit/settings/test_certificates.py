"""A certificate that browsers would not accept is refused before a host gets it."""

from __future__ import annotations

import time

import pytest

from cartwheel.settings import certificates
from cartwheel.settings.certificates import CertificateError, covers
from tests.kit.certificates import Issued, authority, certificate

NAME = "shop.example.org"
ROOT = authority()
MIDDLE = authority("Test Intermediate", by=ROOT)
LEAF = certificate(NAME, by=MIDDLE)
CHAIN = LEAF.pem + MIDDLE.pem


def wrong(pem: str, *names: str, roots: tuple[Issued, ...] = (ROOT,)) -> list[str]:
    return certificates.check(
        pem.encode(), names or (NAME,), [root.der for root in roots], time.time()
    )[1]


def pair(pem: str) -> certificates.Pair:
    return certificates.check(pem.encode(), (), [], time.time())[0]


def test_a_certificate_with_its_chain_and_key_is_right() -> None:
    assert wrong(CHAIN) == []
    assert wrong(CHAIN + ROOT.pem) == [], "the root does no harm"
    assert certificates.check_key(LEAF.key, pair(CHAIN)) == []


def test_what_a_certificate_says() -> None:
    found = certificates.read(CHAIN)
    assert found.names == (NAME,)
    assert found.issuer == "Test Intermediate"
    assert found.days_left(time.time()) == 79
    assert 0.88 < found.part_left(time.time()) < 0.9
    assert found.day == time.strftime("%Y-%m-%d", time.gmtime(found.until))


def test_only_certificates_of_a_file_are_used() -> None:
    """A file with the key in it too: the key is not sent with the chain."""
    assert pair(LEAF.key + CHAIN).chain == CHAIN


def test_an_expired_one() -> None:
    old = certificate(NAME, by=ROOT, days=(-90, -1))
    assert wrong(old.pem) == [f"has expired on {certificates.read(old.pem).day}: renew it"]


def test_one_of_tomorrow() -> None:
    (said,) = wrong(certificate(NAME, by=ROOT, days=(1, 90)).pem)
    assert said.startswith("is not valid before ")


def test_one_that_ends_soon_is_a_note() -> None:
    soon = certificate(NAME, by=ROOT, days=(-80, 3.5))
    assert wrong(soon.pem) == []
    assert "in 3 days: renew it" in pair(soon.pem).notes[0]


def test_another_sites() -> None:
    assert wrong(CHAIN, NAME, "www.example.org") == [
        f"is not for www.example.org, it has {NAME}: get one with all names in [web]"
    ]


@pytest.mark.parametrize(
    ("has", "wanted", "fits"),
    [
        ("*.example.org", NAME, True),
        ("*.example.org", "*.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", "a.shop.example.org", False),
        ("shop.example.org", "*.example.org", False),
        ("*.org", NAME, False),
    ],
)
def test_a_wildcard_stands_for_one_label(has: str, wanted: str, fits: bool) -> None:
    assert covers((has,), wanted) is fits


def test_a_missing_intermediate() -> None:
    (said,) = wrong(LEAF.pem)
    assert said.startswith("lacks the certificate of Test Intermediate")
    assert "full chain" in said


def test_an_intermediate_that_has_expired() -> None:
    old = authority("Old Intermediate", by=ROOT, days=(-900, -1))
    (said,) = wrong(certificate(NAME, by=old).pem + old.pem)
    assert said.startswith("holds the certificate of Old Intermediate, which has expired")


def test_a_root_that_is_not_known() -> None:
    (said,) = wrong(CHAIN, roots=(authority("Another Root"),))
    assert said.startswith("lacks the certificate of Test Root")
    assert "tls.ca" in said


def test_the_wrong_order() -> None:
    (said,) = wrong(MIDDLE.pem + LEAF.pem, roots=(authority("Another Root"),))
    assert said == "begins with the certificate of a CA: the site's own must be the first"
    lower = authority("Lower", by=MIDDLE)
    leaf = certificate(NAME, by=lower)
    (said,) = wrong(leaf.pem + MIDDLE.pem + lower.pem)
    assert said.startswith("is in the wrong order: Lower must come right after")


def test_the_ca_first_even_where_its_root_is_known() -> None:
    said = wrong(MIDDLE.pem + LEAF.pem)
    assert "begins with the certificate of a CA: the site's own must be the first" in said


def test_one_that_signed_itself() -> None:
    own = certificate(NAME)
    (said,) = wrong(own.pem)
    assert said.startswith("is signed by itself")
    assert wrong(own.pem, roots=(own,)) == []


def test_without_any_roots_the_chain_is_a_note() -> None:
    assert wrong(LEAF.pem, roots=()) == []
    assert "chain was not checked" in pair(LEAF.pem).notes[0]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (LEAF.der, "is DER, not PEM"),
        (LEAF.key.encode(), "holds no certificate as PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds no certificate"),
    ],
)
def test_files_that_hold_no_certificate(data: bytes, says: str) -> None:
    with pytest.raises(CertificateError, match=says):
        certificates.check(data, (NAME,), [ROOT.der], time.time())


def test_keys_that_do_not_work() -> None:
    known = pair(CHAIN)
    assert "is not the key of this certificate" in certificates.check_key(MIDDLE.key, known)[0]
    assert "has a passphrase" in certificates.check_key(LEAF.locked_key, known)[0]
    for other in ("", LEAF.pem, "-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----"):
        assert certificates.check_key(other, known) == ["holds no private key as PEM"]


def test_a_key_with_its_curve_before_it() -> None:
    """As `openssl ecparam -genkey` writes it."""
    curve = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert certificates.check_key(curve + LEAF.key, pair(CHAIN)) == []
