"""Hosts with one name answer for each other when an authority asks; too many are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cartwheel.commands import dns
from cartwheel.commands.deploy import begin
from cartwheel.commands.neighbours import rendering_facts
from cartwheel.commands.rollback import plan_switch
from cartwheel.commands.scene import Scene, make_scene
from cartwheel.commands.setup import setup
from cartwheel.commands.siblings import refuse_too_many, siblings
from cartwheel.commands.tls import check_certificate, renew, source_of
from cartwheel.errors import UsageError
from cartwheel.events import silent
from cartwheel.host.wire.tls import Order
from cartwheel.settings.loading import load
from cartwheel.ssh.options import SshOptions
from tests.kit.certificates import authority
from tests.unit.answers import facts

HEAD = '[app]\nname = "shop"\nsource = "."\n[web]\nserver_names = ["shop.example.org"]\n'
ACME = '[tls]\nacme = true\nmail = "ops@example.org"\n'
ROOT = authority()


def scene(folder: Path, *hosts: str, tls: str = ACME, named: tuple[str, ...] = ()) -> Scene:
    tables = "".join(f"[inventory.hosts.{host}]\n{more}\n" for host, _, more in parted(hosts))
    (folder / "cartwheel.toml").write_text(HEAD + tls + tables)
    config = folder / "ssh_config"
    config.write_text("")
    return make_scene(
        folder,
        app=None,
        env=None,
        hosts=named,
        ssh_options=replace(SshOptions(), config_path=config),
        emit=silent,
    )


def parted(hosts: tuple[str, ...]) -> list[tuple[str, str, str]]:
    return [host.partition(" ") for host in hosts]


INNER = 'inner_address = "{}"'
THREE = (
    "a " + INNER.format("192.0.2.1"),
    "b " + INNER.format("192.0.2.2:8080"),
    "c " + INNER.format("[2001:db8::3]:80"),
    'd roles = ["worker"]',
)


def test_the_others_with_web_are_siblings(tmp_path: Path) -> None:
    one = scene(tmp_path, *THREE)
    assert siblings(one) == {
        "a": ("192.0.2.2:8080", "[2001:db8::3]:80"),
        "b": ("192.0.2.1:80", "[2001:db8::3]:80"),
        "c": ("192.0.2.1:80", "192.0.2.2:8080"),
    }


def test_a_host_is_no_sibling_of_its_own(tmp_path: Path) -> None:
    one = scene(tmp_path, *THREE[:2], named=("ann@a",))
    assert siblings(one) == {"ann@a": ("192.0.2.2:8080",)}
    assert siblings(scene(tmp_path, "a")) == {"a": ()}
    assert siblings(scene(tmp_path, *THREE, tls="")) == {}


BALANCED = ACME + '[balancer]\nkind = "nginx"\nlisten = 8080\n'
FRONTS = (
    'x roles = ["balancer"]\n' + INNER.format("192.0.2.8"),
    'y roles = ["balancer"]\n' + INNER.format("192.0.2.9:81"),
)


def test_balancers_are_siblings_and_hosts_ask_them(tmp_path: Path) -> None:
    one = scene(tmp_path, *THREE[:2], *FRONTS, tls=BALANCED)
    both = ("192.0.2.8:8080", "192.0.2.9:81")
    assert siblings(one) == {"a": both, "b": both}
    one = scene(tmp_path, *THREE[:2], *FRONTS, tls=BALANCED, named=("x", "y"))
    assert siblings(one) == {"x": ("192.0.2.9:81",), "y": ("192.0.2.8:8080",)}


def test_only_balancers_count_where_they_end_https(tmp_path: Path) -> None:
    refuse_too_many(scene(tmp_path, *"abcdef", *FRONTS, tls=BALANCED))
    fronts = [f'{name} roles = ["balancer"]' for name in "vwxyz"]
    with pytest.raises(UsageError, match="there are 5 balancers"):
        refuse_too_many(scene(tmp_path, "a", *fronts, tls=BALANCED))


def test_a_host_is_asked_for_nothing_where_balancers_ask(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="HTTPS ends at the balancers: name x, y"):
        renew(scene(tmp_path, "a", *FRONTS, tls=BALANCED, named=("a",)), dry_run=False)


def test_more_than_four_are_refused_before_anything(tmp_path: Path) -> None:
    refuse_too_many(scene(tmp_path, *"abcd"))
    refuse_too_many(scene(tmp_path, *"abcde", tls=""))
    for one in (scene(tmp_path, *"abcde"), scene(tmp_path, *"abcd", named=("x@e",))):
        with pytest.raises(UsageError, match=r"5 hosts run web.*tls\.host_certificate"):
            refuse_too_many(one)
        with pytest.raises(UsageError, match="5 hosts run web"):
            begin(one, skip_tests=True)


def test_what_the_hosts_ask_for(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_text(ROOT.pem)
    for ca, roots in (("", ""), ('ca = "root.pem"\n', ROOT.pem)):
        one = scene(tmp_path, "a", tls=ACME + ca)
        check_certificate(one.settings, tmp_path)
        directory = "https://acme-v02.api.letsencrypt.org/directory"
        wanted = Order(("shop.example.org",), directory, "ops@example.org", roots)
        assert source_of(one, "app") == wanted
        assert source_of(one, "balancer") is None


def test_a_ca_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_text("nothing")
    one = scene(tmp_path, "a", tls=ACME + 'ca = "root.pem"\n')
    refusal = r"tls.ca: root.pem holds no certificate as PEM"
    with pytest.raises(UsageError, match=refusal):
        check_certificate(one.settings, tmp_path)
    with pytest.raises(UsageError, match=refusal):
        source_of(one, "app")


def test_only_an_authority_can_be_asked_again(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"tls\.acme is not true"):
        renew(scene(tmp_path, "a", tls=""), dry_run=False)
    assert not load(tmp_path, None, None).tls.is_on


def test_addresses_are_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, Any] = {"shop.example.org": ["192.0.2.9"], "192.0.2.1": ["192.0.2.1"]}
    monkeypatch.setattr(dns, "addresses_of", lambda names: {name: known[name] for name in names})
    one = scene(tmp_path, 'a address = "192.0.2.1"')
    (said,) = dns.notes(one, ["shop.example.org"])
    assert said.startswith("shop.example.org has the A 192.0.2.9, which is not this host")
    known["shop.example.org"] = ["192.0.2.1"]
    assert dns.notes(one, ["shop.example.org"]) == []


def test_a_name_that_cannot_be_looked_up() -> None:
    assert dns.addresses_of(["localhost"])["localhost"]
    assert not dns.addresses_of(["nowhere.invalid"])["nowhere.invalid"]


def test_status_finish_writes_the_same_site_as_a_deploy(tmp_path: Path) -> None:
    """A host that went back gets its site again, with its siblings."""
    one = scene(tmp_path, *THREE)
    known = rendering_facts(one, {"a": facts()})["a"]
    assert known.siblings == ("192.0.2.2:8080", "[2001:db8::3]:80")
    plan = plan_switch(one, facts(), "deploy", "1.a", known=known)
    (site,) = [text for path, text in plan.switching.site_changes.items() if "shop.conf" in path]
    assert site is not None and "server 192.0.2.2:8080 max_fails=0;" in site


def test_a_balancer_runs_no_app(tmp_path: Path) -> None:
    both = 'x roles = ["balancer", "web"]\n' + INNER.format("192.0.2.8")
    one = scene(tmp_path, *THREE, both, tls=BALANCED)
    for task in (lambda: setup(one), lambda: rendering_facts(one, {"a": facts()})):
        with pytest.raises(UsageError, match="x is a balancer, and also runs shop") as caught:
            task()
        assert caught.value.slug == "inventory"
