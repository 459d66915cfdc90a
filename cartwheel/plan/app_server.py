"""Why the locked gunicorn cannot serve the application as the settings say; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from cartwheel.build.lock import hashed_pins
from cartwheel.plan.host_plan import Refusal
from cartwheel.settings.toml_tables import Settings

if TYPE_CHECKING:
    from cartwheel.build.products import Lock
    from cartwheel.host.wire.facts import Facts

SLUG = "app-server"
# Earlier ones do not read the application from the configuration (before 20.1), or set the user
# that they already are, which the unit's sandbox forbids.
OLDEST = Version("21.2.0")
OLDEST_ASGI = Version("24.0.0")
_OLDEST_PYTHON_ASGI = Version("3.10")
# The distribution that a worker class needs, by the first part of its name.
_WORKERS = {
    "gevent": "gevent",
    "gevent_wsgi": "gevent",
    "gevent_pywsgi": "gevent",
    "eventlet": "eventlet",
    "tornado": "tornado",
    "uvicorn": "uvicorn",
    "uvicorn_worker": "uvicorn-worker",
}


def server_refusals(settings: Settings, facts: Facts, lock: Lock) -> Iterator[Refusal]:
    """Everything that is certain before the packages are installed."""
    pins = {name: version for name, (version, _hashes) in hashed_pins(lock.text).items()}
    yield from (Refusal(SLUG, message) for message in _asgi_python(settings, facts))
    if "gunicorn" in pins:
        yield from (Refusal(SLUG, message) for message in _gunicorn(settings, pins))
        yield from (Refusal(SLUG, message) for message in _worker(settings, pins))


def _asgi_python(settings: Settings, facts: Facts) -> Iterator[str]:
    if settings.gunicorn.worker != "asgi" or facts.python is None:
        return
    if (found := _version(facts.python.version)) and found < _OLDEST_PYTHON_ASGI:
        yield (
            f"gunicorn's own ASGI worker needs Python {_OLDEST_PYTHON_ASGI}, and the app runs on"
            f' {found}: set gunicorn.kind = "uvicorn", or app.python'
        )


def _gunicorn(settings: Settings, pins: Mapping[str, str]) -> Iterator[str]:
    found = _version(pins["gunicorn"])
    if found is None:
        return
    wanted = OLDEST_ASGI if settings.gunicorn.worker == "asgi" else OLDEST
    if found < wanted:
        why = "for gunicorn.kind asgi" if wanted == OLDEST_ASGI else "to serve an app"
        yield f"gunicorn {found} is too old {why}: require gunicorn>={wanted}"


def _worker(settings: Settings, pins: Mapping[str, str]) -> Iterator[str]:
    worker = settings.gunicorn.worker
    needed = _WORKERS.get(worker.partition(".")[0])
    if needed is not None and needed not in pins:
        yield (
            f"the worker class {worker} needs {needed}, which is not among the packages: add it to"
            " app.requirements, or choose another gunicorn.kind or gunicorn.worker_class"
        )


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
