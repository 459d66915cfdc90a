"""Which statements of ssh_config(5) `ssh` refuses, also where they do not apply; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cartwheel.errors import UsageError
from cartwheel.ssh.address import parse_address
from cartwheel.ssh.arguments import HONOURED, WITHOUT_EFFECT
from cartwheel.ssh.found import FILE_LISTS, Value, family_of, fits, port_of, refused, seconds_of
from cartwheel.ssh.syntax import Statement

# Keywords that take exactly one word here.
_SINGLE = frozenset(
    {"addressfamily", "bindaddress", "bindinterface", "canonicalizehostname", "certificatefile"}
    | {"connecttimeout", "hostkeyalias", "hostname", "identitiesonly", "identityagent"}
    | {"identityfile", "identityfile2", "ignoreunknown", "port", "proxyusefdpass"}
    | {"refuseconnection", "tag", "user"}
)
# The remaining keywords of ssh, then those of macOS, Debian and Fedora.
_OTHERS = frozenset(
    {"afstokenpassing", "canonicaldomains", "canonicalizefallbacklocal", "canonicalizemaxdots"}
    | {"canonicalizepermittedcnames", "casignaturealgorithms", "channeltimeout", "cipher"}
    | {"compressionlevel", "dsaauthentication", "dynamicforward", "enablesshkeysign"}
    | {"fallbacktorsh", "forkafterauthentication", "gatewayports", "globalknownhostsfile2"}
    | {"host", "hostbasedacceptedalgorithms", "hostbasedkeytypes", "include", "keepalive"}
    | {"kbdinteractivedevices", "kerberosauthentication", "kerberostgtpassing"}
    | {"knownhostscommand", "localcommand", "localforward", "logverbose", "match"}
    | {"obscurekeystroketiming", "permitremoteopen", "pkcs11provider", "protocol"}
    | {"remotecommand", "remoteforward", "rhostsauthentication", "rhostsrsaauthentication"}
    | {"rsaauthentication", "securitykeyprovider", "sessiontype", "skeyauthentication"}
    | {"smartcarddevice", "stdinnull", "streamlocalbindmask", "streamlocalbindunlink"}
    | {"tisauthentication", "tunnel", "tunneldevice", "useprivilegedport", "userknownhostsfile2"}
    | {"useroaming", "usersh", "versionaddendum", "warnweakcrypto", "xauthlocation"}
    | {"gssapiclientidentity", "gssapikexalgorithms", "gssapirenewalforcesrekey"}
    | {"gssapiserveridentity", "gssapitrustdns", "protocolkeepalives", "setuptimeout"}
    | {"usekeychain"}
)
_KNOWN = HONOURED | WITHOUT_EFFECT | _SINGLE | _OTHERS | set(FILE_LISTS)


def check(said: Statement, *, ignored: str = "") -> None:
    """Raises UsageError `ssh-config`, with file and line. `ignored`: the value of IgnoreUnknown."""
    keyword, words = said.keyword, said.words
    if keyword not in _KNOWN:
        if fits(keyword, ignored.lower().split(",")):
            return
        raise refused(said.place, f"`{keyword}` is not an option of ssh_config")
    if not all(words) or not (words or keyword in FILE_LISTS):
        raise refused(said.place, f"`{keyword}` has no value")
    if keyword in _SINGLE and len(words) > 1:
        raise refused(said.place, f"`{keyword}` takes one value; `{words[1]}` is too much")
    if keyword in FILE_LISTS and len(words) > 1 and "none" in map(str.lower, words):
        raise refused(said.place, f"`none` must be the only value of `{keyword}`")
    if keyword in _CHECKS:
        _CHECKS[keyword](Value(words[0], said.place))


def _flag(value: Value) -> None:
    if value.text.lower() not in ("yes", "true", "no", "false"):
        raise refused(value.place, f"{value.text} is neither yes nor no")


def _canonicalize(value: Value) -> None:
    if value.text.lower() != "always":
        _flag(value)


def _jump(value: Value) -> None:
    if value.text.lower() == "none":
        return
    for hop in value.text.partition("#")[0].rstrip().split(","):
        try:
            at = parse_address(hop)
        except UsageError as error:
            raise refused(value.place, f"`{hop}` in ProxyJump is not a host") from error
        if ":" in at.host and "[" not in hop:
            raise refused(value.place, f"`{hop}` in ProxyJump: write [ADDRESS]")


_CHECKS: Mapping[str, Callable[[Value], object]] = {
    "addressfamily": family_of,
    "canonicalizehostname": _canonicalize,
    "connecttimeout": seconds_of,
    "identitiesonly": _flag,
    "port": port_of,
    "proxyjump": _jump,
    "proxyusefdpass": _flag,
}
