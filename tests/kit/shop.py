"""A site under load, and an application that says which release and process answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.kit.project import Project, new_project

# Like examples/hello, with a `mark` that tests change, and no template to render.
APP = """
import hashlib, json, os, time
from flask import Flask, Response, jsonify, request

app = Flask(__name__)
MARK = "{mark}"
VERSION = MARK + os.environ.get("SUFFIX", "")

@app.get("/")
def index():
    return MARK

@app.get("/healthz")
def healthz():
    code = int(os.environ.get("HEALTH", "200"))
    return jsonify(version=VERSION, pid=os.getpid()), code

@app.get("/slow")
def slow():
    time.sleep(float(request.args["seconds"]))
    return jsonify(version=VERSION)

@app.post("/upload")
def upload():
    return jsonify(version=VERSION, sha256=hashlib.sha256(request.get_data()).hexdigest())

@app.get("/stream")
def stream():
    pieces, seconds = int(request.args["pieces"]), float(request.args["seconds"])
    def lines():
        for number in range(pieces):
            time.sleep(seconds / pieces)
            yield json.dumps(dict(version=VERSION, piece=number)) + chr(10)
        yield "end" + chr(10)
    return Response(lines(), mimetype="text/plain")
"""

# Eight threads: a slow request must not stand in a quick one's way by itself.
SETTINGS = """
[app]
name = "shop"
source = "app"
entry = "app:app"

[tests]
skip = true

[health]
deadline_seconds = {deadline_seconds}

[gunicorn]
workers = 2
threads = 8

[deploy]
drain_seconds = {drain_seconds}
probation_seconds = {probation_seconds}
lease_seconds = {lease_seconds}
confirm_seconds = {confirm_seconds}

[env]
{env}
"""


@dataclass
class Shop:
    """The project of a shop: its next release differs by what `code` or `settings` say."""

    project: Project
    marks: int = 0

    def code(self) -> str:
        """New code; its mark, which /healthz tells."""
        self.marks += 1
        mark = f"mark{self.marks}"
        self.project.write("app/app.py", APP.replace("{mark}", mark))
        return mark

    def settings(
        self,
        env: str = "",
        *,
        drain_seconds: float = 3,
        probation_seconds: float = 0.5,
        lease_seconds: float = 5,
        confirm_seconds: float = 30,
        deadline_seconds: float = 6,
    ) -> None:
        self.project.settings(
            SETTINGS.format(
                env=env,
                drain_seconds=drain_seconds,
                probation_seconds=probation_seconds,
                lease_seconds=lease_seconds,
                confirm_seconds=confirm_seconds,
                deadline_seconds=deadline_seconds,
            )
        )


def new_shop(folder: Path) -> Shop:
    shop = Shop(new_project(folder))
    shop.project.write("app/requirements.txt", "flask>=3.0\n")
    shop.settings()
    shop.code()
    return shop
