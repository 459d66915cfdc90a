"""All about one project: what is watched, what is known, and whom it tells."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import replace
from typing import Dict, Iterator, List, Optional

from cartwheel_monitor import language, messages, past, remembered, rows, unread
from cartwheel_monitor.database import Keeping
from cartwheel_monitor.heartbeat import Heartbeat
from cartwheel_monitor.judge import Judge, Watched
from cartwheel_monitor.language import _
from cartwheel_monitor.limits import DEFAULTS, Limits
from cartwheel_monitor.messages import Facts
from cartwheel_monitor.observations import Look, Probe
from cartwheel_monitor.past import Past
from cartwheel_monitor.places import Places
from cartwheel_monitor.quiet import Silence
from cartwheel_monitor.records import Json
from cartwheel_monitor.store import Store
from cartwheel_monitor.telling import Telling
from cartwheel_monitor.watch_list import Host, WatchList

_KEEP_SECONDS = 2.0
_DAY = 86400.0


class Desk:
    """Used by the watcher's loop alone. Its store, its telling and its heartbeat have threads of
    their own, so that no disk and no messenger holds the loop up."""

    def __init__(self, listed: WatchList, places: Places) -> None:
        self.listed = listed
        keeping = Keeping(listed.history_days, listed.history_bytes)
        self._store = Store(places.project(listed.project), keeping=keeping)
        opened = self._store.open()
        self._past = Past(self._store.path)
        self._past.start(time.time())
        self._judge = Judge(
            watched_by(listed),
            limits=limits_of(listed),
            history=self._past,
            state=opened.state,
            now=time.time(),
        )
        addresses = {name: one.reveal() for name, one in listed.messengers.items()}
        self._telling = Telling(addresses, self._store.submit, spoken=listed.language)
        self._telling.start(self._store.path)
        self._heartbeat: Optional[Heartbeat] = None
        if listed.heartbeat:
            self._heartbeat = Heartbeat(listed.heartbeat.reveal())
            self._heartbeat.start()
        self.cursors: Dict[str, str] = dict(opened.cursors)
        self._kept = 0.0
        self.probes: Dict[str, Probe] = {}
        self.looks: Dict[str, Look] = {}
        self._answered = self._last_answered()

    def close(self) -> None:
        """Write what waits."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
        self._telling.stop()
        self._store.keep(self._judge.state(), cursors=self.cursors, at=time.time())
        self._store.close()
        self._past.stop()

    def probed(self, probe: Probe) -> None:
        """A site was asked."""
        with language.within(self.listed.language):
            self._probed(replace(probe, problem=language.said(probe.problem)))

    def _probed(self, probe: Probe) -> None:
        self.probes[probe.site] = probe
        self._judge.probed(probe)
        self._store.put(f"probe:{probe.site}", remembered.probe_text(probe))
        self._store.add([rows.of_probe(probe)])

    def looked(self, host: Host, look: Look) -> None:
        """A host was looked into; other projects' applications there are left out."""
        with language.within(self.listed.language):
            self._looked(host, replace(look, problem=language.said(look.problem)))

    def _looked(self, host: Host, look: Look) -> None:
        if look.seen is not None:
            apps = tuple(one for one in look.seen.apps if one.app in host.apps)
            parts = {
                what: why
                for what, why in look.seen.unread.items()
                if unread.app_of(what) in ("", *host.apps)
            }
            look = replace(look, seen=replace(look.seen, apps=apps, unread=parts))
        before = self._judge.looks.get(host.name)
        self._judge.looked(look)
        if look.seen is not None:
            self.cursors[host.name] = look.seen.cursor
        self._store.add(rows.of_look(look, before))
        self.looks[host.name] = look
        self._remember(look)

    def _remember(self, look: Look) -> None:
        """What the page shows beside numbers."""
        last = self._judge.looks.get(look.host) or self._answered.get(look.host)
        self._store.put(f"look:{look.host}", remembered.look_text(look, last))
        if look.seen is not None and any(
            app.entries or app.past or app.live for app in look.seen.apps
        ):
            self._store.submit(lambda db: remembered.write(db, look))

    def _last_answered(self) -> Dict[str, Look]:
        """Of the time before this start: what a host said that has not said anything since."""
        try:
            kept = remembered.last_looks(past.kept(self._store.path))
        except (OSError, sqlite3.Error):
            return {}
        return {host: Look(host, one.seen_at, one.seen) for host, one in kept.items()}

    def next_probe(self, probe: Probe) -> float:
        """When to ask that site again, in seconds since the epoch."""
        return self._judge.next_probe(probe.app, probe.site, probe.at, self.listed.every)

    def next_look(self, look: Look) -> float:
        """When to look into that host again."""
        return self._judge.next_look(look.host, look.at, self.listed.every)

    def silence(self, one: Silence) -> None:
        """Tell nobody until then; one that ends at once ends those about the same."""
        self._judge.end_silences(one.app, one.host)
        if one.until > time.time():
            self._judge.silence(one)

    def turn(self, now: float) -> None:
        """Tell people what is new, and keep what must survive a restart."""
        told = self._judge.news(now)
        with language.within(self.listed.language):
            if told:
                facts = Facts(self._judge.releases, self._judge.deployed)
                self._telling.tell([messages.of(one, facts, now) for one in told])
            self._telling.tell([messages.of_note(note) for note in self._store.notes()])
        if told or now - self._kept >= _KEEP_SECONDS:
            self._store.keep(self._judge.state(), told, cursors=self.cursors, at=now)
            self._kept = now
        if self._heartbeat is not None:
            self._heartbeat.beat()

    # For `status`

    def problems(self) -> List[str]:
        """What is wrong with the monitor itself."""
        with language.within(self.listed.language):
            return list(self._problems())

    def _problems(self) -> Iterator[str]:
        health = self._store.health
        if health.trouble:
            yield _("its store cannot be written: {why}").format(why=health.trouble)
        if health.lost:
            yield _("{count} looks were never kept").format(count=health.lost)
        for one in self._telling.reached():
            if one.problem:
                yield _("{name} was not told ({count} waiting): {why}").format(
                    name=one.name, count=one.waiting, why=one.problem
                )
            if one.given_up:
                yield _("{name} never heard of {count} messages").format(
                    name=one.name, count=one.given_up
                )
        sent = self._heartbeat.sent if self._heartbeat is not None else None
        if sent is not None and sent.problem:
            yield _("heartbeat: {why}").format(why=language.said(sent.problem))

    def itself(self) -> Dict[str, Json]:
        """How it keeps and tells; no address is in it."""
        health, sent = self._store.health, self._heartbeat.sent if self._heartbeat else None
        with language.within(self.listed.language):
            beaten = language.said(sent.problem) if sent else ""
        return {
            "store": {
                "trouble": health.trouble,
                "since": health.since,
                "waiting": health.waiting,
                "lost": health.lost_ever,
            },
            "messengers": [
                {
                    "name": one.name,
                    "waiting": one.waiting,
                    "problem": one.problem,
                    "since": one.since,
                    "tries": one.tries,
                    "given_up": one.given_up,
                }
                for one in self._telling.reached()
            ],
            "heartbeat": {"at": sent.at, "problem": beaten} if sent else None,
        }

    @property
    def judge(self) -> Judge:
        return self._judge


def watched_by(listed: WatchList) -> Watched:
    """What the judge must know of a list."""
    apps: Dict[str, frozenset[str]] = {}
    for site in listed.sites:
        apps[site.app] = apps.get(site.app, frozenset()) | frozenset(site.hosts)
    sites = frozenset(site.url for site in listed.sites)
    return Watched(frozenset(one.name for one in listed.hosts), apps, sites)


def limits_of(listed: WatchList) -> Limits:
    """The limits of [monitor], as the rules have them."""
    given = listed.limits

    def share(name: str, default: float) -> float:
        return given[name] / 100 if name in given else default

    return replace(
        DEFAULTS,
        errors_share=share("errors_percent", DEFAULTS.errors_share),
        slow_seconds=given.get("slow_seconds", DEFAULTS.slow_seconds),
        memory_share=share("memory_percent", DEFAULTS.memory_share),
        disk_share=share("disk_percent", DEFAULTS.disk_share),
        inodes_share=share("disk_percent", DEFAULTS.inodes_share),
        disk_hours=given.get("disk_hours", DEFAULTS.disk_hours),
        certificate_seconds=given.get("certificate_days", DEFAULTS.certificate_seconds / _DAY)
        * _DAY,
        clock_seconds=given.get("clock_seconds", DEFAULTS.clock_seconds),
    )
