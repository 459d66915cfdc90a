"""A fabfile that had tasks before Cartwheel came: stock `fab` as a subprocess."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.project import CHECKOUT, Done, Project

FABFILE = f"""
import sys
sys.path.insert(0, {str(CHECKOUT)!r})
from fabric import task
from fabric.main import program
from invoke import Collection
from cartwheel.fab import words_for

@task
def seed(c, count=3):
    "Seed the database."
    print("seeded", count)

namespace = words_for(program)

@task
def deploy(c):
    print("my own deploy")

@task
def lock(c):
    print("my own lock")

@task
def broken(c):
    raise RuntimeError("of mine")

@task
def counts_badly(c):
    int("x")

@task
def where(c):
    print(c.user, c.host)

@task
def prints_dry(c):
    print("dry", c.config.run.dry)

db = Collection("db", seed)
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "fabfile.py").write_text(FABFILE)
    return Project(tmp_path)


def run(project: Project, *words: str, code: int = 0) -> Done:
    return project.fab(*words, code=code)


def test_both_are_there(project: Project) -> None:
    listed = run(project, "--list").out
    names = {line.split()[0] for line in listed.splitlines() if line.startswith("  ")}
    assert {"seed", "broken", "db.seed", "status", "config.init", "deploy"} <= names
    assert run(project, "seed", "--count", "5").out.startswith("seeded 5")
    assert run(project, "db.seed").out.startswith("seeded 3")
    assert run(project, "status", "-H", "a", code=2).err.startswith("error: there is no cartwheel")
    assert "Did you mean `fab seed`?" in run(project, "sead", code=2).err


def test_a_name_that_both_have_stays_the_fabfiles_and_is_reported(project: Project) -> None:
    done = run(project, "deploy")
    assert done.out == "my own deploy\n"
    told = "note: `deploy` is this fabfile's own; Cartwheel's is `cartwheel.deploy`\n"
    assert done.err == told
    assert run(project, "lock").out == "my own lock\n"
    assert told in run(project, "--list").err
    assert run(project, "seed").err == ""
    assert run(project, "cartwheel.deploy", code=2).err.startswith("error: there is no cartwheel")
    assert run(project, "cartwheel.lock.status", code=2).err.startswith("error: there is no")


@pytest.mark.parametrize(
    ("task", "last"),
    [
        ("broken", "RuntimeError: of mine"),
        ("counts-badly", "ValueError: invalid literal for int() with base 10: 'x'"),
    ],
)
def test_an_error_in_an_own_task_is_the_users(project: Project, task: str, last: str) -> None:
    """Its traceback begins in the fabfile; nobody is asked to report it to us."""
    lines = run(project, task, code=1).err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].startswith(f'  File "{project.folder}/fabfile.py", line ')
    assert lines[-1] == last
    assert not any("cartwheel/" in line or "error:" in line for line in lines)


def test_fabric_reads_ssh_config_for_an_own_task(project: Project) -> None:
    config = project.write("ssh_config", "Host box\n  HostName 192.0.2.7\n  User ann\n")
    assert run(project, "-S", str(config), "-H", "box", "where").out == "ann 192.0.2.7\n"


def test_fabs_own_options_work_for_own_tasks(project: Project) -> None:
    assert run(project, "--dry", "prints-dry").out == "dry True\n"
    assert "CW106" in run(project, "--dry", "status", code=2).err


def test_another_namespace_of_the_fabfile_is_left_alone(tmp_path: Path) -> None:
    text = FABFILE.replace("namespace = words_for(program)", "ours = words_for(program)")
    nested = "namespace = Collection(seed)\nnamespace.add_collection(ours, name='cw')\n"
    (tmp_path / "fabfile.py").write_text(text + nested)
    project = Project(tmp_path)
    listed = run(project, "--list").out
    assert "  cw.deploy " in listed
    assert "  seed " in listed
    assert "broken" not in listed
    assert "there is no cartwheel.toml" in run(project, "cw.deploy", code=2).err


def listed(project: Project) -> set[str]:
    lines = run(project, "--list").out.splitlines()
    return {line.split()[0] for line in lines if line.startswith("  ")}


def test_a_namespace_beside_cartwheels_keeps_its_tasks_and_settings(tmp_path: Path) -> None:
    """invoke itself would take the first of `ns` and `namespace`, without a word."""
    text = f"""\
import sys
sys.path.insert(0, {str(CHECKOUT)!r})
from fabric.main import program
from cartwheel.fab import tasks_for
from invoke import Collection
from . import db
namespace = tasks_for(program)
ns = Collection(db)
ns.configure({{"db": {{"name": "prod"}}}})
"""
    dump = "from fabric import task\n@task\ndef dump(c): print('dump', c.config.db.name)\n"
    project = Project(tmp_path)
    project.write("fabfile/__init__.py", text)
    project.write("fabfile/db.py", dump)
    assert {"db.dump", "deploy", "lock.hold"} <= listed(project)
    assert run(project, "db.dump").out == "dump prod\n"


def test_tasks_that_replace_cartwheels_in_its_namespace_do_not_hide_them(tmp_path: Path) -> None:
    more = """
namespace.add_task(deploy)
door = Collection("lock")
door.add_task(seed)
namespace.add_collection(door)

@task(aliases=["setup"])
def prepare(c):
    print("my own setup")
"""
    (tmp_path / "fabfile.py").write_text(FABFILE.replace("def lock(c)", "def unused(c)") + more)
    project = Project(tmp_path)
    there = {"lock.seed", "prepare", "cartwheel.deploy", "cartwheel.lock.hold", "cartwheel.setup"}
    assert there <= listed(project)
    assert run(project, "setup").out == "my own setup\n"
    assert run(project, "deploy").err.startswith("note: `deploy` is this fabfile's own")


def test_messages_name_a_task_as_this_fabfile_does(project: Project) -> None:
    project.write("cartwheel.toml", '[app]\nname = "shop"\nsource = "."\nentry = "a:b"\n')
    assert "error: `cartwheel.deploy` needs a host" in run(project, "cartwheel.deploy", code=2).err


def test_cartwheel_itself_needs_no_fabfile(project: Project) -> None:
    assert "There is no task 'seed'" in project.cartwheel("seed", code=2).err
