"""Suggests a command line to type instead of one that cannot be parsed."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from invoke.parser import ParserContext

from cartwheel.errors import CartwheelError, UsageError

_SURE = 0.8  # a word that is this much like a task's name is a slip
# The names of these tasks in other tools.
_ALSO = {
    "bootstrap": "setup",
    "check": "config.check",
    "clean": "prune",
    "config": "config.show",
    "destroy": "uninstall",
    "exec": "run",
    "init": "config.init",
    "lint": "config.check",
    "log": "logs",
    "ls": "releases",
    "provision": "setup",
    "remove": "uninstall",
    "revert": "rollback",
    "ssh": "shell",
    "tail": "logs",
    "undo": "rollback",
    "up": "deploy",
    "update": "deploy",
    "validate": "config.check",
}
# The names of options in other tools.
_ALSO_OPTIONS = {"environment": "env", "stage": "env", "tail": "lines"}
# Short options of other tools. `fab` has none for its tasks, but takes some as its own.
_SHORT = {
    **{"-a": "app", "-c": "command", "-e": "env", "-f": "follow", "-g": "grep", "-j": "json"},
    **{"-k": "keep", "-m": "message", "-n": "lines", "-o": "out", "-p": "plan", "-r": "role"},
    **{"-s": "since", "-t": "to", "-v": "debug", "-w": "wait", "-y": "yes"},
}
_LETTER = re.compile(r"(-[a-zA-Z])=?(.*)", re.DOTALL)
# Of fab's own options, those that somebody may mean.
_CORE = (
    *("--hosts", "--help", "--debug", "--identity", "--ssh-config", "--connect-timeout"),
    *("--prompt-for-login-password", "--prompt-for-passphrase", "--prompt-for-sudo-password"),
)
# All words after these tasks are the value of one option.
_WHOLE = {"run": "--command", "lock.hold": "--message"}
# Its words are one text, in quotes.
_EXPLAIN = "explain"
_HELP = ("help", "version", "list")
_VERSION = re.compile(r"v?\d[\w.+!-]*")


@dataclass(frozen=True)
class Task:
    """A task's options, and whether it takes hosts."""

    context: ParserContext
    takes_hosts: bool

    def has(self, option: str) -> bool:
        return f"--{option}" in self.context.flags


@dataclass(frozen=True)
class CommandLine:
    """The `words` after the program's name, and what they may be."""

    program: str
    words: Sequence[str]
    core: ParserContext
    names: Sequence[str]  # of all tasks
    task: Callable[[str], Task]
    project: Path

    def explain(self, message: str) -> UsageError:
        """Turn the parser's message into the mistake and a command line to type instead."""
        if found := re.fullmatch(r"Flag <Argument: ([\w-]+).*> needed value.*", message):
            return self._without_value(found[1])
        if found := re.fullmatch(
            r"'(.*)' did not receive required positional arguments: (.*)", message
        ):
            if found[1] == _EXPLAIN:
                return needs_words(self.program)
            about = f"See `{self.program} --help {found[1]}`."
            return self._error(f"`{found[1]}` needs {found[2]}", "", about)
        if found := re.fullmatch(r"No idea what '(.*)' is!", message, re.DOTALL):
            if self._asks_for_help_of(found[1]):
                return self._no_task(found[1], ["--help"])
            return next(self._strays(found[1]), None) or self._no_task(found[1])
        # `logs -f x`: fab's own -f takes a file of settings.
        stray = next(self._strays(""), None) if message.startswith("Config files") else None
        return stray or self._error(message, "")

    def _asks_for_help_of(self, word: str) -> bool:
        if f"--help={word}" in self.words:
            return True
        pairs = list(zip(self.words, self.words[1:], strict=False))
        asks = ("--help", word) in pairs or ("-h", word) in pairs
        return asks and not any(name in self.words for name in self.names)

    # -- what is wrong

    def _without_value(self, option: str) -> UsageError:
        for at, name in self._tasks:
            for place in range(at + 1, len(self.words)):
                if self._is_letter(place, name):
                    return self._option(place, name)
        name = option.strip("_")  # `out_` of --out
        flag = f"--{name}" if len(name) > 1 else f"-{name}"
        known = (context.flags[flag].help for context in self._contexts if flag in context.flags)
        return self._error(f"{flag} needs a value", "", next(known, None) or "")

    def _is_letter(self, at: int, task: str) -> bool:
        """Whether a word is a short option that stands for one of the task's own."""
        letter = _LETTER.match(self.words[at])
        return letter is not None and self.task(task).has(_SHORT.get(letter[1], "?"))

    def _strays(self, offending: str) -> Iterator[UsageError]:
        """The first option or word that has no place, or that fab takes for something else."""
        task, at = "", 0
        while at < len(self.words):
            word = self.words[at]
            flag, value = _parted(word)
            options = self.task(task).context.flags if task else {}
            if task and self._is_letter(at, task):
                yield self._option(at, task)
            elif (flag in options or flag in self.core.flags) and not (flag == "-h" and value):
                argument = (options if flag in options else self.core.flags)[flag]
                if "=" in word and not argument.takes_value:
                    yield self._error(f"{flag} takes no value", self._with(at, [flag]))
                takes_next = argument.takes_value and not value and flag not in ("-h", "--help")
                at += takes_next
            elif word.startswith("-"):
                yield self._option(at, task)
            elif word in self.names:
                task = word
            elif task and self._is_positional(task, at):
                pass
            elif word == offending:
                yield self._word(at, task) if task else self._no_task(word)
            at += 1

    def _is_positional(self, task: str, at: int) -> bool:
        return self.words[at - 1] == task and bool(self.task(task).context.positional_args)

    def _option(self, at: int, task: str) -> UsageError:
        """An option that its task, and fab itself, do not have."""
        word = self.words[at]
        flag, value = _parted(word)
        if not task and (later := self._moved_to_its_task(at, flag)):
            return self._error(f"{flag} belongs after its task", self._command(later))
        what = f"`{task}` has no option {flag}" if task else f"There is no option {flag}"
        context = self.task(task).context if task else self.core
        if f"-{word}" in (*context.flags, *_CORE):  # -env for --env
            return self._error(what, self._with(at, [f"-{word}"]))
        meant = self._meant(flag, context)
        if meant:
            words = [*self.words[:at], meant, *([value] if value else []), *self._rest(at, task)]
            return self._error(what, self._command(words))
        about = f"`{self.program} --help{task and ' ' + task}` lists the options"
        return self._error(what, "", f"{about}{'' if task else ' before a task'}.")

    def _rest(self, at: int, task: str) -> Iterator[str]:
        """The words behind one, with other tools' short options of the task replaced as well."""
        for place in range(at + 1, len(self.words)):
            flag, value = _parted(self.words[place])
            if task and self._is_letter(place, task):
                yield from (f"--{_SHORT[flag]}", *([value] if value else []))
            else:
                yield self.words[place]

    def _meant(self, flag: str, context: ParserContext) -> str:
        known = [one for one in (*context.flag_names(), *_CORE) if one.startswith("--")]
        if not flag.startswith("--"):
            wanted = (f"--{_SHORT.get(flag)}", f"-{flag}")
            return next((one for one in wanted if one in known), "")
        # Without the hyphens, which would make all options alike.
        text, names = flag[2:].lower(), [one[2:] for one in known]
        if _ALSO_OPTIONS.get(text) in names:
            return f"--{_ALSO_OPTIONS[text]}"
        longer = [one for one in names if one.startswith(text) or text.startswith(one)]
        found = [
            *difflib.get_close_matches(text, names, n=1, cutoff=_SURE),
            *(longer if len(longer) == 1 else []),
            *difflib.get_close_matches(text, names, n=1),
        ]
        return f"--{found[0]}" if found else ""

    def _moved_to_its_task(self, at: int, flag: str) -> list[str]:
        """The words with an option moved behind the task that has it."""
        for _place, name in self._tasks:
            if flag in self.task(name).context.flags:
                argument = self.task(name).context.flags[flag]
                count = 2 if argument.takes_value and "=" not in self.words[at] else 1
                rest = [*self.words[:at], *self.words[at + count :]]
                where = rest.index(name) + 1
                return [*rest[:where], *self.words[at : at + count], *rest[where:]]
        return []

    def _word(self, at: int, name: str) -> UsageError:
        """A word after a task that is neither a task nor an option's value."""
        task, first = self.task(name), self.words[at]
        end = at + 1
        while end < len(self.words) and not self._is_known(self.words[end]):
            end += 1
        words = [one.strip(",") for one in self.words[at:end]]
        slips = difflib.get_close_matches(first, self.names, n=1, cutoff=_SURE)
        instead: list[str] = []
        if name == _EXPLAIN:
            begin = self.words.index(name) + 1
            text = " ".join(one for one in self.words[begin:end] if not one.startswith("-"))
            what = f"`{name}` takes one text: put it in quotes"
            return self._error(what, self._command([*self.words[:begin], text, *self.words[end:]]))
        if self.words[at - 1] == "-h":
            at, instead = at - 1, ["-H", ",".join(words)]
        elif name in _WHOLE:
            instead = [_WHOLE[name], " ".join(words)]
        elif slips:
            instead, end = slips, at + 1
        elif task.has(first):
            instead, end = [f"--{first}"], at + 1
        elif len(words) == 1:
            instead = self._value_for(task, first)
        if not instead and task.takes_hosts:
            instead = ["-H", ",".join(words)]
        what = f"`{name}` takes options only; {first!r} is neither an option nor a task"
        if not instead:
            return self._error(what, "", f"`{self.program} --help {name}` lists its options.")
        return self._error(what, self._command([*self.words[:at], *instead, *self.words[end:]]))

    def _value_for(self, task: Task, word: str) -> list[str]:
        """The option that takes such a word, and the word."""
        from cartwheel.host.look.logs import sources
        from cartwheel.host.web.kinds import KINDS
        from cartwheel.settings.loading import apps, environments

        known: dict[str, list[str]] = {"env": [], "app": []}
        with suppress(CartwheelError):
            known = {"env": environments(self.project), "app": apps(self.project)}
        is_number = word.isdecimal()
        file = (self.project / word).is_file()
        for option, fits in {
            "env": word in known["env"],
            "app": word in known["app"],
            "lines": is_number,
            "keep": is_number,
            "count": is_number,
            "to": _VERSION.fullmatch(word) is not None,
            "plan": file,
            "out": word.endswith((".json", ".plan")),
            "source": any(word in one.split("-") for one in sources(*KINDS)),
        }.items():
            if fits and task.has(option):
                return [f"--{option}", word]
        return []

    def _no_task(self, word: str, before: Sequence[str] = ()) -> UsageError:
        what = f"There is no task '{word}'"
        if word in _HELP:
            rest = [one for one in self.words if one != word]
            return self._error(what, self._command([f"--{word}", *rest]))
        if old := self._as_fabric_1(word):
            return self._error(what, self._with(self.words.index(word), old))
        inside = [name for name in self.names if name.startswith(f"{word}.")]
        if inside:
            return self._error(what, "", f"Tasks of that group: {', '.join(inside)}.")
        also = [_ALSO[word]] if _ALSO.get(word) in self.names else []
        ends = [name for name in self.names if name.endswith(f".{word}")]
        near = also or ends or difflib.get_close_matches(word.lower(), self.names, n=1)
        if not near:
            return self._error(what, "", f"`{self.program} --list` lists all tasks.")
        if before:
            return self._error(what, self._command([*before, near[0]]))
        return self._error(what, self._with(self.words.index(word), near[:1]))

    def _as_fabric_1(self, word: str) -> list[str]:
        """What `TASK:host=web1,name=value` was in Fabric 1, as words of today."""
        name, colon, given = word.partition(":")
        if not colon or name not in self.names:
            return []
        options: list[str] = []
        for one in filter(None, given.split(",")):
            key, equals, value = one.partition("=")
            if equals and self.task(name).has(key):
                options += [f"--{key}", value]
            else:
                options += ["-H", (value or key).replace(";", ",")]
        return [name, *options]

    # -- what to type

    @cached_property
    def _tasks(self) -> list[tuple[int, str]]:
        """The places of words that are tasks."""
        return [(at, word) for at, word in enumerate(self.words) if word in self.names]

    @property
    def _contexts(self) -> list[ParserContext]:
        return [*(self.task(name).context for _at, name in self._tasks), self.core]

    def _is_known(self, word: str) -> bool:
        flag = word.partition("=")[0]
        return word in self.names or any(flag in context.flags for context in self._contexts)

    def _with(self, at: int, words: Sequence[str]) -> str:
        return self._command([*self.words[:at], *words, *self.words[at + 1 :]])

    def _command(self, words: Sequence[str]) -> str:
        return shlex.join([self.program, *words])

    def _error(self, what: str, typed: str, about: str = "") -> UsageError:
        hint = f"Did you mean `{typed}`?" if typed else about
        return UsageError("usage", what, hint=hint)


def needs_words(program: str) -> UsageError:
    """`explain` without words."""
    hint = f'`{program} explain CW602`, or words in quotes: `{program} explain "502 bad gateway"`.'
    return UsageError("usage", "`explain` needs an error's number, or words to look for", hint=hint)


def _parted(word: str) -> tuple[str, str]:
    """An option, and the value in the same word: `--env=x`, `-ex`, `-e=x`."""
    if letter := _LETTER.fullmatch(word):
        return letter[1], letter[2]
    flag, _equals, value = word.partition("=")
    return flag, value
