"""What an installer builds from source, and which system packages that lacks, from its output.
Pure, standard library only: used here and on hosts.

The names are those of Debian and Ubuntu.
"""

from __future__ import annotations

import json
import re
from typing import Sequence, Tuple

# A pattern in the output, the missing program or file, and the packages that contain it.
_LACKS: Tuple[Tuple["re.Pattern[str]", str, Tuple[str, ...]], ...] = tuple(
    (re.compile(pattern), what, tuple(packages.split()))
    for pattern, what, packages in (
        (r"pg_config (?:executable|is required|not found)|libpq-fe\.h", "libpq", "libpq-dev"),
        (
            r"mysql_config[: ]|Can not find valid pkg-config name|mysql\.h: No such",
            "the MySQL client",
            "default-libmysqlclient-dev pkg-config",
        ),
        (r"(?i)rust(?:c| compiler| toolchain)[^\n]*(?:not found|required|install)|cargo[^\n]*not "
         r"(?:found|installed)|No such file or directory[^\n]*cargo", "Rust", "cargo"),
        (r"ffi\.h: No such file", "libffi", "libffi-dev"),
        (r"lib(?:xml|xslt)/\S+\.h: No such file|libxml2 and libxslt development packages",
         "libxml2", "libxml2-dev libxslt1-dev"),
        (r"openssl/\S+\.h: No such file", "OpenSSL", "libssl-dev"),
        (r"(?:lber|ldap)\.h: No such file", "OpenLDAP", "libldap2-dev libsasl2-dev"),
        (r"(?:headers or library files could not be found for|jpeglib\.h: No such)[^\n]*(?:jpeg|)",
         "libjpeg", "libjpeg-dev zlib1g-dev"),
        (r"Python\.h: No such file", "Python's headers", "python3-dev"),
        (r"(?:command|execute) '?(?:\S*-)?(?:gcc|cc|g\+\+|c\+\+|clang)'?(?: failed)?:? No such file"
         r"|unable to execute '?\S*(?:gcc|g\+\+|cc)|(?:error|failed)[^\n]*linker `?cc`? not found"
         r"|No such file or directory: '\S*(?:gcc|cc|g\+\+)'|(?i:unknown compiler)"
         r"|(?i:you need a c(?:\+\+)? compiler|c(?:\+\+|xx)? compiler[^\n]*not found)",
         "a C compiler", "build-essential python3-dev"),
        (r"(?:ninja|cmake|meson|swig|pkg-config)['\"]?: (?:command )?not found"
         r"|No such file or directory: '(?:ninja|cmake|swig|pkg-config)'",
         "build tools", "build-essential cmake pkg-config"),
    )
)  # fmt: skip


# A C header, and the file by which pkg-config and meson know a library.
_HEADER = re.compile(r"fatal error: (\S+\.h\w*): No such file")
_LIBRARY = re.compile(
    r"Package '?([\w.+-]+?)'?(?:,[^\n]*)? (?:was )?not found|No package '([\w.+-]+)' found"
    r"|Dependency \"([\w.+-]+)\" not found"
)
_BUILT = re.compile(
    r"Failed (?:building wheel for|to build) (?!installable)[`']?([A-Za-z0-9][\w.-]*[A-Za-z0-9])"
)


def missing(output: str) -> Tuple[str, Tuple[str, ...]]:
    """The missing part of a build, and its packages, if they are known; ("", ()) if the output does
    not say what is missing."""
    for pattern, what, packages in _LACKS:
        if pattern.search(output):
            return what, packages
    header, library = _HEADER.search(output), _LIBRARY.search(output)
    if header:
        return header.group(1), ()
    return (f"{library.group(library.lastindex or 0)}.pc", ()) if library else ("", ())


def built(output: str) -> str:
    """The package whose build failed, as the installer names it; else "a package"."""
    found = _BUILT.search(output)
    return found.group(1) if found else "a package"


def remedy(what: str, packages: Sequence[str]) -> str:
    """How a host gets what a build lacks."""
    then = "then run `fab packages -H HOST`, which installs"
    if packages:
        wanted = ", ".join(json.dumps(name) for name in packages)
        return f"Name it in host.packages = [{wanted}], {then} them."
    return f"Name the package that has it (`apt-file search {what}`) in host.packages, {then} it."


# Lines of pip and of uv.
_COLLECTS = re.compile(r"\s*(?:Collecting|Processing) (\S+)")
_PREPARES = re.compile(
    r"\s*(Installing build dependencies|Getting requirements to build wheel|Preparing metadata)\b"
    r"(?!.*finished)"
)
_BUILDS = re.compile(r"\s*Building wheels? for (\S+) .*: started|\s*Building ([A-Za-z0-9]\S*)\s*$")


def doing(lines: Sequence[str]) -> str:
    """The installer's current work, by its last lines: packages that it builds from source."""
    last = lines[-1]
    built = _BUILDS.match(last)
    if built:
        return f"building {built.group(1) or built.group(2)} from source"
    prepared = _PREPARES.match(last)
    if prepared:
        collected = (_COLLECTS.match(line) for line in reversed(lines))
        name = next((one.group(1) for one in collected if one), "a package")
        return f"building {name} from source: {prepared.group(1).lower()}"
    return last
