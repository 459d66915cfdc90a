"""What a deploy does to the users of the site's paths."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cartwheel.hidden import Hidden
from cartwheel.plan.users import plan_users, users_notes
from cartwheel.settings.names import keyed_digest, users_file
from cartwheel.settings.toml_tables import Settings
from tests.unit.answers import facts

KEY = "00" * 32
ADMIN, OPS = users_file("/admin/"), users_file("/ops")
ANN = Hidden("ann:$6$hash\n")


def settings(**more: Any) -> Settings:
    return Settings.model_validate({"app": {"name": "shop", "source": "."}, **more})


def there(**files: str) -> dict[str, str]:
    return {name: keyed_digest(KEY, text) for name, text in files.items()}


def test_a_rule_with_and_without_a_slash_has_one_file() -> None:
    assert users_file("/admin/") == users_file("/admin")


def test_new_users_come_before_the_site_names_them() -> None:
    planned = plan_users(facts(), {"/admin/": ANN}, KEY, has_web=True)
    assert planned is not None
    assert planned.what == "users of /admin/ are new"
    assert planned.missing is not None
    assert planned.missing.files == {ADMIN: ANN}


def test_a_changed_password_waits_until_no_host_goes_back() -> None:
    known = replace(facts(), users=there(**{ADMIN: "ann:$6$old\n"}))
    planned = plan_users(known, {"/admin/": ANN}, KEY, has_web=True)
    assert planned is not None
    assert (planned.what, planned.missing) == ("users of /admin/ change", None)
    assert planned.request is not None
    assert planned.request.files == {ADMIN: ANN}
    assert "$6$" not in planned.what + repr(planned)


def test_users_that_are_as_they_should_be() -> None:
    known = replace(facts(), users=there(**{ADMIN: ANN.reveal()}))
    assert plan_users(known, {"/admin/": ANN}, KEY, has_web=True) is None
    assert plan_users(facts(), {}, KEY, has_web=True) is None


@pytest.mark.parametrize("has_web", [True, False])
def test_what_no_path_needs_goes(has_web: bool) -> None:
    known = replace(facts(), users=there(**{ADMIN: ANN.reveal(), OPS: "x"}))
    planned = plan_users(known, {"/admin/": ANN}, KEY, has_web=has_web)
    assert planned is not None
    assert planned.request is not None
    assert planned.request.files == dict.fromkeys([OPS] if has_web else sorted([ADMIN, OPS]))
    assert planned.missing is None


def test_passwords_over_plain_http_are_noted() -> None:
    users = {"paths": {"/admin/": {"users": {"file": "x"}}}}
    assert list(users_notes(settings(web=users))) == [
        "passwords for /admin/ are sent over plain HTTP: see [tls]"
    ]
    proxied = {**users, "trusted_proxies": ("192.0.2.1",)}
    tls = {"certificate": "a.pem", "key": "a.key"}
    for more in ({"web": proxied}, {"web": users, "tls": tls}, {}):
        assert list(users_notes(settings(**more))) == []
