"""The files that a new project gets: pure text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from cartwheel.project.proposal import Proposal, Timer
from cartwheel.settings.as_toml import toml

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
    kind: Literal["wsgi", "asgi"]
    has_lifespan: bool
    variables: Sequence[str]
    migrate: str
    processes: Sequence[Proposal]
    timers: Sequence[Timer]
    hosts: Sequence[str]
    server_names: Sequence[str]
    said: dict[str, str]


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
        _line("python", python, answers.said.get("python", ""), known=bool(answers.python)),
        "",
        "[web]",
        _line(
            "server_names",
            list(answers.server_names) or [f"{answers.name}.example.org"],
            "without one: the host's default site",
            known=bool(answers.server_names),
        ),
        "",
        "[health]",
        _line("path", answers.health_path, answers.said.get("path", "")),
    ]
    if answers.kind == "asgi":
        lines += ["", "[gunicorn]", _line("kind", "asgi", answers.said.get("asgi", ""))]
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
        '# LOG_FORMAT = "json"',
        "",
        "[secrets]",
        *(
            f'# {name} = {{ file = "~/.config/{answers.name}/{_file_of(name)}" }}'
            for name in answers.variables or ("SECRET_KEY",)
        ),
    ]
    return "\n".join(lines) + "\n"


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


def _file_of(variable: str) -> str:
    return variable.lower().replace("_", "-")


def _line(key: str, value: object, comment: str, *, known: bool = True) -> str:
    """A line of the file; an unknown value is shown as a comment."""
    said = f"{key} = {toml(value)}" if known else f"# {key} = {toml(value)}"
    return f"{said}  # {comment}" if comment else said
