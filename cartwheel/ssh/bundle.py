"""The host side as bytes: sources of `cartwheel/host`, and the command that starts them."""

from __future__ import annotations

import functools
import json
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cartwheel import places

OLDEST_PYTHON = (3, 9)
_LOADER_MODULE = "cartwheel.host.session.loader"
HELLO = b"CARTWHEEL-HELLO"
# From the start of Python until all its sources have arrived.
ALARM_SECONDS = 30

# One line for `python3 -I -c '...'`. It passes through the login shell (sh, bash, zsh,
# fish), sudo and systemd-run, so it contains none of ' \ $ % ! and no newline. The greeting is
# spelled in two halves, so that an echoed command is not mistaken for it. File descriptor 1 is
# moved first: only frames go to the channel. If the rest does not arrive (a dead connection that
# sshd does not notice, or a run that has ended), it ends by itself: there is no lease yet.
_LOADER = (
    "import os,signal,sys;"
    "signal.alarm(ALARM);"
    "i=os.dup(0);o=os.dup(1);n=os.open(os.devnull,os.O_RDONLY);os.dup2(n,0);os.dup2(2,1);"
    "v=sys.version_info;"
    'h=chr(10)+"CARTWHEEL-"+"HELLO {}.{}.{}".format(*v[:3])+chr(10);'
    "import json,zlib;"  # before the greeting: python3-minimal of Debian lacks json
    "os.write(o,h.encode());"
    "v>=OLDEST or sys.exit(0);"
    'f=os.fdopen(i,"rb");'
    "d=f.read(SIZE);"
    "d or sys.exit(0);"
    "b=json.loads(zlib.decompress(d).decode());"
    'g={"__name__":b["name"]};'
    'exec(compile(b["loader"],"<cartwheel>","exec"),g);'
    "signal.alarm(0);"
    'sys.exit(g["run"](b,f,o))'
)


@dataclass(frozen=True)
class Bundle:
    """The bytes to send (`payload`), and the code for `python3 -I -c`."""

    payload: bytes
    loader: str


_made_once = functools.cache(lambda: make_bundle({}))
_making = threading.Lock()  # with a cache alone, several threads would make it at the same time


def host_bundle() -> Bundle:
    """This Cartwheel's host side, made once for all sessions of this process; the same sources
    give the same bytes."""
    with _making:
        return _made_once()


def host_modules() -> dict[str, str]:
    """Every module below `cartwheel/host`: full name -> source."""
    top = places.host_source()
    return {
        _full_name(path.relative_to(top)): path.read_text("utf-8") for path in top.rglob("*.py")
    }


def _full_name(path: Path) -> str:
    """`release/verify.py` -> cartwheel.host.release.verify; __init__.py is its folder."""
    words = ["cartwheel", "host", *path.with_suffix("").parts]
    return ".".join(words[:-1] if words[-1] == "__init__" else words)


def make_bundle(changed: Mapping[str, str]) -> Bundle:
    """The host side with changed or additional modules (full name -> source)."""
    modules = host_modules()
    modules.update(changed)
    whole = {"name": _LOADER_MODULE, "loader": modules[_LOADER_MODULE], "modules": modules}
    payload = zlib.compress(json.dumps(whole, sort_keys=True).encode())
    words = {"OLDEST": str(OLDEST_PYTHON), "SIZE": str(len(payload)), "ALARM": str(ALARM_SECONDS)}
    loader = _LOADER
    for name, value in words.items():
        loader = loader.replace(name, value)
    return Bundle(payload, loader)
