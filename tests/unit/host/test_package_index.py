"""Where pip and uv on a host look: what is meant, and nothing else that its files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.host.release import package_index
from cartwheel.host.system.context import OpError

FIXED = {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INPUT": "1"}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    weak, strong = tmp_path / "weak.conf", tmp_path / "strong.conf"
    monkeypatch.setattr(package_index, "FILES", (weak, strong))
    weak.write_text("[global]\nindex-url = https://weak.example/simple\ntimeout = 7\n")
    strong.write_text(
        "[global]\nindex_url = https://user:word@strong.example/simple\n"
        "extra-index-url =\n    https://one.example/simple\n    https://two.example/simple\n"
        "trusted-host = a b\ncert = /etc/ca.pem\nproxy = http://proxy.example:3128\n"
        "target = /elsewhere\nuser = true\nno-binary =\n"
        "[install]\nno-index = false\nno-deps = true\n[download]\ntimeout = 99\n"
    )
    for path in (weak, strong):
        path.chmod(0o644)
    return weak, strong


@pytest.mark.usefixtures("files")
def test_what_is_meant_is_handed_on() -> None:
    assert package_index.for_pip({}) == {
        **FIXED,
        "PIP_INDEX_URL": "https://user:word@strong.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://one.example/simple https://two.example/simple",
        "PIP_TRUSTED_HOST": "a b",
        "PIP_CERT": "/etc/ca.pem",
        "PIP_PROXY": "http://proxy.example:3128",
        "PIP_TIMEOUT": "7",
        "PIP_NO_INDEX": "false",
    }
    assert package_index.for_uv({}) == {
        "UV_DEFAULT_INDEX": "https://user:word@strong.example/simple",
        "UV_INDEX": "https://one.example/simple https://two.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "a b",
        "UV_HTTP_TIMEOUT": "7",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "HTTPS_PROXY": "http://proxy.example:3128",
        "HTTP_PROXY": "http://proxy.example:3128",
    }


@pytest.mark.usefixtures("files")
def test_what_the_settings_name_wins() -> None:
    url = "https://named.example/simple"
    named = {"PIP_INDEX_URL": url, "PIP_EXTRA_INDEX_URL": url, "PIP_NO_INDEX": "0"}
    found = package_index.for_pip(named)
    assert found.items() >= named.items()
    assert found["PIP_CERT"] == "/etc/ca.pem", "certificates belong to the network"
    uv = package_index.for_uv(named)
    assert uv["UV_DEFAULT_INDEX"] == url
    assert not uv.keys() & {"UV_INDEX", "UV_NO_INDEX", "UV_INDEX_STRATEGY"}


def test_what_the_apps_user_cannot_read_does_not_count(files: tuple[Path, Path]) -> None:
    for path in files:
        path.chmod(0o600)
    assert package_index.for_pip({}) == FIXED
    for path in files:
        path.unlink()
    assert package_index.for_pip({}) == FIXED


@pytest.mark.parametrize("content", [b"index-url = x\n", b"[global]\nurl\n", b"\xff"])
def test_a_broken_file_is_named(files: tuple[Path, Path], content: bytes) -> None:
    files[1].write_bytes(content)
    with pytest.raises(OpError, match=r"strong\.conf: pip's configuration cannot be read"):
        package_index.for_pip({})
