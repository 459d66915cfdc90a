"""What a person sees, and what a program reads: `fab` on a pseudo-terminal and on a pipe,
against a real host."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit import terminal
from tests.kit.fab import fab
from tests.kit.host import await_sessions, current, get
from tests.kit.project import Done, Project, new_project
from tests.kit.terminal import Terminal
from tests.kit.tiers import tiered
from tests.kit.waiting import is_alive

SECONDS = 120.0
PREFIXED = re.compile(r"\[(here|lab\d+)\] (…|✓|=|✗|·) \S")
HEADS = "HOST  OUTCOME"


@dataclass
class Stage:
    """A host that serves `shop`; every new text is another release."""

    host: LabHost
    project: Project
    texts: int = 0

    def new_text(self) -> str:
        self.texts += 1
        text = f"text {self.texts}"
        self.project.app(text)
        return text

    def fab(self, *words: str, code: int | None = 0, env: Mapping[str, str] = {}) -> Done:
        project = Project(self.project.folder, {**self.project.env, **env})
        return project.fab(*words, "-H", self.host.name, code=code)

    def argv(self, *words: str) -> list[str]:
        return self.project.command(*words, "-H", self.host.name)


@pytest.fixture(scope="module")
def stage(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    one = Stage(module_host, new_project(tmp_path_factory.mktemp("output")))
    one.fab("setup")
    one.new_text()
    one.fab("deploy")
    return one


@contextmanager
def on_terminal(stage: Stage, *words: str, **how: Any) -> Iterator[Terminal]:
    with terminal.on_terminal(stage.project, *words, "-H", stage.host.name, **how) as one:
        yield one


def json_lines(text: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Every line is JSON; the events and lines, and the result, which is the last one."""
    *before, result = [json.loads(line) for line in text.splitlines()]
    assert result["type"] == "result"
    assert {one["type"] for one in before} <= {"event", "line"}
    return before, result


ASCII = {
    "LANG=C": {"LANG": "C"},
    "LC_ALL=C": {"LC_ALL": "C"},
    "really-C": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
}


class TestPipe:
    def test_one_prefixed_line_for_each_event(self, stage: Stage) -> None:
        stage.new_text()
        done = stage.fab("deploy", env={"LANG": "C.UTF-8"})
        events, table = done.out.split(HEADS)
        assert [line for line in events.splitlines() if not PREFIXED.match(line)] == []
        assert "\x1b" not in done.text
        assert "\r" not in done.text
        ends = re.findall(r"^\[lab\d+\] [✓=] ([a-z ]+?)(?: \(|$| \d| to )", events, re.MULTILINE)
        wanted = ["connect", "upload", "venv", "install", "configure", "verify", "start", "traffic"]
        assert [step for step in ends if step in wanted] == wanted
        serves = current(stage.host, "shop")
        row = next(line for line in table.splitlines() if line.startswith(stage.host.name))
        assert re.split(r"  +", row)[1:3] == ["deployed", serves]
        assert re.search(rf"^deploy {re.escape(serves)} done in \d", table, re.MULTILINE)

    def test_lines_come_when_things_happen(self, stage: Stage) -> None:
        """Unbuffered also without PYTHONUNBUFFERED: the first line is there before the last."""
        env = dict(stage.project.environment())
        env.pop("PYTHONUNBUFFERED", None)
        process = subprocess.Popen(
            stage.argv("restart"), cwd=stage.project.folder, env=env, stdout=subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"[")
            assert process.poll() is None
            process.stdout.read()
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()
            process.wait()

    @pytest.mark.parametrize(
        "env",
        tiered(ASCII, nightly=ASCII.keys() - {"really-C"}),
    )
    def test_ascii_where_the_locale_says_so(self, stage: Stage, env: str) -> None:
        done = stage.fab("deploy", env=ASCII[env])
        assert done.text.isascii()
        assert "[here] .. build" in done.out
        assert "unchanged" in done.out

    def test_a_reader_that_goes_away_does_not_stop_a_deploy(self, stage: Stage) -> None:
        text = stage.new_text()
        process = subprocess.Popen(
            stage.argv("deploy"),
            cwd=stage.project.folder,
            env=stage.project.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            errors = process.stderr.read()
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()
            process.wait()
        assert errors == b""
        assert get(stage.host) == text

    def test_what_is_shown_is_all_of_standard_output(self, stage: Stage) -> None:
        done = stage.fab("status")
        heads, row = done.out.splitlines()
        assert heads.split() == [
            "HOST", "LIVE", "SINCE", "HEALTH", "WORKERS", "MEMORY", "COMMIT", "NOTES",
        ]  # fmt: skip
        assert re.search(r"  \d\d:\d\d \(\d+ (s|min)\)  healthy  ", row)
        assert re.search(r"  [1-9]\d* MB  ", row)
        assert done.err == ""

    @pytest.mark.nightly
    def test_times_are_of_the_operators_zone(self, stage: Stage) -> None:
        hours = {}
        for zone in ("UTC", "UTC-5"):  # POSIX: five hours east
            made = [
                re.findall(r"\b(\d\d):\d\d\b", stage.fab(word, env={"TZ": zone}).out)[0]
                for word in ("status", "releases", "history")
            ]
            hours[zone] = [int(hour) for hour in made]
        assert [(hour + 5) % 24 for hour in hours["UTC"]] == hours["UTC-5"]


class TestTerminal:
    def test_rows_while_it_runs_and_lines_that_stay(self, stage: Stage) -> None:
        stage.new_text()
        with on_terminal(stage, "deploy") as terminal:
            assert terminal.end() == 0
        name = re.escape(stage.host.name)
        moving = {line for screen in terminal.seen for line in screen}
        assert any(re.match(rf"\[{name}\] … install \d+\.\d s", line) for line in moving)
        last = terminal.screen
        assert not any("…" in line for line in last)
        assert any(re.match(rf"\[{name}\] ✓ install \(\d+\.\d s\)", line) for line in last)
        assert any(re.match(r"\[here\] [✓=] build", line) for line in last)
        assert last[-6].startswith(HEADS)
        assert last[-3] == f"open: {stage.host.url()} (answers 200)"
        at = f"-H {stage.host.name}"
        assert last[-2] == f"next: `fab status {at}`, `fab logs {at}`"
        assert last[-1] == f"to go back: `fab rollback {at}`"
        assert b"\x1b[32m" in terminal.raw

    @pytest.mark.nightly
    def test_narrow_and_resized(self, stage: Stage) -> None:
        stage.new_text()
        with on_terminal(stage, "deploy", columns=24, rows=80) as terminal:
            terminal.shows("install")
            terminal.resize(14, 60)
            terminal.shows("… wat")
            terminal.resize(100, 60)
            assert terminal.end() == 0
        assert not any("…" in line for line in terminal.screen if line.startswith("["))

    @pytest.mark.nightly
    def test_no_colour(self, stage: Stage) -> None:
        with on_terminal(stage, "restart", env={"NO_COLOR": "1"}) as terminal:
            assert terminal.end() == 0
        assert re.search(rb"\x1b\[[\d;]*m", terminal.raw) is None
        assert b"\x1b[J" in terminal.raw

    @pytest.mark.nightly
    def test_a_dumb_terminal_gets_lines(self, stage: Stage) -> None:
        with on_terminal(stage, "restart", env={"TERM": "dumb"}) as terminal:
            assert terminal.end() == 0
        assert b"\x1b" not in terminal.raw
        assert any(PREFIXED.match(line) for line in terminal.screen)

    def test_what_only_shows_leaves_no_trace_of_its_progress(self, stage: Stage) -> None:
        with on_terminal(stage, "releases") as terminal:
            assert terminal.end() == 0
        assert terminal.screen[0].startswith("HOST")


READING = ("status", "doctor", "plan", "releases", "history", "env.list", "nginx.test")


class TestJson:
    @pytest.mark.parametrize("word", tiered(READING, nightly=READING[3:]))
    def test_what_shows(self, stage: Stage, word: str) -> None:
        done = stage.fab(word, "--json", code=None)
        _events, result = json_lines(done.out)
        assert (result["word"], result["exit"], result["errors"]) == (word, done.code, [])
        told = result["findings"] if word == "doctor" else result["hosts"]
        assert {one["host"] for one in told} == {stage.host.name}
        assert stage.host.name in done.err

    @pytest.mark.nightly
    def test_what_changes(self, stage: Stage) -> None:
        before = current(stage.host, "shop")
        stage.new_text()
        events, result = json_lines(stage.fab("deploy", "--json", "--message", "why").out)
        after = current(stage.host, "shop")
        (host,) = result["hosts"]
        assert host["error"] is None
        assert (host["outcome"], host["serves"], host["before"]) == ("deployed", after, before)
        assert host["serves_known"] is True
        assert 0 < host["seconds"] <= result["seconds"]
        assert (result["release"], result["exit"]) == (after, 0)
        install = [one for one in events if one["step"] == "install"]
        assert [one["state"] for one in install][0::9] == ["start"]
        assert install[-1]["state"] == "changed"
        assert install[-1]["seconds"] > 0
        assert all(one["at"] > 1.7e9 for one in events)
        for word, outcome in (("restart", "deployed"), ("rollback", "deployed")):
            _, result = json_lines(stage.fab(word, "--json").out)
            assert result["hosts"][0]["outcome"] == outcome
        for word in ("stop", "start", "prune", "packages", "nginx.reload", "setup"):
            _, result = json_lines(stage.fab(word, "--json").out)
            assert result["hosts"][0]["error"] is None, word

    def test_lines_of_commands_and_logs(self, stage: Stage) -> None:
        done = stage.fab("run", "--json", "--command", "echo said; exit 7", code=7)
        lines, result = json_lines(done.out)
        assert [one["text"] for one in lines if one["type"] == "line"] == ["said"]
        assert result["hosts"] == [{"host": stage.host.name, "status": 7}]
        lines, _ = json_lines(stage.fab("logs", "--json").out)
        assert {one["source"] for one in lines if one["type"] == "line"} >= {"gunicorn"}

    def test_without_hosts(self, stage: Stage) -> None:
        done = stage.project.fab("build", "--json")
        _, result = json_lines(done.out)
        assert result["wheel"].endswith(".whl")

    def test_errors_before_a_host_is_touched(self, stage: Stage) -> None:
        done = stage.project.fab("status", "-H", "127.0.0.1:1", "--json", code=1)
        _, result = json_lines(done.out)
        assert [one["slug"] for one in result["errors"]] == ["ssh-unreachable"]
        assert result["errors"][0]["number"] == 201
        assert "[CW201]" in done.err
        done = stage.fab("deploy", "--wait", "long", "--json", code=2)
        assert [one["slug"] for one in json_lines(done.out)[1]["errors"]] == ["usage"]


TALKATIVE = r"""
import sys

sys.stdout.buffer.write(b"caf\xe9 \x1b[31mred" + b"y" * 5000 + b" end\n")
sys.stdout.flush()
try:
    {}["missing"]
except KeyError:
    import traceback

    traceback.print_exc()
"""


@pytest.fixture(scope="module")
def talkative(stage: Stage) -> str:
    """A release that says much at its start, and a hook that does."""
    stage.new_text()
    app = stage.project.folder / "app" / "app.py"
    app.write_text(TALKATIVE + app.read_text())
    config = stage.project.folder / "config" / "deploy.toml"
    text = config.read_text()
    hook = """
        [hooks.greet]
        after = "switch"
        where = "hosts"
        command = "echo greetings"
        """
    stage.project.settings(text + textwrap.dedent(hook))
    stage.fab("deploy")
    config.write_text(text)
    get(stage.host, "/env/LOGGED")
    return current(stage.host, "shop")


class TestLogs:
    def told(self, stage: Stage, *words: str) -> list[tuple[str, str]]:
        lines, _result = json_lines(stage.fab("logs", "--json", *words).out)
        told = [one for one in lines if one["type"] == "line"]
        assert [one["time"] for one in told] == sorted(one["time"] for one in told)
        return [(one["source"], one["text"]) for one in told]

    def test_every_source_by_time_and_nothing_as_a_blob(self, stage: Stage, talkative: str) -> None:
        told = self.told(stage)
        assert {source for source, _text in told} >= {
            *("app", "gunicorn", "systemd", "nginx-access", "cartwheel", "hooks")
        }
        (line,) = {text for source, text in told if "caf\ufffd" in text}
        assert line.startswith("caf\ufffd \x1b[31mredyyy")
        assert line.endswith("y end")
        assert len(line) > 5000
        assert ("hooks", "hook greet: greetings") in told
        assert any(text.startswith(f"deploy {talkative}: done") for _source, text in told)
        assert not any("[blob data]" in text for _source, text in told)

    def test_some_of_them(self, stage: Stage, talkative: str) -> None:
        errors = self.told(stage, "--errors", "--source", "app", "--since", "5m")
        texts = [text for _source, text in errors]
        assert texts[0] == "Traceback (most recent call last):"
        assert texts[-1] == "KeyError: 'missing'"
        assert {source for source, _text in errors} == {"app"}
        (found,) = self.told(stage, "--grep", "env/logged", "--source", "nginx")
        assert found[0] == "nginx-access"
        assert len(self.told(stage, "--lines", "1", "--source", "gunicorn")) == 1
        of_release = self.told(stage, "--release", talkative, "--lines", "500")
        assert {source for source, _text in of_release} == {
            "app",
            "gunicorn",
            "systemd",
            "cartwheel",
        }
        assert not any("text 1" in text for _source, text in of_release)
        silent = stage.fab("logs", "--grep", "never written")
        assert silent.out == ""
        assert f"[{stage.host.name}] no such lines" in silent.err

    def test_a_journal_that_keeps_nothing(self, stage: Stage) -> None:
        folder = "/etc/systemd/journald.conf.d"
        stage.host.sh(f"mkdir -p {folder}; printf '[Journal]\nStorage=none\n' > {folder}/none.conf")
        try:
            assert "take Storage=none out of journald.conf" in stage.fab("logs").err
            assert stage.fab("logs", "--source", "nginx").err == ""
        finally:
            stage.host.sh(f"rm {folder}/none.conf")


class TestWhatWasDeployed:
    @pytest.mark.nightly
    def test_the_commit_of_a_release(self, stage: Stage) -> None:
        """Clean, with other changes, and deployed again from a later commit."""
        folder = stage.project.folder / "app"

        def git(*words: str) -> str:
            me = ("-c", "user.name=ann", "-c", "user.email=ann@example.org", "-C", str(folder))
            done = subprocess.run(["git", *me, *words], check=True, capture_output=True, text=True)
            return done.stdout.strip()

        def commits(word: str) -> str:
            answer = json_lines(stage.fab(word, "--json").out)[1]["hosts"][0]["answer"]
            known = {"releases": "releases", "history": "entries"}.get(word)
            return str((answer[known][-1] if known else answer)["commit"])

        try:
            git("init", "--quiet")
            stage.new_text()
            git("add", ".")
            git("commit", "--quiet", "--message", "one")
            first = git("rev-parse", "HEAD")
            stage.fab("deploy")
            assert {commits(word) for word in ("status", "releases", "history")} == {first}
            assert f"  {first[:9]}" in stage.fab("status").out
            stage.new_text()
            stage.fab("deploy")
            assert {commits(word) for word in ("status", "releases", "history")} == {
                f"{first}-dirty"
            }
            git("commit", "--quiet", "--all", "--message", "two")
            stage.fab("deploy")  # the same release
            assert commits("history") == git("rev-parse", "HEAD")
            assert commits("status") == f"{first}-dirty"
        finally:
            shutil.rmtree(folder / ".git", ignore_errors=True)

    @pytest.mark.nightly
    def test_a_release_that_was_left_is_told_when_it_comes_again(self, stage: Stage) -> None:
        stage.new_text()
        stage.fab("deploy")
        left = current(stage.host, "shop")
        stage.fab("rollback", "--message", "the colours")
        rows = stage.fab("releases").out.splitlines()
        assert [row.split("  ")[-1] for row in rows if left in row] == ["rolled back"]
        says = rf"{re.escape(left)} was left by a rollback \d+ s ago \(by .+\): the colours"
        assert re.search(says, stage.fab("plan").out)
        assert re.search(rf"\] · plan {says}", stage.fab("deploy").out)
        assert "was left" not in stage.fab("deploy").out


class TestFailure:
    @pytest.fixture
    def broken(self, stage: Stage) -> Iterator[str]:
        """The next release does not answer its health check; what serves."""
        serves = current(stage.host, "shop")
        stage.new_text()
        app = stage.project.folder / "app" / "app.py"
        app.write_text(
            app.read_text().replace('"/healthz": "ok", ', "") + '\nprint("my last words")\n'
        )
        stage.project.settings(
            stage.project.folder.joinpath("config/deploy.toml").read_text()
            + "[health]\ndeadline_seconds = 2\n"
        )
        yield serves
        stage.new_text()
        config = stage.project.folder / "config" / "deploy.toml"
        config.write_text(config.read_text().removesuffix("[health]\ndeadline_seconds = 2\n"))

    def test_for_a_person(self, stage: Stage, broken: str) -> None:
        done = stage.fab("deploy", code=1)
        line, *rest = done.err.splitlines()
        assert line.startswith(
            f"error: {stage.host.name}: not healthy after 2 s: /healthz answered"
        )
        assert line.endswith("[CW602]")
        assert rest[0] == "  step:   start"
        assert any(re.match(r"  \| .*my last words", one) for one in rest)
        assert rest[-2] == f"  live:   {broken}, as before"
        assert rest[-1].startswith("  next:   ")
        row = next(one for one in done.out.splitlines() if one.startswith(stage.host.name))
        assert re.split("  +", row)[1:4] == ["failed, nothing changed", broken, broken]
        assert current(stage.host, "shop") == broken

    def test_for_a_program(self, stage: Stage, broken: str) -> None:
        done = stage.fab("deploy", "--json", code=1)
        _, result = json_lines(done.out)
        (host,) = result["hosts"]
        assert (host["outcome"], host["serves"]) == ("failed", broken)
        assert result["errors"] == [host["error"]]
        assert host["error"]["number"] == 602
        assert "my last words" in host["error"]["detail"]
        assert result["exit"] == Exit.FAILED


class TestRecord:
    """What a run leaves on the operator's machine."""

    def runs(self, stage: Stage) -> list[dict[str, Any]]:
        done = stage.project.fab("runs.list", "--lines", "500", "--json")
        found: list[dict[str, Any]] = json_lines(done.out)[1]["runs"]
        return found

    def test_a_deploy_and_one_that_was_killed(self, stage: Stage) -> None:
        host = stage.host.name
        stage.new_text()
        events, result = json_lines(stage.fab("deploy", "--json", "--message", "why").out)
        serves = current(stage.host, "shop")
        (first, *_) = before = self.runs(stage)
        assert (first["word"], first["app"], first["hosts"]) == ("deploy", "shop", [host])
        assert (first["message"], first["exit"], first["state"]) == ("why", 0, "ended")
        _, shown = json_lines(stage.project.fab("runs.show", first["run"], "--json").out)
        assert (shown["events"], shown["result"]) == (events, result)
        row = stage.project.fab("runs.show", "last").out.partition(HEADS)[2].splitlines()[1]
        assert re.split("  +", row)[:3] == [host, "deployed", serves]

        stage.new_text()
        with fab(stage.project, "deploy", "-H", host) as running:
            running.wait_for(("install", "start"))
            running.process.send_signal(signal.SIGSTOP)  # a busy machine is slower to look
            assert self.runs(stage)[0]["state"] == "alive"
            running.process.kill()
            assert running.end() == -signal.SIGKILL
        killed, *others = self.runs(stage)
        assert others == before
        assert (killed["state"], killed["exit"], killed["hosts"]) == ("killed", None, [host])
        listed = stage.project.fab("runs.list", "--lines", "1").out.splitlines()
        assert len(listed) == 2
        assert "was killed" in listed[1]
        lines = stage.project.fab("runs.show", "last").out.splitlines()
        where = re.split("  +", lines[-2])[:2]
        assert where in ([host, "install"], [host, "configure"], [host, "verify"])
        await_sessions(stage.host)
        assert current(stage.host, "shop") == serves


class TestSilence:
    @pytest.mark.nightly
    def test_a_long_wait_says_what_is_waited_for(self, stage: Stage) -> None:
        """The host swallows everything: nothing comes until the connection is given up."""
        stage.host.black_hole()
        try:
            process = subprocess.Popen(
                stage.argv("status"),
                cwd=stage.project.folder,
                env=stage.project.environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                started = time.monotonic()
                assert process.stderr is not None
                first = process.stderr.readline()
                assert time.monotonic() - started < 10.5
                assert re.match(
                    rf"\[{stage.host.name}\] … connect still running after [78] s", first
                )
                assert process.wait(SECONDS) == 1
            finally:
                process.kill()
                process.communicate()
        finally:
            stage.host.restore()


class TestInterrupt:
    def settled(self, stage: Stage, serves: str) -> None:
        """What served before serves, the next deploy just works, and takes what was half done."""
        assert current(stage.host, "shop") == serves
        text = stage.new_text()
        stage.fab("deploy")
        assert get(stage.host) == text
        _, result = json_lines(stage.fab("status", "--json").out)
        assert result["hosts"][0]["answer"]["leftovers"] == []
        assert result["hosts"][0]["answer"]["also_running"] == []

    @pytest.mark.nightly
    def test_during_the_install(self, stage: Stage) -> None:
        serves = current(stage.host, "shop")
        stage.new_text()
        with on_terminal(stage, "deploy") as terminal:
            terminal.shows("… install")
            terminal.type("\x03")
            typed = time.monotonic()
            terminal.shows(f"stopping: {stage.host.name} recovers (a second Ctrl-C")
            assert time.monotonic() - typed < 2
            assert terminal.end() == Exit.INTERRUPTED
        assert terminal.screen[-2].split() == ["HOST", "LIVE"]
        assert terminal.screen[-1].split() == [stage.host.name, serves]
        assert "Traceback" not in terminal.raw.decode()
        self.settled(stage, serves)

    @pytest.mark.nightly
    def test_during_the_probation(self, stage: Stage) -> None:
        serves = current(stage.host, "shop")
        stage.new_text()
        config = stage.project.folder / "config" / "deploy.toml"
        text = config.read_text()
        config.write_text(text.replace("probation_seconds = 0.5", "probation_seconds = 30"))
        try:
            with on_terminal(stage, "deploy") as terminal:
                terminal.shows("… watch period")
                assert current(stage.host, "shop") != serves
                terminal.type("\x03")
                terminal.shows(f"stopping: {stage.host.name} recovers (a second Ctrl-C")
                assert terminal.end() == Exit.INTERRUPTED
        finally:
            config.write_text(text)
        assert terminal.screen[-1].split() == [stage.host.name, serves]
        self.settled(stage, serves)

    @pytest.mark.nightly
    def test_as_json(self, stage: Stage) -> None:
        serves = current(stage.host, "shop")
        stage.new_text()
        process = subprocess.Popen(
            stage.argv("deploy", "--json"),
            cwd=stage.project.folder,
            env=stage.project.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                event = json.loads(line)
                if event["step"] == "venv":
                    break
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
            assert process.wait(SECONDS) == Exit.INTERRUPTED
        finally:
            process.kill()
            process.wait()
        _, result = json_lines(rest)
        assert result["exit"] == Exit.INTERRUPTED
        assert result["hosts"][0]["answer"]["current"] == serves

    @pytest.mark.nightly
    def test_during_the_apps_own_tests(self, stage: Stage) -> None:
        """What runs here ends too, and with it what it started."""
        stage.new_text()
        mark = stage.project.folder / "running"
        config = stage.project.folder / "config" / "deploy.toml"
        text = config.read_text()
        command = f"sh -c 'echo $$ > {mark}; exec sleep 300'; true"
        config.write_text(text + f'[tests]\ncommand = "{command}"\n')
        try:
            with on_terminal(stage, "deploy") as terminal:
                terminal.until(lambda _one: mark.exists() and mark.read_text().strip())
                pid = int(mark.read_text())
                terminal.type("\x03")
                assert terminal.end() == Exit.INTERRUPTED
            deadline = time.monotonic() + 5
            while is_alive(pid):  # whoever took it over may reap it a moment later
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            config.write_text(text)
            if mark.exists() and is_alive(int(mark.read_text())):
                os.kill(int(mark.read_text()), signal.SIGKILL)

    def test_before_any_host(self, stage: Stage) -> None:
        stage.host.black_hole()
        try:
            with on_terminal(stage, "restart") as terminal:
                terminal.shows("connect")
                terminal.type("\x03")
                terminal.shows("stopped; no host was changed")
                assert terminal.end() == Exit.INTERRUPTED
        finally:
            stage.host.restore()

    def test_following_logs_ends_without_words(self, stage: Stage) -> None:
        with on_terminal(stage, "logs", "--follow", "--source", "gunicorn,nginx") as terminal:
            terminal.shows("gunicorn: ")
            get(stage.host, "/env/FOLLOWED")
            terminal.shows("/env/FOLLOWED")
            terminal.type("\x03")
            assert terminal.end() == Exit.INTERRUPTED
        assert "Traceback" not in terminal.raw.decode()
