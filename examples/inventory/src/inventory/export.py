"""Exports: XML, and a signature that a receiver can check."""

from cryptography.hazmat.primitives import hashes, hmac
from lxml import etree


def to_xml(items):
    root = etree.Element("inventory")
    for item in items:
        etree.SubElement(root, "item", name=item.name, amount=str(item.amount))
    return etree.tostring(root, xml_declaration=True, encoding="utf-8", pretty_print=True)


def sign(body, key):
    """HMAC-SHA-256 of `body`, in hexadecimal."""
    digest = hmac.HMAC(key, hashes.SHA256())
    digest.update(body)
    return digest.finalize().hex()
