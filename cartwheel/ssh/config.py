"""What ssh_config(5) says about the hosts of a run.

An installed OpenSSH client decides, because it knows best what `ssh` does. It uses the home folder
of the account (passwd(5)), while all other programs use $HOME; if the two differ, or if there is
no client, the files are read here.
"""

from __future__ import annotations

import functools
import getpass
import os
import pwd
import threading
from pathlib import Path

from cartwheel.ssh.client import Client
from cartwheel.ssh.found import Account, Asked, Found, found_in
from cartwheel.ssh.reader import Reader, Source

USER_CONFIG = Path("~/.ssh/config")
SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")


class Configuration:
    """Looks up each host once. Nothing is read before the first lookup. Safe for threads.

    `path` replaces the user's and the system's file (fab's -S).
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._choosing, self._locking = threading.Lock(), threading.Lock()
        self._locks: dict[Asked, threading.Lock] = {}
        self._found: dict[Asked, Found] = {}

    def lookup(self, asked: Asked) -> Found:
        """Raises UsageError `ssh-config`."""
        with self._locking:
            lock = self._locks.setdefault(asked, threading.Lock())
        with lock:
            if asked not in self._found:
                with self._choosing:
                    source, account = self._source
                self._found[asked] = found_in(source.values(asked), asked, account)
            return self._found[asked]

    def names(self) -> set[str]:
        """All names and patterns after `Host`, in the user's and the system's file."""
        return Reader(self._sources, Account(_account_name(), Path.home())).names()

    @functools.cached_property
    def _source(self) -> tuple[Client | Reader, Account]:
        home, name = _account_home(), _account_name()
        if home is not None and (self._path is not None or home == Path.home()):
            client = Client.installed(self._path)
            if client is not None:
                return client, Account(name, home)
        account = Account(name, Path.home())
        return Reader(self._sources, account), account

    @property
    def _sources(self) -> list[Source]:
        if self._path is not None:
            return [Source(self._path)]
        both = (
            Source(USER_CONFIG.expanduser(), is_checked=True),
            Source(SYSTEM_CONFIG, is_system=True),
        )
        return [source for source in both if source.path.is_file()]


def _account_name() -> str:
    """The account's name as ssh knows it, independent of $LOGNAME."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without an entry; ssh itself refuses to run
        return getpass.getuser()


def _account_home() -> Path | None:
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None
