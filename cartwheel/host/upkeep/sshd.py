"""Why sshd may refuse a monitor's key that is installed: its own settings. Changes nothing."""

from __future__ import annotations

import fnmatch
import grp
import os
import pwd
from typing import Dict, Iterator, List, Tuple

from cartwheel.host.state.watchers import USER
from cartwheel.host.system import children
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.upkeep.monitors import KEYS
from cartwheel.host.wire.monitors import AskSshd, Sshd

_SECONDS = 10.0
_PROGRAM = "/usr/sbin/sshd"
# Those that decide about a login (sshd_config(5)).
_DECIDE = (
    *("allowgroups", "allowusers", "authenticationmethods", "authorizedkeyscommand"),
    *("authorizedkeysfile", "chrootdirectory", "denygroups", "denyusers", "forcecommand"),
    *("pubkeyacceptedalgorithms", "pubkeyacceptedkeytypes", "pubkeyauthentication"),
    *("strictmodes", "usepam"),
)
_NOLOGIN = ("/run/nologin", "/etc/nologin")


def settings(ctx: Context, request: AskSshd) -> Sshd:
    who = f"user={USER},host={request.address},addr={request.address}"
    try:
        done = children.ask([_PROGRAM, "-T", "-C", who], timeout_seconds=_SECONDS, ctx=ctx)
    except OpError as error:
        return Sshd(problem=error.message)
    if done.status != 0:
        return Sshd(problem=(done.errors or done.output).strip()[-500:])
    found: Dict[str, List[str]] = {}
    for line in done.output.splitlines():
        name, _blank, value = line.partition(" ")
        found.setdefault(name, []).append(value)
    shown = [f"{name} {value}" for name in _DECIDE for value in found.get(name, ())]
    return Sshd(tuple(shown), tuple(reasons(found, _groups(), request.address)))


def _groups() -> Tuple[str, ...]:
    try:
        known = pwd.getpwnam(USER)
    except KeyError:
        return ()
    names = []
    for number in os.getgrouplist(USER, known.pw_gid):
        try:
            names.append(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return tuple(names)


def reasons(found: Dict[str, List[str]], groups: Tuple[str, ...], address: str) -> Iterator[str]:
    """The settings that refuse the user, as sentences."""
    users, not_users = _words(found, "allowusers"), _words(found, "denyusers")
    in_groups, not_groups = _words(found, "allowgroups"), _words(found, "denygroups")
    if not_users and any(_is_user(one, address) for one in not_users):
        yield f"DenyUsers names {USER}: {' '.join(not_users)}"
    if users and not any(_is_user(one, address) for one in users):
        yield f"AllowUsers does not name {USER}: {' '.join(users)}"
    if not_groups and _one_of(groups, not_groups):
        yield f"DenyGroups names a group of {USER}: {' '.join(not_groups)}"
    if in_groups and not _one_of(groups, in_groups):
        yield f"AllowGroups names no group of {USER}: {' '.join(in_groups)}"
    if _words(found, "pubkeyauthentication")[:1] == ["no"]:
        yield "PubkeyAuthentication is no"
    places = _words(found, "authorizedkeysfile")
    if places and str(KEYS) not in map(_full, places):
        yield f"AuthorizedKeysFile does not lead to {KEYS}: {' '.join(places)}"
    forced = " ".join(_words(found, "forcecommand"))
    if forced not in ("", "none"):
        yield f"ForceCommand runs something else: {forced}"
    rooted = " ".join(_words(found, "chrootdirectory"))
    if rooted not in ("", "none"):
        yield f"ChrootDirectory leaves the program outside: {rooted}"
    methods = _words(found, "authenticationmethods")
    if methods and methods != ["any"] and not any(_is_key_alone(one) for one in methods):
        yield f"AuthenticationMethods wants more than a key: {' '.join(methods)}"
    for path in _NOLOGIN:
        if os.path.exists(path):
            yield f"{path} lets only root log in"


def _words(found: Dict[str, List[str]], name: str) -> List[str]:
    return [word for value in found.get(name, ()) for word in value.split()]


def _is_user(pattern: str, address: str) -> bool:
    """USER or USER@HOST, with * and ? (ssh_config(5), PATTERNS)."""
    user, _at, host = pattern.partition("@")
    return fnmatch.fnmatchcase(USER, user) and (not host or fnmatch.fnmatchcase(address, host))


def _one_of(groups: Tuple[str, ...], patterns: List[str]) -> bool:
    return any(fnmatch.fnmatchcase(group, one) for group in groups for one in patterns)


def _full(place: str) -> str:
    """Where a pattern of AuthorizedKeysFile leads."""
    home = str(KEYS.parent.parent)
    path = place.replace("%h", home).replace("%u", USER).replace("%%", "%")
    return path if path.startswith("/") else f"{home}/{path}"


def _is_key_alone(method: str) -> bool:
    return method.partition(":")[0] == "publickey" and "," not in method
