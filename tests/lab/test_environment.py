"""The application's environment variables: where they come from, and that they arrive."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path

import pytest

from cartwheel_lab import LabHost
from tests.kit.host import current, get, releases
from tests.kit.project import Project, new_project
from tests.lab.conftest import GetHosts

# What shells, dotenv files, systemd and TOML each treat in their own way.
ODD = {
    "QUOTES": 'it\'s "quoted" `twice`',
    "DOLLARS": "$HOME ${HOME} $$ %n %% !history",
    "BACKSLASHES": "C:\\new\\table \\\\ \\",
    "LINES": "first\nsecond\n\n  third\n",
    "BLANKS": "  both ends \t ",
    "UNICODE": "Grüße, 世界 🚲 \u00a0\u200b",
    "COMMENT": "#not a comment ; # neither",
    "EQUALS": "a=b=c=",
    "EMPTY": "",
    "JSON": '{"a": ["b\\n", null], "c": "\\u00e9"}',
}


@pytest.fixture(scope="module")
def shop(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = new_project(tmp_path_factory.mktemp("environment"))
    project.fab("setup", "-H", module_host.name)
    return project


def configure(project: Project, settings: str, head: str = "") -> None:
    base = '[app]\nname = "shop"\nsource = "app"\nentry = "app:app"\n'
    quick = "[deploy]\ndrain_seconds = 2\nprobation_seconds = 0.5\n[gunicorn]\nworkers = 1\n"
    (project.folder / "config/deploy.toml").write_text(head + base + quick + settings)


def seen(host: LabHost, name: str) -> str | None:
    """The variable's value in the process that serves."""
    value: str | None = json.loads(get(host, f"/env/{urllib.parse.quote(name)}"))
    return value


def test_each_source_arrives_and_is_listed_without_its_value(
    shop: Project, module_host: LabHost
) -> None:
    shop.write(".env", 'DOTENV="of the file"\nBOTH=of the file\n')
    shop.write("secret", "of a file\n")
    host = ("-H", module_host.name)
    configure(
        shop,
        '[env]\nPLAIN = "of the settings"\nBOTH = "of the settings, which win"\n'
        '[secrets]\nFILE = { file = "secret" }\nCOMMAND = { command = "echo of a command" }\n'
        'VARIABLE = { env = "OPERATORS" }\n',
        'env_file = ".env"\n',
    )
    with_variable = Project(shop.folder, {"OPERATORS": "of the operator"})
    with_variable.fab("deploy", *host)
    expected = {
        "PLAIN": "of the settings",
        "DOTENV": "of the file",
        "BOTH": "of the settings, which win",
        "FILE": "of a file",
        "COMMAND": "of a command",
        "VARIABLE": "of the operator",
    }
    assert {name: seen(module_host, name) for name in expected} == expected
    # `run` sees the same.
    told = with_variable.fab("run", "--command", "printenv FILE BOTH", *host).out
    assert "of a file\nof the settings, which win\n" in told

    listed = shop.fab("env.list", *host).out
    rows = {words[1]: " ".join(words[2:]) for words in map(str.split, listed.splitlines()[1:])}
    assert rows == {
        "PLAIN": "settings",
        "DOTENV": "dotenv file .env",
        "BOTH": "settings",
        "FILE": "secret file secret",
        "COMMAND": "secret command",
        "VARIABLE": "secret env OPERATORS",
    }
    assert not any(value in listed for value in expected.values())

    missing = shop.fab("deploy", *host, code=2)  # without the operator's variable
    assert "secrets.VARIABLE: the variable OPERATORS is not set here" in missing.err


@pytest.mark.nightly
def test_a_change_of_one_variable_is_a_release_that_rolls_back(
    shop: Project, module_host: LabHost
) -> None:
    host = ("-H", module_host.name)
    configure(shop, '[env]\nCOLOUR = "red"\nSHAPE = "round"\n')
    shop.fab("deploy", *host)
    red = current(module_host, "shop")
    configure(shop, '[env]\nCOLOUR = "green"\nSHAPE = "round"\n')
    shop.fab("deploy", *host)
    green = current(module_host, "shop")
    assert red != green
    assert {red, green} <= releases(module_host, "shop")
    assert (seen(module_host, "COLOUR"), seen(module_host, "SHAPE")) == ("green", "round")
    shop.fab("rollback", *host)
    assert current(module_host, "shop") == red
    assert seen(module_host, "COLOUR") == "red"
    # The same variables again are the same release, and not another one.
    shop.fab("deploy", *host)
    assert current(module_host, "shop") == green
    assert "unchanged" in shop.fab("deploy", *host).text
    # A secret alone, too; one that is dropped is gone.
    shop.write("secret", "first")
    configure(shop, '[env]\nCOLOUR = "green"\n[secrets]\nSHAPE = { file = "secret" }\n')
    shop.fab("deploy", *host)
    shop.write("secret", "second")
    shop.fab("deploy", *host)
    assert seen(module_host, "SHAPE") == "second"
    shop.fab("rollback", *host)
    assert seen(module_host, "SHAPE") == "first"
    configure(shop, '[env]\nCOLOUR = "green"\n')
    shop.fab("deploy", *host)
    assert seen(module_host, "SHAPE") is None


# Each systemd by itself: test_envfile.py.
@pytest.mark.nightly
@pytest.mark.parametrize("suite", ["bookworm", "bullseye"])
def test_odd_values_arrive_exactly(hosts: GetHosts, tmp_path: Path, suite: str) -> None:
    """systemd 247 and 252 parse the file that holds them."""
    host = hosts(1, suite)[0]
    project = new_project(tmp_path, name="odd", settings='[web]\nserver_names = ["odd.test"]\n')
    toml = project.folder / "config/deploy.toml"
    secrets = {name: value for name, value in ODD.items() if value.strip()}  # none may be empty
    toml.write_text(
        toml.read_text()
        + "[env]\n"
        + "".join(
            f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in ODD.items()
        )
        + "[secrets]\n"
        + "".join(f'SECRET_{name} = {{ file = "odd/{name}" }}\n' for name in secrets)
    )
    for name, value in ODD.items():
        project.write(f"odd/{name}", "").write_text(value + "\n")
    project.fab("setup", "-H", host.name)
    project.fab("deploy", "-H", host.name)
    for name, value in ODD.items():
        for variable in (name, *([f"SECRET_{name}"] if name in secrets else [])):
            found = json.loads(get(host, f"/env/{variable}", "odd.test"))
            assert found == value, variable
    for name in ("LINES", "UNICODE"):
        script = f"import os, sys; sys.stdout.write(repr(os.environ['{name}']))"
        told = project.fab("run", "--command", f'python -c "{script}"', "-H", host.name)
        assert repr(ODD[name]) in told.out
    project.fab("uninstall", "--yes", "-H", host.name)


FILES = """
[files."shop.ini"]
template = "deploy/shop.ini.j2"
variable = "SHOP_INI"
[files."shared/token.json"]
secret = { command = "echo hunter2-token" }
mode = "0400"
owner = "app"
[secrets]
PASSWORD = { command = "echo hunter2-password" }
"""


@pytest.mark.nightly
def test_files_of_configuration_are_parts_of_the_release(
    shop: Project, module_host: LabHost
) -> None:
    """A template with secrets and a secret file; they change and roll back with the release."""
    host = ("-H", module_host.name)
    module_host.sh("rm -f /srv/shop/shared/token.json; echo mine > /srv/shop/shared/token.json")
    shop.write("deploy/shop.ini.j2", "app={{ app }} shared={{ shared }} p={{ env.PASSWORD }} v=1\n")
    configure(shop, FILES)
    refused = shop.fab("deploy", *host, code=1)
    assert "/srv/shop/shared/token.json is a file of the application" in refused.err
    module_host.sh("rm /srv/shop/shared/token.json")
    shown = shop.fab("plan", *host)
    done = shop.fab("deploy", *host)
    assert "hunter2" not in shown.text + done.text + refused.text
    first = current(module_host, "shop")
    ini = f"/srv/shop/releases/{first}/files/shop.ini"
    assert seen(module_host, "SHOP_INI") == ini
    wanted = "app=shop shared=/srv/shop/shared p=hunter2-password v=1\n"
    show = shop.fab("run", "--command", 'cat "$SHOP_INI" token.json', *host).out
    assert show == wanted + "hunter2-token\n"
    modes = module_host.sh(f"cd /srv/shop/releases/{first}/files && stat -c '%n %a %U:%G' *")
    assert modes == "shop.ini 640 root:shop\ntoken.json 400 shop:shop\n"
    shop.write("deploy/shop.ini.j2", "v=2\n")
    planned = shop.fab("plan", *host)
    assert "file ~ shop.ini" in planned.out
    assert "v=2" not in planned.out, "the diff would show the password of the live release"
    shop.fab("deploy", *host)
    second = current(module_host, "shop")
    assert second != first
    shop.write("deploy/shop.ini.j2", "v=3\n")
    planned = shop.fab("plan", *host)
    for line in ("file ~ shop.ini", "variable ~ SHOP_INI", "-v=2", "+v=3"):
        assert f"  {line}\n" in planned.out
    shop.write("deploy/shop.ini.j2", "v=2\n")
    module_host.sh(f"rm /srv/shop/releases/{second}/files/token.json")
    assert "files/token.json is missing" in shop.fab("doctor", *host, code=None).text
    shop.fab("deploy", *host)
    assert current(module_host, "shop") == f"{second}_2"
    link = module_host.sh("readlink /srv/shop/shared/token.json")
    assert link == "../current/files/token.json\n"
    shop.fab("rollback", *host)
    assert seen(module_host, "SHOP_INI") == ini
    shop.write("deploy/shop.ini.j2", "{{ nothing }}\n")
    bad = shop.fab("config.check", code=2)
    assert "deploy/shop.ini.j2:1: 'nothing' is undefined" in bad.err
    configure(shop, "")


SANDBOXED = """
import os, socket
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"[]"]
os.nice(1)
os.sched_setaffinity(0, os.sched_getaffinity(0))
socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()
socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
os.makedirs("/var/lib/shop-data", exist_ok=True)
open("/var/lib/shop-data/written", "a").close()
"""


@pytest.mark.nightly
def test_the_sandbox_is_named_and_can_be_loosened(shop: Project, module_host: LabHost) -> None:
    """Each refusal names the setting; with all of them the same application runs."""
    host = ("-H", module_host.name)
    good = (shop.folder / "app/app.py").read_text()
    shop.write("app/app.py", SANDBOXED)
    configure(shop, "")
    allowed: list[str] = []
    for what in ("nice", "affinity", "netlink", "raw-sockets"):
        refused = shop.fab("deploy", *host, code=1)
        assert f'hardening.allow = ["{what}"]' in refused.err, refused.err
        allowed.append(what)
        configure(shop, f"[hardening]\nallow = {json.dumps(allowed)}\n")
    refused = shop.fab("deploy", *host, code=1)
    assert "hardening.folders" in refused.err
    more = 'folders = ["/var/lib/shop-data"]\nunit = ["LimitNPROC=500"]\n'
    configure(shop, f"[hardening]\nallow = {json.dumps(allowed)}\n{more}")
    shop.fab("deploy", *host)
    made = module_host.sh("stat -c '%a %U:%G' /var/lib/shop-data /var/lib/shop-data/written")
    assert made.splitlines()[0] == "750 shop:shop"
    module_host.sh("chown -R root /var/lib/shop-data")
    shop.write("app/app.py", SANDBOXED + "# again\n")
    taken = shop.fab("deploy", *host, code=1)
    assert "/var/lib/shop-data exists and does not belong to shop" in taken.err
    shop.write("app/app.py", good)
    configure(shop, "")
    shop.fab("deploy", *host)
