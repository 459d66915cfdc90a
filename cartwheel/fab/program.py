"""The `fab` program with truthful exit codes and one line for each failure.

The stock `fab` script makes its program before it loads the fabfile, so
`bind(program)` changes the class of that one object. What fab does before it
loads the fabfile (a core flag in front of the first task that cannot be parsed,
`fab -H HOST -- COMMAND`) stays fab's own: see docs/ssh.md.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import invoke
from fabric.main import Fab
from invoke.exceptions import ParseError, UnknownFileType
from invoke.parser import Parser, ParserContext

from cartwheel.errors import CartwheelError, Exit, UsageError
from cartwheel.fab.executor import FleetExecutor
from cartwheel.fab.surroundings import complete_account, open_streams
from cartwheel.fab.task import FleetTask, no_values

if TYPE_CHECKING:
    from cartwheel.fab.completion import Values
    from cartwheel.fab.mistakes import Task


class CartwheelProgram(Fab):
    """Fab's phases, each with its failures turned into a message and an exit code."""

    LIST_FORMATS = ("flat", "nested", "json")

    cartwheel = invoke.Collection()
    """All of Cartwheel's tasks."""
    given: invoke.Collection | None = None
    """What the fabfile got of them, and may have changed."""

    def _make_parser(self) -> Parser:
        """A parser that knows only the tasks of this command line. invoke's own knows all tasks,
        and copies them: a tenth of the whole start (bench/start)."""
        if self.args.complete.value:
            return super()._make_parser()
        said = {*self.core.unparsed, self.args.help.value}
        return Parser(
            initial=self.initial_context,
            contexts=[
                ParserContext(name, aliases, self.collection[name].get_arguments())
                for name, aliases in self.collection.task_names.items()
                if said.intersection((name, *aliases))
            ],
        )

    def parse_tasks(self) -> None:
        with self._told():
            self._both = self._merge_own_tasks()
            super().parse_tasks()

    def _merge_own_tasks(self) -> list[str]:
        """Add the tasks that the fabfile itself has; the names that Cartwheel has too."""
        name = self.args.collection.value if "collection" in self.args else None
        module = sys.modules.get(name or self.config.tasks.collection_name)
        if module is None or self.namespace is not None or self.given is None:
            return []
        from cartwheel.fab.own_tasks import merge

        return merge(self.collection, module, self.cartwheel, self.given)

    def _report_both(self) -> None:
        said = {*self.core.unparsed, self.args.help.value}
        lists = self.args.list.value or not (self.core.unparsed or self.args.help.value)
        for name in self._both:
            if lists or name in said:
                text = f"`{name}` is this fabfile's own; Cartwheel's is `cartwheel.{name}`"
                sys.stderr.write(f"note: {text}\n")

    @property
    def _has_own_tasks(self) -> bool:
        """Whether tasks of the fabfile itself run."""
        return not all(isinstance(self.collection[one.name], FleetTask) for one in self.tasks)

    def parse_cleanup(self) -> None:
        with self._told():
            self._refuse_unknown_group()
            self._refuse_unknown_format()
            if self.args.complete.value:
                self._complete()
                raise invoke.Exit
            self._report_both()
            super().parse_cleanup()

    def _refuse_unknown_format(self) -> None:
        given = self.args["list-format"].value
        if given and given not in self.LIST_FORMATS:
            known = ", ".join(self.LIST_FORMATS)
            raise UsageError("usage", f"--list-format takes one of {known}, not {given!r}")

    def _refuse_unknown_group(self) -> None:
        group = self.args.list.value
        if not isinstance(group, str):
            return
        try:
            self.collection.subcollection_from_path(group)
        except KeyError as error:
            known = ", ".join(sorted(self.collection.collections))
            what = f"There is no group of tasks '{group}'"
            raise UsageError("usage", what, hint=f"Groups: {known}.") from error

    def update_config(self, merge: bool = True) -> None:  # noqa: ARG002 - invoke calls it so
        with self._told():
            # Cartwheel reads ssh_config itself, with Include, when it connects
            # (cartwheel/ssh/config.py): a task without hosts must not fail on it.
            self.config._set(_given_explicit_object=not self._has_own_tasks)
            super().update_config()

    def execute(self) -> None:
        with self._told():
            if self.config.run.dry and not self._has_own_tasks:
                raise UsageError("dry-run", "--dry would run this task for real")
            self._refuse_words_as_tasks()
            complete_account()
            super().execute()
            # Only the exit is left: Ctrl-C must not print a traceback now.
            _ignore_interrupts()

    def _refuse_words_as_tasks(self) -> None:
        """`explain cannot deploy` without quotes must not deploy."""
        names = [str(one.name) for one in self.tasks]
        full = [getattr(self.collection[name], "full_name", "") for name in names]
        if "explain" not in full or not names[1:]:
            return
        name = names[full.index("explain")]
        words = " ".join(self.core.unparsed[self.core.unparsed.index(name) + 1 :])
        hint = f"Did you mean `{shlex.join([self.called_as, name, words])}`?"
        what = f"`{name}` takes one text, and no other task beside it: put it in quotes"
        raise UsageError("usage", what, hint=hint)

    def no_tasks_given(self) -> None:
        """A bare `fab` lists all tasks."""
        self.list_tasks()
        raise invoke.Exit

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (invoke.Exit, invoke.UnexpectedExit, SystemExit):
            _ignore_interrupts()
            raise
        except (ParseError, UnknownFileType) as error:
            raise self._leave(self._parse_mistake(error)) from error
        except BrokenPipeError as error:
            # `fab --list | head`: the reader has closed the pipe. Nothing more may be written.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise invoke.Exit(code=int(Exit.OK)) from error
        except KeyboardInterrupt as error:
            _ignore_interrupts()
            raise invoke.Exit("Interrupted", code=int(Exit.INTERRUPTED)) from error
        except Exception as error:
            raise self._leave(error) from error

    def _leave(self, error: Exception) -> invoke.Exit:
        from cartwheel.fab.own_tasks import traceback_of
        from cartwheel.telling import exit_code, tell  # most runs have no failure to print

        theirs = traceback_of(error)
        if theirs and not isinstance(error, CartwheelError):
            return invoke.Exit(theirs, code=int(Exit.FAILED))
        # invoke converts the number of an option without handling the error.
        number = re.fullmatch(r"invalid literal for int\(\) with base 10: (.*)", str(error))
        if number and isinstance(error, ValueError):
            error = UsageError("usage", f"{number[1]} is not a number")
        return invoke.Exit(tell(error, debug=bool(self.args.debug.value)), code=exit_code(error))

    def _parse_mistake(self, error: Exception) -> UsageError:
        from cartwheel.fab.mistakes import CommandLine

        text = str(error).strip()
        lab = re.search(r"'(lab\..*)'", text)
        if lab and "lab" not in self.collection.collections:
            return UsageError("lab-missing", f"`{lab[1]}` needs the lab, which is not installed")
        return CommandLine(
            program=self.called_as,
            words=self.argv[1:],
            core=self.initial_context,
            names=self._names(),
            task=self._task,
            project=self._project,
        ).explain(text)

    def _complete(self) -> None:
        """Print the possible ends of an incomplete command line."""
        from cartwheel.fab.completion import Completion

        words = self.argv[self.argv.index("--") + 1 :] if "--" in self.argv else []
        found = Completion(
            words=words[1:],  # without the program
            core=self.initial_context,
            names=sorted(self._names()),
            task=lambda name: self._task(name).context,
            values=self._values_of,
        ).candidates()
        sys.stdout.write("".join(f"{one}\n" for one in found))

    def _values_of(self, name: str) -> Values:
        """The values of a task's options; before a task, those of any task."""
        ours = [task for task in self.collection.tasks.values() if isinstance(task, FleetTask)]
        task = self.collection[name] if name else ours[0] if ours else None
        values = task.values if isinstance(task, FleetTask) else no_values
        return partial(values, self._project)

    @property
    def _project(self) -> Path:
        return Path(self.collection.loaded_from or ".")

    def _names(self) -> list[str]:
        """The names of all tasks, with their aliases."""
        names = self.collection.task_names
        return [one for name, aliases in names.items() for one in (name, *aliases)]

    def _task(self, name: str) -> Task:
        from cartwheel.fab.mistakes import Task

        found = self.collection[name]
        context = ParserContext(name, args=found.get_arguments())
        return Task(context, getattr(found, "hosts", "optional") != "none")


def _ignore_interrupts() -> None:
    """The run is over, and its exit code is known."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


# Any: a program whose class changes.
def bind(program: Any) -> None:
    """Make stock `fab` a CartwheelProgram with a FleetExecutor: called by the fabfile."""
    open_streams()
    program.__class__ = CartwheelProgram
    program.executor_class = FleetExecutor
