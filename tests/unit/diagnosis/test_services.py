"""Causes in what the app needs: databases, Redis, HTTP services."""

from __future__ import annotations

from typing import Any

import pytest

from cartwheel.diagnosis import services, services_compared, services_logged
from cartwheel.diagnosis.cause import GUESSED, NAMED, SOON, STOPS, SYMPTOM
from cartwheel.diagnosis.ranking import ranked
from cartwheel.host.diagnose import services_named
from cartwheel.host.wire.diagnosis import Change, Service, Sign
from tests.unit.answers import status
from tests.unit.diagnosis.cases import NOW, case

_REFUSES = "refuses the connection"


def _service(**differs: Any) -> Service:
    known: dict[str, Any] = {
        "kind": "PostgreSQL",
        "variable": "DATABASE_URL",
        "address": "10.1.2.3:5432",
        "problem": f"10.1.2.3 {_REFUSES}",
        "seconds": 0.1,
        "how": "refused",
    }
    return Service(**{**known, **differs})


def _http(variable: str, address: str, how: str = "refused") -> Service:
    return _service(kind="HTTP", variable=variable, address=address, how=how)


@pytest.mark.parametrize(
    ("service", "slug", "weight"),
    [
        (_service(problem="", how=""), "", 0),
        (_service(), "service-refuses", STOPS),
        (
            _service(kind="Redis", how="denied", problem="answers: LOADING"),
            "service-refuses",
            STOPS,
        ),
        (_service(how="silent"), "service-slow", STOPS),
        (_service(how="timeout"), "service-slow", STOPS),
        (_service(how="unknown"), "service-unknown", STOPS),
        (_service(how="missing", address="/run/redis/redis.sock"), "service-refuses", STOPS),
        (_service(kind="SQLite", how="unwritable", address="/srv/a.db"), "service-refuses", STOPS),
        (
            _service(kind="SQLite", how="missing", problem="there is no file /srv/a.db"),
            "",
            0,
        ),
        (
            _service(kind="SQLite", how="missing", problem="there is no folder /srv/x"),
            "service-refuses",
            STOPS,
        ),
        # The app may never call what such a variable names.
        (_http("SITE_URL", "shop.example:443"), "", 0),
        (_http("CSRF_TRUSTED_ORIGINS", "127.0.0.1:8000"), "", 0),
        (_http("SENTRY_DSN", "o1.ingest.sentry.io:443", "unknown"), "", 0),
        (_http("PAYMENT_API", "api.pay.example:443", "timeout"), "service-slow", SYMPTOM),
        (_http("PAYMENTS", "10.0.0.9:9000"), "service-refuses", GUESSED),
        (_http("PAYMENTS", "localhost:9000"), "service-refuses", GUESSED),
        (_http("PAYMENTS", "pay.internal:9000", "unknown"), "service-unknown", GUESSED),
        (_http("PAYMENTS", "10.0.0.9:9000", "silent"), "", 0),
        (_service(kind="the mail server", variable="EMAIL_HOST", address="localhost:25"), "", 0),
    ],
)
def test_a_service(service: Service, slug: str, weight: int) -> None:
    found = list(services.causes(case(services=(service,))))
    assert [(one.slug, one.weight) for one in found] == ([(slug, weight)] if slug else [])


@pytest.mark.parametrize(
    ("address", "line", "weight"),
    [
        ("api.pay.example:443", "HTTPSConnectionPool(host='api.pay.example', port=443)", STOPS),
        ("api.pay.example:443", "cannot reach other.example", 0),
        ("127.0.0.1:25", "connect to localhost port 25 failed: Connection refused", STOPS),
        ("127.0.0.1:25", "('127.0.0.1', 25): refused", STOPS),
        ("[::1]:25", 'connection to server at "::1", port 25 failed', STOPS),
        ("127.0.0.1:25", "127.0.0.1 - - GET /about took 25 s", 0),
    ],
)
def test_what_the_logs_name_is_a_cause(address: str, line: str, weight: int) -> None:
    kind = "the mail server" if address.endswith(":25") else "HTTP"
    service = _service(kind=kind, variable="X_URL", address=address, how="refused")
    sign = Sign("exception", "shop/views.py:12", 7, NOW - 900, NOW - 20, (line,))
    found = list(services.causes(case(services=(service,), signs=(sign,))))
    assert [one.weight for one in found] == ([weight] if weight else [])
    if weight:
        assert found[0].began == NOW - 900
        assert line in found[0].evidence


def test_the_unit_that_should_run_it_is_named_and_since_when_it_does_not() -> None:
    service = _service(
        address="127.0.0.1:5432",
        of_unit="postgresql@15-main.service",
        unit_state="failed (exit-code)",
        since=NOW - 300,
    )
    change = Change(NOW - 301, "command", "sudo /usr/bin/pg_ctlcluster 15 main stop", "alice")
    ill = status(serving={"problem": "answers 500"})
    found = ranked(case(status=ill, services=(service,), changes=(change,)))
    first = found[0]
    assert first.cause.title == "PostgreSQL at 127.0.0.1:5432 (DATABASE_URL) refuses connections"
    assert "postgresql@15-main.service is failed (exit-code)" in first.cause.evidence
    assert "`systemctl start postgresql@15-main.service` on web1" in first.cause.todo
    assert first.changes == (change,)
    assert found[1].follows == ("service-refuses",)


def test_a_masked_unit_must_be_unmasked_first() -> None:
    service = _service(of_unit="redis-server.service", unit_state="inactive (masked)")
    (found,) = services.causes(case(services=(service,)))
    assert found.todo.startswith("`systemctl unmask redis-server.service`, then")


def test_one_of_several_hosts_is_not_urgent() -> None:
    other = _service(address="10.1.2.4:5432", how="", problem="")
    (found,) = services.causes(case(services=(_service(), other)))
    assert found.weight == SOON


def test_what_serves_badly_is_a_cause_where_the_logs_name_it() -> None:
    service = _http("SITE_API", "api.pay.example:443", "tls")
    sign = Sign("tls", "api.pay.example", 3, NOW - 900, NOW - 20, ("certificate has expired",))
    (found,) = services.causes(case(services=(service,), signs=(sign,)))
    assert (found.slug, found.weight) == ("service-certificate", NAMED)


def test_the_apps_own_folder() -> None:
    folder, problem = (
        "/srv/shop/shared",
        "/srv/shop/shared (mode 0500, of shop) may not be written by shop",
    )
    service = Service("the app's folder", "CARTWHEEL_SHARED", folder, problem, 0.0, "unwritable")
    (found,) = services.causes(case(services=(service,)))
    assert (found.slug, found.weight) == ("permission", GUESSED)
    assert found.title == "the app's folder /srv/shop/shared may not be used by the app"
    assert found.evidence == (problem,)


def test_too_many_connections() -> None:
    service = _service(how="denied", problem="answers: sorry, too many clients already")
    (found,) = services.causes(case(services=(service,)))
    assert found.title.endswith("does not serve: answers: sorry, too many clients already")
    assert "fewer connections" in found.todo


@pytest.mark.parametrize(
    ("service", "about"),
    [
        ({}, "PostgreSQL 10.1.2.3:5432: refuses connections"),
        ({}, "PostgreSQL (address not in the log): refuses connections"),
        ({}, "database (address not in the log): refuses connections"),
        ({"address": "db:5432"}, "PostgreSQL 10.1.2.3:5432: is starting or stopping"),
        ({"address": "db:5432", "problem": "?"}, "PostgreSQL 10.9.9.9:5432: refuses connections"),
        (
            {"how": "timeout", "problem": "no connection to 10.1.2.3 within 1.2 s"},
            "PostgreSQL (address not in the log): does not answer in time",
        ),
        (
            {"how": "unknown", "address": "db2.internal:5432"},
            "PostgreSQL db2.internal: its name cannot be resolved",
        ),
        (
            {"kind": "MySQL", "variable": "DB_HOST", "address": "127.0.0.1:3306"},
            "MySQL 127.0.0.1: refuses connections",
        ),
        (
            {"kind": "MySQL", "variable": "DB_HOST", "address": "localhost:3306"},
            "MySQL 127.0.0.1:3306: refuses connections",
        ),
        (
            {"kind": "RabbitMQ", "variable": "BROKER", "address": "mq:5672"},
            "AMQP mq:5672: refuses connections",
        ),
        (
            {"kind": "HTTP", "variable": "PAY_URL", "address": "pay.example:443", "how": "silent"},
            "HTTP (address not in the log): does not answer in time",
        ),
    ],
)
def test_a_service_stands_once(service: dict[str, Any], about: str) -> None:
    line = "psycopg.OperationalError: connection failed"
    logged = Sign("service", about, 230, NOW - 900, NOW - 1, (line,))
    (found,) = ranked(case(services=(_service(**service),), signs=(logged,)))
    assert found.cause.began == NOW - 900
    assert "the app logged it 230 times" in found.cause.evidence
    assert line in found.cause.evidence


def test_a_name_that_is_unknown_stands_once() -> None:
    logged = Sign("names", "db2.internal", 9, NOW - 900, NOW - 1, ("not known",))
    service = _service(how="unknown", address="db2.internal:5432")
    assert len(ranked(case(services=(service,), signs=(logged,)))) == 1


@pytest.mark.parametrize(
    "about",
    [
        "PostgreSQL 10.9.9.9:5433: refuses connections",
        "MySQL 10.1.2.3:3306: refuses connections",
        "PostgreSQL 10.1.2.3:5432: lacks a table or column that the app uses",
        "service (address not in the log): refuses connections",
    ],
)
def test_another_service_or_trouble_stands_on_its_own(about: str) -> None:
    logged = Sign("service", about, 230, NOW - 900, NOW - 1, ("a line",))
    well = _service(variable="OTHER_URL", address="10.9.9.9:5433", how="", problem="")
    found = ranked(case(services=(_service(), well), signs=(logged,)))
    assert len(found) == 2


def test_each_problem_that_a_host_finds_in_a_log_is_judged() -> None:
    found = {problem for problem, _pattern in services_named._PROBLEMS}
    assert set(services_logged._PROBLEMS) == found
    assert set(services_compared._OWN_TROUBLE) <= found
