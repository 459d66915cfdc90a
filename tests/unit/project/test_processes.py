"""The processes besides web, and the timers, that `config.init` proposes."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cartwheel.commands.check import check
from cartwheel.project.begin import advice, answers_of, begin
from cartwheel.project.procfile import cron
from tests.unit.project.test_layouts import DJANGO, FACTORY, FASTAPI, FLASK, found_in, write

ON = "$CARTWHEEL_INSTANCE"
TASKS = "from celery import Celery\napp = Celery('shop')\n@app.task\ndef pack(): ...\n"
FLASK_DOCS = """
from celery import Celery, Task
from flask import Flask

def celery_init_app(app: Flask) -> Celery:
    class FlaskTask(Task): ...
    celery_app = Celery(app.name, task_cls=FlaskTask)
    app.extensions["celery"] = celery_app
    return celery_app

def create_app() -> Flask:
    app = Flask(__name__)
    celery_init_app(app)
    return app
"""
OLD_FLASK_DOCS = """
from celery import Celery
from flask import Flask

def make_celery(app):
    celery = Celery(app.import_name)
    return celery

app = Flask(__name__)
celery = make_celery(app)
"""
DJANGO_CELERY = {
    **DJANGO,
    "requirements.txt": "django\ncelery[redis]==5.4.0\ndjango-celery-beat\n",
    "mysite/__init__.py": "from .celery import app as celery_app\n",
    "mysite/celery.py": "from celery import Celery\napp = Celery('mysite')\n",
    "mysite/settings.py": "INSTALLED_APPS = ['django_celery_beat']\n",
}
WORKER = f"celery -A {{}} worker --loglevel info -n worker@{ON}"
BEAT = "celery -A {} beat --loglevel info --pidfile="

# files, then the tables [processes.NAME] and deploy.migrate
LAYOUTS: dict[str, tuple[dict[str, str], dict[str, Any], str | None]] = {
    "flask, and celery's module": (
        {"requirements.txt": "flask\ncelery\n", "app.py": FLASK, "tasks.py": TASKS},
        {"worker": {"command": WORKER.format("tasks")}},
        None,
    ),
    "flask's documents": (
        {
            "requirements.txt": "flask\ncelery\n",
            "shop/__init__.py": FLASK_DOCS,
            "make_celery.py": "from shop import create_app\nflask_app = create_app()\n"
            "celery_app = flask_app.extensions['celery']\n",
            "wsgi.py": "from shop import create_app\napp = create_app()\n",
        },
        {"worker": {"command": WORKER.format("make_celery:celery_app")}},
        None,
    ),
    "flask's older documents, and a schedule": (
        {
            "requirements.txt": "flask\ncelery\n",
            "app.py": OLD_FLASK_DOCS + "celery.conf.beat_schedule = {}\n",
        },
        {
            "worker": {"command": WORKER.format("app:celery")},
            "beat": {"command": BEAT.format("app:celery"), "exclusive": True},
        },
        None,
    ),
    "django, celery and its schedule in the database": (
        DJANGO_CELERY,
        {
            "worker": {"command": WORKER.format("mysite")},
            "beat": {
                "command": BEAT.format("mysite")
                + " --scheduler django_celery_beat.schedulers:DatabaseScheduler",
                "exclusive": True,
            },
        },
        None,
    ),
    "a package with an app of its own beside celery.py": (
        {
            "requirements.txt": "flask\ncelery\n",
            "shop/__init__.py": FLASK,
            "shop/celery.py": TASKS,
        },
        {"worker": {"command": WORKER.format("shop.celery")}},
        None,
    ),
    "django in a subfolder, the Procfile at the top": (
        {
            **{f"backend/{name}": text for name, text in DJANGO_CELERY.items()},
            "Procfile": "release: cd backend && python manage.py migrate --noinput\n"
            "web: cd backend && gunicorn mysite.wsgi\n"
            "worker: cd backend && celery -A mysite worker -l info\n"
            "beat: cd backend && celery -A mysite beat -l info -S django\n",
        },
        {
            "worker": {"command": f"celery -A mysite worker -l info -n worker@{ON}"},
            "beat": {
                "command": "celery -A mysite beat -l info -S django --pidfile=",
                "exclusive": True,
            },
        },
        'cd "$CARTWHEEL_CODE" && python manage.py migrate --noinput',
    ),
    "heroku's usual Procfile": (
        {
            "requirements.txt": "flask\nredis\nrq\napscheduler\n",
            "app.py": FLASK,
            "worker.py": "import rq\n",
            "clock.py": "from apscheduler.schedulers.blocking import BlockingScheduler\n",
            "Procfile": "# how it runs\nweb: gunicorn app:app --log-file -\n"
            "worker: python worker.py\nclock: python -u clock.py\n"
            "Mail_Out: rq worker --url $REDIS_URL mail\nrelease: ./release.sh\n"
            f"-9: nobody\n{'very-' * 10}long: python -m long\nno line\n",
        },
        {
            "worker": {"command": "python $CARTWHEEL_CODE/worker.py"},
            "clock": {"command": "python -u $CARTWHEEL_CODE/clock.py", "exclusive": True},
            "mail-out": {"command": "rq worker --url $REDIS_URL mail"},
            "very-very-very-very-very": {"command": "python -m long"},
        },
        'cd "$CARTWHEEL_CODE" && ./release.sh',
    ),
    "a scheduler inside of the worker": (
        {
            "requirements.txt": "flask\ncelery\n",
            "app.py": FLASK,
            "tasks.py": TASKS + "app.conf.beat_schedule = {}\n",
            "Procfile": "web: gunicorn app:app\nqueue: celery -A tasks worker -B -c 2\n"
            "mail: celery -A tasks worker -Q mail --hostname=mail@%h -c 1\n",
        },
        {
            "queue": {
                "command": f"celery -A tasks worker -B -c 2 -n queue@{ON}",
                "exclusive": True,
            },
            "mail": {"command": f"celery -A tasks worker -Q mail --hostname=mail@{ON} -c 1"},
        },
        None,
    ),
    "fastapi and rq": (
        {
            "pyproject.toml": '[project]\nname = "board"\nversion = "1"\n'
            'dependencies = [\n  "fastapi",\n  "rq>=2",\n]\n'
            '[build-system]\nrequires = ["setuptools"]\n',
            "src/board/__init__.py": "",
            "src/board/web.py": FASTAPI + "import os, redis\nfrom rq import Queue\n"
            "store = redis.from_url(os.environ['REDIS_URL'])\n"
            "high, low = Queue('high', connection=store), Queue(name='low', connection=store)\n",
        },
        {"worker": {"command": 'rq worker --url "$REDIS_URL" high low'}},
        None,
    ),
    "django and rq": (
        {
            **DJANGO,
            "requirements.txt": "django\ndjango-rq\n",
            "mysite/settings.py": "INSTALLED_APPS = ['django_rq']\n"
            "RQ_QUEUES = {'default': {'HOST': 'localhost'}, 'mail': {}}\n",
            "mysite/jobs.py": "from django_rq import job\n@job('mail')\ndef send(): ...\n",
        },
        {"worker": {"command": "python $CARTWHEEL_CODE/manage.py rqworker mail default"}},
        None,
    ),
    "dramatiq, its broker in a module of its own": (
        {
            "requirements.txt": "flask\ndramatiq[redis]\n",
            "app.py": FLASK,
            "shop/__init__.py": "",
            "shop/broker.py": "import dramatiq\ndramatiq.set_broker(make())\n",
            "shop/mail.py": "import dramatiq\n@dramatiq.actor(max_retries=3)\ndef send(): ...\n",
            "shop/pdf.py": "from dramatiq import actor\n@actor\ndef draw(): ...\n",
        },
        {"worker": {"command": "dramatiq shop.broker shop.mail shop.pdf"}},
        None,
    ),
    "huey, its tasks beside its object": (
        {
            "requirements.txt": "flask\nhuey\n",
            "app.py": FLASK,
            "queues.py": "from huey import SqliteHuey\nhuey = SqliteHuey('jobs.db')\n",
            "tasks.py": "from huey import crontab\nfrom queues import huey\n"
            "@huey.task()\ndef one(): ...\n@huey.periodic_task(crontab())\ndef two(): ...\n",
        },
        {
            "worker": {
                "command": "huey_consumer tasks.huey",
                "overlap": False,
                "stop_signal": "SIGINT",
            }
        },
        None,
    ),
    "huey in a Procfile, and scripts below folders": (
        {
            "requirements.txt": "flask\nhuey\n",
            "src/shop/__init__.py": "",
            "src/shop/web.py": FLASK,
            "src/shop/jobs.py": "from huey import RedisHuey, crontab\nhuey = RedisHuey()\n"
            "@huey.periodic_task(crontab())\ndef two(): ...\n",
            "Procfile": "web: gunicorn shop.web:app\nqueue: huey_consumer.py shop.jobs.huey -w 2\n"
            "poll: python src/shop/jobs.py\nfeed: python ./scripts/feed.py --all\n",
        },
        {
            "queue": {
                "command": "huey_consumer.py shop.jobs.huey -w 2",
                "overlap": False,
                "stop_signal": "SIGINT",
            },
            "poll": {"command": "python $CARTWHEEL_CODE/shop/jobs.py"},
            "feed": {"command": "python $CARTWHEEL_CODE/scripts/feed.py --all"},
        },
        None,
    ),
    "huey for django": (
        {
            **DJANGO,
            "requirements.txt": "django\nhuey\n",
            "mysite/settings.py": "INSTALLED_APPS = ['huey.contrib.djhuey']\n",
        },
        {
            "worker": {
                "command": "python $CARTWHEEL_CODE/manage.py run_huey",
                "stop_signal": "SIGINT",
            }
        },
        None,
    ),
    "nothing besides web": (
        {"requirements.txt": "flask\nmy-celery\ncelery-types\n", "app.py": FLASK},
        {},
        None,
    ),
    "a factory of a web application is no queue": (
        {"requirements.txt": "flask\n", "shop/__init__.py": FACTORY},
        {},
        None,
    ),
}


def begun(folder: Path, files: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The settings as they were written, checked, and the advice."""
    project = write(folder / "my-shop", files)
    place, found = found_in(project)
    answers = answers_of(found, source=place, name="shop", entry="", hosts=(), server_names=())
    begin(project, answers)
    check(project)
    text = (project / "cartwheel.toml").read_text()
    return tomllib.loads(text), list(advice(found, answers))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_processes_of_a_layout(tmp_path: Path, layout: str) -> None:
    files, processes, migrate = LAYOUTS[layout]
    settings, said = begun(tmp_path, files)
    assert settings.get("processes", {}) == processes
    assert settings.get("deploy", {}).get("migrate") == migrate
    assert any("processes besides web" in note for note in said) == bool(processes)


def test_what_needs_a_shell_is_told_with_the_remedy(tmp_path: Path) -> None:
    settings, said = begun(
        tmp_path,
        {
            "requirements.txt": "flask",
            "app.py": FLASK,
            "Procfile": "web: gunicorn app:app\n\nworker: python warm.py && python work.py\n"
            "mail: LOG=debug python -m mail\nfine: python -m fine\n",
        },
    )
    assert list(settings["processes"]) == ["fine"]
    assert (
        "Procfile:3: the command of worker `&&` needs a shell: write `sh -c '...'`,"
        " with `exec` before the program that goes on" in said
    )
    assert (
        "Procfile:4: the command of mail sets LOG before its program: set it in env, beside the"
        " command" in said
    )
    text = (tmp_path / "my-shop/cartwheel.toml").read_text()
    assert '# [processes.worker]\n# command = "python warm.py && python work.py"' in text


def test_a_variable_of_a_command_must_be_set(tmp_path: Path) -> None:
    files, _processes, _migrate = LAYOUTS["heroku's usual Procfile"]
    _settings, said = begun(tmp_path, files)
    assert any("read REDIS_URL: set what they need" in note for note in said)
    assert "# REDIS_URL = {" in (tmp_path / "my-shop/cartwheel.toml").read_text()


def test_a_program_without_an_application_is_told(tmp_path: Path) -> None:
    for text in ("celery[redis]>=5 ; python_version > '3.9'", "Celery == 5.4"):
        files = {"requirements.txt": f"flask\n{text}\n", "app.py": FLASK}
        _settings, said = begun(tmp_path / text[:6], files)
        assert any(note.startswith("celery is required, but nothing") for note in said)


# a command of app.json's cron, then the name and the command of its timer
JOBS = {
    "python -m shop.cleanup": ("cleanup", "python -m shop.cleanup"),
    "python -u ./scripts/send-mail.py --all": (
        "send-mail",
        "python -u $CARTWHEEL_CODE/scripts/send-mail.py --all",
    ),
    "python manage.py clearsessions": (
        "clearsessions",
        "python $CARTWHEEL_CODE/manage.py clearsessions",
    ),
    "django-admin clearsessions": ("clearsessions", "django-admin clearsessions"),
    "flask --app shop purge 30": ("purge", "flask --app shop purge 30"),
    "python3.12 -m flask -A shop db-vacuum": (
        "db-vacuum",
        "python3.12 -m flask -A shop db-vacuum",
    ),
    "celery -A shop call shop.tasks.pack": ("pack", "celery -A shop call shop.tasks.pack"),
    "uv run shop-report": ("shop-report", "uv run shop-report"),
    "cd . && python -m shop.pack": ("pack", "python -m shop.pack"),
    "timeout 300 env TZ=UTC report": ("report", "timeout 300 env TZ=UTC report"),
    "sh -c 'python -m fetch | python -m store'": (
        "fetch",
        "sh -c 'python -m fetch | python -m store'",
    ),
    "Mail_Out": ("mail-out", "python $CARTWHEEL_CODE/mail.py"),  # an entry of the Procfile
    "/usr/bin/python3 -c 'print(1)'": ("print-1", "/usr/bin/python3 -c 'print(1)'"),
    "30": ("job", "30"),
    "nightly-maintenance-of-all-tables": (
        "nightly-maintenance-of-a",
        "nightly-maintenance-of-all-tables",
    ),
}
PROCFILE = "web: gunicorn app:app\nworker: python -m work\nMail_Out: python mail.py\n"


def with_cron(tmp_path: Path, *lines: object, **files: str) -> tuple[dict[str, Any], list[str]]:
    """What is proposed for these lines of app.json's cron."""
    text = json.dumps({"name": "shop", "cron": lines})
    own = {"requirements.txt": "flask", "app.py": FLASK, "app.json": text}
    return begun(tmp_path, {**own, **files})


def line(command: str, schedule: str = "@daily", **more: object) -> dict[str, object]:
    return {"command": command, "schedule": schedule, **more}


@pytest.mark.parametrize("command", JOBS)
def test_a_timer_for_a_command_of_cron(tmp_path: Path, command: str) -> None:
    name, proposed = JOBS[command]
    settings, said = with_cron(tmp_path, line(command, " 0 3  * * mon "), Procfile=PROCFILE)
    assert settings["timers"] == {name: {"command": proposed, "schedule": "0 3 * * mon"}}
    assert any(f"timers: {name};" in note for note in said)
    # What is started at certain times does not run all the time.
    others = {"worker"} if command == "Mail_Out" else {"worker", "mail-out"}
    assert set(settings["processes"]) == others


def test_timers_of_one_command_get_names_of_their_own(tmp_path: Path) -> None:
    long = "nightly-maintenance-of-all-tables"
    commands = ["python -m shop.cleanup", "python -m other.cleanup", long, long]
    settings, _said = with_cron(tmp_path, *(line(one) for one in commands))
    assert list(settings["timers"]) == [
        "cleanup",
        "cleanup-2",
        "nightly-maintenance-of-a",
        "nightly-maintenance-of-2",
    ]


def test_what_cannot_be_a_timer_yet_is_a_comment_with_the_remedy(tmp_path: Path) -> None:
    settings, said = with_cron(
        tmp_path,
        line("cd b && python -m a", "0 3 * * *"),
        line("LOG=1 python -m c > /tmp/c"),
        line("python -m d", "0 0 3 * * *"),
        line("python -m e", "@reboot"),
        line("python -m f", "5/15 * * * *\n"),
        line("python -m g", "@every\n5m"),
        line("", "0 0 30 2 *"),
        line("python -m h", maintenance=True),
        line("python -m fine", "*/5 * * * *"),
    )
    assert settings["timers"] == {"fine": {"command": "python -m fine", "schedule": "*/5 * * * *"}}
    expected = (
        "the command of a `&&` needs a shell: write `sh -c '...'`, with `exec` before the",
        "the command of c `>` needs a shell",
        "the schedule of d: has 6 fields instead of five",
        "the schedule of e: @reboot is no time: what starts with the host is a process",
        "the schedule of f: minute `5/15`: write `5-59/15` or `5`",
        "the schedule of g: @every 5m is unknown",
        "the command of job is empty",
        "the schedule of job: never comes",
        "h is in maintenance",
    )
    text = (tmp_path / "my-shop/cartwheel.toml").read_text()
    for problem in expected:
        assert any(note.startswith(f"app.json: {problem}") for note in said), problem
        assert f"# app.json: {problem}" in text
    assert '# [timers.d]\n# command = "python -m d"\n# schedule = "0 0 3 * * *"\n' in text


def test_what_the_cron_of_app_json_has_besides(tmp_path: Path) -> None:
    settings, said = with_cron(
        tmp_path,
        {"command": 1, "schedule": "@daily"},
        "flask cleanup",
        line("python -m mail --to $MAIL_TO", concurrency_policy="replace"),
        line("python -m forbid", concurrency_policy="forbid"),
    )
    assert list(settings["timers"]) == ["mail", "forbid"]
    assert [note for note in said if note.startswith("app.json")] == [
        "app.json: entry 1 of cron has no command and schedule: no timer",
        "app.json: entry 2 of cron has no command and schedule: no timer",
        "app.json: mail has a concurrency_policy; runs of a timer never overlap",
    ]
    assert any("read MAIL_TO: set what they need" in note for note in said)


def test_an_app_json_without_cron() -> None:
    for text in ("", "[]", '{"name": "shop"}', '{"cron": []}'):
        assert (cron(text, (), ()).timers, cron(text, (), ()).notes) == ((), ())
    assert cron('{"cron": {}}', (), ()).notes == ("app.json: cron is no list: no timers",)
    (note,) = cron("{", (), ()).notes
    assert note.startswith("app.json is not valid JSON (Expecting property name")


def test_celerys_own_schedule_stays_with_beat(tmp_path: Path) -> None:
    files, processes, _migrate = LAYOUTS["flask's older documents, and a schedule"]
    settings, _said = with_cron(tmp_path, line("flask --app app cleanup"), **files)
    assert settings["processes"] == processes
    assert list(settings["timers"]) == ["cleanup"]
