"""The applications that tests deploy, without a framework, so that they need only their server.
A test of an application's own behaviour has its own."""

from __future__ import annotations

# Answers with its text, its own variables, or the main process of its instance.
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

# For every kind of visitor (`visitors.KINDS`): each answer names its release.
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
        for name in (*("X-Forwarded-" + each for each in ("For", "Proto", "Port", "Host")),
                     "X-Real-IP", "X-Request-ID"):
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

# A websocket names its release, and then answers what it gets.
_CHAT = """
TEXT = "{text}"


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await echo(receive, send)
    elif scope["type"] == "http":
        head = [(b"content-length", str(len(TEXT)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": TEXT.encode()})


async def echo(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": TEXT})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": TEXT + ": " + message["text"]})
"""


def plain(text: str) -> str:
    """An application that answers `text` at / and is healthy."""
    return _PLAIN.replace("{text}", text)


def busy(mark: str) -> str:
    """An application that names its `mark` in every answer, also to uploads and in streams.

    Its variable SUFFIX is appended to the mark; /seen shows the headers that describe the visitor.
    It is unhealthy if HEALTH is not 200, or if its shared folder contains a file `sick-MARK`.
    """
    return _BUSY.replace("{mark}", mark)


def chat(mark: str) -> str:
    """An ASGI application that answers its `mark` everywhere, and at the start of a websocket,
    which then repeats each message after the mark. It needs `websockets`."""
    return _CHAT.replace("{text}", mark)
