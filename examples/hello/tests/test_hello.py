import hashlib
import json

import pytest

from hello import VERSION, app


@pytest.fixture
def client():
    return app.test_client()


def test_the_page_names_its_version(client, monkeypatch):
    monkeypatch.setenv("HELLO_GREETING", "Good morning")
    page = client.get("/").get_data(as_text=True)
    assert "Good morning" in page
    assert VERSION in page


def test_healthz_answers_the_version(client):
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json["version"] == VERSION


def test_static_files_are_served(client):
    assert client.get("/static/hello.css").status_code == 200


def test_slow_takes_as_long_as_asked(client):
    assert client.get("/slow?seconds=0.01").json["slept_seconds"] == 0.01


def test_an_upload_is_read_to_its_end(client):
    body = b"x" * 200_000
    answer = client.post("/upload", data=body, content_type="application/octet-stream").json
    digest = hashlib.sha256(body).hexdigest()
    assert answer == {"bytes": len(body), "sha256": digest, "version": VERSION}


def test_a_stream_has_all_its_pieces_and_an_end(client):
    lines = client.get("/stream?pieces=3&seconds=0.01").get_data(as_text=True).splitlines()
    assert [json.loads(line) for line in lines[:-1]] == [
        {"piece": number, "version": VERSION} for number in range(3)
    ]
    assert lines[-1] == "end"
