"""Databases and other services that the app's variables name, and that do not serve."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from cartwheel.diagnosis import followed, names, telling
from cartwheel.diagnosis.cause import GUESSED, NAMED, SOON, STOPS, SYMPTOM, Case, Cause
from cartwheel.diagnosis.services_compared import LOOPBACK, host_of, tried
from cartwheel.host.wire.diagnosis import APP_FOLDER, NO_FILE, REFUSAL, Service, Sign

_SLUGS = {
    "unknown": "service-unknown",
    "silent": "service-slow",
    "timeout": "service-slow",
    "tls": "service-certificate",
}
_REFUSES = "service-refuses"
_FOLLOWS = followed.APP | {"service-crowded", "service-breaks", "service-login"}
# Nobody can say by a variable's name alone whether the app connects to such a URL, and when.
_WEAK = ("HTTP", "Elasticsearch", "the mail server", "the HTTP proxy", "LDAP")
# Links for visitors, and lists of who may call.
_LINKS = re.compile(
    r"SITE|PUBLIC|ORIGIN|CSRF|CORS|WEBHOOK|CALLBACK|REDIRECT|ALLOWED|FRONTEND|DOCS?_|STATIC|CDN"
    r"|MEDIA|BASE_URL|EXTERNAL|HOMEPAGE|LOGO|LOGIN|ISSUER|AUDIENCE|NAMESPACE|SCHEMA",
    re.IGNORECASE,
)
_CALLED = re.compile(r"API|SERVICE|BACKEND|UPSTREAM|ENDPOINT|GATEWAY|ELASTIC|SEARCH", re.IGNORECASE)
_MOST_LINES = 3


def causes(case: Case) -> Iterator[Cause]:
    """What did not answer well, each once."""
    services = case.found.services
    for one in services:
        if one.how:
            signs = _signs_of(case, one)
            weight = _weight(one, signs)
            if _has_other(one, services) and not signs:
                weight = min(weight, SOON)
            if weight:
                yield _cause(case, one, signs, weight)


def _cause(case: Case, one: Service, signs: list[Sign], weight: int) -> Cause:
    began = [sign.first for sign in signs]
    if one.how == "unknown" and not began:
        began = [at for at in (names.changed_at(case),) if at is not None]
    logged = [sign for sign in signs if sign.kind == "service"]
    evidence = [f"the app logged it {telling.times(telling.count(logged))}"] if logged else []
    evidence += [line for sign in signs for line in sign.lines][:_MOST_LINES]
    if one.of_unit:
        evidence.insert(0, f"{one.of_unit} is {one.unit_state}")
    if one.since is not None and not one.unit_state.startswith("active"):
        began = [one.since]
    return Cause(
        "permission" if one.kind == APP_FOLDER else _SLUGS.get(one.how, _REFUSES),
        f"{_named(one)} {_said(one)}",
        _todo(case, one),
        weight,
        (*_problem(one), *evidence),
        began=min(began, default=None),
        explains=followed.APP if one.kind == APP_FOLDER else _FOLLOWS,
    )


def _named(one: Service) -> str:
    if one.kind == APP_FOLDER:
        return f"{one.kind} {one.address}"
    return f"{_kind(one)} at {one.address} ({one.variable})"


def _kind(one: Service) -> str:
    return "the HTTP service" if one.kind == "HTTP" else one.kind


def _problem(one: Service) -> Iterator[str]:
    """What the title does not say already."""
    if one.how not in ("denied", "tls") and one.problem != f"{host_of(one.address)} {REFUSAL}":
        yield one.problem


def _has_other(one: Service, services: tuple[Service, ...]) -> bool:
    """Whether the same variable names another that serves: clients go there."""
    return any(other.variable == one.variable and not other.how for other in services)


def _weight(one: Service, signs: list[Sign]) -> int:
    """0: it is no finding."""
    if one.kind == APP_FOLDER:
        return GUESSED  # some apps write nothing there
    if one.kind not in _WEAK:
        # An app makes the file of SQLite itself.
        is_new = one.kind == "SQLite" and one.problem.startswith(NO_FILE)
        return 0 if is_new and not signs else STOPS
    is_down = one.how not in ("tls", "silent", "denied")
    if signs:
        return STOPS if is_down else NAMED
    is_link = one.kind == "HTTP" and _LINKS.search(one.variable)
    # Many settings name a mail server, and few apps of these need it.
    if is_link or one.how in ("tls", "silent") or one.kind == "the mail server":
        return 0
    # Nobody gives visitors a private address.
    if _is_private(one.address) or one.kind != "HTTP":
        return GUESSED
    return SYMPTOM if _CALLED.search(one.variable) else 0


def _is_private(address: str) -> bool:
    host = host_of(address)
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return (
            host == "localhost"
            or host.endswith((".internal", ".local", ".lan"))
            or ("." not in host and not address.startswith("/"))
        )


def _signs_of(case: Case, one: Service) -> list[Sign]:
    """What the logs say about it: they name its address, or its host and its port apart."""
    host, _colon, port = one.address.rpartition(":")
    host = host.strip("[]")
    if one.address.startswith("/"):
        pattern = re.compile(re.escape(one.address))
    else:
        # Many things on this host have its own address: there the port must be named too.
        hosts = "|".join(map(re.escape, LOOPBACK if host in LOOPBACK else (host,)))
        end = rf"['\"\])]*[,:\s]+(?:port[\s=:]*)?{port}\b" if host in LOOPBACK else r"(?![\w.-])"
        pattern = re.compile(rf"(?<![\w.-])(?:{hosts}){end}", re.IGNORECASE)
    return [
        sign
        for sign in case.found.signs
        if tried(sign, case.found.services) is one
        or any(pattern.search(text) for text in (sign.about, *sign.lines))
    ]


_SAID = {
    "unknown": "is not known: its name cannot be resolved",
    "refused": "refuses connections",
    "silent": "does not answer",
    "timeout": "cannot be reached: the connection times out",
    "unreachable": "cannot be reached",
    "ended": "closes every connection",
    "missing": "is not there",
    "unwritable": "may not be used by the app",
}


def _said(one: Service) -> str:
    if one.how in ("denied", "tls"):
        return f"does not serve: {one.problem}" if one.how == "denied" else one.problem
    return _SAID.get(one.how, one.problem)


def _todo(case: Case, one: Service) -> str:
    host = case.host
    if one.kind == APP_FOLDER:
        return f"give {one.address} on {host} back to the app's user (`chown`, `chmod u+rwx`)"
    if one.of_unit and not one.unit_state.startswith("active"):
        unmask = f"`systemctl unmask {one.of_unit}`, then " if "masked" in one.unit_state else ""
        starts = f"{unmask}`systemctl start {one.of_unit}` on {host} starts it"
        return f"{starts}; `journalctl -u {one.of_unit}` says why it ended"
    if one.of_unit and one.how in ("refused", "missing"):
        compare = f"compare its configuration with {one.variable}"
        return f"{one.of_unit} runs, but not at {one.address}: {compare}"
    if one.how == "denied" and _MANY.search(one.problem):
        return f"use fewer connections (workers, pools), or let {_kind(one)} allow more"
    looks = f"look whether {_kind(one)} runs at {one.address}, and check {one.variable}"
    asks = f"`getent hosts {host_of(one.address)}` on {host}"
    return {
        "unknown": f"check the name in {one.variable}; {asks} looks it up",
        "unwritable": f"check {one.variable}, and the owner and mode of {one.address} on {host}",
        "missing": f"check {one.variable}, and whether {one.kind} runs on {host}",
        "timeout": f"check the address in {one.variable}, firewalls, and the route from {host}",
        "unreachable": f"check the address in {one.variable}, and the route from {host}",
        "tls": f"renew the certificate of {one.address}",
        "denied": f"look into the log of {_kind(one)} at {one.address}",
    }.get(one.how, looks)


_MANY = re.compile(r"too many|max number of clients|connection slots", re.IGNORECASE)
