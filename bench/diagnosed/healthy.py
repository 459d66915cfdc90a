"""Hosts that are well and busy: `fab diagnose` must find nothing on them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.diagnosed.site import PAGES, USUAL, Answer, Site, Variant
from bench.diagnosed.visitors import Page
from tests.kit.project import CHECKOUT, new_project

LOAD_SECONDS = 20.0
Act = Callable[[Site], None]

HTTPS = replace(USUAL, certificate_days=(-10, 80))


def nothing(_site: Site) -> None:
    return None


@dataclass(frozen=True)
class Healthy:
    """A host under load. `act` happens in the middle of it."""

    name: str
    act: Act = nothing
    variant: Variant = USUAL
    pages: tuple[Page, ...] = PAGES
    begin: str = ""

    def diagnosed(self, site: Site) -> Answer:
        if site.variant != self.variant:
            site.deploy(self.variant)
            site.settle()
        site.sh(self.begin)
        with site.visited(self.pages):
            time.sleep(LOAD_SECONDS / 2)
            self.act(site)
            time.sleep(LOAD_SECONDS / 2)
            return site.diagnose()


def run_timer(site: Site) -> None:
    for _ in range(3):
        site.fab("timer.run", "--name", "tidy", "--follow")


def new_code(site: Site) -> None:
    site.deploy(site.variant or USUAL)


def roll_back(site: Site) -> None:
    new_code(site)
    site.fab("rollback")


def restart(site: Site) -> None:
    site.fab("restart")


def boot(site: Site) -> None:
    """Shut it down as somebody does it, and boot it."""
    site.host.exec(["systemctl", "poweroff", "--no-block"])
    deadline = time.monotonic() + 30
    init = site.host.init
    while init.alive and time.monotonic() < deadline:
        time.sleep(0.2)
    site.host.power_cut()
    site.host.boot()
    site.settle()


@dataclass(frozen=True)
class Django(Healthy):
    """examples/notes beside the shop, with its visitors."""

    def diagnosed(self, site: Site) -> Answer:
        project = new_project(site.project.folder.parent / "notes", name="notes")
        shutil.copytree(CHECKOUT / "examples/notes", project.folder / "notes")
        project.write("key", "a-long-secret-key-for-the-bench-0123456789")
        settings = (CHECKOUT / "examples/notes/cartwheel.toml").read_text()
        settings = settings.replace('source = "."', 'source = "notes"').replace(
            "~/.config/notes/django-secret-key", "key"
        )
        project.settings(settings.replace("[tests]", "[tests]\nskip = true"))
        notes = Site(site.host, project, name="notes.example.org")
        for task in ("setup", "deploy"):
            notes.fab(task)
        with notes.visited(self.pages):
            time.sleep(LOAD_SECONDS)
            return notes.diagnose()


HEALTHY: tuple[Healthy, ...] = (
    Healthy("HTTP"),
    Healthy("HTTPS", variant=HTTPS),
    Healthy("a timer's runs", run_timer),
    Healthy("a deploy", new_code),
    Healthy("a rollback", roll_back),
    Healthy("fab restart", restart),
    Healthy("a new certificate", new_code, HTTPS),
    Healthy(
        "missing pages, impatient visitors, a rare 500",
        pages=(
            *PAGES,
            Page("/favicon.ico"),
            Page("/wp-login.php"),
            Page("/orders/*/print"),
            Page("/report?year=*", patience_seconds=0.004, pause_seconds=0.4),
            Page("/sometimes", pause_seconds=0.1),
        ),
    ),
    Healthy("a slow report", begin="mode slow 1.5"),
    Healthy(
        "gunicorn replaces its workers",
        variant=replace(
            USUAL,
            gunicorn="workers = 2\nthreads = 4\nmax_requests = 80\nmax_requests_jitter = 20",
        ),
    ),
    Healthy("a reboot", boot),
    Django("Django", pages=(Page("/", clients=3), Page("/admin/login/", clients=2))),
)
