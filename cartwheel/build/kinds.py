"""Recognises private files by name and content: keys, credentials, data.

Names are compared in lower case. Code is always code, whatever its name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

Kind = Literal["key", "env", "credentials", "plan", "database", "dump", "uploads"]

# These are secret; the other kinds are data.
SECRET_KINDS: frozenset[Kind] = frozenset({"key", "env", "credentials", "plan"})

SNIFFED_BYTES = 1 << 20  # a key is searched in this many bytes; headers are at the start

_ENV = re.compile(r"\.env(rc)?|\.env[.-].+|.+\.env")
_ENV_EXAMPLE = re.compile(
    r".+[.-](example|sample|template|tmpl|dist|defaults?|schema)|(example|sample|template)\.env"
)
_KEY = re.compile(
    r"id_(rsa|dsa|ecdsa|ed25519|xmss)(_sk)?([._-](?!pub$).*)?|.+\.(key|ppk|agekey)"
    r"|.+\.(p12|pfx|jks|keystore|kdbx?|ovpn)"
)
_CREDENTIALS = re.compile(
    r"credentials?(\.(json|ya?ml|toml|ini|csv|xml|txt))?|secrets?\.(json|ya?ml|toml|ini|txt)"
    r"|client_secrets?.*\.json|(.+[-_.])?service[-_]?account([-_.].+)?\.json"
    r"|.+firebase-adminsdk.+\.json"
    r"|token\.(json|pickle)|application_default_credentials\.json|\.?git-credentials"
    r"|[._]netrc|\.pypirc|\.npmrc|\.?pgpass(\.conf)?|\.?htpasswd|\.?my\.cnf"
    r"|\.dockercfg|\.?s3cfg|\.boto"
    r"|.+\.(tfstate|tfstate\.backup|tfvars)|wallet\.dat"
)
_DATABASE = re.compile(
    r".+\.(db|db3|s3db|sl3|sqlite|sqlite2|sqlite3|duckdb|mdb|accdb|rdb|fdb)"
    r"(-(wal|shm|journal)|\.wal)?"
)
_DUMP = re.compile(
    r".+\.(dump|dmp|pgdump|bak|backup|old|orig|save|swp|swo)|.+~|.+\.sql\.(gz|bz2|xz|zst|zip)"
    r"|(.*[-_.])?(dump|backup)s?([-_.].*)?\.(sql|json|csv|tar|tar\.gz|tgz|gz|zip)"
)
_CODE_SUFFIXES = (".py", ".pyi", ".so", ".pyd", ".dll", ".dylib")
# In these files the header of a key may be an example, or code that searches for keys.
_PROSE_SUFFIXES = (
    *_CODE_SUFFIXES,
    *(".js", ".mjs", ".cjs", ".ts", ".jsx", ".tsx", ".map", ".vue", ".css", ".go", ".c", ".h"),
    *(".java", ".html", ".htm", ".jinja", ".jinja2", ".j2", ".md", ".rst", ".po", ".mo", ".ipynb"),
)  # fmt: skip

_UPLOADS = frozenset(
    {"upload", "uploads", "user_uploads", "user-uploads", "userfiles", "mediafiles"}
)
_MEDIA = "media"
# In these folders `media` is part of the design, and not uploaded by visitors.
_DESIGN = frozenset({"static", "staticfiles", "assets", "public", "templates", "dist", "build"})

_BEGIN = rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_KEY_LINE = re.compile(rb"^[ \t]*" + _BEGIN + rb"[ \t]*\r?$", re.MULTILINE)
# A key as text in code or JSON: line ends may be written as `\n`.
_BREAK = rb"(?:\\[nr]|[\s\"'+,\\])"
_KEY_TEXT = re.compile(
    _BEGIN
    + (rb"(?:" + _BREAK + rb"*[A-Za-z-]{4,20}: [^\n\\]{0,200})*")
    + (_BREAK + rb"*[A-Za-z0-9+/]{40}")
)
_KEY_HEADS = (
    b"PuTTY-User-Key-File-",
    b"SSH PRIVATE KEY FILE FORMAT",
    b"\x03\xd9\xa2\x9a",  # KeePass
    b"\xfe\xed\xfe\xed\0",  # Java's key store
)
_AGE = re.compile(rb"^AGE-SECRET-KEY-1[0-9A-Z]{20}", re.MULTILINE)
_SERVICE_ACCOUNT = re.compile(rb'"type"\s*:\s*"service_account"')
_SQLITE = b"SQLite format 3\0"
_POSTGRES = b"PGDMP"
_DUMP_HEAD = re.compile(
    rb"\A(?:--[^\n]*\n|/\*[^\n]*\n|\s)*?(?:--|/\*) *(?:MySQL dump|MariaDB dump|PostgreSQL database"
    rb"|phpMyAdmin SQL|SQLite database|Adminer|Host:)"
    rb"|\APRAGMA foreign_keys=OFF;\s+BEGIN TRANSACTION;"
)
# Rows with their values written out; `:name`, `?` and `%s` are a query's parameters.
_ROWS = re.compile(
    rb"\binsert\s+(?:ignore\s+)?into\b[^;]{0,2000}?\bvalues\s*\(\s*(?:[x']|-?\d|null\b)"
    rb"|^copy\s[^;]{1,2000}\sfrom\s+stdin",
    re.IGNORECASE | re.MULTILINE,
)
_PLAN = re.compile(rb'\A\{\s*"format": \d+,\s*"app": "')


def by_name(name: str) -> Kind | None:
    """The kind of a file of this name; None if its content decides."""
    base = name.rpartition("/")[2].lower()
    if is_env(base):
        return "env"
    if base.endswith(_CODE_SUFFIXES):
        return None
    return next((kind for kind, pattern in _BY_NAME if pattern.fullmatch(base)), None)


_BY_NAME: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("key", _KEY),
    ("credentials", _CREDENTIALS),
    ("database", _DATABASE),
    ("dump", _DUMP),
)


def is_env(base: str) -> bool:
    """Whether a file of this name is an environment, and not an example of one."""
    return bool(_ENV.fullmatch(base)) and not _ENV_EXAMPLE.fullmatch(base)


def by_content(path: Path, name: str) -> Kind | None:
    """The kind of a file by the start of its content."""
    lower = name.lower()
    if lower.endswith(_CODE_SUFFIXES):
        return None
    with path.open("rb") as file:
        head = file.read(SNIFFED_BYTES)
    found: tuple[tuple[Kind, object], ...] = (
        ("key", holds_key(head, name)),
        ("credentials", lower.endswith(".json") and _SERVICE_ACCOUNT.search(head)),
        ("plan", _PLAN.match(head)),
        ("database", head.startswith(_SQLITE)),
        ("dump", head.startswith(_POSTGRES) or _DUMP_HEAD.match(head)),
        ("dump", lower.endswith(".sql") and _ROWS.search(head)),
    )
    return next((kind for kind, is_it in found if is_it), None)


def holds_key(content: bytes, name: str) -> bool:
    """Whether the content of a file of this name contains a private key."""
    if content.startswith(_KEY_HEADS) or _AGE.search(content):
        return True
    if b"PRIVATE KEY" not in content:
        return False
    if not name.lower().endswith(_PROSE_SUFFIXES) and _KEY_LINE.search(content):
        return True
    return _KEY_TEXT.search(content) is not None


def uploads_folder(name: str) -> str | None:
    """The topmost folder of a path whose name is typical for uploads, with a slash at the end."""
    folders = name.split("/")[:-1]
    for number, folder in enumerate(folders):
        part, above = folder.lower(), {one.lower() for one in folders[:number]}
        is_media = part == _MEDIA and not _DESIGN & above
        if is_media or (part in _UPLOADS and "templates" not in above):
            return "/".join(folders[: number + 1]) + "/"
    return None
