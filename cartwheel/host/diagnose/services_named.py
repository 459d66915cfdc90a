"""Which service a message complains about, and what is wrong with it. Pure.

The wordings are those of libpq, psycopg, asyncpg, PyMySQL, mysqlclient, SQLAlchemy, redis-py,
PyMongo, kombu, urllib3, requests, httpx, aiohttp, smtplib and sqlite3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

from cartwheel.host.diagnose.said import Said

REFUSES = "refuses connections"
SLOW = "does not answer in time"
UNKNOWN = "its name cannot be resolved"
LOGIN = "rejects the login"
CROWDED = "has too many connections"
BREAKS = "breaks connections off"
STARTING = "is starting or stopping"
LOCKS = "lets statements wait for locks too long"
FULL = "has no room"
READ_ONLY = "is read-only"
SCHEMA = "lacks a table or column that the app uses"
MISSING = "lacks the database that the app uses"
POOL = "has no free connection in the app's own pool"
ERRORS = "answers with errors"
BROKEN = "is damaged"

POSTGRES, MYSQL, REDIS, MONGO = "PostgreSQL", "MySQL", "Redis", "MongoDB"
AMQP, SMTP, HTTP, SQLITE = "AMQP", "SMTP", "HTTP", "SQLite"
MEMCACHED, DATABASE, SERVICE = "Memcached", "database", "service"


@dataclass(frozen=True)
class Complaint:
    """What is wrong with which service; `address` is "" where the message has none."""

    kind: str
    address: str
    problem: str

    @property
    def about(self) -> str:
        """`PostgreSQL db:5432: refuses connections`."""
        return f"{self.kind} {self.address or '(address not in the log)'}: {self.problem}"


# By the folder or module of the innermost frame that is of one of them, or by the message.
_LIBRARIES = (
    (POSTGRES, re.compile(r"/(?:psycopg2?|psycopg_pool|asyncpg|pg8000|aiopg)/")),
    (MYSQL, re.compile(r"/(?:pymysql|MySQLdb|mysql/connector|aiomysql|asyncmy)/")),
    (REDIS, re.compile(r"/(?:redis|aioredis|rediscluster)/")),
    (MONGO, re.compile(r"/(?:pymongo|motor)/")),
    (AMQP, re.compile(r"/(?:amqp|pika|aio_pika|aiormq)/")),
    (MEMCACHED, re.compile(r"/(?:pymemcache|pylibmc|aiomcache)/|/memcache\.py$")),
    (SMTP, re.compile(r"/(?:smtplib\.py|aiosmtplib/)")),
    (SQLITE, re.compile(r"/sqlite3/")),
    (
        HTTP,
        re.compile(
            r"/(?:urllib3|requests|httpx|httpcore|aiohttp|botocore)/"
            r"|/(?:http/client|urllib/request)\.py$"
        ),
    ),
)
_NAMES = (
    (POSTGRES, re.compile(r"\b(?:psycopg2?|asyncpg|psycopg_pool|pg8000)\b|postgres", re.I)),
    (MYSQL, re.compile(r"\b(?:pymysql|MySQLdb|mysql|mariadb)\b", re.I)),
    (SQLITE, re.compile(r"\bsqlite3?\b", re.I)),
    (REDIS, re.compile(r"\bredis\b|\brediss?://", re.I)),
    (MONGO, re.compile(r"\bpymongo\b|\bmongodb\b", re.I)),
    (AMQP, re.compile(r"\bamqps?://|\bamqp\b|\bpika\b|\bkombu\b|rabbitmq", re.I)),
    (SMTP, re.compile(r"\bsmtp", re.I)),
    (MEMCACHED, re.compile(r"\bmemcached?\b", re.I)),
    (
        HTTP,
        re.compile(
            r"\bHTTPS?Connection|\burllib3?\b|\brequests\.exceptions|\bhttpx\b|\bhttpcore\b"
            r"|\baiohttp\b|\burlopen\b|https?://|Cannot connect to host",
            re.I,
        ),
    ),
)
_NO_NAME = (
    r"Name or service not known|Temporary failure in name resolution|nodename nor servname"
    r"|No address associated with hostname|Name does not resolve|getaddrinfo failed"
    r"|could not translate host name|failed to resolve host|Failed to resolve '"
    r"|Unknown (?:MySQL )?server host"
)
NO_NAME = re.compile(_NO_NAME)
# The first that fits. What is specific comes first: a refused login is in a message about a failed
# connection too.
_PROBLEMS: "Tuple[Tuple[str, re.Pattern[str]], ...]" = tuple(
    (problem, re.compile(pattern))
    for problem, pattern in (
        (UNKNOWN, _NO_NAME),
        (
            CROWDED,
            r"too many clients already|remaining connection slots are reserved"
            r"|too many connections for (?:role|database)|Too many connections\b"
            r"|max_user_connections|max(?:imum)? number of clients reached"
            r"|no more connections allowed",
        ),
        (
            LOGIN,
            r"(?:password|[Pp]eer|[Ii]dent|GSSAPI|LDAP) authentication failed|no pg_hba\.conf entry"
            r"|no password supplied|role \"[^\"]*\" does not exist|Access denied for user"
            r"|NOAUTH|WRONGPASS|invalid username-password|invalid password"
            r"|Authentication required|ACCESS_REFUSED|Authentication failed"
            r"|SMTPAuthenticationError|\bNOPERM\b|is not permitted to log in",
        ),
        (MISSING, r"database \"[^\"]*\" does not exist|Unknown database '"),
        (
            STARTING,
            r"the database system is (?:starting up|shutting down|in recovery|not yet accepting)"
            r"|Redis is loading the dataset|terminating connection due to administrator command"
            r"|Server shutdown in progress",
        ),
        (
            FULL,
            r"could not (?:extend|write|create|open)[^\n]*No space left|database or disk is full"
            r"|\(1114, |\(1021, |MISCONF Redis|OOM command not allowed|DiskFull|\b53100\b",
        ),
        (
            READ_ONLY,
            r"in a read-only transaction|attempt to write a readonly database"
            r"|READONLY You can't write|\(1290, |--read-only option",
        ),
        (
            LOCKS,
            r"deadlock detected|Deadlock found when trying|Lock wait timeout exceeded"
            r"|canceling statement due to lock timeout|database(?: table)? is locked"
            r"|could not obtain lock on|could not serialize access",
        ),
        (
            SCHEMA,
            r"(?:relation|column) \"?[\w.\"]+\"? (?:of relation \"[^\"]*\" )?does not exist"
            r"|no such (?:table|column): |has no column named|\(1146, |\(1054, |UndefinedTable"
            r"|UndefinedColumn|\bTable '[^']*' doesn't exist",
        ),
        (BROKEN, r"database disk image is malformed|file is not a database|\bdisk I/O error"),
        (
            POOL,
            r"QueuePool limit of size|couldn't get a connection after|PoolTimeout"
            r"|No connection available\.|Timed out while checking out a connection",
        ),
        (
            SLOW,
            r"canceling statement due to statement timeout|timeout expired|[Tt]imed out"
            r"|Timeout (?:connecting|reading|writing|on reading)|ConnectTimeout|ReadTimeout"
            r"|Connection timed out|\bTimeoutError\b|TimeoutException|Operation timed out"
            r"|ServerTimeoutError|\b504 (?:Server Error|Gateway)",
        ),
        (
            REFUSES,
            r"Connection refused|Connect call failed|No route to host|Network is unreachable"
            r"|actively refused|unable to open database file"
            r"|(?:on socket|through socket|unix socket|unix:)[^\n]*No such file"
            r"|Can't connect to (?:local )?(?:MySQL )?server|All connection attempts failed",
        ),
        (
            BREAKS,
            r"server closed the connection unexpectedly|server has gone away"
            r"|Lost connection to (?:MySQL|server)|SSL connection has been closed unexpectedly"
            r"|Connection closed by server|connection (?:already closed|is closed|was closed)"
            r"|connection was closed in the middle|Connection to broker lost|SSL SYSCALL error"
            r"|Server disconnected|RemoteDisconnected|Connection aborted|AutoReconnect"
            r"|Connection reset by peer|SMTPServerDisconnected",
        ),
        (ERRORS, r"\b5\d\d Server Error: |Server error '5\d\d "),
    )
)
# Each with groups `host` and `port`, or `path`, or `url`.
_ADDRESSES = tuple(
    re.compile(pattern)
    for pattern in (
        r"connection to server at \"(?P<host>[^\"]+)\"(?: \([^)]*\))?, port (?P<port>\d+)",
        r"server running on host \"(?P<host>[^\"]+)\"[^?]*?port\s+(?P<port>\d+)",
        r"(?:connection to server on|domain) socket \"(?P<path>[^\"]+)\"",
        r"Error -?\d+ connecting to (?P<host>[^\s:]+|\[[^\]]+\]):(?P<port>\d+)\.",
        r"connecting to (?:unix socket: |unix:)(?P<path>/[^\s,]+?)\.? ",
        r"Can't connect to (?:local )?(?:MySQL )?server on '(?P<host>[^':]+)(?::(?P<port>\d+))?'",
        r"server through socket '(?P<path>[^']+)'",
        r"Unknown (?:MySQL )?server host '(?P<host>[^']+)'",
        r"Access denied for user '[^']*'@'(?P<client>[^']+)'",
        r"could not translate host name \"(?P<host>[^\"]+)\"",
        r"failed to resolve host '(?P<host>[^']+)'",
        r"HTTPS?ConnectionPool\(host='(?P<host>[^']+)', port=(?P<port>\d+)\)",
        r"HTTPS?Connection\(host='(?P<host>[^']+)', port=(?P<port>\d+)\)",
        r"Cannot connect to host (?P<host>[^\s:]+):(?P<port>\d+)",
        r"Connect call failed \('(?P<host>[^']+)', (?P<port>\d+)",
        r"(?:Cannot connect to|for url:?) '?(?P<url>[a-z][a-z0-9+.-]*://[^\s'>]+)",
        r"ServerDescription \('(?P<host>[^']+)', (?P<port>\d+)\)",
        r"(?P<host>[A-Za-z0-9][\w.-]*):(?P<port>\d{2,5}): (?:\[Errno|timed out|connection closed)",
    )
)
_URL = re.compile(
    r"^(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^/@\s]*@)?(?P<host>[^/:?#\s]+)(?::(?P<port>\d+))?"
)
_PORTS = {"http": "80", "https": "443", "amqp": "5672", "amqps": "5671", "redis": "6379"}
_RELEVANT = re.compile(
    r"onnect|imeout|imed out|esolv|resolution|not known|lock|database|exist|clients|denied|fused"
    r"|authenticat|AUTH|WRONGPASS|gone away|disk|QueuePool|no such|READONLY|MISCONF|OOM|Server"
    r"|\(1\d\d\d, |translate host|hostname|LOADING|loading"
    r"|Undefined|transaction|broken|aborted|unreachable"
)


def complaint(said: Said) -> Optional[Complaint]:
    """The service that the message complains about; None if it is about none. What the app was
    handling counts if the rest says nothing: it may have raised an exception of its own then."""
    found = _complaint(said)
    if found is None and said.handled:
        found = _complaint(Said(said.at, "", "", said.handled))
    return found


def _complaint(said: Said) -> Optional[Complaint]:
    text = said.whole
    if not _RELEVANT.search(text):
        return None
    problem = next((one for one, pattern in _PROBLEMS if pattern.search(text)), "")
    if not problem:
        return None
    files = [frame.file for one in reversed(said.raised) for frame in reversed(one.frames)]
    kind, address = _kind(files, text), _address(text)
    if not kind and not (said.raised and problem in (REFUSES, UNKNOWN)):
        # "timed out" and the like are said of much else too.
        return None
    return Complaint(kind or SERVICE, address, problem)


def _kind(files: Sequence[str], text: str) -> str:
    named = next((kind for kind, pattern in _NAMES if pattern.search(text)), "")
    if named and named != HTTP:
        return named
    for file in files:
        for kind, pattern in _LIBRARIES:
            if pattern.search(file):
                return kind
    return named


def _address(text: str) -> str:
    for pattern in _ADDRESSES:
        found = pattern.search(text)
        if not found:
            continue
        groups = found.groupdict()
        if groups.get("url"):
            url = _URL.match(groups["url"])
            if url:
                port = url.group("port") or _PORTS.get(url.group("scheme"), "")
                return f"{url.group('host')}:{port}" if port else url.group("host")
            continue
        if groups.get("path"):
            return groups["path"]
        if groups.get("host"):
            return f"{groups['host']}:{groups['port']}" if groups.get("port") else groups["host"]
    return ""
