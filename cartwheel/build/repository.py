"""Git repositories that packages come from: which commit is meant, and what it holds."""

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

STEP = "git"
SECONDS = 600.0

# A transport that runs a command of the address (ext::) is none.
_PROTOCOLS = "file:git:http:https:ssh"


@contextlib.contextmanager
def checked_out(origin: Origin, emit: Emit = silent) -> Iterator[Path]:
    """A folder with the commit that `origin` names, and with its tags, gone at the end.

    Repositories are kept, so a known commit needs no network. Raises BuildError("git-source").
    """
    with _clone(origin, emit) as clone, tempfile.TemporaryDirectory(prefix="cartwheel-git-") as top:
        commit = _meant(origin, clone, emit)
        if not _has(clone, commit, emit):
            _fetch(origin, clone, commit, emit)
        folder = Path(top).resolve() / "source"
        _git(origin, emit, "clone", "--quiet", "--shared", "--no-checkout", str(clone), str(folder))
        _git(origin, emit, "-C", str(folder), "remote", "set-url", "origin", origin.place)
        _git(origin, emit, "-C", str(folder), "checkout", "--quiet", "--detach", commit)
        if (folder / ".gitmodules").is_file():
            _git(
                origin,
                emit,
                "-C",
                str(folder),
                "submodule",
                "--quiet",
                "update",
                "--init",
                "--recursive",
            )
        yield folder


@contextlib.contextmanager
def _clone(origin: Origin, emit: Emit) -> Iterator[Path]:
    """Our copy of the repository, for us alone."""
    base = places.cache_dir() / "git"
    name = store.key_of(origin.place)
    with store.exclusive(base, name, emit):
        clone = base / name
        if not (clone / "HEAD").is_file():
            _git(origin, emit, "init", "--quiet", "--bare", "--", str(clone))
        yield clone


def _meant(origin: Origin, clone: Path, emit: Emit) -> str:
    """The commit that a reference means now: a tag before a branch, as git itself reads it."""
    reference = origin.reference or "HEAD"
    if is_commit(reference):
        return reference
    listed = _git(origin, emit, "ls-remote", "--quiet", "--", origin.place)
    lines = (line.partition("\t") for line in listed.splitlines())
    found = {name: commit for commit, _, name in lines}
    for pattern in ("refs/tags/{}^{{}}", "refs/tags/{}", "refs/heads/{}", "{}"):
        if pattern.format(reference) in found:
            return found[pattern.format(reference)]
    _fetch(origin, clone, "", emit)  # it may be the beginning of a commit
    names = ("-C", str(clone), "rev-parse", "--verify", "--quiet", "--end-of-options")
    done = _run(emit, *names, f"{reference}^{{commit}}")
    if done.returncode != 0:
        raise origin.refusal(f"{bare(origin.place)} has no {reference}", "git-source")
    return done.output.strip()


def _fetch(origin: Origin, clone: Path, commit: str, emit: Emit) -> None:
    refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
    fetch = ("-C", str(clone), "fetch", "--quiet", "--force", "--", origin.place)
    _git(origin, emit, *fetch, *refs)
    if commit and not _has(clone, commit, emit):
        # On no branch, as the commit of a pull request.
        _git(origin, emit, *fetch, f"+{commit}:refs/commits/{commit}")


def _has(clone: Path, commit: str, emit: Emit) -> bool:
    done = _run(emit, "-C", str(clone), "cat-file", "-e", f"{commit}^{{commit}}")
    return done.returncode == 0


def _git(origin: Origin, emit: Emit, *arguments: str) -> str:
    try:
        done = _run(emit, *arguments)
    except FileNotFoundError:
        raise origin.refusal("git is not installed", "git-source") from None
    if done.returncode != 0:
        said = done.tail().replace(origin.place, origin.text)
        last = next((line for line in said.splitlines() if line.startswith("fatal:")), said[-200:])
        why = f"{origin.text} cannot be read ({last.removeprefix('fatal:').strip()})"
        raise origin.refusal(why, "git-source", said)
    return done.output


def _run(emit: Emit, *arguments: str) -> tool.Finished:
    env = of_tools({"GIT_ALLOW_PROTOCOL": _PROTOCOLS, "LC_ALL": "C"})
    argv = ["git", "-c", "safe.directory=*", "-c", "advice.detachedHead=false", *arguments]
    return tool.run_tool(
        argv, env=env, cwd=Path(os.sep), deadline_seconds=SECONDS, emit=emit, step=STEP
    )
