"""Everything that the monitor knows now, and what it makes of each new observation.

No I/O and no clock: times come with what was seen. `state()` is all that must survive a restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cartwheel.host.wire.look import AppLook
from cartwheel_monitor import incidents, pulse, quiet, recent, unread
from cartwheel_monitor.incidents import Book, Incident, Member, Told
from cartwheel_monitor.limits import DEFAULTS, Limits
from cartwheel_monitor.observations import Around, History, Look, NoHistory, Probe, Usual
from cartwheel_monitor.pulse import Pulse
from cartwheel_monitor.quiet import Circumstances, Silence
from cartwheel_monitor.rules import RULES, deploys, reach
from cartwheel_monitor.subjects import CERTIFICATE, HOST, PROCESS, SITE, Subject, Verdict

# A deploy's lock that was seen before a restart is of no use long after.
_DAY = 86400.0


@dataclass(frozen=True)
class Watched:
    """What is watched: the hosts, and the hosts of each app whose site is probed. `sites`: the
    addresses that are probed, None for any."""

    hosts: frozenset[str] = frozenset()
    apps: Mapping[str, frozenset[str]] = field(default_factory=dict)
    sites: frozenset[str] | None = None

    def has(self, subject: Subject) -> bool:
        """Whether the subject is a part of it."""
        if subject.host:
            return subject.host in self.hosts
        known = self.sites is None or not subject.about or subject.about in self.sites
        return known and subject.app in self.apps


@dataclass(frozen=True)
class Deployed:
    """The last deploy or rollback of an app that was confirmed."""

    at: float
    kind: str
    release: str
    who: str


@dataclass(frozen=True)
class State:
    """What must survive a restart. `unended`: by app and host, what a journal began. `deployed`: by
    app. `closed`: apps in maintenance, by a host that says so."""

    pulses: Mapping[Subject, Pulse] = field(default_factory=dict)
    book: Book = field(default_factory=Book)
    locked: Mapping[tuple[str, str], float] = field(default_factory=dict)
    silences: tuple[Silence, ...] = ()
    unended: Mapping[tuple[str, str], str] = field(default_factory=dict)
    deployed: Mapping[str, Deployed] = field(default_factory=dict)
    closed: Mapping[str, str] = field(default_factory=dict)


class Judge:
    """Used by one thread. `looked` and `probed` take what was seen; `news` says what people are to
    hear; `next_look` and `next_probe` say when to look again."""

    def __init__(
        self,
        watched: Watched,
        *,
        limits: Limits = DEFAULTS,
        history: History | None = None,
        state: State | None = None,
        now: float = 0.0,
    ) -> None:
        """`state`: what it knew, perhaps of other hosts and sites, until `now`."""
        known = state or State()
        self._limits = limits
        self._history: History = history or NoHistory()
        self._watched = watched
        self._pulses = dict(known.pulses)
        self._book = known.book
        self._locked = dict(known.locked)
        self._silences = known.silences
        self._unended = dict(known.unended)
        self._deployed = dict(known.deployed)
        self._closed = dict(known.closed)
        self._looks: dict[str, Look] = {}
        self._window = recent.Window(limits.window_seconds)
        self._restarts: dict[str, recent.Restarts] = {}
        self._trails: dict[tuple[str, str], recent.Trail] = {}
        self._forget_unwatched(now)

    # What was seen

    def probed(self, probe: Probe) -> None:
        """A site answered, or did not."""
        for verdict in reach.of_probe(probe, self._limits):
            self._take(verdict)
        if probe.until is None and not probe.problem:  # it has no certificate any more
            gone = Subject(CERTIFICATE.name, probe.app, "", probe.site)
            self._forget([gone], probe.at)

    def looked(self, look: Look) -> None:
        """A host answered, or did not. A host that does not answer leaves all else as it was.

        An answer with which a rule cannot work raises, whatever it is; then no rule has counted."""
        if look.seen is None:
            self._take(reach.of_look(look))
            return
        self._note(look)
        around = self._around(look)
        verdicts = [verdict for rule in RULES for verdict in rule(look, around)]
        for verdict in (reach.of_look(look), *verdicts):
            self._take(verdict)
        named = {verdict.subject for verdict in verdicts}
        for app in look.seen.apps:
            if deploys.is_cut_off(app, self._unended.get((app.app, look.host), "")):
                self._unended.pop((app.app, look.host), None)
        self._forget_unnamed(look, named)
        self._looks[look.host] = look

    # What is to be done

    def news(self, now: float) -> tuple[Told, ...]:
        """What people are to hear now. It is asked some times a second."""
        self._silences = tuple(one for one in self._silences if now < one.until)
        self._book, told = incidents.news(
            self._book,
            now,
            watched_hosts=len(self._watched.hosts),
            is_hushed=lambda one: self._is_hushed(one, now),
        )
        return told

    def next_probe(self, app: str, site: str, at: float, every: float) -> float:
        """When to probe it again after a probe at that time."""
        return pulse.next_look(self._pulse(Subject(SITE.name, app, "", site)), at, every)

    def next_look(self, host: str, at: float, every: float) -> float:
        """When to look again after a look at that time: sooner where the host or a process of it
        may be down."""
        mine = [Subject(HOST.name, "", host)]
        mine += [one for one in self._pulses if one.host == host and one.kind == PROCESS.name]
        return min(pulse.next_look(self._pulse(one), at, every) for one in mine)

    def silence(self, one: Silence) -> None:
        """Nobody is told until then."""
        self._silences = (*self._silences, one)

    def end_silences(self, app: str = "", host: str = "") -> None:
        """End the silences about exactly that."""
        self._silences = tuple(one for one in self._silences if (one.app, one.host) != (app, host))

    # What is known

    @property
    def book(self) -> Book:
        return self._book

    @property
    def silences(self) -> tuple[Silence, ...]:
        return self._silences

    @property
    def deployed(self) -> Mapping[str, Deployed]:
        """The last deploy of each app, as far as it was seen."""
        return self._deployed

    @property
    def down(self) -> frozenset[Subject]:
        return frozenset(one for one, found in self._pulses.items() if found.state == "down")

    @property
    def looks(self) -> Mapping[str, Look]:
        """The last answered look at each host."""
        return self._looks

    @property
    def releases(self) -> Mapping[tuple[str, str], str]:
        """What should be live, by app and host, by the last look at each."""
        return {
            (app.app, host): app.release
            for host, look in self._looks.items()
            for app in (look.seen.apps if look.seen else ())
        }

    def state(self) -> State:
        """All that must survive a restart; pulses of what is well are not needed."""
        pulses = {
            one: replace(found, good=0) if found.state == "well" else found
            for one, found in self._pulses.items()
            if found.state == "down" or found.bad
        }
        return State(
            pulses, self._book, dict(self._locked), self._silences, dict(self._unended),
            dict(self._deployed), dict(self._closed),
        )  # fmt: skip

    # How

    def _pulse(self, subject: Subject) -> Pulse:
        return self._pulses.get(subject, Pulse())

    def _take(self, verdict: Verdict) -> None:
        subject = verdict.subject
        counted = quiet.heard(verdict, self._circumstances())
        found, change = pulse.after(self._pulse(subject), counted)
        self._pulses[subject] = found
        if change == "down":
            member = Member(subject, found.began, found.problem, self._places(subject))
            self._book = incidents.went_down(self._book, member, verdict.at, verdict.release)
        elif change == "well":
            self._book = incidents.came_back(self._book, subject, verdict.at)
        elif found.state == "down" and counted.problem:
            self._book = incidents.still_down(self._book, subject, counted.problem)

    def _circumstances(self) -> Circumstances:
        return Circumstances(self._locked, frozenset(self._closed), self._silences)

    def _places(self, subject: Subject) -> frozenset[str]:
        if subject.host:
            return frozenset({subject.host})
        return self._watched.apps.get(subject.app, frozenset()) | {
            host for host, look in self._looks.items() if look.app(subject.app)
        }

    def _is_hushed(self, one: Incident, now: float) -> bool:
        """Whether all of it is in a silence, or about a site in maintenance."""
        circumstances = self._circumstances()
        return bool(one.members) and all(
            quiet.is_hushed(Verdict(each, now, "?"), circumstances) for each in one.members
        )

    def _note(self, look: Look) -> None:
        """Keep what the rules need of it."""
        for app in look.seen.apps if look.seen else ():
            key = (app.app, look.host)
            if app.locked:
                self._locked[key] = look.at
            elif look.at - self._locked.get(key, look.at) > _DAY:
                del self._locked[key]
            self._close(app.app, look.host, is_closed=app.closed)
            self._window.add(look.host, look.at, app)
            self._note_deploys(app)
            begun = deploys.unended(app.entries, self._unended.get(key, ""))
            self._unended.pop(key, None)
            if begun:
                self._unended[key] = begun
        for disk in look.seen.disks if look.seen else ():
            self._trail(look.host, disk.path, look.at).add(look.at, disk.free)

    def _note_deploys(self, app: AppLook) -> None:
        for one in app.entries:
            if one.kind in ("deploy", "rollback") and one.result == "confirmed":
                found = Deployed(one.at or 0.0, one.kind, one.release or "", one.who or "?")
                known = self._deployed.get(app.app)
                if known is None or known.at <= found.at:
                    self._deployed[app.app] = found

    def _close(self, app: str, host: str, *, is_closed: bool) -> None:
        if is_closed:
            self._closed[app] = host
        elif self._closed.get(app) == host:
            del self._closed[app]

    def _trail(self, host: str, path: str, now: float) -> recent.Trail:
        if (host, path) not in self._trails:
            self._trails[host, path] = recent.Trail(self._history.disk(host, path, now))
        return self._trails[host, path]

    def _around(self, look: Look) -> Around:
        before = self._looks.get(look.host)
        counting = self._restarts.setdefault(
            look.host, recent.Restarts(self._limits.restart_seconds)
        )
        apps = [one.app for one in look.seen.apps] if look.seen else []
        traffic = {
            key: one
            for app in apps
            for key, one in self._window.traffic(look.at, app, look.host).items()
        }
        usual: dict[tuple[str, str], Usual] = {
            key: self._history.usual(*key, look.at) for key in traffic
        }
        return Around(
            before=before,
            others={host: one for host, one in self._looks.items() if host != look.host},
            down=self.down,
            traffic=traffic,
            usual=usual,
            restarts=counting.add(look, before),
            disks={
                one.path: self._trail(look.host, one.path, look.at).points
                for one in (look.seen.disks if look.seen else ())
            },
            unended={app: self._unended.get((app, look.host), "") for app in apps},
            limits=self._limits,
        )

    def _forget_unnamed(self, look: Look, named: set[Subject]) -> None:
        """What a look does not mention any more is gone from the host, unless it could not be
        read."""
        known = [one for one in self._pulses if one.host == look.host and one.kind != HOST.name]
        hidden = look.seen.unread if look.seen else {}
        gone = [one for one in known if one not in named and not unread.hides(hidden, one)]
        self._forget(gone, look.at)

    def _forget_unwatched(self, now: float) -> None:
        self._forget([one for one in self._pulses if not self._watched.has(one)], now)
        hosts = self._watched.hosts
        self._closed = {app: host for app, host in self._closed.items() if host in hosts}

    def _forget(self, subjects: list[Subject], now: float) -> None:
        for one in subjects:
            if self._pulses.pop(one, None) is not None:
                self._book = incidents.came_back(self._book, one, now)
