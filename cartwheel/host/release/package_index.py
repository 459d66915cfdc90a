"""The package indexes of pip and uv on this host: those in the settings, or else those of the
host's own pip configuration (pip's documentation, "Configuration").

pip does not read these files itself: their other options (`target`, `user`,
`require-virtualenv`, ...) are not meant for a release.
"""

from __future__ import annotations

import configparser
import os
from pathlib import Path
from typing import Dict, List, Tuple

from cartwheel.host.system.context import OpError

Environment = Dict[str, str]

# Lowest priority first. The app's user has none: its home is the application's folder.
FILES: Tuple[Path, ...] = (Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"))
_SECTIONS = ("global", "install")
_MEANT = (
    *("index-url", "extra-index-url", "find-links", "no-index", "trusted-host"),
    *("cert", "client-cert", "proxy", "timeout", "default-timeout", "retries"),
    *("keyring-provider", "only-binary", "no-binary", "prefer-binary"),
)
_TRUE = ("1", "y", "yes", "t", "true", "on")  # pip's own spelling


def for_pip(named: Environment) -> Environment:
    """PIP_* variables: those `named` by the settings override the host's own.

    Raises OpError("install-failed") for a file that pip could not read either.
    """
    found = {}
    for path in FILES:
        found.update(_meant(path))
    configured = {"PIP_" + name.upper().replace("-", "_"): found[name] for name in found}
    return {**configured, **named, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INPUT": "1"}


def for_uv(named: Environment) -> Environment:
    """The same for uv, which reads neither pip's files nor its variables."""
    pip = for_pip(named)
    proxy, cert = pip.get("PIP_PROXY", ""), pip.get("PIP_CERT", "")
    extra = [url for url in _words(pip, "EXTRA_INDEX_URL") if url != pip.get("PIP_INDEX_URL")]
    found = {
        "UV_DEFAULT_INDEX": pip.get("PIP_INDEX_URL", ""),
        "UV_INDEX": " ".join(extra),
        # As pip: the best version from all indexes.
        "UV_INDEX_STRATEGY": "unsafe-best-match" if extra else "",
        "UV_FIND_LINKS": ",".join(_words(pip, "FIND_LINKS")),
        "UV_INSECURE_HOST": " ".join(_words(pip, "TRUSTED_HOST")),
        "UV_HTTP_TIMEOUT": pip.get("PIP_TIMEOUT") or pip.get("PIP_DEFAULT_TIMEOUT", ""),
        "UV_KEYRING_PROVIDER": "subprocess"
        if pip.get("PIP_KEYRING_PROVIDER") == "subprocess"
        else "",
        "SSL_CERT_DIR" if os.path.isdir(cert) else "SSL_CERT_FILE": cert,
        "SSL_CLIENT_CERT": pip.get("PIP_CLIENT_CERT", ""),
        "HTTPS_PROXY": proxy,
        "HTTP_PROXY": proxy,
        # As pip: the certificates that the host trusts.
        "UV_SYSTEM_CERTS": "" if cert else "1",
    }
    return {name: value for name, value in found.items() if value}


def uv_arguments(named: Environment) -> List[str]:
    """Options that uv accepts only as arguments: no index, packages that may or must be built."""
    pip = for_pip(named)
    found = ["--no-index"] if pip.get("PIP_NO_INDEX", "").lower() in _TRUE else []
    for option in ("ONLY_BINARY", "NO_BINARY"):
        for name in pip.get("PIP_" + option, "").replace(",", " ").split():
            found += ["--" + option.lower().replace("_", "-"), name]
    return found


def _words(environment: Environment, option: str) -> List[str]:
    return environment.get("PIP_" + option, "").split()


def _meant(path: Path) -> Environment:
    """The relevant options of a file, as `pip install` would read them."""
    parser = configparser.RawConfigParser()
    try:
        if not path.stat().st_mode & 0o004:
            return {}  # the app's user could not read it
        parser.read_string(path.read_text(encoding="utf-8"), str(path))
    except OSError:
        return {}
    except (configparser.Error, UnicodeDecodeError) as error:
        message = f"{path}: pip's configuration cannot be read: {error}"
        raise OpError("install-failed", " ".join(message.split())) from error
    found: Environment = {}
    for section in _SECTIONS:
        if parser.has_section(section):
            found.update({key.replace("_", "-"): value for key, value in parser.items(section)})
    return {name: " ".join(found[name].split()) for name in _MEANT if found.get(name)}
