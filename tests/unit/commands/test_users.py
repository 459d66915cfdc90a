"""The users of the site's paths: read from their sources, with the line of each mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cartwheel.commands.users import check_users, users_of
from cartwheel.errors import UsageError
from cartwheel.hidden import Hidden
from cartwheel.settings.toml_tables import Settings

LINE = "ann:$6$pepper$" + "x" * 86


def settings(**users: dict[str, str]) -> Settings:
    values: dict[str, Any] = {
        "app": {"name": "shop", "source": "."},
        "web": {"paths": {f"/{name}/": {"users": source} for name, source in users.items()}},
    }
    return Settings.model_validate(values)


def test_from_a_file_and_from_a_command(tmp_path: Path) -> None:
    (tmp_path / "team").write_text(f"# the team\n{LINE}\n")
    known = settings(admin={"file": "team"}, ops={"command": f"echo '{LINE}'"})
    wanted = Hidden(f"{LINE}\n")
    assert users_of(known, tmp_path) == {"/admin/": wanted, "/ops/": wanted}
    assert users_of(settings(), tmp_path) == {}


def test_every_wrong_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "team").write_text(f"{LINE}\nbob:hunter2\n")
    known = settings(admin={"file": "team"}, ops={"command": "echo carl:hunter2"})
    with pytest.raises(UsageError) as caught:
        users_of(known, tmp_path)
    assert caught.value.slug == "bad-users"
    why = "a plain password, or an unknown kind of hash; make one with `openssl passwd -6`"
    assert caught.value.detail.splitlines() == [
        f'web.paths."/admin/".users: team:2: {why}',
        f'web.paths."/ops/".users: line 1: {why}',
    ]
    assert "hunter2" not in str(caught.value) + caught.value.detail


def test_a_source_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r'web\.paths\."/admin/"\.users: .*team: No such'
    ) as caught:
        users_of(settings(admin={"file": "team"}), tmp_path)
    assert caught.value.slug == "secret"


def test_the_check_runs_no_command_and_needs_no_file(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    known = settings(admin={"file": "team"}, ops={"command": f"touch {mark}; echo x"})
    check_users(known, tmp_path)
    assert not mark.exists()
    (tmp_path / "team").write_text("bob:hunter2\n")
    with pytest.raises(UsageError, match="team:1: "):
        check_users(known, tmp_path)
