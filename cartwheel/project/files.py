"""The files that a new project gets: pure text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cartwheel.project.django_answers import Variable
from cartwheel.project.proposal import Proposal, Timer
from cartwheel.settings.as_toml import toml
from cartwheel.settings.toml_tables import ServerKind

FABFILE = """\
from fabric.main import program
from cartwheel.fab import tasks_for
namespace = tasks_for(program)
"""


@dataclass(frozen=True)
class Answers:
    """What is known of the application after the questions. `said` explains a key's value."""

    name: str
    source: str
    entry: str
    python: str
    health_path: str
    kind: ServerKind
    has_lifespan: bool
    variables: Sequence[str]
    migrate: str
    processes: Sequence[Proposal]
    timers: Sequence[Timer]
    hosts: Sequence[str]
    server_names: Sequence[str]
    said: dict[str, str]
    static: Mapping[str, object] = field(default_factory=dict)
    media: Mapping[str, object] = field(default_factory=dict)
    env: Sequence[Variable] = ()
    key: str = ""
    """The variable of a secret key that is generated."""
    tests: str = ""
    requirements: Sequence[str] = ()
    """Further requirements, which the sources lack."""
    scheme: str = ""
    """health.scheme; "" for the usual one."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Files to add to the application, by their paths from the project."""

    @property
    def key_file(self) -> str:
        """Where the secret key is, outside of the sources."""
        return secret_file(self.name, self.key)


def settings_text(answers: Answers, *, own_file: bool, schema: str) -> str:
    """A small, working settings file: cartwheel.toml, or with `own_file` one in apps/, which has
    the name of its application. `schema` is the path of the schema from there."""
    named = [] if own_file else [("name", answers.name)]
    python = answers.python or "3"
    lines = [
        f"#:schema {schema}",
        "# The application that `fab deploy` deploys. `fab config.show` lists every setting with",
        "# its default, `fab config.check` reports mistakes.",
        "",
        "# [USER@]HOST[:PORT]; `-H` names others.",
        _line("hosts", list(answers.hosts) or ["web1.example.org"], "", known=bool(answers.hosts)),
        "",
        "[app]",
        *(_line(key, value, answers.said.get(key, "")) for key, value in named),
        _line("source", answers.source, answers.said.get("source", "")),
        _line("entry", answers.entry, answers.said.get("entry", "")),
        *(
            _line("requirements", list(answers.requirements), answers.said.get("requirements", ""))
            for _each in answers.requirements[:1]
        ),
        _line("python", python, answers.said.get("python", ""), known=bool(answers.python)),
        "",
        "[web]",
        _line(
            "server_names",
            list(answers.server_names) or [f"{answers.name}.example.org"],
            "without one: the host's default site",
            known=bool(answers.server_names),
        ),
        *_mappings("web.static", answers.static),
        *_mappings("web.media", answers.media),
        "",
        "[health]",
        _line("path", answers.health_path, answers.said.get("path", "")),
    ]
    if answers.scheme:
        lines.append(_line("scheme", answers.scheme, answers.said.get("scheme", "")))
    if answers.tests:
        lines += ["", "[tests]", _line("command", answers.tests, "")]
    if answers.kind != "wsgi":
        lines += ["", "[gunicorn]", _line("kind", answers.kind, answers.said.get("kind", ""))]
        if answers.has_lifespan:
            lines.append(_line("lifespan", "on", "a start that fails, fails the deploy"))
    if answers.migrate:
        said = answers.said.get("migrate", "")
        lines += ["", "[deploy]", _line("migrate", answers.migrate, said, known=bool(said))]
    for one in answers.processes:
        lines += ["", *_process(one)]
    for timer in answers.timers:
        lines += ["", *_timer(timer)]
    lines += [
        "",
        "# Environment variables of the app; secrets come from a file, a command or a variable.",
        "[env]",
        *(_line(one.name, one.value, one.comment) for one in answers.env),
        *(() if answers.env else ('# LOG_FORMAT = "json"',)),
        "",
        "[secrets]",
        *_secrets(answers),
    ]
    return "\n".join(lines) + "\n"


def _mappings(table: str, mappings: Mapping[str, object]) -> Iterator[str]:
    if mappings:
        yield from ("", f"[{table}]")
    yield from (f"{toml(url)} = {toml(value)}" for url, value in mappings.items())


def _secrets(answers: Answers) -> Iterator[str]:
    """The generated key, and the others as comments."""
    if answers.key:
        yield _line(answers.key, {"file": answers.key_file}, "")
    for name in answers.variables or (() if answers.key else ("SECRET_KEY",)):
        yield _line(name, {"file": secret_file(answers.name, name)}, "", known=False)


def secret_file(app: str, variable: str) -> str:
    """A place for a secret, outside of any repository."""
    return f"~/.config/{app}/{variable.lower().replace('_', '-')}"


def _process(one: Proposal) -> Iterator[str]:
    """The table of a process; as a comment if it does not work as it is."""
    works = not one.problems
    yield from _head("processes", one)
    yield _line("command", one.command, "", known=works)
    if not works:
        return
    if one.exclusive:
        yield _line("exclusive", True, "one in the whole fleet, never two at once")
    elif not one.overlap:
        yield _line("overlap", False, "two at once would start each periodic task twice")
    if one.stop_signal:
        yield _line("stop_signal", one.stop_signal, "SIGTERM would interrupt its job")
    yield _line("stop_seconds", 60, "what its longest job may take", known=False)


def _timer(one: Timer) -> Iterator[str]:
    """The table of a timer; as a comment if it does not work as it is."""
    works = not one.problems
    yield from _head("timers", one)
    yield _line("command", one.command, "", known=works)
    yield _line("schedule", one.schedule, "", known=works)
    if works:
        yield _line("timeout_seconds", 3600, "what its longest run may take", known=False)


def _head(table: str, one: Proposal | Timer) -> Iterator[str]:
    yield from (f"# {problem}" for problem in one.problems)
    yield f"# [{table}.{one.name}]" if one.problems else f"[{table}.{one.name}]  # {one.place}"


def _line(key: str, value: object, comment: str, *, known: bool = True) -> str:
    """A line of the file; an unknown value is shown as a comment."""
    said = f"{key} = {toml(value)}" if known else f"# {key} = {toml(value)}"
    return f"{said}  # {comment}" if comment else said
