"""Reads certificates, and says what is wrong with one before any host gets it."""

from __future__ import annotations

import contextlib
import re
import ssl
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate as Parsed

DAY_SECONDS = 86400.0
# A renewal that is later than this was forgotten.
_SOON_DAYS = 7
_EC_PARAMETERS = re.compile(r"-----BEGIN EC PARAMETERS-----.*?-----END EC PARAMETERS-----\s*", re.S)
_BUNDLE = "ca-certificates.crt"
_DER = (b"\x30\x82", b"\x30\x81")  # ASN.1, a sequence


class CertificateError(ValueError):
    """Why a file is no certificate or key that a web server can use."""


@dataclass(frozen=True)
class Certificate:
    """What a certificate says. `begin` and `until`: seconds since the epoch."""

    names: tuple[str, ...]
    issuer: str
    begin: float
    until: float

    def days_left(self, now: float) -> int:
        """Whole days; negative once it has expired."""
        return int((self.until - now) // DAY_SECONDS)

    def part_left(self, now: float) -> float:
        """The part of its lifetime that is left."""
        return (self.until - now) / max(1.0, self.until - self.begin)

    @property
    def day(self) -> str:
        """The day on which it ends (UTC)."""
        return time.strftime("%Y-%m-%d", time.gmtime(self.until))


@dataclass(frozen=True)
class Pair:
    """A certificate that was checked: its chain as PEM, and its key."""

    certificate: Certificate
    chain: str
    notes: tuple[str, ...] = ()


def read(pem: str) -> Certificate:
    """The first certificate in a text. Raises CertificateError."""
    return _described(_chain(pem.encode())[0])


def _chain(data: bytes) -> list[Parsed]:
    from cryptography import x509

    if not data.strip():
        raise CertificateError("is empty")
    if data.startswith(_DER):
        raise CertificateError("is DER, not PEM: `openssl x509 -inform der` makes PEM of it")
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise CertificateError("holds no certificate as PEM") from None


def _described(one: Parsed) -> Certificate:
    return Certificate(
        tuple(_names(one)),
        _short(one.issuer.rfc4514_string()),
        one.not_valid_before_utc.timestamp(),
        one.not_valid_after_utc.timestamp(),
    )


def _names(one: Parsed) -> Iterator[str]:
    """Browsers read only this extension, not the subject (RFC 9525)."""
    from cryptography import x509

    try:
        alternative = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return
    yield from (name.lower() for name in alternative.get_values_for_type(x509.DNSName))
    yield from map(str, alternative.get_values_for_type(x509.IPAddress))


def _short(distinguished: str) -> str:
    """The common name and the organization, if there are any: people know these."""
    found = dict(part.split("=", 1) for part in re.split(r"(?<!\\),", distinguished) if "=" in part)
    return ", ".join(found[key] for key in ("CN", "O") if key in found) or distinguished


# -- what is wrong


def check(
    certificate: bytes, names: Sequence[str], roots: Iterable[bytes], now: float
) -> tuple[Pair, list[str]]:
    """The certificate, and everything that is wrong with it. `names`: the server names that it must
    cover; `roots`: certificates as DER, none if they are not known. Raises CertificateError."""
    chain = _chain(certificate)
    leaf = _described(chain[0])
    known = list(roots)
    wrong = list(_misplaced(chain))
    if not wrong:
        wrong = [*_dates(leaf, now), *_uncovered(leaf, names)]
        wrong += _chain_problem(chain, known, now) if known else []
    pair = Pair(leaf, "".join(map(_pem, chain)), tuple(_notes(leaf, now, has_roots=bool(known))))
    return pair, wrong


def _pem(one: Parsed) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return one.public_bytes(Encoding.PEM).decode()


def _dates(leaf: Certificate, now: float) -> Iterator[str]:
    if leaf.until <= now:
        yield f"has expired on {leaf.day}: renew it"
    elif leaf.begin > now:
        day = time.strftime("%Y-%m-%d %H:%M", time.gmtime(leaf.begin))
        yield f"is not valid before {day} UTC: check the clock of this machine"


def _notes(leaf: Certificate, now: float, *, has_roots: bool) -> Iterator[str]:
    left = leaf.days_left(now)
    if 0 <= left < _SOON_DAYS:
        yield f"the certificate ends on {leaf.day}, in {left} days: renew it"
    if not has_roots:
        yield "this machine has no list of roots, so the certificate's chain was not checked"


def _uncovered(leaf: Certificate, names: Sequence[str]) -> Iterator[str]:
    missing = [name for name in names if not covers(leaf.names, name)]
    if missing:
        has = ", ".join(leaf.names) or "no names at all"
        yield f"is not for {', '.join(missing)}, it has {has}: get one with all names in [web]"


def covers(names: Iterable[str], wanted: str) -> bool:
    """Whether a certificate with these names is for a server name. A wildcard stands for exactly
    one label, the first (RFC 6125, 6.4.3)."""
    return wanted in names or "*." + wanted.partition(".")[2] in names


def _misplaced(chain: Sequence[Parsed]) -> Iterator[str]:
    """A CA's certificate before the site's own: every other finding would be about the CA."""
    first = chain[0]
    if any(_issued(other, first) for other in chain if other != first):
        yield "begins with the certificate of a CA: the site's own must be the first"


def _chain_problem(chain: Sequence[Parsed], roots: Iterable[bytes], now: float) -> list[str]:
    """Clients know only roots: each certificate up to one of theirs must be in the file, in order
    (RFC 8446, 4.4.2)."""
    known = list(_readable(roots))
    by_name: dict[bytes, list[Parsed]] = {}
    for root in known:
        by_name.setdefault(root.subject.public_bytes(), []).append(root)
    for number, one in enumerate(chain):
        issuers = by_name.get(one.issuer.public_bytes(), ())
        if number and _described(one).until <= now:
            what = _short(one.subject.rfc4514_string())
            return [f"holds the certificate of {what}, which has expired: get the CA's new one"]
        if one in known or any(_issued(one, root) for root in issuers):
            return []
        rest = chain[number + 1 :]
        if rest and _issued(one, rest[0]):
            continue
        return [_broken_chain(one, chain)]
    return []


def _readable(roots: Iterable[bytes]) -> Iterator[Parsed]:
    """Lists of roots have old ones that break rules of today, such as one about serial numbers."""
    from cryptography import x509

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for root in roots:
            with contextlib.suppress(ValueError):
                yield x509.load_der_x509_certificate(root)


def _broken_chain(one: Parsed, chain: Sequence[Parsed]) -> str:
    issuer = _short(one.issuer.rfc4514_string())
    if one == chain[0] and _issued(one, one):
        return "is signed by itself: name it in tls.ca too, or get one from a CA"
    if any(_issued(one, other) for other in chain if other != one):
        return f"is in the wrong order: {issuer} must come right after what it has signed"
    return (
        f"lacks the certificate of {issuer}, and no root is known by that name: add the"
        " intermediates to the file (CAs call it full chain), or name a private CA's root in tls.ca"
    )


def _issued(one: Parsed, issuer: Parsed) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        one.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def check_key(key: str, pair: Pair) -> list[str]:
    """What is wrong with the key of a certificate."""
    try:
        private = _private_key(key)
    except CertificateError as error:
        return [str(error)]
    leaf = _chain(pair.chain.encode())[0]
    if private.public_key() != leaf.public_key():
        return ["is not the key of this certificate: one of the two files is another site's or old"]
    return []


def _private_key(text: str) -> PrivateKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _EC_PARAMETERS.sub("", text).encode()
    try:
        return load_pem_private_key(data, None)
    except TypeError:
        raise CertificateError(
            "has a passphrase, which nobody could type when the web server starts:"
            " `openssl pkey -in FILE -out NEW` removes it"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError("holds no private key as PEM") from None


def system_roots() -> list[bytes]:
    """The roots that this machine trusts, as DER; none if it has no list of them."""
    found = ssl.create_default_context().get_ca_certs(binary_form=True)
    folder = ssl.get_default_verify_paths().capath
    bundle = Path(folder or "") / _BUNDLE
    # OpenSSL reads a folder of roots only when it needs one (Debian 11).
    return found if found or not bundle.is_file() else roots_in(bundle.read_bytes())


def roots_in(data: bytes) -> list[bytes]:
    """The certificates in a file, as DER. Raises CertificateError."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return [one.public_bytes(Encoding.DER) for one in _chain(data)]
