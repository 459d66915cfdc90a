"""The certificate of [tls] is checked on the operator's machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cartwheel.commands.check import check
from cartwheel.commands.tls import certificate_of, check_certificate
from cartwheel.errors import UsageError
from cartwheel.settings.toml_tables import Settings
from tests.kit.certificates import authority, certificate

NAME = "shop.example.org"
ROOT = authority()
LEAF = certificate(NAME, by=ROOT)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shop.pem").write_text(LEAF.pem)
    (tmp_path / "shop.key").write_text(LEAF.key)
    (tmp_path / "root.pem").write_text(ROOT.pem)
    return tmp_path


def settings(**tls: Any) -> Settings:
    return Settings.model_validate(
        {
            "app": {"name": "shop", "source": "."},
            "web": {"server_names": [NAME]},
            "tls": {"certificate": "shop.pem", "key": "shop.key", "ca": "root.pem", **tls},
        }
    )


def refused(project: Path, **tls: Any) -> list[str]:
    with pytest.raises(UsageError) as caught:
        certificate_of(settings(**tls), project)
    assert caught.value.slug == "bad-certificate"
    return caught.value.detail.splitlines() or [caught.value.message]


def test_a_pair_that_is_right(project: Path) -> None:
    found = certificate_of(settings(), project)
    assert found is not None
    assert found.pair.certificate.names == (NAME,)
    assert (found.pair.chain, found.key.reveal()) == (LEAF.pem, LEAF.key)


def test_the_key_may_come_from_a_command(project: Path) -> None:
    found = certificate_of(settings(key={"command": "cat shop.key"}), project)
    assert found is not None
    assert found.key.reveal() == LEAF.key


def test_nothing_is_brought_for_files_on_hosts(project: Path) -> None:
    on_hosts = {"host_certificate": "/a.pem", "host_key": "/a.key"}
    assert certificate_of(settings(certificate=None, key=None, **on_hosts), project) is None


def test_everything_that_is_wrong_is_said_at_once(project: Path) -> None:
    other = certificate("other.example.org", by=ROOT, days=(-90, -1))
    (project / "shop.pem").write_text(other.pem)
    said = refused(project)
    assert said[0].startswith("tls.certificate: shop.pem has expired on ")
    assert said[1].startswith("tls.certificate: shop.pem is not for shop.example.org")
    assert said[2].startswith("tls.key: shop.key is not the key of this certificate")


@pytest.mark.parametrize("name", ["certificate", "ca"])
def test_a_file_that_is_missing(project: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"tls.{name}: none.pem: No such file or") as caught:
        certificate_of(settings(**{name: "none.pem"}), project)
    assert caught.value.slug == "bad-certificate"


def test_a_ca_that_is_none(project: Path) -> None:
    assert refused(project, ca="shop.key") == ["tls.ca: shop.key holds no certificate as PEM"]


def test_a_public_chain_needs_a_known_root(project: Path) -> None:
    (said,) = refused(project, ca=None)
    assert "lacks the certificate of Test Root" in said


def test_a_check_without_hosts_runs_no_command(project: Path) -> None:
    check_certificate(settings(key={"command": "touch it-ran"}), project)
    check_certificate(settings(key={"env": "NOT_SET"}), project)
    check_certificate(settings(key="elsewhere.key"), project)
    assert not (project / "it-ran").exists()
    (project / "shop.key").write_text(ROOT.key)
    with pytest.raises(UsageError, match="is not the key of this certificate"):
        check_certificate(settings(), project)


def test_config_check_says_it(project: Path) -> None:
    (project / "cartwheel.toml").write_text(
        '[app]\nname = "shop"\nsource = "."\n[web]\nserver_names = ["www.example.org"]\n'
        '[tls]\ncertificate = "shop.pem"\nkey = "shop.key"\nca = "root.pem"\n'
    )
    with pytest.raises(ExceptionGroup) as caught:
        check(project)
    (error,) = caught.value.exceptions
    assert "is not for www.example.org" in str(error)
