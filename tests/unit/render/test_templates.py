"""A wrong template is one line with template, line and name, before any connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cartwheel.errors import Exit, UsageError
from cartwheel.host.web.nginx import Nginx
from cartwheel.render.release import SAMPLES, check_templates, render_release
from cartwheel.render.templates import python_literal, systemd_word
from cartwheel.settings.toml_tables import Settings


def settings(**more: Any) -> Settings:
    return Settings.model_validate({"app": {"name": "shop", "source": "."}, **more})


def template(project: Path, name: str, text: str) -> None:
    path = project / "templates" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n{{ relese }}", ":2: 'relese' is undefined; did you mean release?"),
        (
            "{{ settings.web.sever_names }}",
            ":1: Web has no 'sever_names'; did you mean server_names?",
        ),
        ("\n\n{% if facts.cpu %}{% endif %}", ":3: RenderFacts has no 'cpu'; did you mean cpus?"),
        ("{{ settings.nothing.at_all }}", ":1: Settings has no 'nothing'"),
        ("a\n{% if %}", ":2: Expected an expression, got 'end of statement block'"),
        ("\n{% for x in y %}", ":2: Unexpected end of template."),
        ("{{ release | shout }}", ":1: No filter named 'shout'."),
        ("\n{% include 'none.j2' %}", ":2: there is no template none.j2"),
        ("\n{{ 1 / 0 }}", ":2: ZeroDivisionError: division by zero"),
        (
            "\n\n{{ 'a$b' | nginx }}",
            ":3: ValueError: 'a$b' is not allowed in nginx's configuration",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    template(tmp_path, "nginx-site.conf.j2", text)
    with pytest.raises(UsageError) as caught:
        check_templates(settings(), tmp_path)
    error = caught.value
    assert (error.slug, error.exit_code) == ("template", Exit.USAGE)
    assert error.message.startswith("templates/nginx-site.conf.j2:")
    assert said in error.message
    assert "\n" not in error.message


def test_a_mistake_in_an_included_template_names_that_one(tmp_path: Path) -> None:
    template(tmp_path, "web.service.j2", "[Unit]\n{% include 'part.j2' %}")
    template(tmp_path, "part.j2", "\n\n{{ nothing }}")
    with pytest.raises(UsageError, match=r"^templates/part\.j2:3: 'nothing' is undefined"):
        check_templates(settings(), tmp_path)


def test_a_branch_that_only_some_hosts_take_is_checked_too(tmp_path: Path) -> None:
    for condition in ("facts.ipv6", "not facts.ipv6", "facts.systemd_version < 254"):
        template(tmp_path, "logrotate.j2", f"{{% if {condition} %}}{{{{ wrong }}}}{{% endif %}}")
        with pytest.raises(UsageError, match="'wrong' is undefined"):
            check_templates(settings(), tmp_path)


def test_the_projects_template_wins_and_may_build_on_ours(tmp_path: Path) -> None:
    template(tmp_path, "maintenance.html.j2", "<p>{{ app }}: gone fishing</p>\n")
    template(tmp_path, "logrotate.j2", "# mine\n{% include 'cartwheel/logrotate.j2' %}")
    files = render_release(settings(), SAMPLES[0], "1.0", tmp_path)
    assert files["maintenance.html"].content == "<p>shop: gone fishing</p>\n"
    assert files["logrotate.conf"].content.startswith("# mine\n# shop: written by Cartwheel")


def test_our_own_templates_render_for_every_kind_of_settings(tmp_path: Path) -> None:
    (tmp_path / "gunicorn_conf.py").write_text("threads = 2\n")
    check_templates(settings(), tmp_path)
    check_templates(
        settings(
            environment="staging",
            web={"server_names": ["a.example"], "static_url": "/s/", "static_dir": "shop/s"},
            gunicorn={"workers": 3, "access_log": True, "preload": True},
            hardening={
                "memory_max": "512M",
                "memory_deny_write_execute": True,
                "read_write_paths": ["/mnt/my files"],
            },
        ),
        tmp_path,
    )


@pytest.mark.parametrize(
    ("config_file", "text", "slug", "said"),
    [
        ("missing.py", None, "settings", "missing.py: No such file or directory"),
        ("conf.py", "a = 1\nb = = 2\n", "template", "conf.py:2: invalid syntax"),
        ("conf.py", "a = '\0'", "template", "conf.py"),
    ],
)
def test_an_own_gunicorn_configuration_that_cannot_be_used(
    tmp_path: Path, config_file: str, text: str | None, slug: str, said: str
) -> None:
    if text is not None:
        (tmp_path / config_file).write_text(text)
    with pytest.raises(UsageError) as caught:
        check_templates(settings(gunicorn={"config_file": config_file}), tmp_path)
    assert caught.value.slug == slug
    assert said in caught.value.message


def test_the_filters_quote() -> None:
    assert systemd_word('/a b/"%n"\\') == '"/a b/\\"%%n\\"\\\\"'
    assert python_literal("it's ü\n") == '"it\'s \\xfc\\n"'
    assert Nginx().word("*.example.com") == "*.example.com"
    for wrong in ("a b", "a;b", "$host", 'a"b', "a{", ""):
        with pytest.raises(ValueError, match="is not allowed in nginx's configuration"):
            Nginx().word(wrong)
    with pytest.raises(ValueError, match="line break"):
        systemd_word("a\nb")


@pytest.mark.parametrize("server", ["nginx", "apache"])
@pytest.mark.parametrize(
    ("web", "setting"),
    [
        ({"paths": {"/admin/": {"allow": ("192.0.2.1",)}}}, "[web.paths] or web.rate_limit"),
        ({"rate_limit": "1/s"}, "[web.paths] or web.rate_limit"),
        ({"paths": {"/a.b~-c/": {"client_max_body_size": "1g"}}}, "[web.paths]"),
        ({"paths": {"/slow": {"timeout_seconds": 9}}}, "[web.paths]"),
        ({"server_names": ("a",), "redirect_names": ("www.a",)}, "web.redirect_names"),
        ({"error_pages": "shop/errors"}, "web.error_pages"),
        ({"extra": "expires 1h;"}, "web.extra"),
        ({"static": {"/assets/": {"folder": "shop/assets"}}}, "[web.static]"),
        ({"media": {"/media/": "media"}}, "[web.media]"),
    ],
)
def test_a_template_from_before_a_setting_is_refused(
    tmp_path: Path, server: str, web: dict[str, Any], setting: str
) -> None:
    """A rule that nobody holds would be worse than none."""
    own = settings(web={**web, "server": server})
    check_templates(own, tmp_path / "another")
    template(tmp_path, f"{server}-site.conf.j2", "# nothing\n")
    with pytest.raises(UsageError) as caught:
        check_templates(own, tmp_path)
    assert caught.value.message == (
        f"{server}-site.conf.j2: your own template has nothing of {setting}"
    )
