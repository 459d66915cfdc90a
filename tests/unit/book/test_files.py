"""What a page begins with that continues the story of others."""

from __future__ import annotations

from pathlib import Path

from book.files import write


def test_a_later_page_replaces_the_file_of_an_earlier_one(tmp_path: Path) -> None:
    first, second = tmp_path / "1.md", tmp_path / "2.md"
    first.write_text(
        '```python title="shop/web.py"\none\n```\n\n```text title="requirements.txt"\nflask\n```\n'
    )
    second.write_text('```python title="shop/web.py"\ntwo\n```\n\n```toml\n[env]\n```\n')
    write([first, second], tmp_path / "folder")
    files = {
        str(file.relative_to(tmp_path / "folder")): file.read_text()
        for file in (tmp_path / "folder").rglob("*")
        if file.is_file()
    }
    assert files == {"shop/web.py": "two\n", "requirements.txt": "flask\n"}
