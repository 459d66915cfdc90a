"""A command as words: what a shell makes of it, or a refusal with its remedy."""

from __future__ import annotations

import subprocess

import pytest

from cartwheel.settings.command_words import Variable, Word, for_systemd, parse

ENV = {"ONE": "x", "MANY": "a  b", "EMPTY": "", "NAME_2": "deep"}

COMMANDS = [
    "celery -A shop worker -l info -n worker@$ONE",
    "python -m work 'a job' \"and another\"",
    "exec rq worker high low",
    "  huey_consumer.py \t shop.tasks.huey  ",
    "celery \\\n  -A shop \\\n  worker",
    "a\\\nb c",
    "a b\\ c d\\\\e \\$ONE \\'",
    "a '' \"\" x''y",
    "a \"it's\" 'say \"no\"' 'it'\\''s'",
    'a "q\\"q" "b\\\\b" "\\$ONE" "\\`" "\\n" "x\\\ny"',
    "a '$ONE' '${ONE}' '\\n' '`' '%h' '%%' '\\x41'",
    "a $MANY \"$MANY\" ${MANY} '$MANY'",
    'a $EMPTY "$EMPTY" -x${EMPTY}y $NOT_SET',
    "a ${ONE}1 $ONE-1 $NAME_2 x$ONE",
    "a cost$ '$' \\$ $ b",
    "a x#y a=b --c=d x~y :~z ]",
    "a '*' \"?\" '[x]' \\* '&&' \"|\" ';' \\; '#' \"~\"",
    "a 'two\nlines' \"tab\there\" 'return\rhere' 'bell\x07'",
    "a ü '£ €' 日本 a\u00a0b",
    "a {x,y} {} ! @ + - : -- %i 100%",
    "'a program' x",
    "./bin/work.sh -v",
]


def words_of_shell(command: str) -> list[str]:
    """The same in a real shell; $IFS is blanks and the shell's own default."""
    script = f"""printf '%s\\0' {command.removeprefix("exec ").strip()}"""
    done = subprocess.run(
        ["sh", "-c", script], env=ENV, capture_output=True, check=True, timeout=10
    )
    return done.stdout.decode().split("\0")[:-1]


def values(word: Word) -> list[str]:
    text = "".join(
        ENV.get(one.name, "") if isinstance(one, Variable) else one for one in word.parts
    )
    return text.split() if word.splits else [text]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_words_are_those_of_a_shell(command: str) -> None:
    assert [value for word in parse(command) for value in values(word)] == words_of_shell(command)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("", "is empty"),
        (" \t\n", "is empty"),
        ("exec", "is empty"),
        ("a && b", "`&&` needs a shell: write `sh -c '...'`"),
        ("a || b", "`||` needs a shell"),
        ("a | b", "`|` needs a shell"),
        ("a & b", "`&` needs a shell"),
        ("a; b", "`;` needs a shell"),
        ("a > out", "`>` needs a shell"),
        ("a 2>&1", "`>` needs a shell"),
        ("a < in", "`<` needs a shell"),
        ("(a)", "`(` needs a shell"),
        ("a\nb", "a line break needs a shell"),
        ("a `b`", "a backquote needs a shell"),
        ('a "`b`"', "a backquote needs a shell"),
        ("a $(b)", "`$(` needs a shell"),
        ("a ${B:-c}", "`${` needs a shell"),
        ("a ${}", "`${` needs a shell"),
        ("a $1", "`$1` needs a shell"),
        ("a $$", "`$$` needs a shell"),
        ("a $?", "`$?` needs a shell"),
        ("a $'b'", "`$'` needs a shell"),
        ('a $"b"', '`$"` needs a shell'),
        ("a *.py", "`*` needs a shell"),
        ("a b?", "`?` needs a shell"),
        ("a [b]", "`[` needs a shell"),
        ("a ~/b", "`~` needs a shell"),
        ("a # why", "`#` needs a shell"),
        ("A=b c", "sets A before its program: set it in env, beside the command"),
        ("LOG_LEVEL='x y' a", "sets LOG_LEVEL before its program"),
        ("A=$B c", "sets A before its program"),
        ("exec A=b c", "sets A before its program"),
        ("./a=b c", "has a `=` in the name of its program"),
        ("$A=b c", "has a `=` in the name of its program"),
        ("-l a", "begins with -l: the first word is the program"),
        ("exec -a name b", "begins with -a: the first word is the program"),
        ("'' a", "begins with an empty word"),
        ("cd app", "`cd` needs a shell"),
        (". bin/env", "`.` needs a shell"),
        ("if a", "`if` needs a shell"),
        ("export A", "`export` needs a shell"),
        ("{ a", "`{` needs a shell"),
        ("! a", "`!` needs a shell"),
        ("ulimit -n 9", "`ulimit` needs a shell"),
        ("a 'b", "has an open '"),
        ('a "b', 'has an open "'),
        ("a \\", "ends with `\\`"),
        ("a 'b\0c'", "has a NUL character"),
    ],
)
def test_what_is_refused_says_what_to_do(command: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(command)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("celery -n w@$CARTWHEEL_INSTANCE", '"celery" "-n" "w@${CARTWHEEL_INSTANCE}"'),
        ("a $B \"$B\" '$B'", '"a" $B "${B}" "$$B"'),
        ("a '' '%i' \"\\\\\" 'q\"q'", '"a" "" "%%i" "\\\\" "q\\"q"'),
        ("a 'x\ny' 'x\ry' 'x\ty'", '"a" "x\\x0ay" "x\\x0dy" "x\\x09y"'),
    ],
)
def test_a_line_for_systemd(command: str, line: str) -> None:
    """What systemd makes of such lines: test_words_reach_the_program in tests/lab."""
    assert for_systemd(parse(command)) == line
