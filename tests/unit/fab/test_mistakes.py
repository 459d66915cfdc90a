"""A command line that cannot be parsed: the mistake, and a command line to type instead."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fabric.main import make_program

from cartwheel.fab import tasks_for

Typed = Callable[[str], tuple[str, str]]


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Typed:
    """Run `fab WORDS`; its message and its next step. Nothing connects: no line is right."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for place in ("environments/production", "apps/shop", "apps/blog"):
        path = tmp_path / ".cartwheel" / f"{place}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "cartwheel.toml").write_text("")

    def run(words: str) -> tuple[str, str]:
        program = make_program()  # type: ignore[no-untyped-call]  # of fabric
        program.namespace = tasks_for(program)
        program.namespace.loaded_from = str(tmp_path)
        with pytest.raises(SystemExit) as ended:
            program.run(["fab", *words.split("|")])
        assert ended.value.code == 2
        first, second = capsys.readouterr().err.splitlines()
        assert first.startswith("error: ")
        assert first.endswith(" [CW101]")
        return first.removeprefix("error: ").removesuffix(" [CW101]"), second[10:]

    return run


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        # options that other tools have
        ("logs|-f|-H|lab1", "logs --follow -H lab1"),
        ("logs|-H|lab1|-f", "logs -H lab1 --follow"),
        ("logs|-n|5|-H|lab1", "logs --lines 5 -H lab1"),
        ("logs|-n5|-H|lab1", "logs --lines 5 -H lab1"),
        ("deploy|-e|production", "deploy --env production"),
        ("deploy|-h|lab1", "deploy -H lab1"),
        ("status|-v", "status --debug"),
        # slips in an option
        ("logs|--folow|-H|lab1", "logs --follow -H lab1"),
        ("deploy|--hosst|lab1", "deploy --hosts lab1"),
        ("deploy|--host=lab1", "deploy --hosts lab1"),
        ("deploy|--Env|x", "deploy --env x"),
        ("deploy|--environment|x", "deploy --env x"),
        ("deploy|--dryrun", "deploy --dry-run"),
        ("deploy|--no-tests", "deploy --skip-tests"),
        ("logs|--follow=yes|-H|lab1", "logs --follow -H lab1"),
        ("logs|-f|-n|3", "logs --follow --lines 3"),
        ("logs|-f|-n5|-H|a", "logs --follow --lines 5 -H a"),
        ("logs|--tail|5", "logs --lines 5"),
        ("deploy|-env|production", "deploy --env production"),
        ("deploy|-hosts|a", "deploy --hosts a"),
        ("--prompt-for-sudo|deploy", "--prompt-for-sudo-password deploy"),
        # options in front of their task
        ("--env|x|deploy", "deploy --env x"),
        ("--json|status|-H|a", "status --json -H a"),
        ("-H|lab1|--lines=5|logs", "-H lab1 logs --lines=5"),
        # words that are an option's value
        ("deploy|lab1", "deploy -H lab1"),
        ("deploy|lab1|lab2|--env|production", "deploy -H lab1,lab2 --env production"),
        ("deploy|lab1,|lab2", "deploy -H lab1,lab2"),
        ("-H|a|deploy|production", "-H a deploy --env production"),
        ("status|shop", "status --app shop"),
        ("rollback|1.0", "rollback --to 1.0"),
        ("rollback|v2-rc1|-H|a", "rollback --to v2-rc1 -H a"),
        ("run|flask db upgrade|-H|a", "run --command 'flask db upgrade' -H a"),
        ("run|-H|a|flask|db|upgrade", "run -H a --command 'flask db upgrade'"),
        ("lock.hold|the|sale", "lock.hold --message 'the sale'"),
        ("history|50", "history --lines 50"),
        ("explain|disk|full", "explain 'disk full'"),
        ("explain|cannot|deploy", "explain 'cannot deploy'"),
        ("logs|nginx|-H|a", "logs --source nginx -H a"),
        ("prune|2", "prune --keep 2"),
        # slips in a task
        ("deply|-H|a", "deploy -H a"),
        ("build|deply", "build deploy"),
        ("config.chek", "config.check"),
        ("init", "config.init"),
        ("bootstrap|-H|a", "setup -H a"),
        ("DEPLOY|-H|a", "deploy -H a"),
        ("doctor|fix", "doctor --fix"),
        # as it was in Fabric 1
        ("deploy:lab1", "deploy -H lab1"),
        ("deploy:host=lab1,env=production", "deploy -H lab1 --env production"),
        ("status:hosts=a;b", "status -H a,b"),
        ("undo|-H|a", "rollback -H a"),
        ("help", "--help"),
        ("help|deploy", "--help deploy"),
        ("version", "--version"),
        ("--help|deply", "--help deploy"),
        ("--help=deply", "--help deploy"),
        ("deploy|--help=statu", "--help status"),
        ("-Hlab1|deply", "-Hlab1 deploy"),
    ],
)
def test_what_to_type_instead(typed: Typed, words: str, instead: str) -> None:
    assert typed(words)[1] == f"Did you mean `fab {instead}`?"


GROUP = "Tasks of that group: lock.hold, lock.release, lock.status."
ALL = "`fab --list` lists all tasks."
GROUPS = (
    "Groups: apache, balancer, config, env, hosts, lab, lock, maintenance, monitor, nginx, notify,"
    " process, runs, secrets, templates, timer, tls."
)
OPTIONS = "`fab --help deploy` lists the options."
BEFORE = "`fab --help` lists the options before a task."
WAIT = "Seconds to wait while another run holds the lock (default 10)."
OUT = "Write the plan to this file, for `fab deploy --plan FILE`."
EXPLAIN = '`fab explain CW602`, or words in quotes: `fab explain "502 bad gateway"`.'
HOSTS = "Comma-separated host name(s) to execute tasks against."


@pytest.mark.parametrize(
    ("words", "says", "next_step"),
    [
        ("lock", "There is no task 'lock'", GROUP),
        ("xyzzy", "There is no task 'xyzzy'", ALL),
        ("--list|xyzzy", "There is no group of tasks 'xyzzy'", GROUPS),
        ("--list=lok", "There is no group of tasks 'lok'", GROUPS),
        ("--list|deploy", "There is no group of tasks 'deploy'", GROUPS),
        ("-Hlab1|deploy|--xyzzy", "`deploy` has no option --xyzzy", OPTIONS),
        ("--help|xyzzy", "There is no task 'xyzzy'", ALL),
        ("deploy|--yes", "`deploy` has no option --yes", OPTIONS),
        ("deploy|-5", "`deploy` has no option -5", OPTIONS),
        ("--xyzzy|deploy", "There is no option --xyzzy", BEFORE),
        ("deploy|--wait", "--wait needs a value", WAIT),
        ("deploy|-H", "-H needs a value", HOSTS),
        ("plan|--out", "--out needs a value", OUT),
        ("runs.show", "`runs.show` needs 'run'", "See `fab --help runs.show`."),
        ("explain", "`explain` needs an error's number, or words to look for", EXPLAIN),
    ],
)
def test_what_is_wrong(typed: Typed, words: str, says: str, next_step: str) -> None:
    assert typed(words) == (says, next_step)
