"""What services answer to a greeting. The bytes are what PostgreSQL 15, MariaDB 10.11, Redis 7.0
and memcached 1.6 of Debian 12 sent."""

from __future__ import annotations

import errno
import os
import socket
import time

import pytest

from cartwheel.host.diagnose import addresses
from cartwheel.host.diagnose.addresses import Endpoint
from cartwheel.host.diagnose.greetings import Answer, Line, greet
from tests.unit.host.diagnose.servers import HEARS, Played, playing

Part = bytes | None


def _greeted(
    kind: str, *parts: Part, user: str = "shop", tls: bool = False
) -> tuple[Answer, Played]:
    with playing(*parts) as played:
        one = Endpoint(kind, "X_URL", "127.0.0.1", played.port, "", tls, user, "shop")
        with socket.create_connection(("127.0.0.1", played.port), 5) as connection:
            line = Line(connection, time.monotonic() + 0.3)
            answer = greet(one, line)
            line.connection.close()
        played.over.wait(5)
    return answer, played


def _pg(code: str, message: str, where: str) -> bytes:
    body = f"SFATAL\0VFATAL\0C{code}\0M{message}\0{where}\0\0".encode()
    return b"E" + (len(body) + 4).to_bytes(4, "big") + body


_NO_ENTRY = 'no pg_hba.conf entry for host "127.0.0.1", user "shop", database "shop", no encryption'
_ASKS = b"R\x00\x00\x00\x17\x00\x00\x00\nSCRAM-SHA-256\x00\x00"
_OK = b"R\x00\x00\x00\x08\x00\x00\x00\x00"
_READY = b"K\x00\x00\x00\x0c\x00\x00\x11%\xd5L)\xf6Z\x00\x00\x00\x05I"
_PARAMETER = b"S\x00\x00\x00\x19client_encoding\x00UTF8\x00"


@pytest.mark.parametrize(
    ("said", "how"),
    [
        (_ASKS, ""),
        (_OK + _PARAMETER + _READY, ""),
        (_pg("28000", 'Peer authentication failed for user "shop"', "Fauth.c"), ""),
        (_pg("28000", _NO_ENTRY, "Fauth.c"), "denied"),
        (_pg("53300", "sorry, too many clients already", "Fproc.c"), "denied"),
        (_OK + _pg("3D000", 'database "shop" does not exist', "Fpostinit.c"), "denied"),
        (_OK + _pg("28000", 'role "shop" does not exist', "Fmiscinit.c"), "denied"),
        (_pg("57P03", "the database system is starting up", "Fpostmaster.c"), "denied"),
        (b"", "silent"),
    ],
)
def test_postgresql(said: bytes, how: str) -> None:
    answer, played = _greeted(addresses.POSTGRES, HEARS, b"N", HEARS, said)
    assert answer.how == how
    assert played.heard.startswith(b"\x00\x00\x00\x08\x04\xd2\x16/")
    if not how and not said.startswith(b"E"):
        assert played.heard.endswith(b"X\x00\x00\x00\x04"), "it must take its leave"


def test_what_speaks_another_language_is_no_finding() -> None:
    assert _greeted(addresses.POSTGRES, HEARS, b"ERROR unknown command\n")[0].how == ""
    assert _greeted(addresses.MYSQL, b"\x05\0\0\0hello")[0].how == ""
    assert _greeted(addresses.MYSQL, _MARIADB, HEARS, b"\x01\0\0\x02\xff")[0].how == ""
    assert _greeted(addresses.REDIS, HEARS, b"hello\r\n")[0].how == ""


def test_postgresql_is_asked_for_nothing_where_no_user_is_known() -> None:
    answer, played = _greeted(addresses.POSTGRES, HEARS, b"N", user="")
    assert answer.how == ""
    assert played.heard == b"\x00\x00\x00\x08\x04\xd2\x16/"


_MARIADB = (
    b"d\x00\x00\x00\n5.5.5-10.11.18-MariaDB-0+deb12u1\x00\x1e\x00\x00\x00yoC>LCK0\x00\xfe\xf7-\x02"
    b"\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00KiN+,8t`eYm<\x00mysql_native_password"
    b"\x00"
)
_REFUSED = (
    b"U\x00\x00\x02\xff\x15\x04#28000Access denied for user 'cartwheel-diagnose'@'localhost'"
    b" (using password: NO)"
)
_LOGIN = b"\x01\x82\x08\x00"


def _switch(plugin: bytes) -> bytes:
    body = b"\xfe" + plugin + b"\0" + b"12345678901234567890\0"
    return len(body).to_bytes(3, "little") + b"\x02" + body


@pytest.mark.parametrize(
    ("parts", "how", "ends"),
    [
        ((_MARIADB, HEARS, _REFUSED), "", b"mysql_native_password\0"),
        # Another way to log in: the handshake is brought to its end there too.
        ((_MARIADB, HEARS, _switch(b"mysql_native_password"), HEARS, _REFUSED), "", b"\0\0\0\x03"),
        (
            (_MARIADB, HEARS, _switch(b"caching_sha2_password"), HEARS, _REFUSED),
            "",
            b"\1\0\0\x03\0",
        ),
        # Anybody may log in: it says goodbye.
        ((_MARIADB, HEARS, b"\x07\0\0\x02\0\0\0\x02\0\0\0"), "", b"\x01\0\0\0\x01"),
        ((b"\x17\x00\x00\x00\xff\x10\x04Too many connections",), "denied", b""),
        (
            (
                b"j\x00\x00\x00\xffi\x04Host '127.0.0.2' is blocked because of many connection"
                b" errors; unblock with 'mariadb-admin flush-hosts'",
            ),
            "denied",
            b"",
        ),
        ((b"",), "silent", b""),
    ],
)
def test_mysql(parts: tuple[Part, ...], how: str, ends: bytes) -> None:
    answer, played = _greeted(addresses.MYSQL, *parts)
    assert answer.how == how
    assert played.heard.endswith(ends)
    assert (_LOGIN in played.heard) == (_MARIADB in parts)


def test_mysql_names_why_it_refuses() -> None:
    answer, _played = _greeted(addresses.MYSQL, b"\x17\0\0\0\xff\x10\x04Too many connections")
    assert answer.problem == "answers: Too many connections"


@pytest.mark.parametrize(
    ("said", "how"),
    [
        (b"+PONG\r\n", ""),
        (b"-NOAUTH Authentication required.\r\n", ""),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "denied"),
        (b"-ERR max number of clients reached\r\n", "denied"),
        (b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set\r\n", "denied"),
        (b"-MISCONF Redis is configured to save RDB snapshots, but\r\n", "denied"),
        (b"", "silent"),
    ],
)
def test_redis(said: bytes, how: str) -> None:
    answer, played = _greeted(addresses.REDIS, HEARS, said)
    assert answer.how == how
    assert played.heard == b"PING\r\n"


@pytest.mark.parametrize(
    ("kind", "parts", "how"),
    [
        (addresses.MEMCACHED, (HEARS, b"VERSION 1.6.18\r\n"), ""),
        (addresses.SMTP, (b"220 mail ESMTP Postfix\r\n", HEARS), ""),
        (addresses.SMTP, (b"421 too busy\r\n",), "denied"),
        (addresses.SMTP, (), ""),  # some greet late
        (addresses.HTTP, (HEARS, b"HTTP/1.1 404 Not Found\r\n"), ""),
        (addresses.HTTP, (HEARS, b"HTTP/1.1 503 Service Unavailable\r\n"), "denied"),
        (addresses.HTTP, (HEARS,), "silent"),
        (addresses.AMQP, (), ""),
    ],
)
def test_others(kind: str, parts: tuple[Part, ...], how: str) -> None:
    assert _greeted(kind, *parts)[0].how == how


def test_what_closes_the_connection_or_speaks_no_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            listening.accept()[0].close()
            line = Line(connection, time.monotonic() + 1)
            one = Endpoint(addresses.REDIS, "REDIS_URL", "127.0.0.1", port)
            assert greet(one, line).how == "ended"
    answer, _played = _greeted(addresses.REDIS, HEARS, b"-ERR unknown command\r\n", tls=True)
    assert answer.how == "tls"


def test_any_other_failure_of_the_connection() -> None:
    one = Endpoint(addresses.MYSQL, "DATABASE_URL", "127.0.0.1", 3306)
    with socket.socket() as never_connected:
        answer = greet(one, Line(never_connected, time.monotonic() + 1))
    assert (answer.how, answer.problem) == ("unreachable", os.strerror(errno.ENOTCONN).lower())
