"""What the app's variables name, databases and the like: does it answer?"""

from __future__ import annotations

import errno
import glob
import os
import re
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Set, Tuple

from cartwheel.host.diagnose import addresses, lookups, names
from cartwheel.host.diagnose.addresses import Endpoint
from cartwheel.host.diagnose.found import SECONDS, Found, Window, described
from cartwheel.host.diagnose.greetings import WELL, Answer, Line, greet
from cartwheel.host.state import environment, sides
from cartwheel.host.state import releases as all_releases
from cartwheel.host.system import children, envfile, reach
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.system.reach import Account
from cartwheel.host.wire.diagnosis import APP_FOLDER, NO_FILE, REFUSAL, Service

_MOST, _MOST_NAMES = 20, 30  # the names of these services are among them
_CONNECT_SECONDS = 1.2
_ANSWER_SECONDS = 1.5
_LATEST_SECONDS = 3.0  # for all together
_UNIT_SECONDS = 2.0
_AUTHORITIES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_NO_PROXY = ("no_proxy", "NO_PROXY")

# Which units run a service of each kind on Debian and its relatives.
_UNITS: Dict[str, Tuple[str, ...]] = {
    addresses.MYSQL: ("mariadb", "mysql", "mysqld"),
    addresses.REDIS: ("redis-server", "redis", "valkey-server", "valkey", "keydb-server"),
    addresses.AMQP: ("rabbitmq-server",),
    addresses.MONGO: ("mongod", "mongodb"),
    addresses.MEMCACHED: ("memcached",),
    addresses.SEARCH: ("elasticsearch", "opensearch"),
    addresses.SMTP: ("postfix", "exim4", "opensmtpd"),
    addresses.NATS: ("nats-server", "nats"),
}


def look(ctx: Context, window: Window) -> Found:
    """Every service that the live release's variables name is greeted, all at once; their names are
    looked up, also where a proxy is asked for them."""
    began = time.monotonic()
    variables = variables_of(ctx)
    every = addresses.endpoints(variables)
    wanted = every
    if _has_proxy(variables):
        wanted = [one for one in every if not _by_proxy(one, variables)]
    unread = [f"services: only {_MOST} of {len(wanted)}"] if len(wanted) > _MOST else []
    wanted = wanted[:_MOST]
    hosts = list(dict.fromkeys(one.host for one in (*wanted, *every) if one.host))
    if len(hosts) > _MOST_NAMES:
        unread.append(f"names: only {_MOST_NAMES} of {len(hosts)}")
    known = names.look_up(hosts[:_MOST_NAMES])
    files = tuple(variables[name] for name in _AUTHORITIES if variables.get(name))
    user = _app_user(ctx)
    end = began + _LATEST_SECONDS
    found: Dict[int, Service] = {}
    failed: Set[int] = set()

    def ask(number: int, one: Endpoint) -> None:
        try:
            found[number] = _service(one, known.get(one.host), files, user, end)
        except Exception as error:  # a service may do anything, and that must not hide the others
            unread.append(f"services: {one.address}: {described(error)}")
            failed.add(number)

    threads = [
        threading.Thread(target=ask, args=(number, one), daemon=True)
        for number, one in enumerate(wanted)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end + 0.1 - time.monotonic()))
    answers = dict(found)
    ended = {*answers, *failed}
    late = [one.address for number, one in enumerate(wanted) if number not in ended]
    unread += [f"services: {address} took too long" for address in late]
    return Found(
        services=(
            *_own_folder(str(ctx.at.shared), user),
            *_with_units([answers[number] for number in sorted(answers)], wanted, known, began),
        ),
        lookups=tuple(lookups.of_endpoints(every, known)),
        unread=tuple(unread),
    )


def variables_of(ctx: Context) -> Dict[str, str]:
    """The variables of the live release, and of each of its processes."""
    serving = all_releases.serving(ctx.at)
    if serving is None:
        return {}
    try:
        found = environment.variables(ctx.at, serving.release)
    except OpError:
        return {}
    for process in sorted({one.process for one in sides.of(ctx.at, serving)}):
        own = ctx.at.release(serving.release) / f"{process}.env"
        try:
            found = {**envfile.parse(own.read_text(encoding="utf-8")), **found}
        except (OSError, ValueError):
            continue
    return found


def _app_user(ctx: Context) -> Account:
    try:
        return reach.account(environment.app_user(ctx.at))
    except OpError:
        return Account("nobody")


def _has_proxy(variables: Dict[str, str]) -> bool:
    return any(
        variables.get(name) for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    )


def _by_proxy(one: Endpoint, variables: Dict[str, str]) -> bool:
    """Whether the app reaches it through a proxy: then it need not be reachable from here."""
    if one.kind not in (addresses.HTTP, addresses.SEARCH):
        return False
    direct = ",".join(variables.get(name, "") for name in _NO_PROXY).split(",")
    return not any(one.host.endswith(end.strip().lstrip("*.")) for end in direct if end.strip())


# --- one service --------------------------------------------------------------------------


def _service(
    one: Endpoint,
    known: Optional[names.Known],
    authorities: Tuple[str, ...],
    user: Account,
    end: float,
) -> Service:
    began = time.monotonic()
    if one.kind == addresses.SQLITE:
        answer = file_problem(one.path, user)
    elif one.path:
        answer = _of_socket(one, user, end)
    elif known is None or known.problem:
        text = known.problem if known else "not looked up"
        answer = Answer("unknown", f"the name {one.host} cannot be resolved: {text}")
    else:
        answer = _of_places(one, known, authorities, end)
        if answer.how == "refused" and one.kind == addresses.MYSQL and one.host == "localhost":
            # C clients take the socket for that name.
            by_socket = _of_socket(replace(one, path="/run/mysqld/mysqld.sock"), user, end)
            answer = answer if by_socket.how else WELL
    return Service(
        one.kind, one.variable, one.address, answer.problem, time.monotonic() - began, answer.how
    )


def _of_places(
    one: Endpoint, known: names.Known, authorities: Tuple[str, ...], end: float
) -> Answer:
    """One after the other, as clients do: the first address that serves counts."""
    answer = WELL
    for family, address in dict.fromkeys(known.places):
        answer = _of_place(one, family, address, authorities, end)
        if not answer.how or answer.how in ("denied", "tls"):
            return answer
        if time.monotonic() >= end:
            break
    return answer


def _of_place(
    one: Endpoint, family: int, address: names.Address, authorities: Tuple[str, ...], end: float
) -> Answer:
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        seconds = min(_CONNECT_SECONDS, max(0.1, end - time.monotonic()))
        connection.settimeout(seconds)
        try:
            connection.connect(names.at_port(address, one.port))
        except socket.timeout:
            text = f"no connection to {address[0]} within {seconds:.1f} s"
            return Answer("timeout", text)
        except OSError as error:
            return _refusal(error, address[0])
        return _greeted(one, connection, authorities, end)


def _greeted(
    one: Endpoint, connection: socket.socket, authorities: Tuple[str, ...], end: float
) -> Answer:
    line = Line(connection, min(end, time.monotonic() + _ANSWER_SECONDS))
    try:
        return greet(one, line, authorities)
    finally:
        line.connection.close()


def _refusal(error: OSError, where: str) -> Answer:
    if isinstance(error, ConnectionRefusedError):
        return Answer("refused", f"{where} {REFUSAL}")
    if isinstance(error, ConnectionResetError):
        return Answer("ended", "closes the connection at once")
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL):
        return Answer("unreachable", f"{where}: {(error.strerror or '').lower()}")
    return Answer("unreachable", f"{where}: {(error.strerror or str(error)).lower()}")


def _of_socket(one: Endpoint, user: Account, end: float) -> Answer:
    if not os.path.exists(one.path):
        return Answer("missing", f"there is no socket {one.path}")
    obstacle = reach.obstacle(one.path, user, write=True)
    if obstacle:
        return Answer("unwritable", obstacle)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_SECONDS)
        try:
            connection.connect(one.path)
        except (socket.timeout, BlockingIOError):
            return Answer("silent", f"{one.path} takes no more connections")
        except OSError as error:
            return _refusal(error, one.path)
        return _greeted(one, connection, (), end)


def file_problem(path: str, user: Account) -> Answer:
    """Whether the app's user can write to a database in a file; SQLite also needs its folder."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return Answer("missing", f"there is no folder {folder}")
    if not os.path.exists(path):
        obstacle = reach.obstacle(folder, user)
        return (
            Answer("missing", f"{NO_FILE} {path}")
            if not obstacle
            else Answer("unwritable", obstacle)
        )
    obstacle = _unusable(path, user) or _unusable(folder, user)
    return Answer("unwritable", obstacle) if obstacle else WELL


def _unusable(path: str, user: Account) -> str:
    return reach.obstacle(path, user) or reach.obstacle(path, user, write=True)


def _own_folder(path: str, user: Account) -> List[Service]:
    """The app's own folder: it is its HOME, and its data are there."""
    if not os.path.isdir(path):
        return []
    obstacle = _unusable(path, user)
    if not obstacle:
        return []
    found = Service(APP_FOLDER, "CARTWHEEL_SHARED", path, obstacle, 0.0, "unwritable")
    # Its owner and mode were changed then, or a file in it was made or removed later.
    return [replace(found, since=os.stat(path).st_ctime)]


# --- the unit that should run it ----------------------------------------------------------


def _with_units(
    found: List[Service], wanted: Sequence[Endpoint], known: Dict[str, names.Known], began: float
) -> List[Service]:
    """For what does not answer on this host: which unit should run it, and how that is."""
    asked = {(one.variable, one.address): one for one in wanted}
    ill = [
        one
        for one in found
        if one.how in ("refused", "missing", "silent", "unwritable", "ended")
        and one.kind != addresses.SQLITE
        and is_here(asked[one.variable, one.address], known)
    ]
    if not ill:
        return found
    seconds = min(_UNIT_SECONDS, began + SECONDS - time.monotonic())
    units = sorted({unit for one in ill for unit in units_of(one.kind, one.address)})
    states = _states(units, seconds)
    return [_with_unit(one, states) if one in ill else one for one in found]


def is_here(one: Endpoint, known: Dict[str, names.Known]) -> bool:
    """Whether it is on this host: only an own address can be bound."""
    places = known[one.host].places if one.host in known else ()
    return bool(one.path) or any(_is_own(family, address) for family, address in places)


def _is_own(family: int, address: names.Address) -> bool:
    with socket.socket(family, socket.SOCK_DGRAM) as own:
        own.settimeout(_CONNECT_SECONDS)
        try:
            own.bind(names.at_port(address, 0))
        except OSError:
            return False
    return True


def units_of(kind: str, address: str, etc: str = "/etc/postgresql") -> Tuple[str, ...]:
    """The units that may run it."""
    if kind != addresses.POSTGRES:
        return tuple(f"{unit}.service" for unit in _UNITS.get(kind, ()))
    # Debian has a unit for each cluster; postgresql.service only starts them.
    clusters = sorted(glob.glob(f"{etc}/*/*/postgresql.conf"))
    port = re.search(r"(\d+)\Z", address)
    fitting = [one for one in clusters if port and _port_of(one) == port.group(1)] or clusters
    units = [f"postgresql@{'-'.join(one.split('/')[-3:-1])}.service" for one in fitting]
    return (*units, *(() if units else ("postgresql.service",)))


def _port_of(configuration: str) -> str:
    try:
        text = Path(configuration).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.findall(r"^\s*port\s*=\s*'?(\d+)", text, re.MULTILINE)
    return found[-1] if found else "5432"


_PROPERTIES = "Id,LoadState,ActiveState,SubState,Result,StateChangeTimestampMonotonic"


def _states(units: Sequence[str], seconds: float) -> Dict[str, Dict[str, str]]:
    """The properties of those that exist."""
    if not units:
        return {}
    argv = ["systemctl", "show", "--property=" + _PROPERTIES, "--", *units]
    try:
        output = children.ask(argv, timeout_seconds=seconds).output
    except OpError:
        return {}
    blocks = [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for block in output.split("\n\n")
    ]
    # Asked by an alias it answers with the name.
    found = dict(zip(units, blocks))
    return {
        unit: one for unit, one in found.items() if one.get("LoadState") not in (None, "not-found")
    }


def _with_unit(one: Service, states: Dict[str, Dict[str, str]]) -> Service:
    mine = [unit for unit in units_of(one.kind, one.address) if unit in states]
    # One that does not run says more than one that does.
    mine.sort(key=lambda unit: states[unit].get("ActiveState") == "active")
    if not mine:
        return one
    how = states[mine[0]]
    state = how.get("ActiveState", "unknown")
    if how.get("Result", "success") != "success":
        state += f" ({how['Result']})"
    elif how.get("LoadState") == "masked":
        state += " (masked)"
    changed = int(how.get("StateChangeTimestampMonotonic") or 0) / 1e6
    since = time.time() - time.monotonic() + changed if changed else None
    return replace(one, of_unit=mine[0], unit_state=state, since=since)
