"""Builds on the operator's machine before a deploy: the wheel, its tests, its locks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel import writing
from cartwheel.build.apptests import run_app_tests
from cartwheel.build.artifact import build_app
from cartwheel.build.index import access_for
from cartwheel.build.lock import lock_for as locked
from cartwheel.build.order import Order
from cartwheel.build.pip_wheel import PIP_SHA256, PIP_VERSION, pip_wheel
from cartwheel.build.products import Artifact, Lock, Platform, operator_platform
from cartwheel.build.publish.fleet_store import Item, Store, store_for
from cartwheel.build.publish.publishing import planned, publish
from cartwheel.build.wheel import check_wheel_fits
from cartwheel.commands.hooks import around_build
from cartwheel.commands.scene import Scene
from cartwheel.errors import BuildError, UsageError
from cartwheel.events import Event
from cartwheel.hidden import Hidden
from cartwheel.project.entry_check import entry_problem
from cartwheel.project.modules import Modules
from cartwheel.render.own_config import own_config
from cartwheel.settings import entry
from cartwheel.settings.toml_tables import ServerKind, kind_of_worker

if TYPE_CHECKING:
    from cartwheel.host.wire.download import Source
    from cartwheel.host.wire.facts import Facts


@dataclass(frozen=True)
class Product:
    """The tested wheel, and everything else that is the same for all hosts."""

    artifact: Artifact
    pip_wheel: Path | None  # None if uv installs
    index_password: Hidden | None
    published: Mapping[str, Source] = field(default_factory=dict)  # by SHA-256
    publish: Callable[[Item], Source | None] = lambda _item: None  # for further files


def make(
    scene: Scene,
    password: Hidden | None,
    *,
    skip_tests: bool = False,
    store: Store | None = None,
    publish: bool = True,
) -> Product:
    """Build and test the app; unchanged inputs are neither built nor tested again.

    Files that hosts need are published in their store, if they share one; without `publish` only
    their addresses are determined.
    """
    settings = scene.settings
    artifact = _built(scene, password)
    if not skip_tests:
        test(scene, artifact, password)
    _after_build(scene, artifact)
    items = [_item(artifact)]
    pip = None
    if settings.deploy.installer == "pip":
        access = access_for(settings.index, password)
        pip = pip_wheel(scene.state, scene.emit, access=access)
        items.append(Item("pip", PIP_VERSION, pip, PIP_SHA256))
    made = Product(artifact, pip, password)
    if store is None:
        return made
    place = functools.partial(publish_item if publish else _planned, scene, store)
    sources = {item.sha256: place(item) for item in items}
    known = {sha256: source for sha256, source in sources.items() if source is not None}
    made = replace(made, published=known)
    # An index keeps one file of each version, and these change without a new version: use SSH.
    return replace(made, publish=place) if store.kind == "folder" else made


def _item(artifact: Artifact) -> Item:
    return Item(artifact.name, artifact.version, artifact.wheel, artifact.wheel_sha256)


def published(made: Product, lock: Lock) -> Mapping[str, Source]:
    """The files that hosts fetch from their store, including those of this lock."""
    beside = {one.wheel_sha256: made.publish(_item(one)) for one in lock.wheels}
    known = {sha256: source for sha256, source in beside.items() if source is not None}
    return {**made.published, **known}


def _planned(_scene: Scene, store: Store, item: Item) -> Source | None:
    return planned(store, item)


def publish_item(scene: Scene, store: Store, item: Item) -> Source | None:
    """None if the store is down: then the file is uploaded over SSH, as without a store."""
    try:
        return publish(store, item, scene.emit)
    except BuildError as error:
        if error.slug != "store-unreachable":
            raise
        text = f"{error.message}; {item.path.name} is uploaded over SSH instead"
        scene.emit(Event("publish", "note", text))
        return None


def test(scene: Scene, artifact: Artifact, password: Hidden | None) -> bool:
    """The app's own tests; True if there are any. Raises BuildError("tests-failed")."""
    return run_app_tests(_order(scene, password), artifact)


def _order(scene: Scene, password: Hidden | None) -> Order:
    private = scene.private_files
    return Order(scene.settings, scene.project, scene.state, scene.emit, password, private)


def index_password(scene: Scene) -> Hidden | None:
    return scene.secret(scene.settings.index.password, "index.password")


def artifact_store(scene: Scene) -> Store | None:
    """The artifact store, if the settings name one. Raises UsageError("secret")."""
    artifacts = scene.settings.artifacts
    return store_for(
        artifacts,
        scene.secret(artifacts.password, "artifacts.password"),
        scene.secret(artifacts.read_password, "artifacts.read_password"),
    )


def platform_of(facts: Facts) -> Platform:
    """The platform that a host's wheels must fit, from its facts; no Python before setup."""
    host, python = facts.host, facts.python
    return Platform(
        python=python.version if python else "",
        libc=host.libc,
        libc_version=host.libc_version,
        machine=host.machine,
    )


def lock_for(scene: Scene, product: Product, platform: Platform) -> Lock:
    """The lock for hosts of this platform; the wheel must fit it."""
    check_wheel_fits(product.artifact, platform)
    return locked(_order(scene, product.index_password), product.artifact, platform)


def build_only(scene: Scene) -> tuple[Path, Path]:
    """`fab build`: the wheel and its lock for this machine's platform, as files."""
    password = index_password(scene)
    artifact = _built(scene, password)
    _after_build(scene, artifact)
    made = Product(artifact, None, password)
    lock = lock_for(scene, made, operator_platform())
    path = artifact.wheel.with_suffix(".lock.txt")
    writing.write(path, (lock.text + lock.text_beside).encode(), mode=0o666)
    return artifact.wheel, path


def test_only(scene: Scene) -> bool:
    """`fab test`: build, then run the app's own tests."""
    password = index_password(scene)
    artifact = _built(scene, password)
    tested = test(scene, artifact, password)
    _after_build(scene, artifact)
    return tested


def _built(scene: Scene, password: Hidden | None) -> Artifact:
    around_build(scene, "before")
    artifact = build_app(_order(scene, password))
    _refuse_wrong_entry(scene, artifact)
    return artifact


def _refuse_wrong_entry(scene: Scene, artifact: Artifact) -> None:
    """Raises UsageError("app-entry") and ("server-kind"), before anything is uploaded."""
    gunicorn = scene.settings.gunicorn
    own = own_config(scene.settings, scene.project)
    in_file = own.worker_class if own is not None else ""
    kind: ServerKind | None = None  # for a worker class that nobody here knows
    if in_file is not None:
        worker = in_file or gunicorn.worker_class
        kind = kind_of_worker(worker) if worker else gunicorn.serves
    modules = Modules.of_wheel(artifact.wheel)
    problem = entry_problem(entry.parse(scene.settings.app.entry), modules, kind)
    if problem is not None:
        raise UsageError("server-kind" if problem.is_kind else "app-entry", problem.message)


def _after_build(scene: Scene, artifact: Artifact) -> None:
    around_build(scene, "after", version=artifact.version, wheel=str(artifact.wheel))
