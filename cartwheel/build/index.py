"""The package index: the same settings for uv here and for pip on the hosts.

Credentials are only in the environment of our child processes, never in arguments. Without
settings pip's own configuration decides; uv does not read it, so it is translated.
"""

from __future__ import annotations

import configparser
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from cartwheel.errors import UsageError
from cartwheel.hidden import Hidden
from cartwheel.settings.mirrors import ALIASES, PRESETS

if TYPE_CHECKING:
    from cartwheel.settings.toml_tables import Index

UV_RETRIES = 2
_UV_NAME = re.compile(r"[\w.-]+", re.ASCII)


@dataclass(frozen=True)
class IndexOptions:
    """The indexes that a source's own files name. Empty `where`: none."""

    where: str = ""  # FILE:LINE of the first one
    url: str = ""
    extra_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    no_index: bool = False
    pre: bool = False
    no_binary: tuple[str, ...] = ()
    only_binary: tuple[str, ...] = ()
    in_order: bool = False  # the first index that has a name decides, as for uv

    @property
    def places(self) -> tuple[str, ...]:
        """Every index and place of files."""
        urls = (self.url, *self.extra_urls, *self.find_links)
        return tuple(url.rstrip("/") for url in urls if url)

    def with_more(self, more: IndexOptions) -> IndexOptions:
        """Both, `more` after these."""
        first = () if more.url and not more.in_order else self.extra_urls
        return IndexOptions(
            where=self.where or more.where,
            url=more.url or self.url,
            extra_urls=(*first, *more.extra_urls),
            find_links=(*self.find_links, *more.find_links),
            trusted_hosts=(*self.trusted_hosts, *more.trusted_hosts),
            no_index=self.no_index or more.no_index,
            pre=self.pre or more.pre,
            no_binary=(*self.no_binary, *more.no_binary),
            only_binary=(*self.only_binary, *more.only_binary),
            in_order=self.in_order or more.in_order,
        )


@dataclass(frozen=True)
class Access:
    """Everything that a package tool must know about indexes.

    Empty `url` means the tool's own default. URLs may contain credentials: never print one
    without `bare`.
    """

    url: str = ""
    extra_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    no_index: bool = False
    cert: str = ""
    client_cert: str = ""
    proxy: str = ""
    system_certs: bool = False
    keyring: str = ""
    timeout_seconds: float | None = None
    only_binary: tuple[str, ...] = ()
    no_binary: tuple[str, ...] = ()
    pre: bool = False
    constraints: tuple[str, ...] = ()  # files
    in_order: bool = False
    own: tuple[str, ...] = ()  # indexes that only the application's files name
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """The index's name for messages, without credentials."""
        return bare(self.url) or "the default package index"

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for two accesses to the same indexes, without credentials."""
        return (
            bare(self.url),
            tuple(map(bare, self.extra_urls)),
            tuple(map(bare, self.find_links)),
            self.no_index,
            self.only_binary,
            self.no_binary,
            self.pre,
            self.in_order,
            self.own,
        )

    def is_own(self, index: str) -> bool:
        """Whether only the application's files name this index, so that hosts do not know it."""
        return bare(index).rstrip("/") in self.own


def bare(url: str) -> str:
    """`url` without user name and password."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def access_for(
    index: Index, password: Hidden | None = None, env: Mapping[str, str] | None = None
) -> Access:
    """The access from the settings; if they name no index, from pip's configuration.

    pip's certificates, proxy and keyring count in both cases: they belong to the
    network, not to the index. Raises UsageError("settings") for an unknown preset.
    """
    configured = pip_access(os.environ if env is None else env)
    configured = replace(
        configured, trusted_hosts=(*index.trusted_hosts, *configured.trusted_hosts)
    )
    url, extra_urls = _full_urls(index, password)
    if not url and not extra_urls:
        return configured
    url = url or configured.url
    return replace(
        configured,
        url=url,
        extra_urls=extra_urls,
        find_links=(),
        no_index=False,
        pre=False,
        timeout_seconds=index.timeout_seconds,
        secrets=_secrets_in((url, *extra_urls), password),
    )


def own_access(access: Access, options: IndexOptions, index: Index, default: str) -> Access:
    """The access with what a source's files say, as pip and uv understand it: except for indexes
    if the settings name one. For pip an index in a file replaces all configured ones.

    Files often name the `default` index of uv and pip without a need. It is not the application's
    own: hosts may use a mirror of it, because hashes decide.
    """
    choice = replace(
        access,
        pre=access.pre or options.pre,
        no_binary=(*access.no_binary, *options.no_binary),
        only_binary=(*access.only_binary, *options.only_binary),
        trusted_hosts=(*access.trusted_hosts, *options.trusted_hosts),
    )
    if names_index(index):
        return choice
    url = options.url or access.url
    extra_urls = () if options.url and not options.in_order else access.extra_urls
    configured = (access.url, *access.extra_urls, *access.find_links)
    known = {default, *(bare(one).rstrip("/") for one in configured)}
    links = (*access.find_links, *options.find_links)
    return replace(
        choice,
        url=url,
        extra_urls=(*options.extra_urls, *extra_urls),
        find_links=links,
        no_index=access.no_index or options.no_index,
        in_order=options.in_order,
        own=tuple(place for one in options.places if (place := _place(one)) not in known),
        secrets=(*access.secrets, *_secrets_in(options.places, None)),
    )


def ignored_indexes(access: Access, options: IndexOptions, index: Index) -> tuple[str, ...]:
    """Indexes of a source's files that are not asked because the settings name one."""
    if not names_index(index):
        return ()
    known = {bare(url).rstrip("/") for url in (access.url, *access.extra_urls)}
    return tuple(place for one in options.places if (place := bare(one)) not in known)


def _place(url: str) -> str:
    return bare(url) if "://" in url else Path(url).as_uri()


def names_index(index: Index) -> bool:
    """Whether the settings say where packages come from."""
    return bool(index.url or index.preset or index.extra_urls)


def credentials_for(url: str, access: Access) -> tuple[str, str]:
    """User name and password for a URL: those of the same server in `access`, empty without."""
    server = urlsplit(bare(url)).netloc
    for known in (url, access.url, *access.extra_urls, *access.find_links):
        parts = urlsplit(known)
        if parts.username and parts.netloc.rpartition("@")[2] == server:
            return unquote(parts.username), unquote(parts.password or "")
    return "", ""


def with_login(url: str, access: Access) -> str:
    """A URL with the credentials for it."""
    user, password = credentials_for(url, access)
    return _with_credentials(url, user, Hidden(password) if password else None) if user else url


def _full_urls(index: Index, password: Hidden | None) -> tuple[str, tuple[str, ...]]:
    """The URL of the settings' index and its extra ones, with credentials where they belong."""
    url, username = index_url(index), index.username
    extra_urls = tuple(
        _with_credentials(extra, username, password) if _same_host(extra, url) else extra
        for extra in index.extra_urls
    )
    return _with_credentials(url, username, password) if url else "", extra_urls


def index_url(index: Index) -> str:
    """The URL of `index.url` or `index.preset`; empty without either."""
    if index.url:
        return index.url
    if index.preset is None:
        return ""
    name = ALIASES.get(index.preset.lower(), index.preset.lower())
    if name not in PRESETS:
        known = ", ".join(sorted(PRESETS))
        raise UsageError(
            "settings", f"index.preset: there is no mirror {index.preset!r} (known: {known})"
        )
    return PRESETS[name]


def uv_environment(access: Access) -> dict[str, str]:
    """UV_* and related variables for running uv.

    Like pip, uv then takes the best version of all indexes, and not of the first index that
    knows the name: the hosts install with pip, from the same indexes.
    """
    found = {
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "UV_HTTP_RETRIES": str(UV_RETRIES),
        # With one index both strategies choose the same, and this one can tell refusals (401,
        # 403) from missing packages.
        "UV_INDEX_STRATEGY": "unsafe-best-match"
        if access.extra_urls and not access.in_order
        else "first-index",
        "UV_DEFAULT_INDEX": access.url,
        "UV_INDEX": " ".join(access.extra_urls),
        "UV_FIND_LINKS": ",".join(access.find_links),
        "UV_INSECURE_HOST": " ".join(access.trusted_hosts),
        "UV_KEYRING_PROVIDER": "subprocess" if access.keyring == "subprocess" else "",
        "UV_PRERELEASE": "allow" if access.pre else "",
        "SSL_CERT_DIR"
        if access.cert and Path(access.cert).is_dir()
        else "SSL_CERT_FILE": access.cert,
        "SSL_CLIENT_CERT": access.client_cert,
        "UV_SYSTEM_CERTS": "1" if access.system_certs else "",
        "HTTPS_PROXY": access.proxy,
        "HTTP_PROXY": access.proxy,
    }
    if access.timeout_seconds is not None:
        found["UV_HTTP_TIMEOUT"] = str(max(1, round(access.timeout_seconds)))
    return {key: value for key, value in found.items() if value}


def uv_arguments(access: Access) -> list[str]:
    """Options that `uv pip` accepts only as arguments."""
    found = ["--no-index"] if access.no_index else []
    for option, names in (("--no-binary", access.no_binary), ("--only-binary", access.only_binary)):
        found += [word for name in names for word in (option, name)]
    return found


def pip_environment(index: Index, password: Hidden | None = None) -> dict[str, Hidden]:
    """PIP_* variables for pip on a host (and here): empty when the settings name no index.

    An index that the settings name replaces what the host's pip.conf names, also its
    extra indexes: pip ignores empty variables, so the index itself stands in for them.
    """
    url, extra_urls = _full_urls(index, password)
    found: dict[str, str] = {}
    if url:
        found["PIP_INDEX_URL"] = url
        found["PIP_NO_INDEX"] = "0"
    if url or extra_urls:
        found["PIP_EXTRA_INDEX_URL"] = " ".join(extra_urls) or url
    if index.trusted_hosts:
        found["PIP_TRUSTED_HOST"] = " ".join(index.trusted_hosts)
    if found:
        found["PIP_DEFAULT_TIMEOUT"] = str(max(1, round(index.timeout_seconds)))
        found["PIP_NO_INPUT"] = "1"
    return {name: Hidden(value) for name, value in found.items()}


def local_pip_environment(access: Access) -> dict[str, str]:
    """PIP_* variables that make pip on this machine use `access` and nothing else."""
    found = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_PROGRESS_BAR": "off",
        "PIP_INDEX_URL": access.url,
        "PIP_EXTRA_INDEX_URL": " ".join(access.extra_urls),
        "PIP_FIND_LINKS": " ".join(access.find_links),
        "PIP_TRUSTED_HOST": " ".join(access.trusted_hosts),
        "PIP_NO_INDEX": "1" if access.no_index else "",
        "PIP_CERT": access.cert,
        "PIP_CLIENT_CERT": access.client_cert,
        "PIP_PROXY": access.proxy,
        "PIP_KEYRING_PROVIDER": access.keyring,
    }
    if access.timeout_seconds is not None:
        found["PIP_DEFAULT_TIMEOUT"] = str(max(1, round(access.timeout_seconds)))
    return {key: value for key, value in found.items() if value}


# --- pip's own configuration -------------------------------------------------------------


def pip_config_files(env: Mapping[str, str]) -> list[Path]:
    """pip's configuration files, weakest first (pip's documentation, "Configuration")."""
    chosen = env.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return []
    home = Path(env["HOME"]) if env.get("HOME") else Path.home()
    if sys.platform == "darwin":
        shared = [Path("/Library/Application Support/pip/pip.conf")]
        own = [home / "Library/Application Support/pip/pip.conf", home / ".config/pip/pip.conf"]
    else:
        folders = env.get("XDG_CONFIG_DIRS") or "/etc/xdg"
        shared = [Path(name) / "pip/pip.conf" for name in folders.split(":") if name]
        shared.append(Path("/etc/pip.conf"))
        config = env.get("XDG_CONFIG_HOME")
        own = [(Path(config) if config else home / ".config") / "pip/pip.conf"]
    files = [*shared, home / ".pip/pip.conf", *own, Path(sys.prefix) / "pip.conf"]
    return [*files, Path(chosen)] if chosen else files


def pip_access(env: Mapping[str, str], files: Sequence[Path] | None = None) -> Access:
    """The access that pip would use: from its files, then UV_* variables, then PIP_* variables,
    which win."""
    values: dict[str, str] = {}
    for path in pip_config_files(env) if files is None else files:
        values.update(_pip_section(path))
    values.update(_uv_options(env))
    values.update(_pip_options(env))
    urls = (values.get("index-url", ""), *values.get("extra-index-url", "").split())
    return Access(
        url=values.get("index-url", "").strip(),
        extra_urls=tuple(values.get("extra-index-url", "").split()),
        find_links=tuple(values.get("find-links", "").split()),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        no_index=_true(values.get("no-index", "")),
        cert=values.get("cert", "").strip(),
        client_cert=values.get("client-cert", "").strip(),
        system_certs=_true(values.get("system-certs", "")),
        proxy=values.get("proxy", "").strip(),
        keyring=values.get("keyring-provider", "").strip(),
        timeout_seconds=_number(values.get("timeout") or values.get("default-timeout")),
        only_binary=tuple(values.get("only-binary", "").replace(",", " ").split()),
        no_binary=tuple(values.get("no-binary", "").replace(",", " ").split()),
        pre=_true(values.get("pre", "")),
        constraints=tuple(values.get("constraint", "").split()),
        secrets=_secrets_in(urls, None),
    )


# Variables about the network count, and constraints; no others may change what is built.
_PIP_VARIABLES = frozenset(
    {"index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "cert"}
    | {"client-cert", "proxy", "timeout", "default-timeout", "keyring-provider", "constraint"}
)
# uv's variables (its documentation, "Environment variables"), weakest first.
_UV_VARIABLES = {
    "UV_INDEX_URL": "index-url",
    "UV_DEFAULT_INDEX": "index-url",
    "UV_EXTRA_INDEX_URL": "extra-index-url",
    "UV_INDEX": "extra-index-url",
    "UV_FIND_LINKS": "find-links",
    "UV_NO_INDEX": "no-index",
    "UV_INSECURE_HOST": "trusted-host",
    "UV_REQUEST_TIMEOUT": "timeout",
    "UV_HTTP_TIMEOUT": "timeout",
    "UV_KEYRING_PROVIDER": "keyring-provider",
    "UV_NATIVE_TLS": "system-certs",
    "UV_SYSTEM_CERTS": "system-certs",
}


def _pip_options(env: Mapping[str, str]) -> dict[str, str]:
    said = {
        key.removeprefix("PIP_").lower().replace("_", "-"): value
        for key, value in env.items()
        if key.startswith("PIP_") and value
    }
    options = {name: value for name, value in said.items() if name in _PIP_VARIABLES}
    _refuse_no_urls(options, "PIP_* in the environment")
    return options


def _uv_options(env: Mapping[str, str]) -> dict[str, str]:
    """The values of uv's variables, by the names of pip's options."""
    said: dict[str, str] = {}
    for variable, option in _UV_VARIABLES.items():
        value = env.get(variable, "")
        if option in ("index-url", "extra-index-url"):
            value = " ".join(_uv_index(one, env) for one in value.split())
        elif option == "find-links":
            value = value.replace(",", " ")
        if value:
            said[option] = value
    _refuse_no_urls(said, "UV_* in the environment")
    return said


def _uv_index(text: str, env: Mapping[str, str]) -> str:
    """An index in uv's format, [NAME=]URL, with the credentials of its name."""
    name, sign, url = text.partition("=")
    if not sign or not _UV_NAME.fullmatch(name):
        return text
    variable = f"UV_INDEX_{re.sub('[^A-Z0-9]', '_', name.upper())}"
    user, password = env.get(f"{variable}_USERNAME"), env.get(f"{variable}_PASSWORD")
    return _with_credentials(url, user, Hidden(password) if password else None)


def _pip_section(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"), str(path))
    except OSError:
        return {}
    except (configparser.Error, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())
        message = f"{path}: pip's configuration cannot be read: {why}"
        raise UsageError("settings", message) from error
    found: dict[str, str] = {}
    # pip lets a command's own section win over [global]; we install and download.
    for section in ("global", "download", "install"):
        if parser.has_section(section):
            found.update({key.replace("_", "-"): value for key, value in parser.items(section)})
    _refuse_no_urls(found, str(path))
    return found


def _refuse_no_urls(options: Mapping[str, str], source: str) -> None:
    """pip takes the whole value of `index-url`, blanks too."""
    urls = [("extra-index-url", one) for one in options.get("extra-index-url", "").split()]
    for option, url in [("index-url", options.get("index-url", "")), *urls]:
        try:
            urlsplit(url)
        except ValueError as error:
            raise UsageError("settings", f"{source}: {option}: not a URL: {error}") from error


def _with_credentials(url: str, username: str | None, password: Hidden | None) -> str:
    if username is None and password is None:
        return url
    parts = urlsplit(url)
    user = quote(username or "__token__", safe="")
    word = f":{quote(password.reveal(), safe='')}" if password is not None else ""
    return urlunsplit(parts._replace(netloc=f"{user}{word}@{parts.netloc.rpartition('@')[2]}"))


def _same_host(url: str, other: str) -> bool:
    return bool(other) and urlsplit(bare(url)).netloc == urlsplit(bare(other)).netloc


def _secrets_in(urls: Sequence[str], password: Hidden | None) -> tuple[str, ...]:
    found = [password.reveal(), quote(password.reveal(), safe="")] if password else []
    found += [word for word in (urlsplit(url).password for url in urls) if word]
    return tuple(dict.fromkeys(found))


def binary_choice(
    said: str, chosen: tuple[str, ...], other: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """pip's --no-binary or --only-binary (`chosen`) after one more value; a package is never in
    both."""
    for name in filter(None, re.split(r"[,\s]+", said)):
        if name == ":all:":
            chosen, other = (name,), ()
        elif name == ":none:":
            chosen = ()
        else:
            chosen = tuple(dict.fromkeys((*chosen, name)))
            other = tuple(one for one in other if one != name)
    return chosen, other


def _true(text: str) -> bool:
    return text.strip().lower() in ("1", "y", "yes", "t", "true", "on")


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
