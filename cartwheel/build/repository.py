"""Git repositories of packages: finds the commit, and checks it out."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cartwheel import places
from cartwheel.build import store, tool
from cartwheel.build.index import bare
from cartwheel.build.origins import Origin, is_commit
from cartwheel.events import Emit, silent
from cartwheel.process_env import of_tools
from cartwheel.programs import Ended

STEP = "git"
SECONDS = 600.0

# Without the transport that runs a command from the URL (ext::).
_PROTOCOLS = "file:git:http:https:ssh"


@contextlib.contextmanager
def checked_out(origin: Origin, emit: Emit = silent) -> Iterator[Path]:
    """A temporary folder with the commit of `origin` and its tags.

    Repositories are kept, so a known commit needs no network. Raises BuildError("git-source").
    """
    with tempfile.TemporaryDirectory(prefix="cartwheel-git-") as top:
        folder = Path(top).resolve() / "source"
        with _clone(origin, emit) as clone:
            commit = _meant(origin, clone, emit)
            if not _has(origin, clone, commit, emit):
                _fetch(origin, clone, commit, emit)
            options = ("--quiet", "--shared", "--no-checkout")
            _git(origin, emit, "clone", *options, str(clone), str(folder))
        inside = ("-C", str(folder))
        _git(origin, emit, *inside, "remote", "set-url", "origin", bare(origin.place))
        _git(origin, emit, *inside, "checkout", "--quiet", "--detach", commit)
        if (folder / ".gitmodules").is_file():
            update = ("submodule", "--quiet", "update", "--init", "--recursive")
            _git(origin, emit, *inside, *update)
        yield folder


@contextlib.contextmanager
def _clone(origin: Origin, emit: Emit) -> Iterator[Path]:
    """Our copy of the repository, locked."""
    base = places.cache_dir() / "git"
    name = store.key_of(origin.place)
    with store.exclusive(base, name, emit):
        clone = base / name
        if not (clone / "HEAD").is_file():
            _git(origin, emit, "init", "--quiet", "--bare", "--", str(clone))
        for left in clone.rglob("*.lock"):  # of a git that was killed: no other git is running here
            left.unlink(missing_ok=True)
        yield clone


def _meant(origin: Origin, clone: Path, emit: Emit) -> str:
    """The current commit of a reference: a tag before a branch, as for git itself."""
    reference = origin.reference or "HEAD"
    if is_commit(reference):
        return reference
    listed = _git(origin, emit, "ls-remote", "--quiet", "--", bare(origin.place))
    lines = (line.partition("\t") for line in listed.splitlines())
    found = {name: commit for commit, _, name in lines}
    for pattern in ("refs/tags/{}^{{}}", "refs/tags/{}", "refs/heads/{}", "{}"):
        if pattern.format(reference) in found:
            return found[pattern.format(reference)]
    _fetch(origin, clone, "", emit)  # it may be the beginning of a commit
    names = ("-C", str(clone), "rev-parse", "--verify", "--quiet", "--end-of-options")
    done = _run(origin, emit, *names, f"{reference}^{{commit}}")
    if done.status != 0:
        raise origin.refusal(f"{bare(origin.place)} has no {reference}", "git-source")
    return done.output_text.strip()


def _fetch(origin: Origin, clone: Path, commit: str, emit: Emit) -> None:
    refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
    fetch = ("-C", str(clone), "fetch", "--quiet", "--force", "--", bare(origin.place))
    _git(origin, emit, *fetch, *refs)
    if commit and not _has(origin, clone, commit, emit):
        # It is on no branch, like the commit of a pull request.
        _git(origin, emit, *fetch, f"+{commit}:refs/commits/{commit}")


def _has(origin: Origin, clone: Path, commit: str, emit: Emit) -> bool:
    done = _run(origin, emit, "-C", str(clone), "cat-file", "-e", f"{commit}^{{commit}}")
    return done.status == 0


def _git(origin: Origin, emit: Emit, *arguments: str) -> str:
    done = _run(origin, emit, *arguments)
    if done.status != 0:
        said = done.tail().replace(origin.place, origin.text)
        last = next((line for line in said.splitlines() if line.startswith("fatal:")), said[-200:])
        why = f"{origin.text} cannot be read ({last.removeprefix('fatal:').strip()})"
        raise origin.refusal(why, "git-source", said)
    return done.output_text


def _run(origin: Origin, emit: Emit, *arguments: str) -> Ended:
    env = of_tools({"GIT_ALLOW_PROTOCOL": _PROTOCOLS, "LC_ALL": "C"})
    if bare(origin.place) != origin.place:
        # Credentials are not in arguments, which other users could read, nor in the repository.
        env["GIT_CONFIG_COUNT"] = "1"
        env["GIT_CONFIG_KEY_0"] = f"url.{origin.place}.insteadOf"
        env["GIT_CONFIG_VALUE_0"] = bare(origin.place)
    own = ("safe.directory=*", "advice.detachedHead=false", "gc.auto=0")
    argv = ["git", *(word for one in own for word in ("-c", one)), *arguments]
    try:
        return tool.run_tool(
            argv, env=env, cwd=Path(os.sep), deadline_seconds=SECONDS, emit=emit, step=STEP
        )
    except FileNotFoundError:
        raise origin.refusal("git is not installed", "git-source") from None
