"""Makes a secret key for an application, on the operator's machine and outside of its sources."""

from __future__ import annotations

import secrets
from pathlib import Path

from cartwheel import writing
from cartwheel.errors import UsageError

_BYTES = 48


def make(file: str) -> bool:
    """Write a new key to a file that only its owner can read; False if there is one already.

    Raises UsageError if the file cannot be written.
    """
    path = Path(file).expanduser()
    try:
        if path.exists():
            return False
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        writing.write(path, f"{secrets.token_urlsafe(_BYTES)}\n".encode(), mode=0o600)
    except OSError as error:
        message = f"the secret key cannot be written: {path}: {error.strerror}"
        raise UsageError("usage", message, hint="Make that possible, and run it again.") from error
    return True
