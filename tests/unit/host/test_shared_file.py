"""The file that all sites of a host share, in a real nginx."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from cartwheel.host.web import nginx_shared
from cartwheel.render.release import SITE, render_release
from tests.kit.ports import free_port
from tests.unit.render.sites import FACTS, MAIN, settings
from tests.unit.render.test_nginx import accepted

SITES = 60
TYPES = "types { text/html html; }"
LONGEST = ".".join(["x" * 63] * 3) + "." + "y" * 40 + ".example"


def written(folder: Path) -> str:
    return nginx_shared.text(folder / "conf.d/cartwheel.conf", folder / "nginx.conf")


def host(folder: Path, **files: str) -> str:
    """What the shared file says beside these files of others."""
    (folder / "conf.d").mkdir(exist_ok=True)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=""))
    for name, text in files.items():
        (folder / f"conf.d/{name}.conf").write_text(text)
    return written(folder)


def longest_sites(port: int, server: str = "nginx") -> dict[str, str]:
    """Many sites whose applications, environments and hosts have the longest names, by name."""
    sites = {}
    for number in range(SITES):
        own = settings(
            Path("/srv"),
            app={"name": f"a{number:02}" + "-b" * 10, "source": "."},
            environment=f"e{number:02}" + "-c" * 10,
            web={
                "server": server,
                "listen": port,
                "server_names": tuple(f"s{number}-{each}.{LONGEST}" for each in range(2)),
                "redirect_names": (f"w{number}.{LONGEST}",),
                **({"rate_limit": "20/s"} if server == "nginx" else {}),
                "error_pages": "shop/errors",
                "trusted_proxies": ("10.0.0.0/8",),
                "paths": {
                    "/admin/": {"allow": ("192.0.2.0/24",), "users": {"file": "x"}},
                    "/up": {"client_max_body_size": "200m"},
                },
            },
        )
        known = replace(FACTS, ipv6=True)
        sites[own.slug] = render_release(own, known, "1", Path("/none"))[SITE].content
    return sites


def test_many_sites_with_the_longest_names(tmp_path: Path) -> None:
    """Without the file nginx does not start with even one of them, and with many it warns."""
    shared = host(tmp_path)
    assert "[warn]" not in accepted(tmp_path, {**longest_sites(free_port()), "cartwheel": shared})


def test_it_leaves_out_what_others_say(tmp_path: Path) -> None:
    shared = host(tmp_path)
    assert "server_names_hash_bucket_size 512;" in shared
    assert "text/javascript mjs;" in shared
    accepted(tmp_path, {"cartwheel": shared})
    for name in ("aa", "zz"):  # read before, and after
        theirs = "server_names_hash_bucket_size 128; types { text/javascript mjs; }"
        shared = host(tmp_path, **{name: theirs})
        assert "server_names_hash_bucket_size" not in shared
        assert "mjs" not in shared
        assert "webmanifest" in shared
        assert "[warn]" not in accepted(tmp_path, {"cartwheel": shared})
        (tmp_path / f"conf.d/{name}.conf").unlink()


def test_its_own_text_does_not_count(tmp_path: Path) -> None:
    shared = host(tmp_path)
    (tmp_path / "conf.d/cartwheel.conf").write_text(shared)
    assert written(tmp_path) == shared


def test_without_types_of_the_hosts_own_it_has_none(tmp_path: Path) -> None:
    """They would replace those that nginx has built in."""
    main = re.sub(r"types \{.*?\}", "", MAIN.format(folder=tmp_path, user=""), flags=re.DOTALL)
    assert "types {" not in main
    host(tmp_path)
    (tmp_path / "nginx.conf").write_text(main)
    assert "types" not in written(tmp_path)
