"""The applications that tests deploy: WSGI without a framework, so that gunicorn alone is installed
with them. Where a test is about what an application does, it brings its own."""

from __future__ import annotations

# Answers what it is: its text, its own variables, the main process of its instance.
_PLAIN = """
import json
import os

TEXT = "{text}"


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/env/"):
        body = json.dumps(os.environ.get(path[len("/env/"):]))
    else:
        body = {"/": TEXT, "/healthz": "ok", "/pid": str(os.getppid())}.get(path)
    status = "404 Not Found" if body is None else "200 OK"
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [(body or "").encode()]
"""

# For every kind of visitor (`visitors.KINDS`): each answer says which release it is from.
_BUSY = """
import hashlib
import json
import os
import time
from urllib.parse import parse_qs

MARK = "{mark}"
VERSION = MARK + os.environ.get("SUFFIX", "")


def app(environ, start_response):
    path, query = environ["PATH_INFO"], parse_qs(environ.get("QUERY_STRING", ""))
    seconds = float(query.get("seconds", ["0"])[0])
    sick = path == "/healthz" and is_sick()
    start_response("500 Sick" if sick else "200 OK", [("Content-Type", "text/plain")])
    answer = {"version": VERSION, "pid": os.getpid()}
    if path == "/":
        return [MARK.encode()]
    if path == "/stream":
        return lines(int(query["pieces"][0]), seconds)
    if path == "/seen":
        for name in ("X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP"):
            answer[name] = environ.get("HTTP_" + name.upper().replace("-", "_"))
    if path == "/upload":
        answer["sha256"] = hashlib.sha256(environ["wsgi.input"].read()).hexdigest()
    time.sleep(seconds)
    return [json.dumps(answer).encode()]


def is_sick():
    return os.environ.get("HEALTH", "200") != "200" or os.path.exists("sick-" + MARK)


def lines(pieces, seconds):
    for number in range(pieces):
        time.sleep(seconds / pieces)
        yield json.dumps({"version": VERSION, "piece": number}).encode() + b"\\n"
    yield b"end\\n"
"""


def plain(text: str) -> str:
    """Says `text` at /, and is well."""
    return _PLAIN.replace("{text}", text)


def busy(mark: str) -> str:
    """Says its `mark` in every answer: at once, slowly, to an upload, piece by piece.

    Its variable SUFFIX stands behind the mark; /seen says what it was told of the visitor. It is
    ill with another HEALTH than 200, or where a file `sick-MARK` lies in its shared folder.
    """
    return _BUSY.replace("{mark}", mark)
