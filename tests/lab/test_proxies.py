"""docs/proxies.md: another web server in front of the host's own."""

from __future__ import annotations

import json
import re
import socket
import ssl
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.kit.project import CHECKOUT, SHOP, new_project
from tests.kit.waiting import until
from tests.kit.web_servers import SERVERS, Server
from tests.lab.conftest import GetHosts

pytestmark = pytest.mark.timeout(400)

NAME = "shop.example.org"
PAGE = (CHECKOUT / "docs/proxies.md").read_text()
APP = """
import json


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": scope["scheme"]})
        while (await receive())["type"] != "websocket.disconnect":
            pass
    elif scope["type"] == "http":
        heads = {name.decode(): value.decode() for name, value in scope["headers"]}
        body = json.dumps({"scheme": scope["scheme"], "client": scope["client"], "heads": heads})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body.encode()})
"""


def blocks() -> list[str]:
    """The page's blocks, in order: any proxy, Caddy's settings, Caddy's own file."""
    return re.split(r"^```.*\n", PAGE, flags=re.MULTILINE)[1::2]


@pytest.mark.nightly
@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_caddy_in_front(hosts: GetHosts, tmp_path: Path, server: Server) -> None:
    (host,) = hosts(packages=server.packages)
    host.reset()
    shop = new_project(tmp_path)
    shop.write("app/app.py", APP)
    shop.write("app/requirements.txt", "websockets\n")
    served = SHOP.replace("[gunicorn]\n", '[gunicorn]\nkind = "uvicorn"\n')
    _any, caddys, file = blocks()
    caddys = caddys.replace('[health]\nscheme = "https"', "").replace("[web]\n", server.web)
    settings = served.replace("[health]\n", '[health]\nscheme = "https"\n') + caddys
    shop.settings(settings + '[host]\npackages = ["caddy"]\n')
    host.sh(
        next(line for line in PAGE.splitlines() if line.startswith("    ") and server.etc in line)
    )
    shop.fab("setup", "-H", host.name)
    shop.fab("deploy", "-H", host.name)
    own_roots = file.replace("reverse_proxy", "tls internal\n    reverse_proxy")
    host.path("/etc/caddy/Caddyfile").write_text(own_roots)
    host.sh("systemctl restart caddy")

    def seen() -> dict[str, object]:
        said = host.sh(f"curl -sk --resolve {NAME}:443:127.0.0.1 https://{NAME}/ || true")
        found: dict[str, object] = json.loads(said or "{}")
        return found

    until(lambda: bool(seen()), 20, shown="Caddy")
    found = seen()
    heads = found["heads"]
    assert isinstance(heads, dict)
    assert (found["scheme"], heads["x-forwarded-proto"]) == ("https", "https")
    assert (heads["host"], heads["x-forwarded-for"]) == (NAME, "127.0.0.1")
    forged = host.sh(
        f"curl -s -H 'Host: {NAME}' -H 'X-Forwarded-Proto: https' -H 'X-Forwarded-For: 6.6.6.6'"
        " --interface 127.0.0.5 http://127.0.0.1:8080/"
    )
    assert json.loads(forged)["heads"]["x-forwarded-for"] == "127.0.0.5"
    assert json.loads(forged)["scheme"] == "http"

    insecure = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    insecure.check_hostname, insecure.verify_mode = False, ssl.CERT_NONE
    line = socket.create_connection((host.address, host.https_port), 10)
    with connect(f"wss://{NAME}/", sock=line, ssl=insecure, server_hostname=NAME) as one:
        assert one.recv(10) == "wss"
