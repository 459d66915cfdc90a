"""Releases that are no good: each is refused with one line, and the old one serves on.

The table says what is wrong with the release and what a person reads. Every case runs the
real `fab deploy` against a host that serves, with a visitor who must not notice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit import apps
from tests.kit.stage import Stage
from tests.kit.tiers import tiered

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Bad:
    """One release that is no good. `says` is in the one line, `log` in what is printed above it
    and in the kept log file."""

    name: str
    slug: str
    says: tuple[str, ...]
    code: Exit = Exit.FAILED
    source: str = apps.plain("bad")
    requirements: str = ""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    log: str = ""
    journal: Literal["failed", "reverted"] = "failed"


ANSWERS = """
def app(environ, start_response):
    start_response("{status}", [("Content-Type", "text/plain")])
    return [b"the reason"]
"""

DIES = """
import os, threading, time
def watch():
    # Two seconds after the switch: when the link names this release.
    mine = os.environ["CARTWHEEL_RELEASE"]
    while os.readlink("/srv/shop/current") != "releases/" + mine:
        time.sleep(0.02)
    time.sleep(2)
    print("giving up for a good reason", flush=True)
    os.kill(os.getppid(), 9)
threading.Thread(target=watch, daemon=True).start()
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%s"]
"""

CASES = [
    Bad(
        "crashes-at-import",
        "import-failed",
        ("app:app", "RuntimeError: no luck today"),
        source='raise RuntimeError("no luck today")\napp = None\n',
        log="RuntimeError: no luck today",
    ),
    Bad(
        "crashes-at-import-only-when-it-serves",
        "unhealthy",
        ("RuntimeError: no luck as a service",),
        source="import sys\nif '--check-config' not in sys.argv:\n"
        "    raise RuntimeError('no luck as a service')\n" + apps.plain("bad"),
        log="RuntimeError: no luck as a service",
    ),
    Bad(
        "hangs-at-start",
        "import-failed",
        ("app:app", "within 4 s"),
        source="print('waiting for a friend', flush=True)\nimport time\ntime.sleep(3600)\n"
        "app = None\n",
        log="waiting for a friend",
    ),
    Bad(
        "hangs-at-start-only-when-it-serves",
        "unhealthy",
        ("after 4 s", "/healthz"),
        source="import sys, time\nprint('waiting for a friend', flush=True)\n"
        "if '--check-config' not in sys.argv:\n    time.sleep(3600)\n" + apps.plain("bad"),
        log="waiting for a friend",
    ),
    Bad(
        "answers-500",
        "unhealthy",
        ("/healthz answered 500 instead of 200", "the reason"),
        source=ANSWERS.format(status="500 Oh No"),
        log="Listening at",
    ),
    Bad(
        "answers-404",
        "unhealthy",
        ("not healthy", "/healthz answered 404 instead of 200"),
        source=ANSWERS.format(status="404 Not Found"),
        log="Listening at",
    ),
    Bad(
        "dies-after-the-switch",
        "reverted",
        ("after the switch", "rolled back to"),
        code=Exit.REVERTED,
        source=DIES,
        settings={"deploy": {"probation_seconds": 4}},
        log="giving up for a good reason",
        journal="reverted",
    ),
    Bad(
        "lacks-a-dependency",
        "import-failed",
        ("app:app", "No module named 'left_pad'"),
        source="import left_pad\n" + apps.plain("bad"),
        log="No module named 'left_pad'",
    ),
    Bad(
        "no-such-callable",
        "import-failed",
        ("app:nope", "Failed to find attribute 'nope' in 'app'"),
        source=apps.plain("bad") + "\nglobals()\n",  # so nobody knows before it runs
        settings={"app": {"entry": "app:nope"}},
        log="nope",
    ),
    Bad(
        "no-such-module",
        "import-failed",
        ("nowhere:app", "No module named 'nowhere'"),
        settings={"app": {"entry": "nowhere:app"}},
        log="No module named 'nowhere'",
    ),
    Bad(
        "worker-class-not-installed",
        "unhealthy",
        ("No module named 'nowhere'",),
        settings={"gunicorn": {"worker_class": "nowhere.Worker"}},
        log="nowhere.Worker",
    ),
]


@pytest.fixture(scope="module")
def stage(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A host that serves a good release."""
    stage = Stage(module_host, tmp_path_factory.mktemp("project"))
    stage.next_version()
    done = stage.fab("setup")
    assert done.code == 0, done.out + done.err
    stage.deploy_well()
    return stage


@pytest.fixture
def serving(stage: Stage) -> Iterator[Stage]:
    yield stage
    stage.configure()


# The other cases cover the same messages.
SWEPT = {
    "answers-404",
    "no-such-module",
    "hangs-at-start",
    "hangs-at-start-only-when-it-serves",
    "no-such-callable",
    "lacks-a-dependency",
    "worker-class-not-installed",
    "crashes-at-import-only-when-it-serves",
    "answers-500",
}


@pytest.mark.parametrize(
    "bad",
    tiered(CASES, nightly=SWEPT),
    ids=lambda bad: bad.name,
)
def test_a_bad_release_changes_nothing(serving: Stage, bad: Bad) -> None:
    source = bad.source
    if bad.source is DIES:  # visitors see it for two seconds: it answers like the old one
        source = DIES % serving.body()
    serving.app(source, bad.requirements)
    serving.configure(**bad.settings)
    attempt = serving.attempt("deploy")
    attempt.assert_told(bad.slug, bad.code, bad.says)
    attempt.assert_untouched()
    assert bad.log in attempt.err
    (line,) = attempt.new_lines
    assert line["result"] == bad.journal
    (log,) = attempt.new_logs
    assert log.startswith(f"/var/log/cartwheel/shop/{line['release']}.")
    assert bad.log in serving.host.sh(f"cat {log}")
    assert serving.host.sh(f"stat -c '%a %U:%G' {log}") == "640 root:adm\n"


def test_the_next_deploy_works_after_all_that(serving: Stage) -> None:
    serving.deploy_well()
