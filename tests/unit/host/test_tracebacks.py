"""Tracebacks end at the application's own frames."""

from __future__ import annotations

from pathlib import Path

from cartwheel.host.system.tracebacks import own_files, shorten

SITE = "/srv/shop/releases/1/venv/lib/python3.11/site-packages"


def frame(file: str, line: int, name: str = "f") -> str:
    return f'  File "{file}", line {line}, in {name}\n    source\n    ^^^^^^\n'


TRACE = (
    "before\n[Traceback (most recent call last):\n"
    + frame(f"{SITE}/gunicorn/util.py", 130)
    + frame("<frozen importlib._bootstrap>", 1206)
    + frame(f"{SITE}/shop/web.py", 3, "<module>")
    + frame(f"{SITE}/flask/app.py", 7)
    + frame(f"{SITE}/shop/models.py", 9)
    + frame(f"{SITE}/sqlalchemy/orm.py", 11)
    + frame("/usr/lib/python3.11/json/__init__.py", 13, "loads")
    + "KeyError: 'DATABASE'\nafter\n"
)


def is_shop(file: str) -> bool:
    return file.startswith(f"{SITE}/shop/")


def test_it_shows_the_frames_of_the_application() -> None:
    assert shorten(TRACE, is_shop).splitlines() == [
        "before",
        "[Traceback (most recent call last):",
        "  (2 frames before)",
        *frame(f"{SITE}/shop/web.py", 3, "<module>").splitlines(),
        *frame(f"{SITE}/flask/app.py", 7).splitlines(),
        *frame(f"{SITE}/shop/models.py", 9).splitlines(),
        "  (2 frames below; the last is /usr/lib/python3.11/json/__init__.py:13 in loads)",
        "KeyError: 'DATABASE'",
        "after",
    ]


def test_a_traceback_without_the_application_stays() -> None:
    assert shorten(TRACE, lambda _file: False) == TRACE.rstrip("\n")
    assert shorten("Traceback (most recent call last):", lambda _file: True).count("\n") == 0


def test_which_files_are_the_applications(tmp_path: Path) -> None:
    for name, files in {
        "shop-1.0": ("shop/web.py,sha256=x,1", "shop_cli.py,,", "shop-1.0.dist-info/RECORD,,"),
        "flask-3.0": ("flask/app.py,,", "shopkeeper/x.py,,"),
    }.items():
        info = tmp_path / f"{name}.dist-info"
        info.mkdir()
        (info / "RECORD").write_text("\n".join(files) + "\n")
    is_own = own_files(tmp_path, "shop.web:app")
    assert is_own(f"{tmp_path}/shop/web.py")
    assert is_own(f"{tmp_path}/shop_cli.py")
    assert not is_own(f"{tmp_path}/flask/app.py")
    assert not is_own(f"{tmp_path}/shopkeeper/x.py")
    assert not is_own("/elsewhere/shop/web.py")
    assert own_files(tmp_path, "single:app")(f"{tmp_path}/single.py")
    assert not own_files(tmp_path, "")(f"{tmp_path}/shop/web.py")
