"""What Apache would load: all its directives, as Apache itself has read them.

mod_info prints them with file and line; conditions, variables, macros and included files are
resolved (https://httpd.apache.org/docs/2.4/mod/mod_info.html). A broken configuration has none.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Callable, Dict, FrozenSet, Iterator, List, Optional, Sequence, Set, Tuple

from cartwheel.host.system import children, files
from cartwheel.host.system.context import OpError
from cartwheel.host.web.apache import NAMELESS, SITES
from cartwheel.host.wire.facts import Server

MODULES = Path("/usr/lib/apache2/modules")
MAIN = Path("/etc/apache2/apache2.conf")
ENVVARS = Path("/etc/apache2/envvars")

_CALL_SECONDS = 30.0  # names of hosts in `<VirtualHost>` are resolved

_FILE = re.compile(r"\s*# In file: (.*)")
_LINE = re.compile(r"\s*#\s+(\d+):")
_INCLUDED = re.compile(r"( +)\((?:\d+|\*)\) (.+)")
_MODULE = re.compile(r" (\w+)_module \((?:static|shared)\)")
_WORD = re.compile(r'"((?:\\.|[^"\\])*)"|\'((?:\\.|[^\'\\])*)\'|(\S+)')
# The innermost macro comes first.
_MACRO = re.compile(r"macro '[^']*' \(defined on line (\d+) of \"([^\"]+)\"\)")
_USER = re.compile(r"^\s*export\s+APACHE_RUN_USER=[\"']?([\w.-]+)", re.MULTILINE)
_INCLUDE = re.compile(r"^\s*Include(?:Optional)?\s+[\"']?([^\s\"']+)", re.MULTILINE | re.IGNORECASE)
_PORT = re.compile(r"(?:^|:)(\d+)$")
_SCHEME = re.compile(r"^\w+://")
_SERVER_LIMITS = {"event": 16, "worker": 16, "prefork": 256}
_DEFAULT_THREADS = 25
# Runs in a mount namespace of its own.
_WITHOUT = 'set -e; mount -t tmpfs none "$1"; shift; exec "$@"'


# Gives the text of a file; "" or None for one that is only on the disk.
TextOf = Callable[[str], Optional[str]]


@dataclass(frozen=True)
class Directive:
    """`source` and `number` are its place in Apache's words (`place_of`). `inside` are the sections
    around it, the outermost first, each as its words; `site` counts the `<VirtualHost>`s, and is
    None outside of them. A section is a directive too."""

    source: str
    number: int
    words: Tuple[str, ...]
    inside: Tuple[Tuple[str, ...], ...]
    site: Optional[int]
    opens: bool

    @property
    def name(self) -> str:
        return self.words[0].lower()

    @property
    def file(self) -> str:
        macro = _MACRO.match(self.source)
        return macro.group(2) if macro else self.source

    def place(self, text_of: "TextOf") -> str:
        return "{}:{}".format(*place_of(self.source, self.number, text_of))


@dataclass(frozen=True)
class Configuration:
    """`modules` by their names without `_module`; `ours` are the files of Cartwheel's sites."""

    directives: Tuple[Directive, ...] = ()
    modules: FrozenSet[str] = frozenset()
    files: Tuple[str, ...] = ()
    ours: FrozenSet[str] = frozenset()

    def named(self, *names: str) -> Iterator[Directive]:
        return (one for one in self.directives if one.name in names)

    def value(self, name: str) -> str:
        """What a directive says outside of all sections, the last one counts; "" without it."""
        found = [
            one.words[1] for one in self.named(name.lower()) if not one.inside and one.words[1:]
        ]
        return found[-1] if found else ""

    def sites(self) -> "List[List[Directive]]":
        """The directives of each `<VirtualHost>`, that one first."""
        found: Dict[int, List[Directive]] = {}
        for one in self.directives:
            if one.site is not None:
                found.setdefault(one.site, []).append(one)
        return [found[number] for number in sorted(found)]


def ask(test_command: Sequence[str], sites: Path = SITES) -> Configuration:
    """The configuration of this host; an empty one without Apache. If it is broken, it is read
    without our sites, because somebody may have added what one of them has too."""
    try:
        done = children.ask(test_command, timeout_seconds=_CALL_SECONDS)
        if done.status != 0 and sites.is_dir():
            without = ("unshare", "--mount", "sh", "-c", _WITHOUT, "sh", str(sites), *test_command)
            done = children.ask(without, timeout_seconds=_CALL_SECONDS)
    except OpError:
        return Configuration()
    return read(done.output, sites)


def on_disk(path: str) -> str:
    return "" if files.is_no_file(Path(path)) else _text(Path(path))


def read(output: str, sites: Path = SITES) -> Configuration:
    """What `Apache.test_command` printed; Cartwheel's own sites are in the folder `sites`."""
    directives: List[Directive] = []
    inside: List[Tuple[str, ...]] = []
    file, number, count, site = "", 0, 0, None
    for text in output.splitlines():
        in_file, line = _FILE.fullmatch(text), _LINE.fullmatch(text)
        if in_file:
            file = in_file.group(1)
        elif line:
            number = int(line.group(1))
        elif text.strip().startswith("</") and inside:
            site = None if inside.pop()[0].lower() == "virtualhost" else site
        elif number:
            opens = text.strip().startswith("<")
            words = _words(text.strip()[1:-1] if opens else text)
            if opens and words[0].lower() == "virtualhost":
                count, site = count + 1, count
            directives.append(Directive(file, number, words, tuple(inside), site, opens))
            inside += [words] if opens else []
            number = 0
    included = _included(output)
    ours = frozenset(one for one, parents in included if _are_ours((one, *parents), sites))
    modules = frozenset(found.group(1) for found in _MODULE.finditer(output))
    return Configuration(tuple(directives), modules, tuple(one for one, _ in included), ours)


def place_of(file: str, number: int, text_of: TextOf = on_disk) -> Tuple[str, int]:
    """File and line of what Apache calls line `number` of `file`. For a line that comes from a
    macro it says which, where that begins, and counts its lines without comments."""
    macro = _MACRO.match(file)
    if macro is None:
        return file, number
    path, at = macro.group(2), int(macro.group(1))
    lines = (text_of(path) or on_disk(path)).split("\n")
    counted, begins = 0, True
    for place, line in enumerate(lines[at:], at + 1):
        counted += 1 if begins and not line.lstrip().startswith("#") else 0
        if counted == number:
            return path, place
        begins = not line.endswith("\\")
    return path, at + number


def _words(text: str) -> Tuple[str, ...]:
    found = []
    for double, single, plain in _WORD.findall(text):
        quoted = double or single
        found.append(re.sub(r"\\([\"'\\])", r"\1", quoted) if quoted else plain)
    return tuple(found) or ("",)


def _included(output: str) -> "List[Tuple[str, Tuple[str, ...]]]":
    """Each file that is read, and the files that include it; deeper ones stand further right."""
    found: List[Tuple[str, Tuple[str, ...]]] = []
    above: List[Tuple[int, str]] = []
    for line in output.splitlines():
        match = _INCLUDED.fullmatch(line)
        if match:
            depth = len(match.group(1))
            above = [one for one in above if one[0] < depth]
            found.append((match.group(2), tuple(path for _, path in above)))
            above.append((depth, match.group(2)))
    return found


def _are_ours(paths: Sequence[str], sites: Path) -> bool:
    return any(os.path.dirname(path) == str(sites) for path in paths)


def servers(config: Configuration) -> List[Server]:
    """All sites. Each belongs to the file that names it: that of TLS uses the macro of the plain
    one. The first one with an address is the default there; only one that wants to be, counts."""
    listened = sorted({port for one in config.named("listen") for port in _ports(one.words[1])})
    seen: Set[str] = set()
    found = []
    for site in config.sites():
        addresses = site[0].words[1:]
        names = [one for one in site if one.name == "servername" and one.words[1:]]
        aliases = [word for one in site if one.name == "serveralias" for word in one.words[1:]]
        ports = [port for one in addresses for port in _ports(one) or listened]
        takes_all = "*" in aliases
        by_place = [
            port for one in addresses if one not in seen for port in _ports(one) or listened
        ]
        seen.update(addresses)
        defaults = ports if takes_all else [] if names else by_place
        file = names[-1].file if names else site[0].file
        said = [] if takes_all else [*(_host(one.words[1]) for one in names[-1:]), *aliases]
        plain = dict.fromkeys(name.lower() for name in said if not name.endswith(NAMELESS))
        found.append(Server(file, _once(ports), tuple(plain), _once(defaults)))
    return found


def _once(ports: List[int]) -> Tuple[int, ...]:
    return tuple(dict.fromkeys(ports))


def _ports(address: str) -> Tuple[int, ...]:
    """The port of `Listen` or `<VirtualHost>`; none where it names all."""
    found = _PORT.search(address)
    return (int(found.group(1)),) if found and not address.endswith("]") else ()


def _host(name: str) -> str:
    """`ServerName` may have a scheme and a port too."""
    return re.sub(r":\d+$", "", _SCHEME.sub("", name))


def taken_name(config: Configuration, names: Sequence[str]) -> Optional[str]:
    """The first of these names that sites of two files have on the same port."""
    known = servers(config)
    for name in names:
        uses = {
            (port, one.file) for one in known if name.lower() in one.names for port in one.ports
        }
        if len({port for port, _file in uses}) < len(uses):
            return name
    return None


def listens(config: Configuration) -> List[int]:
    """The ports that files of others open: a second `Listen` is an error."""
    others = (one for one in config.named("listen") if one.file not in config.ours)
    return sorted({port for one in others for port in _ports(one.words[1])})


def user(config: Configuration, envvars: Path = ENVVARS) -> str:
    """The user of its workers; also where the configuration is broken."""
    found = None if files.is_no_file(envvars) else _USER.search(_text(envvars))
    return config.value("User") or (found.group(1) if found else "www-data")


def model(config: Configuration) -> str:
    """Its multi-processing module: event, worker or prefork; "" if unknown."""
    return next((name for name in _SERVER_LIMITS if f"mpm_{name}" in config.modules), "")


def server_limit(config: Configuration) -> int:
    """How many processes it has at most, also those that only end their connections."""
    return _number(config, "ServerLimit") or _SERVER_LIMITS.get(model(config), 0)


def at_once(config: Configuration) -> int:
    """How many requests and websockets it serves at the same time; 0 if unknown."""
    wanted = _number(config, "MaxRequestWorkers") or _number(config, "MaxClients")
    threads = _number(config, "ThreadsPerChild") or _DEFAULT_THREADS
    most = server_limit(config) * (1 if model(config) == "prefork" else threads)
    return min(wanted, most) if wanted else most


def _number(config: Configuration, name: str) -> int:
    value = config.value(name)
    return int(value) if value.isdigit() else 0


def includes(file: Path, config: Configuration, main: Path = MAIN) -> bool:
    """Whether it reads a file of this path, once it exists. True where `main` is missing: then it
    is not Debian's."""
    if str(file) in config.files or not main.is_file():
        return True
    texts = [_text(Path(one)) for one in config.files or (str(main),)]
    patterns = [os.path.join(main.parent, one) for text in texts for one in _INCLUDE.findall(text)]
    return any(fnmatch(str(file), pattern) for pattern in patterns)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
