"""What would end Apache at a reload, or leave nobody to answer, is found before."""

from __future__ import annotations

import http.client
import os
import signal
import socket
from contextlib import ExitStack, closing
from pathlib import Path
from subprocess import DEVNULL, Popen, run

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from cartwheel.host.system import systemd
from cartwheel.host.web import apache_reload, apache_words
from cartwheel.host.web.apache_config import MODULES
from tests.kit.apache import PROGRAM, Apache
from tests.kit.certificates import certificate
from tests.kit.ports import free_port
from tests.kit.tiers import only_root
from tests.kit.waiting import until

SECURE = f"LoadModule ssl_module {MODULES}/mod_ssl.so\n"


def overlooked(apache: Apache, *laid: tuple[str, str]) -> str:
    """As people read it."""
    said = apache_reload.overlooked(apache.ask(), laid)
    return apache_words.complaint(said) if said else ""


@pytest.fixture
def apache(tmp_path: Path) -> Apache:
    return Apache(tmp_path, port=free_port())


@pytest.mark.parametrize("address", ["127.0.0.1:", "", "[::1]:"])
def test_a_port_of_another_program(apache: Apache, address: str) -> None:
    with closing(
        socket.create_server(
            ("::1" if "::" in address else "127.0.0.1", free_port()),
            family=10 if "::" in address else 2,
        )
    ) as other:
        port = other.getsockname()[1]
        file = apache.site("a", f"\nListen {address}{port}")
        program = systemd.proc(os.getpid(), "comm").strip()
        assert overlooked(apache).startswith(f"{file}:2: {address}{port} is used by {program}, so")
    assert overlooked(apache) == ""


def test_an_address_that_the_host_does_not_have(apache: Apache) -> None:
    file = apache.site("a", "Listen 192.0.2.1:8099")
    assert overlooked(apache).startswith(f"{file}:1: 192.0.2.1:8099 cannot be used, so Apache")


def site(apache: Apache, *lines: str) -> Path:
    inside = "".join(f"    {line}\n" for line in lines)
    return apache.site("a", f"{SECURE}<VirtualHost *:80>\n{inside}</VirtualHost>")


def written(folder: Path) -> tuple[Path, Path]:
    folder.mkdir(exist_ok=True)
    made = certificate("shop.example")
    (folder / "chain").write_text(made.pem)
    (folder / "key").write_text(made.key)
    return folder / "chain", folder / "key"


def test_a_certificate_and_its_key(apache: Apache, tmp_path: Path) -> None:
    chain, key = written(tmp_path / "one")
    _, other = written(tmp_path / "two")
    assert apache.test() == "Syntax OK\n"
    named = f"SSLCertificateFile {chain}"
    site(apache, "SSLEngine on", named, f"SSLCertificateKeyFile {key}")
    assert overlooked(apache) == ""
    file = site(apache, "SSLEngine on", named, f"SSLCertificateKeyFile {other}")
    assert apache.test() == "Syntax OK\n"
    said = f"{file}:4: {chain} and {other}: OpenSSL cannot use them together (KEY_VALUES_MISMATCH)"
    assert overlooked(apache).startswith(said)
    other.write_text("garbage")
    assert overlooked(apache).startswith(f"{file}:4: {chain} and {other}: OpenSSL cannot use them")
    site(apache, named, f"SSLCertificateKeyFile {other}")  # the engine is off
    assert overlooked(apache) == ""
    file = site(apache, "SSLEngine on")
    assert overlooked(apache).startswith(f"{file}:3: without SSLCertificateFile Apache would end")


def test_a_pair_for_all_sites(apache: Apache, tmp_path: Path) -> None:
    chain, key = written(tmp_path / "one")
    _, other = written(tmp_path / "two")
    lines = f"SSLEngine on\nSSLCertificateFile {chain}\nSSLCertificateKeyFile "
    for path, is_fine in ((key, True), (other, False)):
        apache.site("a", f"{SECURE}{lines}{path}\n<VirtualHost *:80>\n</VirtualHost>")
        assert (overlooked(apache) == "") == is_fine


def starts(apache: Apache) -> bool:
    """Whether Apache itself starts; it reads certificates as at a reload."""
    program = [PROGRAM, "-f", str(apache.main), "-D", "FOREGROUND"]
    pid_file = apache.folder / "apache2.pid"
    with Popen(
        program, start_new_session=True, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    ) as one:
        # Right after its file is there, a signal would still kill it; and the program that it asks
        # for a password is a process too.
        until(
            lambda: (
                one.poll() is not None or (pid_file.exists() and bool(systemd.worker_pids(one.pid)))
            ),
            shown="Apache",
        )
        is_up = one.poll() is None
        one.terminate()
        one.wait(10)
        return is_up


@pytest.mark.parametrize(
    ("ciphers", "bits", "is_fine"),
    [
        ("", 1024, False),
        ("", 2048, True),
        ("SSLCipherSuite ALL:@SECLEVEL=0", 1024, True),
        ("SSLCipherSuite SSL ALL:@SECLEVEL=3", 2048, False),
        ("SSLCipherSuite TLSv1.3 TLS_AES_256_GCM_SHA384", 2048, True),
        ("SSLCipherSuite NONE-SUCH", 2048, False),
    ],
)
def test_a_key_that_is_too_weak(
    apache: Apache, tmp_path: Path, ciphers: str, bits: int, is_fine: bool
) -> None:
    pair = ["-keyout", f"{tmp_path}/key", "-out", f"{tmp_path}/chain"]
    ask = ["openssl", "req", "-x509", "-newkey", f"rsa:{bits}", "-nodes", "-subj", "/CN=x", *pair]
    run(ask, check=True, capture_output=True, timeout=30)
    named = [f"SSLCertificateFile {tmp_path}/chain", f"SSLCertificateKeyFile {tmp_path}/key"]
    site(apache, "SSLEngine on", *named, ciphers)
    assert apache.test() == "Syntax OK\n"
    assert (starts(apache), overlooked(apache) == "") == (is_fine, is_fine)


def test_a_key_with_a_password(apache: Apache, tmp_path: Path) -> None:
    """It is not judged where a program may know the password."""
    made = certificate("shop.example")
    (tmp_path / "chain").write_text(made.pem)
    encrypted = made.private.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"secret")
    )
    (tmp_path / "key").write_bytes(encrypted)
    named = [f"SSLCertificateFile {tmp_path}/chain", f"SSLCertificateKeyFile {tmp_path}/key"]
    file = site(apache, "SSLEngine on", *named)
    assert apache.test() == "Syntax OK\n"
    assert overlooked(apache).startswith(
        f"{file}:4: {tmp_path}/chain and {tmp_path}/key: the key has a password, so Apache"
    )
    assert not starts(apache)
    (tmp_path / "say").write_text("#!/bin/sh\necho secret\n")
    (tmp_path / "say").chmod(0o755)
    apache.site("b", f"SSLPassPhraseDialog exec:{tmp_path}/say")
    assert overlooked(apache) == ""
    assert starts(apache)


def test_a_set_that_is_laid_over_the_live_one(apache: Apache, tmp_path: Path) -> None:
    """The site names the link; the new files are laid over what it leads to."""
    chain, _key = written(tmp_path / "old")
    written(tmp_path / "new")
    (tmp_path / "live").symlink_to("old")
    live = tmp_path / "live"
    site(
        apache,
        "SSLEngine on",
        f"SSLCertificateFile {live}/chain",
        f"SSLCertificateKeyFile {live}/key",
    )
    laid = (str(tmp_path / "new"), str(tmp_path / "old"))
    chain.write_text((tmp_path / "new/chain").read_text())
    assert "KEY_VALUES_MISMATCH" in overlooked(apache)
    assert overlooked(apache, laid) == ""


def test_what_is_left_of_an_apache_that_ended_is_no_process(tmp_path: Path) -> None:
    file = tmp_path / "apache2.pid"
    for text in ("", "x", f"{os.getpid()}\n", "4194305"):
        file.write_text(text)
        assert apache_reload.main_pid(file) == 0
    assert apache_reload.main_pid(tmp_path / "none") == 0


@only_root("gives Apache's processes their user")
def test_room_for_new_processes(tmp_path: Path) -> None:
    """Old processes whose connections never end would take all places, and nobody would answer."""
    port = free_port()
    apache = Apache(tmp_path, port=port)
    with ExitStack() as stack:
        silent = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
        behind = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        apache.site(
            "a",
            f"""
            LoadModule proxy_module {MODULES}/mod_proxy.so
            LoadModule proxy_http_module {MODULES}/mod_proxy_http.so
            ServerLimit 4
            StartServers 1
            ThreadsPerChild 5
            MinSpareThreads 1
            MaxSpareThreads 10
            MaxRequestWorkers 10
            ProxyPass /held {behind}
            """,
        )
        main = stack.enter_context(apache.running())
        until(lambda: bool(apache_reload.taking_connections(systemd.worker_pids(main))), shown="x")

        assert apache_reload.main_pid(tmp_path / "apache2.pid") == main

        def asked(path: str) -> http.client.HTTPConnection:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            stack.enter_context(closing(connection))
            connection.request("GET", path)
            return connection

        def reload() -> None:
            apache_reload.make_room(main, 4)
            before = apache_reload.taking_connections(systemd.worker_pids(main))
            os.kill(main, signal.SIGUSR1)
            until(lambda: not apache_reload.taking_connections(before), shown="old processes")

        for _time in range(6):
            asked("/held")
            stack.enter_context(silent.accept()[0])
            reload()
            assert asked("/").getresponse().status == 404
