import hashlib
import hmac

import pytest
from lxml import etree

from inventory import create_app

KEY = "a key for tests"


@pytest.fixture
def database(tmp_path):
    return tmp_path / "shared" / "inventory.sqlite3"


@pytest.fixture
def client(database):
    database.parent.mkdir()
    return create_app(database, KEY).test_client()


def book(client, name, amount):
    return client.post("/items", data={"name": name, "amount": amount})


def test_bookings_add_up(client):
    assert book(client, "bolt", 5).status_code == 303
    book(client, "bolt", -2)
    assert client.get("/items.json").json == {"bolt": 3}
    assert "bolt" in client.get("/").get_data(as_text=True)


def test_no_more_goes_out_than_is_there(client):
    book(client, "nut", 1)
    assert book(client, "nut", -2).status_code == 409
    assert book(client, "washer", -1).status_code == 409
    assert client.get("/items.json").json == {"nut": 1}


def test_a_booking_without_an_amount_is_refused(client):
    assert book(client, "nut", "many").status_code == 400


def test_the_stock_outlives_the_release(client, database):
    book(client, "bolt", 7)
    assert create_app(database, KEY).test_client().get("/items.json").json == {"bolt": 7}


def test_the_export_is_signed(client):
    book(client, "bolt", 7)
    answer = client.get("/items.xml")
    assert etree.fromstring(answer.data).xpath("//item[@name='bolt']/@amount") == ["7"]
    assert answer.headers["X-Signature"] == hmac.new(KEY.encode(), answer.data, hashlib.sha256).hexdigest()


def test_healthz_asks_the_database(client):
    assert client.get("/healthz").json["status"] == "ok"
