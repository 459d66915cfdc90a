"""Records of runs: what a run leaves behind, however it ends, and what is read of it."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import cartwheel
from cartwheel.errors import Exit, UsageError
from cartwheel.events import Event
from cartwheel.fleet.report import HostReport, Report
from cartwheel.runs import record as records
from cartwheel.runs.lines import as_line
from cartwheel.runs.read import Run, find, newest
from cartwheel.runs.record import Record, files_in, prune, run_name
from cartwheel.terminal.show import Output
from tasks.runs import outcome_of, told
from tests.kit.project import new_project

ABOUT: dict[str, Any] = {"word": "deploy", "project": "/p", "hosts": ["a", "b"], "message": "why"}
ROOT = Path(__file__).parents[3]


def result(code: int = 0, **fields: Any) -> str:
    fixed = {"word": "deploy", "exit": code, "seconds": 1.0, "hosts": [], "errors": []}
    return as_line(type="result", **{**fixed, **fields})


def event(step: str, state: str, host: str = "a") -> str:
    return as_line(type="event", host=host, step=step, state=state, detail="", seconds=None)


def only(folder: Path) -> Run:
    (path,) = files_in(folder)
    return find(folder, path.stem)


def alone(code: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, which may be killed."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class TestWriting:
    def test_a_run_from_its_beginning_to_its_result(self, tmp_path: Path) -> None:
        folder = tmp_path / "state" / "runs"
        record = Record(folder, ABOUT)
        record.write(event("install", "start"))
        record.write(as_line(type="run", app="shop", hosts=["a"]))
        assert record.close(result(3)) == ""
        run = only(folder)
        assert (run.state, run.result and run.result["exit"]) == ("ended", 3)
        assert (run.about["app"], run.about["hosts"], run.about["word"]) == (
            "shop",
            ["a"],
            "deploy",
        )
        assert run.about["cartwheel"] == cartwheel.__version__
        assert [one["step"] for one in run.events] == ["install"]
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600]

    def test_names_sort_as_the_runs_began(self) -> None:
        moments = [0, 1.7e9, 1.7e9 + 0.001, 1.7e9 + 1, 1.8e9, 30e9]
        names = [run_name(one) for one in moments]
        assert names == sorted(set(names))
        assert {len(name) for name in names} == {9}

    def test_two_in_one_moment_have_two_names(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cartwheel.runs.record.time.time", lambda: 1.7e9)
        for one in [Record(tmp_path, ABOUT) for _ in range(5)]:
            assert one.close(result()) == ""
        assert len(newest(tmp_path, 10)) == 5

    def test_too_many_events_leave_room_for_the_result(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(records, "RUN_BYTES", 2000)
        record = Record(tmp_path, ABOUT)
        for _ in range(1000):
            record.write(event("install", "progress"))
        assert record.close(result()) == ""
        run = only(tmp_path)
        assert run.state == "ended"
        assert 0 < len(run.events) < 20

    def test_where_nothing_can_be_written_it_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "runs").write_text("in the way")
        record = Record(tmp_path / "runs" / "here", ABOUT)
        record.write(event("install", "start"))
        assert record.close(result()) == "Not a directory"

    def test_a_disk_that_does_not_answer_is_not_waited_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer = threading.Event()

        @contextmanager
        def hangs(_folder: Path, _began: float) -> Iterator[int]:
            answer.wait(60)
            raise OSError("too late")
            yield 0

        monkeypatch.setattr(records, "_new_file", hangs)
        record = Record(tmp_path, ABOUT)
        record.write(event("install", "start"))
        assert record.close(result(), seconds=0.05) == "the disk does not answer"
        answer.set()

    def test_a_disk_that_was_full_for_a_while(self, tmp_path: Path) -> None:
        """Of a limited process, because it fails the same way: the result is there."""
        code = f"""
import resource, sys
from pathlib import Path
from cartwheel.runs.record import Record
from cartwheel.runs.lines import as_line
from tests.unit.runs.test_runs import ABOUT, event, result
record = Record(Path({str(tmp_path)!r}), ABOUT)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
for _ in range(100):
    record.write(event("install", "progress"))
while not record._problem:
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(record.close(result()))
"""
        done = alone(code)
        assert (done.stdout, done.stderr) == ("\n", "")
        run = only(tmp_path)
        assert run.state == "ended"
        assert 0 < len(run.events) < 100

    def test_the_oldest_go(self, tmp_path: Path) -> None:
        names = [f"{run_name(1.7e9 + n)}.jsonl" for n in range(6)]
        for name in names:
            (tmp_path / name).write_text("x" * 100)
        (tmp_path / "0000.jsonl").write_text("not ours")
        prune(tmp_path, keep_runs=4)
        assert [path.name for path in files_in(tmp_path)] == names[2:]
        prune(tmp_path, keep_bytes=250)
        assert [path.name for path in files_in(tmp_path)] == names[4:]
        prune(tmp_path, keep_bytes=10)
        assert [path.name for path in files_in(tmp_path)] == names[5:]
        assert (tmp_path / "0000.jsonl").exists()


class TestReading:
    def test_one_that_is_at_work(self, tmp_path: Path) -> None:
        record = Record(tmp_path, ABOUT)
        record.write(event("install", "start"))
        while not newest(tmp_path, 1):
            pass
        run = only(tmp_path)
        assert (run.state, outcome_of(run)) == ("alive", "running")
        record.close(result())
        assert only(tmp_path).state == "ended"

    def test_one_that_was_killed(self, tmp_path: Path) -> None:
        code = f"""
import os, signal
from pathlib import Path
from cartwheel.runs.record import Record
from cartwheel.runs.read import newest
from tests.unit.runs.test_runs import ABOUT, event
record = Record(Path({str(tmp_path)!r}), ABOUT)
record.write(event("install", "start"))
while not (newest(record._folder, 1) and record._lines.empty()):
    pass
print("there", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
        done = alone(code)
        assert (done.stdout, done.returncode) == ("there\n", -signal.SIGKILL), done.stderr
        run = only(tmp_path)
        assert (run.state, outcome_of(run)) == ("killed", "was killed")
        text = "\n".join(told(run, apart=False))
        assert "\na     install\nb     -\n" in text
        assert text.endswith("`fab status -H a,b` shows which release is live")

    def test_one_that_was_left_by_a_second_interrupt(self, tmp_path: Path) -> None:
        code = f"""
import os, signal
from pathlib import Path
from cartwheel.runs.record import Record
from cartwheel.terminal.show import Output
from tests.unit.runs.test_runs import ABOUT
with Output("deploy", as_json=False, changing=True, record=Record(Path({str(tmp_path)!r}), ABOUT)):
    for _ in range(2):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            pass
"""
        assert alone(code).returncode == Exit.INTERRUPTED
        assert outcome_of(only(tmp_path)) == "interrupted"

    def test_what_is_torn_or_empty_is_left_out(self, tmp_path: Path) -> None:
        Record(tmp_path, ABOUT).close(result())
        (path,) = files_in(tmp_path)
        path.write_bytes(path.read_bytes() + b'{"type": "result", "exit"')
        (tmp_path / f"{run_name(1.7e9)}.jsonl").write_bytes(b"")
        (tmp_path / f"{run_name(1.7e9 + 1)}.jsonl").write_bytes(b"\xff{\n[]\n")
        (run,) = newest(tmp_path, 10)
        assert run.state == "ended"

    def test_newest_first_and_no_more_than_wanted(self, tmp_path: Path) -> None:
        for n in range(4):
            line = as_line(type="run", **ABOUT, began=n)
            (tmp_path / f"{run_name(n)}.jsonl").write_text(f"{line}\n{result(n)}\n")
        assert [run.about["began"] for run in newest(tmp_path, 3)] == [3, 2, 1]
        assert newest(tmp_path / "nothing", 3) == []

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [("last", "bbb"), ("a", "aaa"), ("bba", "bba"), ("bbbbbbbbb", "bbb")],
    )
    def test_by_name_by_its_beginning_or_the_last(
        self, tmp_path: Path, wanted: str, found: str
    ) -> None:
        self.three(tmp_path)
        assert find(tmp_path, wanted).name[:3] == found

    @pytest.mark.parametrize(
        ("wanted", "text"),
        [("b", "2 runs begin with 'b'"), ("x", "no run 'x'"), ("", "begin with ''")],
    )
    def test_which_one_is_not_clear(self, tmp_path: Path, wanted: str, text: str) -> None:
        self.three(tmp_path)
        with pytest.raises(UsageError, match=text):
            find(tmp_path, wanted)
        with pytest.raises(UsageError, match="no run"):
            find(tmp_path / "nothing", wanted)

    def three(self, folder: Path) -> None:
        for name in ("a" * 9, "bba" + "a" * 6, "b" * 9):
            text = as_line(type="run", **ABOUT, began=1.0)
            (folder / f"{name}.jsonl").write_text(f"{text}\n{result()}\n")


class TestOutput:
    """The record says the same as the run said itself."""

    def report(self, many: int) -> Report:
        hosts = [HostReport(f"h{n}", "deployed", "1.0.a", "0.9.b") for n in range(many)]
        return Report("1.0.a", "1.0", tuple(hosts), 4.0)

    @pytest.mark.parametrize("as_json", [True, False])
    def test_of_a_report(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str], as_json: bool
    ) -> None:
        with Output("deploy", as_json=as_json, record=Record(tmp_path, ABOUT)) as out:
            for state in ("start", "changed"):
                out.emit(Event("install", state, "x", "h0"))
            out.data("h0", "a line of a log", prefix="")
            code = out.report(self.report(3))
        out.result(code)
        said = capfd.readouterr()
        run = only(tmp_path)
        assert "a line of a log" not in (tmp_path / f"{run.name}.jsonl").read_text()
        if as_json:
            lines = [json.loads(line) for line in said.out.splitlines()]
            assert list(run.events) == [one for one in lines if one["type"] == "event"]
            assert run.result == lines[-1]
        table = (said.err if as_json else said.out).partition("HOST ")[2].splitlines()[1:-1]
        shown = list(told(run, apart=False))
        assert [line for line in shown if line in table] == table
        assert shown[0] == f"{run.name}  deploy: deployed"
        assert shown[-1].startswith("deploy 1.0.a done")

    def test_many_alike_and_each(self, tmp_path: Path) -> None:
        with Output("deploy", as_json=False, record=Record(tmp_path, ABOUT)) as out:
            code = out.report(self.report(20))
        out.result(code)
        shown = list(told(only(tmp_path), apart=False))
        assert sum(" 1.0.a " in f"{line} " and line.startswith("h") for line in shown) == 1
        shown = list(told(only(tmp_path), apart=True))
        assert sum(" 1.0.a " in f"{line} " and line.startswith("h") for line in shown) == 20

    def test_no_record_is_one_line_and_no_failure(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "runs").write_text("in the way")
        with Output("deploy", as_json=False, record=Record(tmp_path / "runs", ABOUT)) as out:
            code = out.report(self.report(1))
        out.result(code)
        assert code == 0
        assert capfd.readouterr().err == "note: this run left no record: File exists\n"


def test_the_words_need_no_settings(tmp_path: Path) -> None:
    """A run that its settings ended has a record too; looking at it needs none of them."""
    project = new_project(tmp_path)
    assert "There are no records of runs" in project.fab("runs.list").out
    project.settings("[app]\nnonsense = 1\n")
    project.fab("deploy", "-H", "a,b", "--message", "this is why", code=2)
    heads, row = project.fab("runs.list").out.splitlines()
    assert heads.split() == ["RUN", "WHEN", "TASK", "APP", "HOSTS", "OUTCOME", "TOOK", "WHY"]
    assert row.split()[3:8] == ["deploy", "-", "a,", "b", "refused"]
    shown = project.fab("runs.show", row.split()[0][:8]).out
    assert "why:     this is why" in shown
    assert "[CW103]" in shown
    told = json.loads(project.fab("runs.show", "last", "--json").out)
    assert (told["exit"], told["errors"], told["run"]["exit"]) == (0, [], 2)
    assert told["result"]["errors"][0]["slug"] == "settings"
    assert "there is no run" in project.fab("runs.show", "zzz", code=2).err
    project.fab("plan", "-H", "a", code=2)
    project.fab("doctor", "-H", "a", code=2)
    assert len(project.fab("runs.list").out.splitlines()) == 2, "what changes nothing leaves none"
    assert [path.name for path in (tmp_path / "state" / "cartwheel").iterdir()] == ["runs"]
