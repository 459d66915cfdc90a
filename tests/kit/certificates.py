"""Certificates and keys for tests: a small CA, and what it signs."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    """A certificate with its key."""

    one: x509.Certificate
    private: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.one.public_bytes(Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        return self.one.public_bytes(Encoding.DER)

    @property
    def key(self) -> str:
        return self._key(NoEncryption())

    @property
    def locked_key(self) -> str:
        return self._key(BestAvailableEncryption(b"a passphrase"))

    def _key(self, how: NoEncryption | BestAvailableEncryption) -> str:
        form = PrivateFormat.PKCS8
        return self.private.private_bytes(Encoding.PEM, form, how).decode()


def authority(
    name: str = "Test Root", by: Issued | None = None, days: tuple[float, float] = (-30, 3000)
) -> Issued:
    """A CA: a root, or one that is signed by another."""
    return _signed(name, by, days, authority=True)


def certificate(
    *names: str, by: Issued | None = None, days: tuple[float, float] = (-10, 80)
) -> Issued:
    """A certificate for these names, valid from and until so many days from now; without a CA it
    signs itself."""
    return _signed(names[0] if names else "nameless", by, days, names=names)


def _signed(
    name: str,
    by: Issued | None,
    days: tuple[float, float],
    *,
    names: tuple[str, ...] = (),
    authority: bool = False,
) -> Issued:
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    building = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.one.subject if by else subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + _DAY * days[0])
        .not_valid_after(now + _DAY * days[1])
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
        building = building.add_extension(alternative, critical=False)
    return Issued(building.sign(by.private if by else private, hashes.SHA256()), private)
