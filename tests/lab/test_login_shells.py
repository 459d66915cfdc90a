"""Login shells that people have: each starts the host side, and none runs what we send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cartwheel.errors import ConnectError
from cartwheel.hidden import Hidden
from cartwheel.ssh import execute
from cartwheel.ssh.connection import Gateways, StrictConnection
from cartwheel.ssh.session import Session, open_session
from cartwheel.ssh.startup import UnitSpec
from cartwheel_lab import LabHost
from tests.lab.test_session import target_of
from tests.ssh.asking import asking, said_to

# By the shells of this machine in every run: tests/ssh/test_login_shells.py.
pytestmark = [pytest.mark.timeout(600), pytest.mark.nightly]

SHELLS = {"zsh": "/bin/zsh", "fish": "/usr/bin/fish", "tcsh": "/bin/tcsh", "csh": "/bin/bsd-csh"}
WORDS = ["a b", "it's", '"', "$HOME", "*", "back\\slash", "what!", "!!", "[x]", "a;b", "{a,b}", ""]

Open = Callable[..., Session]


@pytest.fixture(scope="module")
def many(module_host: LabHost) -> LabHost:
    """A host with an account for each shell, and one whose .bashrc is for each test to write."""
    packages = " ".join(SHELLS)
    module_host.sh(
        "export DEBIAN_FRONTEND=noninteractive; apt-get -qq update;"
        f" apt-get -qq -y --no-install-recommends install {packages} >/dev/null",
        timeout=240,
    )
    accounts = {f"with-{name}": path for name, path in SHELLS.items()} | {"startup": "/bin/bash"}
    for user, shell in accounts.items():
        module_host.sh(
            f"useradd -m -s {shell} {user}; cp -r ~deploy/.ssh ~{user}/;"
            f" chown -R {user}: ~{user}/.ssh; echo '{user} ALL=(ALL) NOPASSWD: ALL'"
            f" > /etc/sudoers.d/{user}"
        )
    return module_host


@pytest.fixture
def open_as(many: LabHost) -> Iterator[Open]:
    gateways, opened = Gateways(), []

    def open_one(user: str, unit: UnitSpec | None = None, **changes: Any) -> Session:
        opened.append(open_session(target_of(many, user, **changes), gateways, unit=unit))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close(5)
    gateways.close()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_login_shell_of_its_own(many: LabHost, open_as: Open, shell: str) -> None:
    user = f"with-{shell}"
    assert open_as(user, UnitSpec(f"cartwheel-{shell}")).request(asking("hello"))["uid"] == 0
    connection = StrictConnection(target_of(many, user), Gateways())
    words = ["sh", "-c", 'for x in "$@"; do echo "<$x>"; done', "-", *WORDS]
    said = said_to(connection, words)
    script = execute.run_script(connection, b"id -u; exit 3\n")
    connection.close()
    assert said.splitlines() == [f"<{word}>" for word in WORDS]
    assert (script.status, script.tail) == (3, "0\n")


@pytest.mark.parametrize("shell", [*SHELLS, "sh"])
def test_a_bashrc_that_goes_to_another_shell(many: LabHost, open_as: Open, shell: str) -> None:
    """It never runs our command, and is given nothing that it would run instead."""
    many.sh(f"echo exec {shell} > ~startup/.bashrc")
    session = open_as("startup", UnitSpec("cartwheel-startup"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cartwheel.ssh.session.START_SECONDS", 3.0)
        with pytest.raises(ConnectError, match=r"no greeting within 3 s") as caught:
            session.request(asking("hello"))
    assert caught.value.slug == "no-greeting"
    session.close(5)
    # Their own start leaves hidden files of settings.
    assert many.sh("find ~startup -mindepth 1 -not -path '*/.*'") == ""


def test_tracing_is_no_question_of_sudo(many: LabHost, open_as: Open) -> None:
    """`set -x` shows how sudo is called, its prompt too, before sudo asks."""
    many.sh("cp ~ops/.bashrc ~ops/before; echo set -xv > ~ops/.bashrc; chsh -s /bin/bash ops")
    password = Hidden(many.ops_password)
    assert open_as("ops", sudo_password=password).request(asking("hello"))["uid"] == 0
    with pytest.raises(ConnectError, match="rejected the password"):
        open_as("ops", sudo_password=Hidden("wrong")).request(asking("hello"))


def test_setup_brings_no_python_where_the_login_is_the_fault(many: LabHost, open_as: Open) -> None:
    """A program that a start-up file misses is not Python that is missing."""
    many.sh("echo 'nvm-is-missing; exit 1' > ~startup/.bashrc")
    with pytest.raises(ConnectError) as caught:
        open_as("startup").request(asking("hello"))
    assert caught.value.slug == "no-greeting"
    assert "nvm-is-missing: command not found" in caught.value.message


REFUSED = {
    # user: (its shell, what else is done to it, the error, the host's own words)
    "nologin": ("/usr/sbin/nologin", "", "no-greeting", "This account is currently not available"),
    "false": ("/bin/false", "", "no-greeting", "exit status 1"),
    "sftponly": ("/bin/bash", "", "no-greeting", "sftp connections only"),
    "menu": ("/bin/bash", "", "no-greeting", "exit status 3 before .*: only a menu"),
    "leaves": ("/bin/bash", "echo 'echo go away; exit 5' > ~/.bashrc", "no-greeting", "go away"),
    "old": ("/bin/bash", "chage -d 0 $USER", "no-greeting", "Password change required"),
    "expired": ("/bin/bash", "chage -E 0 $USER", "ssh-auth", "said: Your account has expired"),
    "noshell": ("/opt/none", "", "ssh-auth", "rejected the login"),
}


def test_an_account_that_may_not_is_told_in_the_hosts_words(many: LabHost, open_as: Open) -> None:
    many.sh(
        "printf 'Match User sftponly\\n ForceCommand internal-sftp\\nMatch User menu\\n"
        " ForceCommand echo only a menu; exit 3\\n' > /etc/ssh/sshd_config.d/accounts.conf;"
        " systemctl reload ssh"
    )
    for user, (shell, done, slug, words) in REFUSED.items():
        many.sh(
            f"export USER={user} HOME=/home/{user}; useradd -m -s {shell} $USER;"
            f" cp -r ~deploy/.ssh ~/; chown -R $USER: ~/; {done}"
        )
        with pytest.raises(ConnectError, match=words) as caught:
            open_as(user).request(asking("hello"))
        assert caught.value.slug == slug, user


def test_a_host_that_lets_nobody_in_now_says_why(many: LabHost, open_as: Open) -> None:
    many.sh("echo 'Back at noon.' > /etc/nologin")
    try:
        with pytest.raises(ConnectError, match=r"closed the connection and said: Back at noon\."):
            open_as("deploy")
    finally:
        many.sh("rm /etc/nologin")


def test_a_restricted_shell_and_a_missing_home_do_no_harm(many: LabHost, open_as: Open) -> None:
    for user in ("restricted", "homeless"):
        many.sh(
            f"useradd -m -s /bin/bash {user}; cp -r ~deploy/.ssh ~{user}/;"
            f" chown -R {user}: ~{user};"
            f" echo '{user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{user}"
        )
    many.sh("chsh -s /bin/rbash restricted; chown root: ~homeless; chmod 0555 ~homeless")
    for user in ("restricted", "homeless"):
        assert open_as(user).request(asking("hello"))["uid"] == 0
