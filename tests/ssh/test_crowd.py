"""Fleets of pretended hosts behind a real sshd: what must not grow with their number, a bastion
for all of them, and connections that are refused for the moment."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.fab import Run, measured
from tests.ssh.conftest import StartSshd
from tests.ssh.crowd import Crowd, start_crowd
from tests.ssh.relay import Relay

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    crowd = start_crowd(tmp_path / "crowd")
    yield crowd
    crowd.server.stop()


def deploy(crowd: Crowd, text: str, *words: str) -> Run:
    crowd.project.app(text)
    return measured(crowd.project, "deploy", *words)


def of_hosts(run: Run, key: str) -> set[Any]:
    return {host[key] for host in run.result["hosts"]}


def test_thirty_hosts_take_one_connection_and_as_many_round_trips_as_one(crowd: Crowd) -> None:
    crowd.hosts(1)
    one = deploy(crowd, "one")
    (asked,) = crowd.served
    crowd.hosts(30)
    run = deploy(crowd, "two")
    assert of_hosts(run, "outcome") == {"deployed"}
    assert of_hosts(run, "round_trips") == of_hosts(one, "round_trips")
    served = crowd.served
    assert len(served) == 30, "one connection to each"
    assert set(map(str, served)) == {str(asked)}, "each is asked what one is asked"
    locks = [said for said in run.said if said.get("step") == "lock"]
    assert len(locks) == 1, "one lock for all hosts of a platform"


def test_hosts_of_an_executable(crowd: Crowd) -> None:
    """It prints Ansible's inventory; only who has the app's role is deployed to."""
    where = {"ansible_host": "127.0.0.1", "ansible_port": crowd.server.port}
    groups = {"web": {"hosts": ["a", "b"], "vars": where}, "db": {"hosts": ["c"], "vars": where}}
    answer = json.dumps({"_meta": {"hostvars": {}}, **groups})
    script = crowd.project.write("hosts", f"#!/bin/sh\necho '{answer}'\n")
    script.chmod(0o755)
    crowd.hosts(0, more='command = "./hosts"')
    assert of_hosts(deploy(crowd, "one"), "host") == {"a", "b"}
    assert len(crowd.served) == 2


@pytest.mark.slow
def test_hosts_of_ssh_config(crowd: Crowd, home: Path) -> None:
    (home / ".ssh/config").write_text("Include more\nHost other\n HostName 192.0.2.1\n")
    alias = f"Host shop-1 shop-2\n HostName 127.0.0.1\n Port {crowd.server.port}\n"
    (home / ".ssh/more").write_text(alias)
    crowd.hosts(0, more='ssh_config = ["shop-*"]')
    assert of_hosts(deploy(crowd, "one"), "host") == {"shop-1", "shop-2"}
    assert len(crowd.served) == 2


@pytest.mark.slow
def test_the_plan_says_that_a_replaced_template_has_changed(crowd: Crowd) -> None:
    crowd.hosts(1)
    crowd.project.fab("templates.eject", "logrotate.j2")
    assert "replaces a template" not in crowd.project.fab("plan").out
    path = crowd.project.folder / "templates/logrotate.j2"
    path.write_text(re.sub("as of [0-9a-f]+", "as of 0", path.read_text(), count=1))
    said = "note: templates/logrotate.j2 replaces a template that has changed since"
    assert said in crowd.project.fab("plan").out
    path.unlink()


@pytest.mark.slow
def test_the_plan_of_many_hosts_is_short(crowd: Crowd) -> None:
    crowd.hosts(30)
    text = crowd.project.fab("plan", "--batch", "50%").out
    assert "[h000, h001, h002 and 27 more] 0.0.0" in text
    assert len(text.splitlines()) < 35
    switches = [line for line in text.splitlines() if line.startswith("switch ")]
    assert [len(line.split(",")) for line in switches] == [1, 15, 14]


@pytest.mark.slow
def test_batches_and_few_at_a_time(crowd: Crowd) -> None:
    crowd.hosts(10)
    run = deploy(crowd, "one", "--parallel", "2", "--canary", "0", "--batch", "30%")
    assert of_hosts(run, "outcome") == {"deployed"}
    order = [
        said["host"]
        for said in run.said
        if said.get("step") == "switch" and said["state"] == "done"
    ]
    names = [f"h{number:03}" for number in range(10)]
    assert [set(order[at : at + 3]) for at in (0, 3, 6, 9)] == [
        set(names[at : at + 3]) for at in (0, 3, 6, 9)
    ]


@pytest.mark.slow
def test_one_bastion_for_all_is_opened_once(crowd: Crowd, sshd_factory: StartSshd) -> None:
    keys = crowd.server.folder / "authorized_keys"
    bastion = sshd_factory(options={"AuthorizedKeysFile": str(keys)})
    crowd.hosts(25, gateway=f"127.0.0.1:{bastion.port}")
    with crowd.server.known_hosts.open("a") as file:
        file.write(f"[127.0.0.1]:{bastion.port} {bastion.public_key()}\n")
    run = deploy(crowd, "one")
    assert of_hosts(run, "outcome") == {"deployed"}
    assert len(crowd.served) == 25
    log = (bastion.folder / "log").read_text()
    assert log.count("Accepted publickey") == 1


@pytest.mark.slow
@pytest.mark.parametrize("refusals", [2, 3])
def test_a_busy_sshd_is_tried_again(crowd: Crowd, refusals: int) -> None:
    line = Relay(crowd.server.port, refusals=refusals)
    try:
        crowd.hosts(1, line.port)
        if refusals < 3:
            assert of_hosts(deploy(crowd, "one"), "outcome") == {"deployed"}
            return
        done = crowd.project.fab("deploy", code=1)
        assert "the SSH handshake failed" in done.err
        assert "CW201" in done.err
        assert line.refusals == 0, "after three attempts"
    finally:
        line.close()
