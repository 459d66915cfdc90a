"""The records of runs on the operator's machine: written by Cartwheel, read by the page."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from cartwheel.runs.lines import as_line
from cartwheel.runs.record import Record, files_in, run_name
from cartwheel_monitor.page.reading import records
from cartwheel_monitor.page.views.runs import RUNS
from tests.unit.monitor.page.kit import filled, page, text_of

__all__ = ["filled", "page"]
ABOUT: dict[str, Any] = {"word": "deploy", "project": "/p", "hosts": ["a"], "message": "<b>why"}


def event(step: str, state: str = "done", detail: str = "", host: str = "a") -> str:
    return as_line(type="event", host=host, step=step, state=state, detail=detail, seconds=1.5)


def result(code: int = 0, **fields: Any) -> str:
    fixed = {"word": "deploy", "exit": code, "seconds": 75.0, "hosts": [], "errors": []}
    return as_line(type="result", **{**fixed, **fields})


@pytest.fixture
def folder(tmp_path: Path, page: FlaskClient) -> Path:
    """Where the page finds records."""
    here = tmp_path / "runs"
    here.mkdir()
    page.application.config[RUNS] = here
    return here


@pytest.fixture
def alive(folder: Path) -> Iterator[Record]:
    """A run that has begun."""
    record = Record(folder, ABOUT)
    record.write(as_line(type="run", app="shop", environment="live", hosts=["a", "b"], who="ann"))
    record.write(event("install", "progress", "<i>pip"))
    yield record
    record.close(result())


def name_in(folder: Path, count: int = 1) -> str:
    from tests.kit.waiting import until

    until(lambda: len(files_in(folder)) == count and b"<i>" in files_in(folder)[-1].read_bytes(), 5)
    return files_in(folder)[-1].stem


def test_there_are_none_on_a_host(page: FlaskClient) -> None:
    assert page.get("/runs").status_code == 404
    assert page.get("/runs/000000000").status_code == 404
    assert "My runs" not in text_of(page, "/")


def test_a_run_while_it_runs_and_after(page: FlaskClient, folder: Path, alive: Record) -> None:
    name = name_in(folder)
    assert "My runs" in text_of(page, "/")
    listed = page.get("/runs")
    assert listed.headers["Refresh"] == "5" and 'data-refresh="2"' in listed.text
    assert "deploy shop (live) a, b ann: &lt;b&gt;why still running" in text_of(page, "/runs")
    shown = page.get(f"/runs/{name}")
    assert shown.headers["Refresh"] == "5" and 'data-refresh="2"' in shown.text
    assert "a install goes on &lt;i&gt;pip 1.5 s" in text_of(page, f"/runs/{name}")
    ended = [
        {"host": "a", "outcome": "deployed", "serves": "1.1", "before": "1.0", "seconds": 9},
        {"host": "b", "outcome": "reverted", "serves": "1.0", "before": None, "seconds": None},
    ]
    errors = [{"host": "b", "message": "not <healthy>", "hint": "See.", "detail": "<pre>log"}]
    assert alive.close(result(3, release="1.1", hosts=ended, errors=errors)) == ""
    for path in ("/runs", f"/runs/{name}"):
        answer = page.get(path)
        assert "Refresh" not in answer.headers and 'data-refresh="2"' not in answer.text
    text = text_of(page, f"/runs/{name}")
    assert "failed with 3" in text and "after 1 minute" in text
    assert "a deployed 1.1 1.0 9.0 s b rolled back 1.0 - -" in text
    assert "b: not &lt;healthy&gt; See. &lt;pre&gt;log" in text
    assert "failed with 3 not &lt;healthy&gt; 1 minute" in text_of(page, "/runs")


def test_a_run_that_was_killed(page: FlaskClient, folder: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from cartwheel.runs.record import Record;"
        " record = Record(Path(sys.argv[1]), {'word': 'deploy'}); record.write(sys.argv[2]);"
        " time.sleep(0.3); os._exit(9)"
    )
    root = Path(__file__).parents[4]
    words = [sys.executable, "-c", code, str(folder), event("switch", "start")]
    subprocess.run(words, cwd=root, check=False, timeout=60)
    assert "deploy - - - was killed" in text_of(page, "/runs")
    (path,) = files_in(folder)
    assert "a switch begins" in text_of(page, f"/runs/{path.stem}")


def write(folder: Path, *lines: str, began: float = 1.7e9) -> str:
    first = as_line(type="run", began=began, **ABOUT)
    (folder / f"{run_name(began)}.jsonl").write_text("\n".join((first, *lines)) + "\n")
    return run_name(began)


def test_of_a_long_record_the_end_is_shown(page: FlaskClient, folder: Path) -> None:
    events = [event("install", "progress", f"<i>{number} " + "x" * 2000) for number in range(4000)]
    name = write(folder, *events, result())
    text = text_of(page, f"/runs/{name}")
    assert (
        "only its end is shown" in text and "&lt;i&gt;3999 " in text and "&lt;i&gt;0 " not in text
    )
    assert len(text) < 2 * records._TAIL_BYTES and "done after 1 minute" in text
    many = write(folder, *(event("install", detail=str(one)) for one in range(1000)), began=1.6e9)
    found = records.named(folder, many)
    assert found is not None and found.left_out
    assert [one.detail for one in found.events] == [str(one) for one in range(500, 1000)]
    short = records.named(folder, write(folder, event("install"), began=1.5e9))
    assert short is not None and not short.left_out


def test_a_result_with_the_logs_of_many_hosts_is_found(folder: Path) -> None:
    errors = [{"host": str(one), "message": "m", "detail": "x" * 20_000} for one in range(50)]
    name = write(folder, event("install"), result(3, errors=errors))
    found = records.named(folder, name)
    assert found is not None and (found.state, len(found.errors)) == ("ended", 50)


def test_what_is_no_record_is_left_out(page: FlaskClient, folder: Path) -> None:
    name = write(
        folder, '{"type": "event"', "[]", "null", "\x00\x01", '{"type": "event", "at": 1e999}'
    )
    bad = '{"type": "result", "exit": 1e999, "seconds": "x", "hosts": [1], "errors": {"a": 1}}'
    other = write(folder, '{"type": "run", "hosts": 1, "who": 2, "began": -5}', bad, began=1.6e9)
    (folder / "000000000.jsonl").write_text("")
    (folder / "000000001.jsonl").write_bytes(b"\xff\x00" * 500)
    (folder / "000000002.jsonl").mkdir()
    (folder / "000000003.jsonl").symlink_to(folder / f"{name}.jsonl")
    (folder / "other.json").write_text(json.dumps({}))
    assert [one.name for one in records.newest(folder)] == [name, other]
    for one in (name, other):
        assert page.get(f"/runs/{one}").status_code == 200
    for one in ("000000000", "000000002", "000000003", "..%2fkey", "other", name + "x"):
        assert page.get(f"/runs/{one}").status_code == 404, one


def test_the_folder_of_the_dashboard(tmp_path: Path) -> None:
    """By its variable, in a process as the dashboard starts it."""
    code = "from cartwheel_monitor.web import app; print(app.config['RUNS'])"
    root = Path(__file__).parents[4]
    known = {"CARTWHEEL_DASHBOARD_TOKEN": "t", "CARTWHEEL_SHARED": str(tmp_path), "PATH": ""}
    known["PYTHONPATH"] = f"{root}:{root / 'monitor'}"
    for more, wanted in (({"CARTWHEEL_DASHBOARD_RUNS": "/x"}, "/x"), ({}, "None")):
        done = subprocess.run(
            [sys.executable, "-c", code], env={**known, **more}, capture_output=True, check=True
        )
        assert done.stdout.decode().strip() == wanted
