"""Hosts from all sources, what is said about each, and which a command is about."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from cartwheel.commands.balancing import addresses, balancers, members_of
from cartwheel.commands.scene import Scene, make_scene, targets
from cartwheel.errors import Exit, UsageError
from cartwheel.events import silent
from cartwheel.inventory.ansible import FormatError, hosts_of
from cartwheel.inventory.choose import Narrowing, choose
from cartwheel.settings.hosts import Host
from cartwheel.ssh.options import SshOptions
from tests.kit.seed import SEED

APP = '[app]\nname = "shop"\nsource = "."\n'


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings(APP)

    def settings(self, text: str, name: str = "deploy") -> None:
        path = self.folder / "config" / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def script(self, text: str, name: str = "hosts") -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def printing(self, answer: Any) -> None:
        """An executable that prints this for --list."""
        (self.folder / "answer.json").write_text(json.dumps(answer))
        self.script('test "$1" = --list && cat answer.json')
        self.settings(f'{APP}[inventory]\ncommand = "./hosts"\n')

    def scene(
        self, *named: str, env: str | None = None, config: Path | None = None, **more: Any
    ) -> Scene:
        return make_scene(
            self.folder,
            app=None,
            env=env,
            hosts=named,
            ssh_options=SshOptions(config_path=config),
            emit=silent,
            **more,
        )

    def hosts(self, *named: str, **more: Any) -> dict[str, Host]:
        return {host.name: host for host in self.scene(*named, any_role=True, **more).chosen}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home/.ssh").mkdir(parents=True)
    return Project(tmp_path)


# --- the settings


def test_a_list_is_an_inventory(project: Project) -> None:
    project.settings('hosts = ["a", "ann@b:2222"]\n' + APP)
    found = project.hosts()
    assert list(found) == ["a", "ann@b:2222"]
    assert found["a"] == Host("a", "config/deploy.toml:1:10", roles=("web",))


def test_tables_groups_and_what_is_nearer(project: Project) -> None:
    project.settings('hosts = ["b"]\n' + APP)
    project.settings(
        """
        [inventory.hosts.a]
        address = "10.0.0.1"
        user = "own"
        groups = ["eu"]
        [inventory.hosts.lb]
        roles = ["balancer"]
        [inventory.groups.eu]
        hosts = ["c"]
        user = "near"
        gateway = "bastion"
        [inventory.groups.world]
        children = ["eu"]
        gateway = "far"
        port = 2200
        weight = 3
        roles = ["web", "worker"]
        """,
        "environments/live",
    )
    found = project.hosts(env="live")
    assert list(found) == ["b", "a", "lb", "c"]
    a, c = found["a"], found["c"]
    assert (a.user, c.user, a.gateway, a.port, a.weight) == ("own", "near", "bastion", 2200, 3)
    assert a.groups == c.groups == ("eu", "world")
    assert a.roles == ("web", "worker")
    assert (found["b"].roles, found["lb"].roles) == (("web",), ("balancer",))
    assert a.source == "config/environments/live.toml:2:26"


def test_a_circle_of_groups_ends(project: Project) -> None:
    project.settings(
        f'{APP}[inventory.groups.x]\nhosts = ["a"]\nchildren = ["y"]\n'
        '[inventory.groups.y]\nchildren = ["x"]\n'
    )
    assert project.hosts()["a"].groups == ("x", "y")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[inventory.hosts."a b"]', "inventory.hosts.a b: expected the name of a host"),
        ('[inventory.hosts.a]\naddress = "x:y"', "expected [USER@]HOST[:PORT], got 'x:y'"),
        (
            '[inventory.hosts.a]\ngroups = ["eu"]',
            "there is no group eu; add a table [inventory.groups.",
        ),
        ('[inventory.hosts.a]\nadress = "x"', "did you mean inventory.hosts.a.address?"),
        ("[inventory.hosts.a]\nport = 0", "inventory.hosts.a.port: expected at least 1, got 0"),
        ("[inventory.hosts.a]\nweight = 0", "inventory.hosts.a.weight: expected at least 1"),
        ('[inventory.hosts.a]\nroles = ["a b"]', "expected a name of letters, digits"),
        ('[inventory.groups.eu]\nhosts = ["a b"]', "groups.eu.hosts[0]: expected [USER@]HOST"),
        (
            '[inventory.groups.europe]\nchildren = ["europ"]',
            "there is no group europ; did you mean",
        ),
        ("[inventory]\ncomand = 'x'", "inventory.comand: unknown key; did you mean inventory.comm"),
    ],
)
def test_mistakes(project: Project, text: str, said: str) -> None:
    project.settings(f"{APP}{text}\n")
    with pytest.raises(UsageError) as caught:
        project.scene()
    assert caught.value.slug == "settings"
    assert said in caught.value.detail
    assert caught.value.detail.startswith("config/deploy.toml:")


def test_a_host_that_is_said_twice(project: Project) -> None:
    project.settings(f'hosts = ["root@a"]\n{APP}[inventory.hosts.a]\nweight = 2\n')
    with pytest.raises(UsageError, match=r"root@a has a table \[inventory\.hosts\.a\]"):
        project.scene()


def test_variables_reach_the_connection(project: Project) -> None:
    project.settings(
        f'{APP}[ssh]\nuser = "all"\nidentity = "/all"\n[inventory.hosts.a]\n'
        'address = "u@10.0.0.1:2200"\nuser = "own"\nidentity = "/own"\ngateway = "g"\n'
        'python = "/opt/python3"\n[inventory.hosts.b]\n'
    )
    found = targets(project.scene())
    a, b = found["a"], found["b"]
    assert (a.host, a.port, a.user, a.python) == ("10.0.0.1", 2200, "own", "/opt/python3")
    assert a.gateway
    assert (a.gateway.host, a.identities) == ("g", (Path("/own"),))
    assert (b.host, b.user, b.identities, b.gateway) == ("b", "all", (Path("/all"),), None)
    named = targets(project.scene("z@a:99"))["z@a:99"]
    assert (named.host, named.user, named.port) == ("10.0.0.1", "z", 99)


# --- a lab's hosts


LISTED_BY_A_LAB = """
[hosts.lab1]
address = "127.0.1.11"
port = 22
user = "root"
identity = "/lab/key"
known_hosts = "/lab/known"
python = "/tap"
"""


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which this project's lab lists its hosts."""
    monkeypatch.setenv("CARTWHEEL_LAB_STATE", str(tmp_path / "lab"))
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/hosts.toml").write_text(LISTED_BY_A_LAB)
    return tmp_path / "lab/hosts.toml"


def test_what_a_lab_lists_is_the_way_to_its_hosts(project: Project, listed: Path) -> None:
    project.settings(f'{APP}[inventory.hosts.a]\naddress = "lab1"\n[ssh]\ngateway = "g"\n')
    for name in ("lab1", "a"):
        one = targets(project.scene(name))[name]
        assert (one.host, one.port, one.user, one.gateway) == ("127.0.1.11", 22, "root", None)
        assert (one.identities, one.known_hosts) == ((Path("/lab/key"),), (Path("/lab/known"),))
        assert one.python == "/tap"
    assert targets(project.scene("guest@lab1"))["guest@lab1"].user == "guest"


def test_without_a_lab_its_names_are_as_any_other(project: Project, listed: Path) -> None:
    listed.unlink()
    assert targets(project.scene("lab1"))["lab1"].host == "lab1"


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("[hosts.lab1]", "[hosts.lab1", "hosts.toml:2:12: not TOML"),
        ("[hosts.lab1]", "[guests.lab1]", "hosts.toml: there is no table [hosts]"),
        ("[hosts.lab1]", "[hosts]\nlab1 = 1\n[more]", "hosts.toml:3:1: hosts.lab1.address: expect"),
        ("port = 22", "port = 0", "hosts.toml:4:1: hosts.lab1.port: expected a number from 1"),
        ("port = 22", "port = true", "hosts.lab1.port: expected a number from 1 to 65535"),
        ('user = "root"', "user = 1", "hosts.lab1.user: expected a string in quotes"),
        ('user = "root"', "", "hosts.toml:2:8: hosts.lab1.user: expected a string in quotes"),
        ("port = 22", "port = 22\nprot = 1", "hosts.toml:5:1: hosts.lab1.prot: unknown key"),
    ],
)
def test_a_list_that_no_lab_wrote(
    project: Project, listed: Path, right: str, wrong: str, said: str
) -> None:
    listed.write_text(LISTED_BY_A_LAB.replace(right, wrong))
    with pytest.raises(UsageError, match="CW") as caught:
        targets(project.scene("lab1"))
    assert (caught.value.slug, said in str(caught.value)) == ("inventory", True), caught.value
    assert "fab lab.up" in caught.value.hint


# --- an executable


LISTED = {
    "_meta": {
        "hostvars": {
            "w1": {
                "ansible_host": "10.0.0.1",
                "ansible_port": 2201,
                "cartwheel_weight": "2",
                "cartwheel_balancer_name": "blue",
                "cartwheel_inner_address": "192.168.0.1:8080",
            },
            "w2": {"ansible_ssh_common_args": '-o ProxyJump="ann@bastion" -C'},
            "lonely": {},
        }
    },
    "all": {"children": ["web", "db", "ungrouped"], "vars": {"ansible_user": "all"}},
    "web": {"hosts": ["w1", "w2"], "vars": {"ansible_user": "web"}},
    "eu": {"children": ["web"], "vars": {"ansible_user": "eu", "ansible_port": 2222}},
    "db": ["d1"],
    "ungrouped": {"hosts": ["lonely"]},
}


def test_ansibles_inventory(project: Project) -> None:
    project.printing(LISTED)
    found = project.hosts()
    assert list(found) == ["w1", "w2", "d1", "lonely"]
    w1, w2 = found["w1"], found["w2"]
    assert (w1.address, w1.port, w1.user, w1.weight) == ("10.0.0.1", 2201, "web", 2)
    assert (w1.balancer_name, w1.inner_address) == ("blue", "192.168.0.1:8080")
    assert (w2.port, w2.gateway, w2.groups, w2.roles) == (
        2222,
        "ann@bastion",
        ("web", "eu"),
        ("web", "eu"),
    )
    assert (found["d1"].user, found["d1"].roles) == ("all", ("db",))
    assert (found["lonely"].roles, found["lonely"].source) == ((), "./hosts")


def grouped(**groups: tuple[list[str], list[str], dict[str, Any]]) -> dict[str, Any]:
    """An inventory of groups: hosts, children and variables; each says its name as the user."""
    return {
        name: {"hosts": hosts, "children": children, "vars": {"ansible_user": name, **more}}
        for name, (hosts, children, more) in groups.items()
    }


PRIORITY = "ansible_group_priority"
# The choice of Ansible 2.19 in each case.
PRECEDENCE = {
    "by name": (grouped(web=(["h"], [], {}), db=(["h"], [], {})), "web"),
    "a child": (grouped(web=(["h"], [], {}), eu=([], ["web"], {})), "web"),
    "depth": (grouped(near=(["h"], [], {}), a=(["h"], [], {}), top=([], ["a"], {})), "a"),
    "depth of a group around": (
        grouped(zz=(["h"], [], {}), a=([], ["b"], {}), b=([], ["c"], {}), c=(["h"], [], {})),
        "c",
    ),
    "the longest way": (
        grouped(x=(["h"], [], {}), y=(["h"], [], {}), one=([], ["x", "two"], {}),
                two=([], ["x"], {}), zed=([], ["y"], {})),
        "x",
    ),
    "priority": (grouped(web=(["h"], [], {}), db=(["h"], [], {PRIORITY: 10})), "db"),
    "priority as text": (grouped(web=(["h"], [], {}), db=(["h"], [], {PRIORITY: "10"})), "db"),
    "priority is after depth": (
        grouped(web=(["h"], [], {}), eu=([], ["web"], {PRIORITY: 99})), "web",
    ),
    "the lowest": (grouped(web=(["h"], [], {PRIORITY: 0}), db=(["h"], [], {})), "db"),
    "all is the weakest": (grouped(all=(["h"], [], {PRIORITY: 99}), a=(["h"], [], {})), "a"),
    "ungrouped": (grouped(all=([], [], {}), ungrouped=(["h"], [], {})), "ungrouped"),
    "no group": ({"_meta": {"hostvars": {"h": {}}}, **grouped(all=([], [], {}))}, "all"),
}  # fmt: skip


@pytest.mark.parametrize("name", PRECEDENCE)
def test_which_group_wins(project: Project, name: str) -> None:
    answer, user = PRECEDENCE[name]
    project.printing({"_meta": {"hostvars": {}}, **answer})
    assert project.hosts()["h"].user == user


def test_a_circle_of_an_inventorys_groups_ends(project: Project) -> None:
    project.printing(
        {"_meta": {"hostvars": {}}, **grouped(a=(["h"], ["b"], {}), b=([], ["a"], {}))}
    )
    assert set(project.hosts()["h"].groups) == {"a", "b"}


@pytest.mark.parametrize(
    ("said", "python"),
    [
        ("/usr/bin/python3.11", "/usr/bin/python3.11"),
        ("/usr/bin/env python3", "python3"),
        ("/bin/env  python3.12", "python3.12"),
        ("auto_silent", None),
    ],
)
def test_interpreters(project: Project, said: str, python: str | None) -> None:
    project.printing(described(ansible_python_interpreter=said))
    assert project.hosts()["a"].python == python


def described(**variables: Any) -> dict[str, Any]:
    """An inventory with a host `a` of which this is said, and a plain one `b`."""
    return {"web": ["a", "b"], "_meta": {"hostvars": {"a": variables}}}


def test_what_ansible_hands_to_ssh(project: Project) -> None:
    project.printing(
        described(
            ansible_user="ann",
            ansible_ssh_common_args="-o IdentityFile=~/.ssh/acme-jump.pem -o User=other",
            ansible_ssh_extra_args='-o ProxyCommand="ssh -W %h:%p -p 99 gate" -p 2200 -J never',
        )
    )
    found = targets(project.scene("a", "b"))
    a, b = found["a"], found["b"]
    assert a.identities == (Path("~/.ssh/acme-jump.pem").expanduser(),)
    assert (a.gateway, a.proxy_command) == (None, "ssh -W a:2200 -p 99 gate")
    assert (a.user, a.port) == ("ann", 2200)
    assert (b.identities, b.gateway, b.proxy_command) == ((), None, None)


def test_a_gateway_of_ours_wins_over_ansibles_arguments(project: Project) -> None:
    project.printing(described(cartwheel_gateway="ours", ansible_ssh_args="-J theirs"))
    (a,) = targets(project.scene("a")).values()
    assert a.gateway
    assert (a.gateway.host, a.proxy_command) == ("ours", None)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ansible_ssh_common_args": "-F x"}, "ansible_ssh_common_args: -F cannot be honoured"),
        ({"ansible_ssh_extra_args": "-o Tunnel=yes"}, "ansible_ssh_extra_args: -o Tunnel=yes"),
        ({"ansible_ssh_args": "-o Port"}, "ansible_ssh_args: -o Port has no value"),
        ({"ansible_ssh_args": "-G"}, "ansible_ssh_args: -G is not an option"),
        (
            {"ansible_ssh_args": "-J {{ x | y }}"},
            "ansible_ssh_args is -J {{ x | y }}; of templates",
        ),
        ({"ansible_host": "{{ x }}"}, "ansible_host is {{ x }}; of templates Cartwheel reads only"),
        (
            {"ansible_host": "{{ ansible_host }}"},
            "ansible_host is {{ ansible_host }}; of templates",
        ),
        ({"ansible_user": "{% if x %}a{% endif %}"}, "ansible_user is {% if x %}a"),
        ({"ansible_user": {"__ansible_vault": "$ANSIBLE_VAULT"}}, "ansible_user is encrypted"),
        (
            {
                "ansible_connection": "local",
                "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            },
            "ansible_connection is local",
        ),
        ({"ansible_ssh_args": ["-J"]}, "ansible_ssh_args must be plain text"),
        ({"ansible_connection": "local"}, "ansible_connection is local"),
        (
            {"ansible_python_interpreter": "/usr/bin/env -S python3 -u"},
            "ansible_python_interpreter is /usr/bin/env -S python3 -u; it must be one program",
        ),
        ({"ansible_connection": "community.docker.docker"}, "ansible_connection is docker"),
    ],
)
def test_what_cannot_be_honoured_is_refused_for_that_host(
    project: Project, variables: dict[str, Any], said: str
) -> None:
    project.printing(described(**variables))
    assert list(targets(project.scene("b"))) == ["b"], "the others are reached"
    with pytest.raises(UsageError) as caught:
        targets(project.scene())
    assert caught.value.slug == "inventory"
    assert f"a (./hosts): {said}" in caught.value.message


def test_templates_with_variables_of_the_host(project: Project) -> None:
    """As Ansible fills them in; other values are what ansible-inventory prints."""
    own = {"ansible_user": 1000, "ansible_port": "{{ ports }}", "ports": 2200}
    web = {
        "hosts": ["a.eu", "b"],
        "vars": {
            "domain": "{{ zone }}.org",
            "zone": "example",
            "ansible_host": "{{ inventory_hostname_short }}.{{domain}}",
            "ansible_ssh_common_args": "-J {{ bastion }}",
            "bastion": {"__ansible_unsafe": "jump"},
        },
    }
    project.printing({"web": web, "_meta": {"hostvars": {"a.eu": own}}})
    found = project.hosts()
    a, b = found["a.eu"], found["b"]
    assert (a.address, a.user, a.port, a.gateway) == ("a.example.org", "1000", 2200, "jump")
    assert (b.address, b.user, b.port, b.gateway) == ("b.example.org", None, None, "jump")


def test_an_older_script_is_asked_for_each_host(project: Project) -> None:
    project.script(
        'case "$1 $2" in "--list ") echo \'{"web": ["a", "b"]}\';; '
        '"--host a") echo \'{"ansible_host": "10.0.0.1"}\';; *) echo "{}";; esac'
    )
    project.settings(f'{APP}[inventory]\ncommand = "./hosts"\n')
    found = project.hosts()
    assert (found["a"].address, found["b"].address) == ("10.0.0.1", None)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([], "it is not a table of groups"),
        ({"web": 5}, "the group web is neither a list nor a table"),
        ({"web": {"hosts": "a"}}, "hosts of the group web must be a list of names"),
        ({"web": {"vars": []}}, "vars of the group web must be a table"),
        ({"web": ["a"], "_meta": {"hostvars": []}}, "_meta.hostvars must be a table of tables"),
        (
            {"web": ["a"], "_meta": {"hostvars": {"a": {"ansible_port": "x"}}}},
            "ansible_port of a must be a number: x",
        ),
        (
            {"web": {"hosts": ["a"], "vars": {"ansible_group_priority": "high"}}, "_meta": {}},
            "ansible_group_priority of the group web must be a number: high",
        ),
        (
            {"web": ["a"], "_meta": {"hostvars": {"a": {"ansible_host": ["x"]}}}},
            "ansible_host of a must be plain text",
        ),
    ],
)
def test_what_is_no_inventory(project: Project, answer: Any, said: str) -> None:
    project.printing(answer)
    with pytest.raises(UsageError, match="does not print an inventory") as caught:
        project.scene()
    assert (caught.value.slug, caught.value.exit_code) == ("inventory", Exit.USAGE)
    assert said in caught.value.message


INVENTORY = {
    "_meta": {"hostvars": {"h": {"ansible_host": "10.0.0.1", "ansible_port": 22}}},
    "all": {"children": ["web", "ungrouped"], "vars": {"ansible_user": "ann"}},
    "web": {"hosts": ["h"], "vars": {"ansible_group_priority": 2, "cartwheel_roles": "web,db"}},
}


def test_a_changed_inventory_is_read_or_refused() -> None:
    chance = random.Random(SEED)
    strange: tuple[object, ...] = (
        None,
        1,
        -1,
        True,
        1.5,
        float("inf"),
        "",
        "x",
        "{{ x }}",
        [],
        ["a"],
        [1],
        {},
        {"a": 1},
    )

    def changed(value: object) -> object:
        if chance.random() < 0.15:
            return chance.choice(strange)
        if isinstance(value, dict):
            return {key: changed(inner) for key, inner in value.items()}
        return [changed(inner) for inner in value] if isinstance(value, list) else value

    for _ in range(2000):
        try:
            hosts_of(changed(INVENTORY), {}, "x")
        except FormatError as error:
            assert str(error)


def test_a_file_of_ansible_is_no_executable(project: Project) -> None:
    (project.folder / "hosts.ini").write_text("[web]\na\n")
    project.settings(f'{APP}[inventory]\ncommand = "hosts.ini"\n')
    with pytest.raises(UsageError) as caught:
        project.hosts()
    assert 'command = "ansible-inventory -i hosts.ini"' in caught.value.hint


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo token expired >&2; exit 3", "./hosts --list ended with exit code 3"),
        ("echo no json", "./hosts --list does not print JSON"),
        ("echo cannot parse >&2; echo {}", "./hosts prints no host"),
        (None, "./hosts --list cannot be run: No such file or directory"),
    ],
)
def test_an_executable_that_fails(project: Project, script: str | None, said: str) -> None:
    if script is not None:
        project.script(script)
    project.settings(f'{APP}[inventory]\ncommand = "./hosts"\n')
    with pytest.raises(UsageError) as caught:
        project.scene()
    assert caught.value.slug == "inventory"
    assert said in caught.value.message
    printed = script.partition(" >&2")[0] if script and ">&2" in script else "echo "
    assert caught.value.detail == printed.removeprefix("echo ")


# --- ssh_config


def test_aliases_with_includes(project: Project, tmp_path: Path) -> None:
    ssh = tmp_path / "home/.ssh"
    (ssh / "config").write_text("Include more\nHost shop-1 shop-*\n User x\nHost other\n")
    (ssh / "more").write_text("Host shop-2\n HostName 10.0.0.2\n")
    project.settings(f'hosts = ["shop-1"]\n{APP}[inventory]\nssh_config = ["shop-*"]\n')
    found = project.hosts()
    assert list(found) == ["shop-1", "shop-2"]
    assert found["shop-1"].source.startswith("config/deploy.toml"), "the first source counts"
    assert found["shop-2"].source == "~/.ssh/config"
    assert targets(project.scene())["shop-2"].host == "10.0.0.2"


# --- choosing


KNOWN = (
    Host("web1", "s", roles=("web",), groups=("eu",)),
    Host("web2", "s", roles=("web",), groups=("us",)),
    Host("job1", "s", roles=("worker",), groups=("eu",)),
    Host("lb1", "s", roles=("balancer",), address="10.0.0.9", user="lb"),
)


@pytest.mark.parametrize(
    ("named", "narrowing", "left"),
    [
        ((), Narrowing(), ["web1", "web2"]),
        ((), Narrowing(roles=("worker", "balancer")), ["job1", "lb1"]),
        ((), Narrowing(limit=("eu",)), ["web1"]),
        ((), Narrowing(limit=("*1",)), ["web1"]),
        ((), Narrowing(roles=("web",), exclude=("u?",)), ["web1"]),
        (("job1", "other"), Narrowing(), ["job1", "other"]),
        (("job1", "web2"), Narrowing(roles=("web",)), ["web2"]),
        (("a", "b"), Narrowing(exclude=("a",)), ["b"]),
    ],
)
def test_narrowing(named: tuple[str, ...], narrowing: Narrowing, left: list[str]) -> None:
    assert [host.name for host in choose(KNOWN, named, narrowing, ("web",))] == left


def test_nobody_known_is_no_choice() -> None:
    assert choose((), (), Narrowing(roles=("web",)), ("web",)) == ()


def test_a_name_with_another_user() -> None:
    (one,) = choose(KNOWN, ("ann@lb1:22",), Narrowing())
    assert (one.name, one.address, one.user, one.port) == ("ann@lb1:22", "10.0.0.9", "ann", 22)
    (same,) = choose(KNOWN, ("lb1",), Narrowing())
    assert same == KNOWN[3]


@pytest.mark.parametrize(
    ("narrowing", "default", "said"),
    [
        (Narrowing(limit=("asia", "x*")), (), "--limit asia,x* leaves none of 4 hosts"),
        (Narrowing(roles=("db",), exclude=("a",)), (), "--role db --exclude a leaves none"),
        (Narrowing(), ("app",), "none of 4 hosts has the role app, which the app needs"),
    ],
)
def test_nothing_left(narrowing: Narrowing, default: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose(KNOWN, (), narrowing, default)
    assert caught.value.slug == "no-hosts"
    assert said in caught.value.message


BEHIND = """
[web]
listen = 8080
[balancer]
kind = "nginx"
[inventory.hosts.web1]
address = "ann@192.0.2.1:2201"
weight = 3
[inventory.hosts.web2]
address = "2001:db8::2"
[inventory.hosts.web3]
inner_address = "10.0.0.3:81"
balancer_name = "blue"
[inventory.hosts.lb1]
roles = ["balancer"]
inner_address = "10.0.0.9"
[inventory.hosts.lb2]
address = "root@192.0.2.8"
roles = ["balancer"]
"""


def test_who_is_behind_a_balancer_and_where(project: Project) -> None:
    """SSH's port is not the web server's; a name of this run's stands for the inventory's."""
    project.settings(APP + BEHIND)
    members = members_of(project.scene("root@web1"))
    assert {name: (one.server, one.address, one.weight) for name, one in members.items()} == {
        "root@web1": ("web1", "192.0.2.1:8080", 3),
        "web2": ("web2", "[2001:db8::2]:8080", 1),
        "web3": ("blue", "10.0.0.3:81", 1),
    }
    assert [host.name for host in balancers(project.scene())] == ["lb1", "lb2"]
    assert addresses(project.scene()) == ("10.0.0.9", "192.0.2.8")


def test_a_balancer_that_is_nowhere(project: Project) -> None:
    """The settings say so by themselves, unless hosts come from somewhere else too."""
    project.settings('hosts = ["web1"]\n' + APP + '[balancer]\nkind = "nginx"\n')
    with pytest.raises(UsageError, match=r"balancer.kind: no host has the role balancer"):
        project.scene()
    elsewhere = '[inventory]\nssh_config = ["shop-*"]\n[balancer]\nkind = "nginx"\n'
    project.settings('hosts = ["web1"]\n' + APP + elsewhere)
    with pytest.raises(UsageError, match="no host has the role balancer") as found:
        balancers(project.scene())
    assert found.value.slug == "no-hosts"
    project.settings(APP + BEHIND.replace('"10.0.0.3:81"', '"ten;"'))
    with pytest.raises(UsageError, match=r"inner_address: expected HOST\[:PORT\]"):
        project.scene()
