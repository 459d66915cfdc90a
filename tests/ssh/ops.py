"""Operations that only tests have; they replace `cartwheel.host.session.operations`."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cartwheel.host.system.context import ContactLost, Context, OpError


def echo(c: Context, args: dict[str, Any]) -> dict[str, Any]:
    return dict(args)


def sleep(c: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Wait in polls; say so first."""
    c.emit("sleep", "start")
    c.pause(args["seconds"])
    return {}


def stubborn(c: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Go on after contact is lost, write all the while, and leave a file when done."""
    c.emit("stubborn", "start")
    end = time.monotonic() + args["seconds"]
    while time.monotonic() < end:
        c.emit("stubborn", "progress", "x" * 10000)
        print("noise " * 1000)
        time.sleep(0.01)
    Path(args["path"]).write_text("done, lost" if c.lost.is_set() else "done")
    return {}


def at_end(c: Context, args: dict[str, Any]) -> dict[str, Any]:
    path = Path(args["path"])

    def note() -> None:
        with path.open("a") as file:
            file.write(args["text"] + "\n")
        if args.get("fail"):
            raise RuntimeError("an end that fails")

    c.at_end.append(note)
    return {}


def digest(c: Context, args: dict[str, Any]) -> dict[str, Any]:
    assert c.blob is not None
    data = c.blob.read()
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def talk(c: Context, args: dict[str, Any]) -> dict[str, Any]:
    for _ in range(args["times"]):
        c.emit("talk", "progress", "x" * args["size"])
    return {}


def fail(c: Context, args: dict[str, Any]) -> dict[str, Any]:
    raise OpError("deadline", "as wished", hint="try less", log="line 1\nline 2")


def crash(c: Context, args: dict[str, Any]) -> dict[str, Any]:
    raise ZeroDivisionError("one over nothing")


def noise(c: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Everything that must not reach the channel."""
    print("printed", flush=True)
    sys.stderr.write("to stderr\n")
    out = subprocess.run(["sh", "-c", "echo from a child; cat"], timeout=10, check=True)
    return {"status": out.returncode, "stdin": os.read(0, 10).decode()}


def memory(c: Context, args: dict[str, Any]) -> dict[str, Any]:
    c.memory["count"] = c.memory.get("count", 0) + 1
    return {"count": c.memory["count"]}


def end_process(c: Context, args: dict[str, Any]) -> dict[str, Any]:
    if "signal" in args:
        os.kill(os.getpid(), args["signal"])
        time.sleep(10)
    os._exit(args["status"])


def answer_with(c: Context, args: dict[str, Any]) -> dict[str, Any]:
    return {"unsendable": {1, 2}}


def lost_quietly(c: Context, args: dict[str, Any]) -> dict[str, Any]:
    c.emit("lost_quietly", "start")
    try:
        while True:
            c.pause(0.05)
    except ContactLost:
        Path(args["path"]).write_text("lost")
        raise


def shell(c: Context, args: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        args["argv"],
        input=args.get("input", "").encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=20,
        check=False,
    )
    return {"status": done.returncode, "output": done.stdout.decode()}


def child(c: Context, args: dict[str, Any]) -> dict[str, Any]:
    """A child that outlives the operation, in a session of its own."""
    return {"pid": subprocess.Popen(["sleep", "300"], start_new_session=True).pid}


def limit(c: Context, args: dict[str, Any]) -> dict[str, Any]:
    """From now on no file of this process grows beyond 1 MiB."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    return {}


OPS: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {
    each.__name__: each
    for each in (
        echo,
        sleep,
        stubborn,
        at_end,
        digest,
        talk,
        fail,
        crash,
        noise,
        memory,
        end_process,
        answer_with,
        lost_quietly,
        shell,
        child,
        limit,
    )
}


def perform(name: str, ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    if name not in OPS:
        raise OpError("host-side", f"the host side has no operation '{name}'")
    return OPS[name](ctx, asked)
