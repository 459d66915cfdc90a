"""uv as a host runs it: what its real output means, and that nothing else decides what it does."""

from __future__ import annotations

import hashlib
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import uv

from cartwheel.host.layout import Layout
from cartwheel.host.release import install, package_index
from cartwheel.host.release.installer_uv import Uv
from cartwheel.host.system import children
from tests.build.indexes import LocalIndex, make_wheel, serve
from tests.kit.ports import free_port

pytestmark = pytest.mark.build

OTHER = "a" * 64


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Host:
    """A release's environment, and what is run in it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.at = Layout("shop", folder)
        self.uv = Uv(uv.find_uv_bin(), {"PIP_INDEX_URL": url})
        self.lock = folder / "install.txt"
        venv = folder / "venv"
        subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", str(venv)], check=True)
        self.python = str(venv / "bin" / "python")
        (self.at.cache / "pip" / "tmp").mkdir(parents=True)
        self.env = {**self.uv.index(), **install.environment(self.at), "UV_HTTP_RETRIES": "1"}

    def run(self, argv: list[str], **more: str) -> children.Done:
        return children.run(
            None, argv, timeout_seconds=120, env={**self.env, **more}, stdin=b"pip\n"
        )

    def install(self, *lock: str, cached: bool = True) -> children.Done:
        self.lock.write_text("\n".join(lock) + "\n")
        return self.run(self.uv.install(self.python, self.lock, cached=cached))

    def refused(self, *lock: str) -> tuple[str, str] | None:
        done = self.install(*lock)
        assert done.status not in (0, None), done.output
        return self.uv.explain(done.output)


@pytest.fixture(autouse=True)
def no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_index, "FILES", ())


@pytest.fixture
def host(tmp_path: Path, index: LocalIndex) -> Host:
    return Host(tmp_path, index.url)


def test_what_the_index_answers(host: Host, index: LocalIndex) -> None:
    wheel = index.add("flasky", "1.0")
    for name in ("win-1.0-cp27-cp27m-win32.whl", "gone-1.0-py3-none-any.whl"):
        page = f'<a href="/files/{name}#sha256={OTHER}">{name}</a>'
        index.pages[name.partition("-")[0]] = page
    told = index.url
    assert host.refused(f"none==1.0 --hash=sha256:{OTHER}") == (
        "index-lacks", f"{told} has no none")  # fmt: skip
    assert host.refused(f"flasky==9 --hash=sha256:{OTHER}") == (
        "index-lacks", f"{told} has no flasky==9")  # fmt: skip
    assert host.refused(f"flasky==1.0 --hash=sha256:{OTHER}") == (
        "hash-mismatch", f"flasky==1.0 from {told} differs from the lock")  # fmt: skip
    assert host.refused(f"win==1.0 --hash=sha256:{OTHER}") == (
        "wheel-platform",
        f"{told} has no wheel of win==1.0 that fits (another Python implementation tag)",
    )
    slug, line = host.refused(f"gone==1.0 --hash=sha256:{OTHER}") or ("", "")
    assert slug == "index-unreachable"
    assert line.endswith("answers 404 Not Found for gone-1.0-py3-none-any.whl")
    damaged = index.folder / "flasky-2.0-py3-none-any.whl"
    damaged.write_bytes(b"nothing that was ever zipped")
    index.pages["flasky"] += f'<a href="/files/{damaged.name}">{damaged.name}</a>'
    assert host.refused(f"flasky==2.0 --hash=sha256:{sha256(damaged)}") == (
        "wheel-corrupt", f"{damaged.name} is damaged")  # fmt: skip
    assert host.install(f"flasky==1.0 --hash=sha256:{sha256(wheel)}").status == 0


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_an_index_that_refuses(host: Host, index: LocalIndex, status: int) -> None:
    index.status = status
    slug, line = host.refused(f"flasky==1.0 --hash=sha256:{OTHER}") or ("", "")
    assert (slug, line.startswith(f"{index.url} answers {status} ")) == ("index-unreachable", True)
    assert line.endswith(" for flasky")
    done = host.run(host.uv.ask())
    assert (host.uv.explain(done.output) or ("", ""))[0] == "index-unreachable"


def test_an_index_that_is_down_is_named_without_credentials(tmp_path: Path) -> None:
    place = f"127.0.0.1:{free_port()}/simple"
    host = Host(tmp_path, f"http://reader:sekrit@{place}")
    found = host.refused(f"flasky==1.0 --hash=sha256:{OTHER}")
    line = f"http://{place} does not answer (connection refused) for flasky"
    assert found == ("index-unreachable", line)
    done = host.run(host.uv.ask())
    assert host.uv.explain(done.output) == ("index-unreachable", line.replace("flasky", "pip"))


def test_a_certificate_counts_that_pips_configuration_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for pip: the host's own ones, or else the one that `cert` names."""
    key, cert, conf = (tmp_path / name for name in ("key.pem", "cert.pem", "pip.conf"))
    of_localhost = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    no_authority = ["-addext", "basicConstraints=critical,CA:FALSE"]
    openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    made = [*openssl, *of_localhost, *no_authority, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(made, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    (tmp_path / "index").mkdir()
    with serve(tmp_path / "index", tls) as index:
        index.add("pip", "1.0")
        url = index.url.replace("127.0.0.1", "localhost")
        host = Host(tmp_path, url)
        assert host.uv.explain(host.run(host.uv.ask()).output) == (
            "index-unreachable",
            f"{url} does not answer (its certificate is not trusted) for pip",
        )
        conf.write_text(f"[global]\ncert = {cert}\n")
        conf.chmod(0o644)
        monkeypatch.setattr(package_index, "FILES", (conf,))
        done = host.run(host.uv.ask(), **host.uv.index())
        assert done.status == 0, done.output


def test_an_index_that_answers_is_asked_without_a_trace(host: Host, index: LocalIndex) -> None:
    index.add("pip", "1.0")
    done = host.run(host.uv.ask())
    assert (done.status, [path for path in index.asked if "pip" in path] != []) == (0, True)
    assert not (host.at.cache / "pip" / "uv").exists()
    assert not list((host.at.cache / "pip" / "tmp").iterdir())


def test_what_does_not_fit_together_is_one_line(host: Host, index: LocalIndex) -> None:
    flasky = index.add("flasky", "1.0", ("werk>=2", "gone"))
    werk = index.add("werk", "1.0")
    assert host.install(f"flasky==1.0 --hash=sha256:{sha256(flasky)}").status == 0
    done = host.run(host.uv.check(host.python))
    assert done.status == 1
    assert host.uv.mismatch(done.output) == (
        "flasky requires werk>=2, but it's not installed (and 1 more)"
    )
    assert host.install(f"werk==1.0 --hash=sha256:{sha256(werk)}").status == 0
    found = host.uv.mismatch(host.run(host.uv.check(host.python)).output)
    assert found == "flasky requires werk>=2, but 1.0 is installed (and 1 more)"


def test_a_releases_files_are_its_own(host: Host, index: LocalIndex) -> None:
    """The cache belongs to the app's user, who could change what a link leads to."""
    flasky = index.add("flasky", "1.0")
    assert host.install(f"flasky==1.0 --hash=sha256:{sha256(flasky)}").status == 0
    venv = Path(host.python).parents[1]
    found = [path for path in venv.rglob("*") if path.is_file() and not path.is_symlink()]
    assert found
    assert all(path.stat().st_nlink == 1 for path in found)
    assert list(venv.glob("lib/python*/site-packages/flasky/__pycache__/*.pyc"))
    assert (host.at.cache / "pip" / "uv" / "CACHEDIR.TAG").exists()


def test_what_travelled_is_not_kept_in_the_cache(host: Host, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "shop", "1.0")
    done = host.install(f"{wheel.as_uri()} --hash=sha256:{sha256(wheel)}", cached=False)
    assert done.status == 0
    assert not (host.at.cache / "pip" / "uv").exists()
    assert not list((host.at.cache / "pip" / "tmp").iterdir())
    other = make_wheel(tmp_path, "other", "1.0")
    refused = host.refused(f"{other.as_uri()} --hash=sha256:{OTHER}")
    assert refused is not None
    assert refused[0] == "hash-mismatch"


def test_nothing_else_decides(
    host: Host, index: LocalIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither variables of the login nor files where uv runs."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{free_port()}/simple")
    monkeypatch.setenv("UV_OFFLINE", "1")
    home = Path(host.env["HOME"])
    for folder in (home / ".config" / "uv", Path(host.python).parents[1]):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "uv.toml").write_text("offline = true\n[pip]\ntarget = '/nowhere'\n")
    wheel = index.add("flasky", "1.0")
    host.lock.write_text(f"flasky==1.0 --hash=sha256:{sha256(wheel)}\n")
    done = children.run(
        None,
        host.uv.install(host.python, host.lock, cached=True),
        timeout_seconds=60,
        env=host.env,
        cwd=str(Path(host.python).parents[1]),
    )
    assert done.status == 0, done.output


def test_what_pips_configuration_says_of_binaries(
    host: Host, index: LocalIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = tmp_path / "pip.conf"
    conf.write_text(f"[global]\nindex-url = {index.url}\nno-binary = flasky\n")
    conf.chmod(0o644)
    monkeypatch.setattr(package_index, "FILES", (conf,))
    wheel = index.add("flasky", "1.0")
    werk = index.add("werk", "1.0")
    host.uv = Uv(uv.find_uv_bin(), {})
    assert host.install(f"flasky==1.0 --hash=sha256:{sha256(wheel)}").status != 0
    assert host.install(f"werk==1.0 --hash=sha256:{sha256(werk)}").status == 0
