"""What may follow on an incomplete command line: tasks, options, and the values of options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from invoke.parser import Argument, ParserContext

# The values of a task's option, or of its word: given the option's name and the words before.
Values = Callable[[str, Sequence[str]], Iterable[str]]


@dataclass(frozen=True)
class Completion:
    """Completes the last of the `words`, which may be empty. `task` finds a task's options, and
    `values` what its options take."""

    words: Sequence[str]
    core: ParserContext
    names: Sequence[str]
    task: Callable[[str], ParserContext]
    values: Callable[[str], Values]

    def candidates(self) -> list[str]:
        """Everything that may stand there; none: the shell offers files."""
        *before, word = self.words or [""]
        name = next((one for one in reversed(before) if one in self.names), "")
        context = self.task(name) if name else self.core
        flag, equals, value = word.partition("=")
        if equals and (option := self._takes_value(flag, context)):
            return [f"{flag}={one}" for one in self._of(option, name, value)]
        if word.startswith("-"):
            return self._flags(context)
        # bash makes three words of --env=production.
        last = before[-2] if before[-1:] == ["="] and before[1:] else (before or [""])[-1]
        if word == "=":
            last, word = (before or [""])[-1], ""
        if option := self._takes_value(last, context):
            return self._of(option, name, word)
        if name and context.positional_args and before[-1] == name:
            return self._of(str(context.positional_args[0].name), name, word)
        if name:
            return [] if word else self._flags(context)
        return list(self.names)

    def _takes_value(self, flag: str, context: ParserContext) -> str:
        """The name of the option, if it takes a value."""
        for one in (context, self.core):
            if flag in one.flags:  # some are aliases, which `get` does not know
                found: Argument = one.flags[flag]
                return max(found.names, key=len) if found.takes_value else ""
        return ""

    def _of(self, option: str, name: str, begun: str) -> list[str]:
        if option in ("help", "list"):
            return list(self.names)
        found = list(dict.fromkeys(self.values(name)(option, self.words)))
        if option not in _LISTS or "," not in begun:
            return found
        # The names before the last comma stay.
        first, comma, _last = begun.rpartition(",")
        return [f"{first}{comma}{one}" for one in found if one not in first.split(",")]

    def _flags(self, context: ParserContext) -> list[str]:
        more = () if context is self.core else _OF_ALL_TASKS
        return [*(flag for flag in context.flag_names() if flag.startswith("--")), *more]


_LISTS = ("hosts", "role", "limit", "exclude", "source", "name", "process")
_OF_ALL_TASKS = ("--hosts", "--help")

SCRIPTS = {
    "bash": """\
_cartwheel_complete() {
    # bash's own words end at each `@`, `:` and `=`; it replaces only the last part, $2.
    local IFS=$' \\t' line=${COMP_LINE:0:COMP_POINT} words found word
    read -ra words <<< "$line"
    [[ $line == *[[:blank:]] ]] && words+=("")
    word=${words[-1]}
    found=$("$1" --complete -- "${words[@]}" 2>/dev/null)
    IFS=$'\\n'
    COMPREPLY=($(compgen -W "$found" -- "$word"))
    [[ $2 == [@:=] ]] || word=${word%"$2"}
    COMPREPLY=("${COMPREPLY[@]#"$word"}")
}
complete -o default -F _cartwheel_complete fab cartwheel
""",
    "zsh": """\
#compdef fab cartwheel
_cartwheel_complete() {
    local -a found
    found=(${(f)"$("${words[1]}" --complete -- "${(@)words[1,CURRENT]}" 2>/dev/null)"})
    if (( ${#found} )); then compadd -- $found; else _files; fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
compdef _cartwheel_complete fab cartwheel
""",
    "fish": """\
function __cartwheel_complete
    set -l words (commandline --tokenize --cut-at-cursor --current-process)
    set -l begun (commandline --current-token --cut-at-cursor)
    $words[1] --complete -- $words "$begun" 2>/dev/null
end
for program in fab cartwheel
    complete --command $program --no-files --arguments '(__cartwheel_complete)'
end
""",
}
