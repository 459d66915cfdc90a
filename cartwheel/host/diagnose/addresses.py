"""Which services the app's variables name: databases, Redis, mail, HTTP. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Dict, Iterator, List, Mapping, Optional, Tuple
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

POSTGRES, MYSQL, REDIS, AMQP = "PostgreSQL", "MySQL", "Redis", "RabbitMQ"
MONGO, SMTP, MEMCACHED, SEARCH = "MongoDB", "the mail server", "memcached", "Elasticsearch"
HTTP, SQLITE, NATS, KAFKA, LDAP = "HTTP", "SQLite", "NATS", "Kafka", "LDAP"
PROXY, ORACLE, MSSQL = "the HTTP proxy", "Oracle", "SQL Server"


@dataclass(frozen=True)
class Endpoint:
    """Something to connect to: a host and a port, a unix socket's `path`, or the path of a file.
    `user`, `database`: whom PostgreSQL is asked as."""

    kind: str
    variable: str
    host: str = ""
    port: int = 0
    path: str = ""
    tls: bool = False
    user: str = ""
    database: str = ""

    @property
    def address(self) -> str:
        """As people write it, without a login."""
        if self.path:
            return self.path
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def place(self) -> Tuple[str, str, int, str]:
        """What it has in common with another variable's that means the same."""
        return (self.kind, self.host.lower(), self.port, self.path)


_SCHEMES: Dict[str, Tuple[str, int, bool]] = {
    "postgres": (POSTGRES, 5432, False),
    "postgresql": (POSTGRES, 5432, False),
    "pgsql": (POSTGRES, 5432, False),
    "postgis": (POSTGRES, 5432, False),
    "timescaledb": (POSTGRES, 5432, False),
    "mysql": (MYSQL, 3306, False),
    "mysqlgis": (MYSQL, 3306, False),
    "mariadb": (MYSQL, 3306, False),
    "redis": (REDIS, 6379, False),
    "rediss": (REDIS, 6379, True),
    "rediscache": (REDIS, 6379, False),
    "valkey": (REDIS, 6379, False),
    "valkeys": (REDIS, 6379, True),
    "redis-sentinel": (REDIS, 26379, False),
    "sentinel": (REDIS, 26379, False),
    "amqp": (AMQP, 5672, False),
    "amqps": (AMQP, 5671, True),
    "pyamqp": (AMQP, 5672, False),
    "mongodb": (MONGO, 27017, False),
    "smtp": (SMTP, 25, False),
    "smtps": (SMTP, 465, True),
    "submission": (SMTP, 587, False),
    "consolesmtp": (SMTP, 25, False),
    "memcache": (MEMCACHED, 11211, False),
    "memcached": (MEMCACHED, 11211, False),
    "pymemcache": (MEMCACHED, 11211, False),
    "pymemcached": (MEMCACHED, 11211, False),
    "elasticsearch": (SEARCH, 9200, False),
    "elasticsearch+https": (SEARCH, 9200, True),
    "opensearch": (SEARCH, 9200, False),
    "nats": (NATS, 4222, False),
    "kafka": (KAFKA, 9092, False),
    "ldap": (LDAP, 389, False),
    "ldaps": (LDAP, 636, True),
    "oracle": (ORACLE, 1521, False),
    "mssql": (MSSQL, 1433, False),
    "http": (HTTP, 80, False),
    "https": (HTTP, 443, True),
}
_UNIX = {"unix": REDIS, "redis+socket": REDIS, "redis+unix": REDIS, "rediss+socket": REDIS}
_FILES = ("sqlite", "sqlite3", "spatialite")
# What stands before `_HOST`, or what it is without it.
_PAIRS: Dict[str, Tuple[str, int]] = {
    "PG": (POSTGRES, 5432),
    "POSTGRES": (POSTGRES, 5432),
    "POSTGRESQL": (POSTGRES, 5432),
    "MYSQL": (MYSQL, 3306),
    "MARIADB": (MYSQL, 3306),
    "REDIS": (REDIS, 6379),
    "VALKEY": (REDIS, 6379),
    "RABBITMQ": (AMQP, 5672),
    "RABBIT": (AMQP, 5672),
    "AMQP": (AMQP, 5672),
    "MONGO": (MONGO, 27017),
    "MONGODB": (MONGO, 27017),
    "EMAIL": (SMTP, 25),
    "MAIL": (SMTP, 25),
    "SMTP": (SMTP, 25),
    "MEMCACHED": (MEMCACHED, 11211),
    "MEMCACHE": (MEMCACHED, 11211),
    "ELASTICSEARCH": (SEARCH, 9200),
    "ELASTIC": (SEARCH, 9200),
    "OPENSEARCH": (SEARCH, 9200),
    "NATS": (NATS, 4222),
    "LDAP": (LDAP, 389),
}
# What a port alone says, whatever the variable's name is.
_BY_PORT = {
    str(port): (kind, port)
    for kind, port in (
        *((POSTGRES, 5432), (MYSQL, 3306), (REDIS, 6379), (AMQP, 5672)),
        *((MONGO, 27017), (MEMCACHED, 11211), (SEARCH, 9200), (KAFKA, 9092)),
    )
}
_DATABASE_NAMES = ("DB", "DATABASE", "SQL")
_ENGINES = (("postg", POSTGRES, 5432), ("mysql", MYSQL, 3306), ("mariadb", MYSQL, 3306))
_LISTS: Dict[str, Tuple[str, int]] = {
    "KAFKA": (KAFKA, 9092),
    "BOOTSTRAP": (KAFKA, 9092),
    "MEMCACHED": (MEMCACHED, 11211),
    "MEMCACHE": (MEMCACHED, 11211),
    "NATS": (NATS, 4222),
}
_PAIR = re.compile(r"(?:\A|_)([A-Z]+?)_?(?:HOST|HOSTNAME|SERVER|ADDR|ADDRESS)\Z")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/{1,4}[^\s'\"<>\\]+")
_URL_ONLY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/{1,4}\S+\Z")
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\Z")
_HOST_PORT = re.compile(r"\[?([^\s,;\[\]/@]+?)\]?(?::(\d{1,5}))?\Z")
_WORDS = re.compile(r"(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|\S+)")
_PROXIES = re.compile(r"\A(?:https?|all)_proxy\Z", re.IGNORECASE)
_POOLS = 16  # hosts of one list that are looked at


def endpoints(variables: Mapping[str, str]) -> List[Endpoint]:
    """All services that the variables name, each once, in the order of the variables."""
    found: Dict[Tuple[str, str, int, str], Endpoint] = {}
    for name, value in variables.items():
        for one in _of_variable(name, value.strip(), variables):
            found.setdefault(one.place, one)
    return list(found.values())


def _of_variable(name: str, value: str, variables: Mapping[str, str]) -> Iterator[Endpoint]:
    if not value:
        return
    upper = name.upper()
    if _PROXIES.match(name):
        yield from (_as(one, PROXY) for one in _of_url(name, value))
    elif value.startswith("/"):
        yield from _of_path(name, value, variables)
    elif "://" in value or value.startswith("sqlite:"):
        yield from _of_text(name, value)
    elif upper.startswith("PGHOST") or (_PAIR.search(upper) and not _is_own(upper)):
        yield from _of_pair(name, value, variables)
    elif re.search(r"(?:\A|\s)host(?:addr)?\s*=", value):
        yield from _of_words(name, value)
    else:
        kind = next((_LISTS[word] for word in upper.split("_") if word in _LISTS), None)
        is_list = re.search(r"SERVERS?|HOSTS|BROKERS?|NODES|LOCATION|ENDPOINTS?", upper)
        if kind and is_list:
            yield from _of_list(name, value, *kind)


def _is_own(name: str) -> bool:
    """The app's own name, and where it listens."""
    return (
        re.search(r"ALLOWED|TRUSTED|(?:\A|_)(?:VIRTUAL|SITE|APP|OWN|MY|BIND|LISTEN)_", name)
        is not None
    )


def _as(one: Endpoint, kind: str) -> Endpoint:
    return Endpoint(kind, one.variable, one.host, one.port, one.path, one.tls)


def _of_text(name: str, value: str) -> Iterator[Endpoint]:
    """A URL, or several between other signs, as in a list or in JSON."""
    if _URL_ONLY.match(value):
        several = re.split(r"[,;|\s]+(?=[A-Za-z][A-Za-z0-9+.-]*://)", value)
        for one in several:
            yield from _of_url(name, one)
        return
    for match in list(_URL.finditer(value))[:_POOLS]:
        yield from _of_url(name, match.group().rstrip(",;)]}"))


def _of_url(name: str, url: str) -> Iterator[Endpoint]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    scheme = parts.scheme.lower()
    base = scheme.partition("+")[0]
    if base in _FILES:
        yield from _of_file(name, url)
        return
    kind = _UNIX.get(scheme)
    if kind:
        if parts.path:
            yield Endpoint(kind, name, path=parts.path)
        return
    if scheme == "mongodb+srv":
        return  # its hosts stand in the DNS
    known = _SCHEMES.get(scheme) or _SCHEMES.get(base)
    if known is None:
        return
    kind, port, tls = known
    yield from _of_parts(name, parts, kind, port, tls)


def _of_parts(name: str, parts: SplitResult, kind: str, port: int, tls: bool) -> Iterator[Endpoint]:
    login, _at, hosts = parts.netloc.rpartition("@")
    user = unquote(login.partition(":")[0])
    database = unquote(parts.path.lstrip("/"))
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    user = query.get("user", user)
    socket = query.get("unix_socket") or query.get("socket")
    where = query.get("host") or unquote(hosts)
    if socket and kind in (MYSQL, REDIS):
        yield Endpoint(kind, name, path=socket, user=user, database=database)
        return
    if kind == POSTGRES and where.startswith("/"):
        path = f"{where.rstrip('/')}/.s.PGSQL.{query.get('port', '5432')}"
        yield Endpoint(kind, name, path=path, user=user, database=database)
        return
    if where.startswith("/"):
        yield Endpoint(kind, name, path=where, user=user, database=database)
        return
    for one in where.split(",")[:_POOLS]:
        host, number = host_port(one, _port_or(query.get("port"), port))
        if host:
            yield Endpoint(kind, name, host, number, "", tls, user, database)


def _is_port(text: Optional[str]) -> bool:
    return text is not None and text.isascii() and text.isdigit() and 0 < int(text) < 65536


def _port_or(text: Optional[str], usual: int) -> int:
    return int(text) if text is not None and _is_port(text) else usual


def host_port(text: str, port: int) -> Tuple[str, int]:
    """`db:5432`, `[::1]:5432`, `db`; "" for what is no host."""
    text = text.strip()
    if text.count(":") > 1 and not text.startswith("["):
        return (text, port) if _is_ipv6(text) else ("", 0)
    found = _HOST_PORT.match(text)
    if not found or not (_NAME.match(found.group(1)) or _is_ipv6(found.group(1))):
        return "", 0
    number = found.group(2)
    return found.group(1), _port_or(number, port)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _of_file(name: str, url: str) -> Iterator[Endpoint]:
    """`sqlite:////srv/x.db`, `sqlite:///relative.db`, `sqlite://:memory:`."""
    path = unquote(url.partition(":")[2].partition("?")[0])
    path = path[2:] if path.startswith("//") else path
    path = path[1:] if path.startswith("//") else path
    # Three slashes and a relative path: only an absolute one is looked at.
    if url.partition(":")[2].startswith("////") and path.startswith("/"):
        yield Endpoint(SQLITE, name, path=path)


def _of_path(name: str, value: str, variables: Mapping[str, str]) -> Iterator[Endpoint]:
    """A socket's path or folder, or the file of SQLite."""
    upper = name.upper()
    if re.search(r"\.(?:db|sqlite3?)\Z", value):
        yield Endpoint(SQLITE, name, path=value)
    elif value.endswith((".sock", ".socket")):
        kind = next((kind for key, (kind, _port) in _PAIRS.items() if key in upper), None)
        if kind is None and "redis" in value:
            kind = REDIS
        if kind is None and re.search("mysql|mariadb", value):
            kind = MYSQL
        if kind:
            yield Endpoint(kind, name, path=value)
    elif upper.endswith("HOST") and (upper.startswith("PG") or "POSTGRES" in upper):
        port = variables.get("PGPORT", "5432")
        yield Endpoint(POSTGRES, name, path=f"{value.rstrip('/')}/.s.PGSQL.{port}")


def _of_pair(name: str, value: str, variables: Mapping[str, str]) -> Iterator[Endpoint]:
    """`DB_HOST` with `DB_PORT`, `PGHOST` with `PGPORT`."""
    upper = name.upper()
    words = re.sub(r"_?(?:HOST|HOSTNAME|SERVER|ADDR|ADDRESS)\Z", "", upper)
    last = words.split("_")[-1]
    known = _PAIRS.get(last) or next(
        (_PAIRS[one] for one in words.split("_") if one in _PAIRS), None
    )
    prefix = name[: len(words)]
    port = _sibling(variables, prefix, "PORT")
    if known is None and last in _DATABASE_NAMES:
        known = _database(variables, prefix, port)
    known = known or _BY_PORT.get(port or "")
    if known is None:
        return
    kind, usual = known
    for one in value.split(",")[:_POOLS]:
        host, number = host_port(one, _port_or(port, usual))
        if host:
            user, database = (
                _sibling(variables, prefix, "USER"),
                _sibling(variables, prefix, "NAME"),
            )
            database = database or _sibling(variables, prefix, "DATABASE")
            tls = kind == SMTP and number == 465
            yield Endpoint(kind, name, host, number, "", tls, user or "", database or "")


def _sibling(variables: Mapping[str, str], prefix: str, word: str) -> Optional[str]:
    for name in (f"{prefix}_{word}", f"{prefix}{word}"):
        value = variables.get(name) or variables.get(name.lower())
        if value:
            return value.strip()
    return None


def _database(
    variables: Mapping[str, str], prefix: str, port: Optional[str]
) -> Optional[Tuple[str, int]]:
    """Which database `DB_HOST` is of, by its port or engine."""
    engine = " ".join(
        filter(None, (_sibling(variables, prefix, word) for word in ("ENGINE", "TYPE", "DRIVER")))
    ).lower()
    for word, kind, usual in _ENGINES:
        if word in engine or port == str(usual):
            return kind, usual
    if _is_port(port) and port is not None:
        return "the database", int(port)
    return None


def _of_words(name: str, value: str) -> Iterator[Endpoint]:
    """`host=db port=5432 dbname=shop`, as libpq reads it."""
    words = {key: one.strip("'") for key, one in _WORDS.findall(value)}
    hosts = words.get("hostaddr") or words.get("host", "")
    ports = words.get("port", "5432").split(",")
    user, database = words.get("user", ""), words.get("dbname", "")
    for number, host in enumerate(hosts.split(",")[:_POOLS]):
        text = ports[min(number, len(ports) - 1)]
        port = int(text) if _is_port(text) else 5432
        if host.startswith("/"):
            path = f"{host}/.s.PGSQL.{port}"
            yield Endpoint(POSTGRES, name, path=path, user=user, database=database)
        elif _NAME.match(host):
            yield Endpoint(POSTGRES, name, host, port, "", False, user, database)


def _of_list(name: str, value: str, kind: str, port: int) -> Iterator[Endpoint]:
    """`kafka1:9092,kafka2:9092`."""
    for one in re.split(r"[,;\s]+", value)[:_POOLS]:
        host, number = host_port(one, port)
        if host:
            yield Endpoint(kind, name, host, number)
