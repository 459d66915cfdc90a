"""Why a certificate authority gave no certificate, in its own words, from certbot's log.

certbot's output is no help: for a refused name version 2.1 prints an AttributeError.
"""

from __future__ import annotations

import json
import re
from typing import Dict, Iterator, List

_URN = "urn:ietf:params:acme:error:"
# A problem in an authority's answer (RFC 8555, 6.7): of the request, or one for each name.
_TYPE = re.compile(r"\"type\":\s*\"" + re.escape(_URN))
_AS_TEXT = re.compile(re.escape(_URN) + r"(\w+) :: (.+)")
_EXCEPTION = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception|Timeout)\w*: (.+)$", re.MULTILINE)
# The client should retry after this error (RFC 8555, 6.5); certbot retries only once.
_PASSING = "badNonce"
_MOST = 3
_DECODER = json.JSONDecoder()


def words(log: str) -> str:
    """All that went wrong, on one line; "" if the log does not say."""
    found = list(dict.fromkeys(_problems(log))) or list(dict.fromkeys(_as_text(log)))
    lasting = [one for one in found if not one.startswith(_URN + _PASSING)]
    found = lasting or found
    if not found:
        return _exception(log)
    more = len(found) - _MOST
    return "; ".join(found[:_MOST]) + (f"; and {more} more" if more > 0 else "")


def is_passing(log: str) -> bool:
    """Whether asking again is all that is to be done."""
    return words(log).startswith(_URN + _PASSING)


def is_account_unknown(log: str) -> bool:
    """Whether the authority knows nothing of the account."""
    return words(log).startswith(_URN + "accountDoesNotExist")


def _problems(log: str) -> Iterator[str]:
    for match in _TYPE.finditer(log):
        try:
            one: Dict[str, object] = _DECODER.raw_decode(log, log.rindex("{", 0, match.start()))[0]
        except ValueError:
            continue
        kind = str(one.get("type", ""))
        if kind.startswith(_URN):
            yield _line(kind, str(one.get("detail", "")))


def _as_text(log: str) -> Iterator[str]:
    """certbot's own text of a problem: TYPE :: what the type means :: the detail."""
    for match in _AS_TEXT.finditer(log):
        parts: List[str] = match.group(2).split(" :: ", 1)
        yield _line(_URN + match.group(1), parts[-1])


def _exception(log: str) -> str:
    found = _EXCEPTION.findall(log)
    return _line("", found[-1]) if found else ""


def _line(kind: str, detail: str) -> str:
    text = " ".join(detail.split())
    return f"{kind}: {text}" if kind and text else kind or text
