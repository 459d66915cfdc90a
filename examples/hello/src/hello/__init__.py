"""A small Flask application: a page, a health check, a slow answer, an upload, a stream."""

import hashlib
import json
import os
import time
from importlib.metadata import version

from flask import Flask, Response, jsonify, render_template, request

LONGEST_SECONDS = 60.0
PIECES_LIMIT = 1000
UPLOAD_LIMIT_BYTES = 64 * 1024 * 1024
CHUNK_BYTES = 64 * 1024

VERSION = version("hello")


def create_app():
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = UPLOAD_LIMIT_BYTES

    @app.get("/")
    def index():
        greeting = os.environ.get("HELLO_GREETING", "Hello from Cartwheel")
        return render_template("index.html", greeting=greeting, version=VERSION)

    @app.get("/healthz")
    def healthz():
        """The live version, for the health check and for people who watch a switch."""
        return jsonify(status="ok", version=VERSION, pid=os.getpid())

    @app.get("/slow")
    def slow():
        """Answers after `?seconds=`, to show what a deploy does to running requests."""
        seconds = request.args.get("seconds", default=1.0, type=float)
        seconds = min(max(seconds, 0.0), LONGEST_SECONDS)
        time.sleep(seconds)
        return jsonify(slept_seconds=seconds, version=VERSION)

    @app.post("/upload")
    def upload():
        """Reads the body and returns its length in bytes and its SHA-256."""
        digest, length = hashlib.sha256(), 0
        while chunk := request.stream.read(CHUNK_BYTES):
            digest.update(chunk)
            length += len(chunk)
        return jsonify(bytes=length, sha256=digest.hexdigest(), version=VERSION)

    @app.get("/stream")
    def stream():
        """Sends `?pieces=` lines over `?seconds=`, then `end`; a switch must not cut it off."""
        pieces = min(max(request.args.get("pieces", default=8, type=int), 1), PIECES_LIMIT)
        seconds = request.args.get("seconds", default=1.0, type=float)
        pause = min(max(seconds, 0.0), LONGEST_SECONDS) / pieces

        def lines():
            for number in range(pieces):
                time.sleep(pause)
                yield json.dumps({"piece": number, "version": VERSION}) + "\n"
            yield "end\n"

        return Response(lines(), mimetype="text/plain")

    return app


app = create_app()
