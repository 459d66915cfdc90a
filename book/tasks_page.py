"""Makes docs/reference/tasks.md from the tasks themselves, as `fab --help TASK` does."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from book.voice import Voice, linked, slug

_REPO = Path(__file__).resolve().parent.parent
_DOCS = "../"  # from docs/reference/

_HEAD = """\
# Tasks

Every task of `fab`, with its options. `fab --list` lists them, and `fab --help deploy` shows the
options of one in a terminal.

Where there is no fabfile, or `fab` is not installed, `cartwheel` takes the place of `fab`:
`cartwheel deploy -H web1`.

## Options before a task

These options belong to `fab` itself. They stand before the tasks; `-H` may also stand behind one.

| option | meaning |
| --- | --- |
| `-H HOST,HOST` | Hosts, `[USER@]HOST[:PORT]`, comma-separated; default: those of the settings. |
| `--list`, `--list GROUP` | List all tasks, or those of a group. |
| `--help`, `--help TASK` | Show these options, or those of a task. |
| `--debug` | Show the traceback of each error. |
| `-i FILE` | Log in with this private key. |
| `--prompt-for-login-password` | Ask for the password of the login. |
| `--prompt-for-passphrase` | Ask for the passphrase of the private key. |
| `--prompt-for-sudo-password` | Ask for the password of sudo. |
| `--connect-timeout SECONDS` | Time limit of one connection. |
| `--ssh-config FILE` | Read this file instead of `~/.ssh/config`. |
| `--version` | Print the version. |

## Exit codes

Every task exits with one of the codes in [errors.md](../errors.md#exit-codes): 0 if it did what it
was asked, 1 if it failed and changed nothing, 2 for a mistake in the command line or the settings,
130 after Ctrl-C. Others are named at their task.
"""

_COMMON = """\
## Common options

Many tasks have these options. The last line of a task's section names them.
"""

# Each task, in the order of the page, and the page that explains it, from docs/.
SECTIONS: dict[str, dict[str, str]] = {
    "Begin": {
        "config.init": "start/first-deploy.md",
        "config.check": "settings.md",
        "config.show": "settings.md",
        "config.schema": "settings.md",
        "hosts.trust": "ssh.md",
        "inventory": "fleet.md",
        "completion": "output.md",
        "explain": "errors.md",
    },
    "Test and build": {
        "test": "steps/1-write-and-test.md",
        "build": "build.md",
    },
    "Prepare hosts": {
        "setup": "steps/3-prepare-the-host.md",
        "packages": "steps/3-prepare-the-host.md",
    },
    "Deploy and roll back": {
        "plan": "plan.md",
        "deploy": "start/first-deploy.md",
        "upload": "steps/4-install.md",
        "venv": "steps/4-install.md",
        "install": "steps/4-install.md",
        "configure": "steps/6-services.md",
        "rollback": "explanation/way-back.md",
        "restart": "steps/6-services.md",
        "stop": "steps/6-services.md",
        "start": "steps/6-services.md",
        "prune": "reference/files.md",
        "uninstall": "reference/files.md",
    },
    "Look": {
        "status": "output.md",
        "ps": "processes.md",
        "releases": "explanation/way-back.md",
        "history": "output.md",
        "logs": "steps/7-watch.md",
        "watch": "steps/7-watch.md",
        "dashboard": "dashboard.md",
        "doctor": "steps/8-questions.md",
        "diagnose": "diagnose.md",
        "runs.list": "output.md",
        "runs.show": "output.md",
    },
    "Work in a release": {
        "run": "steps/8-questions.md",
        "shell": "steps/8-questions.md",
    },
    "Environment variables and secrets": {
        "env.list": "steps/5-environment-variables.md",
        "secrets.check": "howto/secrets.md",
    },
    "Processes and timers": {
        "process.restart": "processes.md",
        "process.stop": "processes.md",
        "process.start": "processes.md",
        "timer.list": "timers.md",
        "timer.run": "timers.md",
        "timer.pause": "timers.md",
        "timer.resume": "timers.md",
    },
    "Web server, certificates, maintenance": {
        "nginx.test": "proxies.md",
        "nginx.reload": "proxies.md",
        "apache.test": "apache.md",
        "apache.reload": "apache.md",
        "tls.status": "tls.md",
        "tls.renew": "tls.md",
        "maintenance.on": "maintenance.md",
        "maintenance.off": "maintenance.md",
    },
    "Locks and freezes": {
        "lock.status": "fleet.md",
        "lock.hold": "fleet.md",
        "lock.release": "fleet.md",
    },
    "Load balancers": {
        "balancer.setup": "balancers.md",
        "balancer.status": "balancers.md",
        "balancer.out": "balancers.md",
        "balancer.back": "balancers.md",
    },
    "Monitor and messages": {
        "monitor.install": "monitor.md",
        "monitor.status": "monitor.md",
        "monitor.test": "monitor.md",
        "monitor.silence": "monitor.md",
        "monitor.user.add": "monitor.md",
        "monitor.user.remove": "monitor.md",
        "monitor.uninstall": "monitor.md",
        "incidents": "monitor.md",
        "notify.test": "notify.md",
    },
    "Templates": {
        "templates.list": "reference/templates.md",
        "templates.eject": "reference/templates.md",
        "templates.diff": "reference/templates.md",
        "templates.keep": "reference/templates.md",
    },
    "Lab hosts": {
        "lab.up": "start/first-deploy.md",
        "lab.list": "start/first-deploy.md",
        "lab.url": "start/first-deploy.md",
        "lab.ssh": "start/first-deploy.md",
        "lab.down": "start/first-deploy.md",
        "lab.boot": "faults.md",
        "lab.reset": "faults.md",
        "lab.power-cut": "faults.md",
        "lab.network": "faults.md",
        "lab.disk": "faults.md",
        "lab.load": "faults.md",
        "lab.fault": "faults.md",
    },
}

# Exit codes that only some tasks have.
_EXITS = {
    "plan": "Exit code 10 with `--exit-code`, if a deploy would change something.",
}
_OF_ROLLOUTS = "Exit codes: 3 if it was rolled back, 4 if a host needs attention, 5 if locked,"
_OF_ROLLOUTS += " frozen or stopped."
_OF_CHANGES = "Exit codes: 4 if a host needs attention, 5 if locked or frozen."

_NUMBERS = {
    *("lines", "parallel", "max-failures", "port", "keep", "every", "times", "wait", "count"),
    *("retry-after", "disk-mb", "delay-ms", "bytes-per-second", "nth", "seconds", "show", "last"),
}


def page(voice: Voice) -> str:
    """The whole page."""
    known = _tasks()
    parts = [voice.markdown(_HEAD), voice.markdown(_COMMON), _common_options(voice)]
    parts += [voice.heading(2, "All tasks"), _list(known, voice)]
    for title, names in SECTIONS.items():
        parts.append(voice.heading(2, title))
        parts += [_section(name, known[name], where, voice) for name, where in names.items()]
    return "\n\n".join(parts) + "\n"


# Any: invoke's task and argument.
def _tasks() -> dict[str, Any]:
    """Every task by its name, with those of the lab."""
    sys.path[:0] = [one for one in (str(_REPO), str(_REPO / "lab")) if one not in sys.path]
    from tasks import namespace

    return {name: namespace[name] for name in namespace.task_names}


def task_names() -> set[str]:
    """The names of all tasks."""
    return set(_tasks())


def _list(known: dict[str, Any], voice: Voice) -> str:
    rows = [
        voice.row(f"[`{name}`](#{slug(name)})", linked(voice.say(_about(known[name])[0]), _DOCS))
        for names in SECTIONS.values()
        for name in names
    ]
    return "\n".join([*voice.head("task", "purpose"), *rows])


def _about(task: Any) -> list[str]:
    """The paragraphs of its help, each as one line."""
    paragraphs = inspect.cleandoc(task.__doc__ or "").split("\n\n")
    return [" ".join(one.split()) for one in paragraphs]


def _section(name: str, task: Any, where: str, voice: Voice) -> str:
    title, *more = _about(task)
    explained = voice.say("Explained in {page}.")
    head = f'<a id="{slug(name)}"></a>\n### fab {name}'
    about = [voice.paragraph(one, docs=_DOCS) for one in (title, *more)]
    own = [one for one in _arguments(task) if not _is_common(one)]
    common = [one for one in _arguments(task) if _is_common(one)]
    parts = [head, *about, *([_options(own, voice)] if own else [])]
    parts += [voice.paragraph(one) for one in _exits(name, task)]
    if common:
        names = voice.listed(f"`--{_option(one)}`" for one in common)
        said = voice.say("Also the [common options](#common-options) {names}.")
        parts.append(_filled(said.format(names=names), voice))
    parts.append(explained.format(page=f"[{where}]({_DOCS}{where})"))
    return "\n\n".join(parts)


def _filled(text: str, voice: Voice) -> str:
    """A text that is in its language already, in lines of the right width."""
    return Voice(voice.language, lambda same: same).paragraph(text)


def _exits(name: str, task: Any) -> Iterator[str]:
    if name in _EXITS:
        yield _EXITS[name]
    elif task.changing and "canary" in task.help:
        yield _OF_ROLLOUTS
    elif "wait" in task.help:
        yield _OF_CHANGES


def _arguments(task: Any) -> list[Any]:
    return list(task.get_arguments())


def _option(argument: Any) -> str:
    return str(argument.name).strip("_").replace("_", "-")


def _common() -> dict[str, str]:
    """The options that many tasks have, and what they mean there."""
    from cartwheel.terminal.scene import COMMON

    return dict(COMMON)


def _is_common(argument: Any) -> bool:
    return _common().get(_option(argument)) == str(argument.help)


def _common_options(voice: Voice) -> str:
    seen: dict[str, Any] = {}
    for task in _tasks().values():
        for one in _arguments(task):
            if _is_common(one):
                seen.setdefault(_option(one), one)
    return _options([seen[name] for name in _common()], voice)


def _options(arguments: list[Any], voice: Voice) -> str:
    rows = [
        voice.row(
            f"`{_flag(one)}`",
            voice.say(_value(one)),
            _default(one, voice),
            linked(voice.say(one.help), _DOCS),
        )
        for one in arguments
    ]
    return "\n".join([*voice.head("option", "value", "default", "meaning"), *rows])


def _flag(argument: Any) -> str:
    name = _option(argument)
    if argument.positional:
        return name.upper()
    return f"--[no-]{name}" if argument.kind is bool and argument.default else f"--{name}"


def _value(argument: Any) -> str:
    if argument.kind is bool:
        return "none"
    if argument.kind is int or _option(argument) in _NUMBERS:
        return "number"
    return "list" if argument.kind is list else "text"


def _default(argument: Any, voice: Voice) -> str:
    default = argument.default
    if argument.kind is bool:
        return voice.say("on" if default else "off")
    if argument.positional:
        return voice.say("required")
    return f"`{default}`" if default not in (None, "", []) else ""
