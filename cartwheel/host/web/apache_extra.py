"""Lines of the user's own inside Apache's site: what would end a promise is refused.

Apache itself tests the rest, together with the site, before anything changes. The lines stand in a
macro, among the rewrite rules of the site, and before the rule that passes requests on.
"""

from __future__ import annotations

import re
from typing import Dict, Iterator, List, Optional, Tuple

_ENDS_ALL = "it would answer every request, so the application would get none"
_LOGS = "Cartwheel judges a release by the site's own logs"
_TWICE = "the site has it already"
_OUTSIDE = "it belongs outside of a site, in a file of the host's own"
_CHANGES = "write the lines themselves here: what is included could change later, untested"
_TOO_LATE = (
    "the site's rules decide before it: use RewriteRule with [R=301,L], or put it into <Location>"
)
_NO_EFFECT = "it would change nothing: the site's own rules have it"
_PATHS = "use [web.paths]"
_OWN = re.compile(r"cartwheel[-_]|/\.cartwheel|/\.well-known/acme-challenge", re.IGNORECASE)
# Refused everywhere.
_NEVER: Dict[str, str] = {
    **dict.fromkeys(("include", "includeoptional", "use"), _CHANGES),
    **dict.fromkeys(("loadmodule", "loadfile", "define", "undefine", "undefmacro"), _OUTSIDE),
    **dict.fromkeys(("listen", "virtualhost"), "use web.listen and tls.listen"),
    **dict.fromkeys(("macro", "error", "warning", "logformat", "protocolshonororder"), _OUTSIDE),
    **dict.fromkeys(("rewriteengine", "rewriteoptions"), "the site's rules need it as it is"),
    "limitrequestbody": (
        "it does not hold for what is passed on: use web.client_max_body_size, or [web.paths]"
    ),
    **dict.fromkeys(
        (
            *("setinputfilter", "setoutputfilter", "addinputfilter", "addoutputfilter"),
            *("filterchain", "filterprovider", "filterdeclare", "removeinputfilter"),
        ),
        "the site's own filters hold uploads and compress text",
    ),
    **dict.fromkeys(("balancermember", "proxyset"), _TWICE),
    "proxyrequests": "everybody could use the host as a proxy",
}
# Refused where it would hold for every request: what it would break, or what to use instead.
_REFUSED: Dict[str, str] = {
    **dict.fromkeys(("servername", "serveralias", "serverpath"), "use web.server_names"),
    **dict.fromkeys(("usecanonicalname", "usecanonicalphysicalport"), _TWICE),
    **dict.fromkeys(("customlog", "transferlog", "errorlog", "errorlogformat"), _LOGS),
    **dict.fromkeys(
        ("allowencodedslashes", "mergeslashes", "httpprotocoloptions"),
        "rules for paths need it as it is",
    ),
    **dict.fromkeys(("serversignature", "traceenable"), _TWICE),
    **dict.fromkeys(("proxypreservehost", "proxyaddheaders", "proxyvia"), _TWICE),
    **dict.fromkeys(("proxytimeout",), "use timeout_seconds in [web.paths]"),
    "timeout": "use web.body_timeout_seconds",
    "requestreadtimeout": "use web.header_timeout_seconds and web.body_timeout_seconds",
    **dict.fromkeys(("errordocument", "proxyerroroverride"), "use web.error_pages"),
    "protocols": "[tls] turns HTTP/2 on",
    **dict.fromkeys(("documentroot", "fallbackresource"), "use [web.static]"),
    **dict.fromkeys(("sethandler", "forcetype"), _ENDS_ALL),
    **dict.fromkeys(
        (
            "redirect",
            "redirectmatch",
            "redirectpermanent",
            "redirecttemp",
            "alias",
            "aliasmatch",
            "scriptalias",
            "scriptaliasmatch",
            "wsgiscriptalias",
            "proxypass",
            "proxypassmatch",
        ),
        _TOO_LATE,
    ),
    **dict.fromkeys(("require", "allow", "deny", "order", "satisfy"), _PATHS),
}
_PREFIXES: Dict[str, str] = {
    "ssl": "use [tls]",
    "remoteip": "use web.trusted_proxies",
    "auth": _PATHS,
}
# Sections that hold for every path still.
_TRANSPARENT = ("ifmodule", "ifdefine", "ifversion", "iffile", "ifdirective", "ifsection")
_METHODS = ("limit", "limitexcept")
_BY_PATH = ("location", "locationmatch", "directory", "directorymatch", "files", "filesmatch")
_EVERYTHING = re.compile(r"\^?/?(?:\(?\.?[*+]\)?)?\$?")
# The site sets or removes them behind these lines.
_HEADERS = re.compile(
    r"(?:Host|X-Forwarded-\S+|X-Real-IP|X-Request-ID|Forwarded|Proxy|Upgrade)\Z", re.IGNORECASE
)
# RewriteRule's pattern and flags.
_ANY_PATH = re.compile(r"!?\^?/?(?:\(?\.[*+]\)?)?\$?")
_JUMPS = {
    "S": "it could skip rules of the site",
    "SKIP": "it could skip rules of the site",
    "N": "it would begin with the site's rules again",
    "NEXT": "it would begin with the site's rules again",
}
_ENDS = {"L", "LAST", "END", "F", "FORBIDDEN", "G", "GONE", "P", "PROXY"}
_WORD = re.compile(r'"((?:\\.|[^"\\])*)"|\'((?:\\.|[^\'\\])*)\'|(\S+)')
# One section around a line: its name, whether its paths are all paths, and its own line.
_Section = Tuple[str, bool, int]


def problems(text: str) -> Iterator[Tuple[int, str]]:
    """Each mistake, with the number of its line in the text."""
    opened: List[_Section] = []
    rules = _Rules()
    for number, line in enumerate(text.split("\n"), 1):
        said = line.strip()
        if said.endswith("\\"):
            yield number, "a `\\` at its end: write it on one line, so that mistakes have a line"
            return
        if not said or said.startswith("#"):
            continue
        if said.startswith("</"):
            problem = _closed(said[2:].rstrip(">").strip(), opened)
            if problem:
                yield number, problem
                return
            opened.pop()
            continue
        words = _words(said[1:].rstrip(">") if said.startswith("<") else said)
        problem = _problem(words, opened, said.startswith("<")) or rules.problem(words, number)
        if problem:
            yield number, f"{words[0]}: {problem}"
        if said.startswith("<"):
            opened.append((words[0].lower(), _is_everything(words, opened), number))
    yield from rules.left()
    for name, _all, number in opened:
        yield number, f"{name}: its section is not closed"


def _words(text: str) -> List[str]:
    return [double or single or plain for double, single, plain in _WORD.findall(text)] or [""]


def _closed(name: str, opened: List[_Section]) -> Optional[str]:
    if not opened:
        return f"</{name}> closes nothing here: it would close a section of the site"
    if name.lower() != opened[-1][0]:
        return f"</{name}> does not close <{opened[-1][0]}> of line {opened[-1][2]}"
    return None


def _is_everything(words: List[str], opened: List[_Section]) -> bool:
    """Whether a section holds for every path, as far as the sections around it do."""
    name, path = words[0].lower(), words[-1]
    around = all(section[1] for section in opened)
    if name in _TRANSPARENT or name in _METHODS:
        return around
    return around and name in _BY_PATH and _EVERYTHING.fullmatch(path) is not None


def _problem(words: List[str], opened: List[_Section], opens: bool) -> Optional[str]:
    is_everywhere = all(section[1] for section in opened)
    return _never(words, opens) or (_site_problem(words) if is_everywhere else None)


def _never(words: List[str], opens: bool) -> Optional[str]:
    """What is wrong with a line wherever it stands."""
    name = words[0].lower()
    own = next((word for word in words if _OWN.search(word)), None)
    if own is not None:
        return f"{own} is Cartwheel's own"
    if opens and name in ("proxy", "proxymatch") and re.search(r"[*^.]", words[-1]):
        return "it would hold for the site's own way to the application"
    if name == "setenv" and words[1:] and re.match(r"proxy-|force-", words[1], re.IGNORECASE):
        return _NO_EFFECT
    return _NEVER.get(name)


def _site_problem(words: List[str]) -> Optional[str]:
    """What is wrong with a line that holds for every request."""
    name = words[0].lower()
    if name == "requestheader" and any(_HEADERS.match(word) for word in words[2:3]):
        return _NO_EFFECT
    by_prefix = (said for prefix, said in _PREFIXES.items() if name.startswith(prefix))
    return _REFUSED.get(name) or next(by_prefix, None)


class _Rules:
    """The rewrite rules among the lines: those of the site follow."""

    def __init__(self) -> None:
        self._conditions: List[int] = []
        self._chained: Optional[int] = None

    def problem(self, words: List[str], number: int) -> Optional[str]:
        name = words[0].lower()
        if name == "rewritecond":
            self._conditions.append(number)
        if name != "rewriterule":
            return None
        is_limited = bool(self._conditions) or self._chained is not None
        flags = _flags(words[3] if len(words) > 3 else "")
        self._conditions = []
        self._chained = number if flags & {"C", "CHAIN"} else None
        return _rule_problem(words, flags, is_limited)

    def left(self) -> Iterator[Tuple[int, str]]:
        for number in self._conditions:
            yield number, "RewriteCond: no RewriteRule follows, so a rule of the site would have it"
        if self._chained is not None:
            yield self._chained, "RewriteRule: [C] would chain it to a rule of the site"


def _rule_problem(words: List[str], flags: "set[str]", is_limited: bool) -> Optional[str]:
    if len(words) < 3:
        return None  # Apache says what is missing
    jump = next((said for flag, said in _JUMPS.items() if flag in flags), None)
    if jump:
        return jump
    answers = bool(flags & _ENDS) or bool(flags & {"R", "REDIRECT"})
    if not answers and words[2] != "-":
        return "it would change nothing: the application gets the path as it came; use [R] or [L]"
    if answers and not is_limited and _ANY_PATH.fullmatch(words[1]):
        return _ENDS_ALL
    return None


def _flags(text: str) -> "set[str]":
    return {re.split(r"[=|]", one.strip())[0].upper() for one in text.strip("[]").split(",")}
