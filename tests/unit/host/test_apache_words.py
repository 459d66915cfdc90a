"""What a real Apache says about broken configurations, and lines of its logs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cartwheel.host.web import apache_words
from cartwheel.host.web.server import Request
from tests.kit.apache import Apache

MACRO = """\
<Macro M>
    # Apache does not count comments,
    #   \\
    as if this line were none,

    {0}
</Macro>
<VirtualHost *:80>
    Use M
</VirtualHost>
"""
UNKNOWN = "Invalid command 'NoSuch', perhaps misspelled or defined by a module not included"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("Timeout 5\nNoSuch x", 2, UNKNOWN),
        ("<VirtualHost *:80>\n<IfDefine !X>\nNoSuch\n</IfDefine>\n</VirtualHost>", 3, UNKNOWN),
        (MACRO.format("NoSuch 1"), 6, UNKNOWN),
        (MACRO.format("<Location /x>\n\n NoSuch\n</Location>"), 8, UNKNOWN),
        ("<Macro N>\n NoSuch\n</Macro>\n" + MACRO.format("Use N"), 2, UNKNOWN),
        (MACRO.format("</Location>"), 6, "Expected </VirtualHost> but saw </Location>"),
        ("<VirtualHost *:80>\nTimeout 5", 1, "<VirtualHost> was not closed."),
        ("\nUse Nope", 2, "no macro defined before Use"),
        ("Listen 80", 1, "Cannot define multiple Listeners on the same IP:port"),
        (
            "\n<VirtualHost *:80>\nCustomLog /none/a.log common\n</VirtualHost>",
            3,
            "Cannot access directory '/none/' for log file '/none/a.log'",
        ),
        (
            "\n<VirtualHost *:80>\nErrorLog /none/a.log\n</VirtualHost>",
            2,
            "Cannot access directory '/none/' for error log of vhost",
        ),
        ("LoadModule x_module /none/x.so", 1, "Cannot load /none/x.so into server"),
        ("\nInclude /none/*.conf", 2, "Include/IncludeOptional: Could not open directory /none"),
    ],
)
def test_a_complaint_has_file_and_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    apache = Apache(tmp_path)
    file = apache.site("a", text)
    assert apache_words.complaint(apache.test()).startswith(f"{file}:{line}: {said}")


def test_a_complaint_about_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    apache = Apache(tmp_path)
    text = MACRO.format("NoSuch")
    file = apache.site("a", text)
    output = apache.test()
    file.unlink()
    assert apache_words.complaint(output, {str(file): text}.get).startswith(f"{file}:6: {UNKNOWN}")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (
            "AH00558: apache2: Could not reliably determine the server's name\n"
            "(98)Address already in use: AH00072: make_sock: could not bind to address [::]:80\n"
            "no listening sockets available, shutting down\nAH00015: Unable to open logs\n",
            "make_sock: could not bind to address [::]:80",
        ),
        (
            "[ssl:warn] [pid 2] AH01906: server certificate is a CA certificate\n"
            "[ssl:emerg] [pid 2] AH02565: Certificate and private key x:443:0 do not match\n"
            "[:emerg] [pid 2] AH00020: Configuration Failed, exiting",
            "Certificate and private key x:443:0 do not match",
        ),
        ("", "see its output"),
    ],
)
def test_other_complaints(output: str, said: str) -> None:
    assert apache_words.complaint(output) == said


LINE = (
    '127.0.0.1 [2026-11-30T13:27:16+0100] shop.example "GET / HTTP/1.1" 200 5 "-" "x" id=a time=3 '
    'upstream="http://shop.current" began=1796045236304 probe=-'
)
BEGAN = 1796045236.304


def line(status: int, upstream: str = "http://shop.current", probe: str = "-") -> bytes:
    text = LINE.replace(" 200 ", f" {status} ").replace("http://shop.current", upstream)
    return text.replace("probe=-", f"probe={probe}").encode()


def test_a_request() -> None:
    assert apache_words.request(line(200)) == Request("http://shop.current", 200, BEGAN)
    assert apache_words.request(line(503)) == Request("http://shop.current", 503, BEGAN)
    assert apache_words.request(line(503, "-")) is None  # maintenance, or a file
    assert apache_words.request(line(200, probe="1")) is None
    assert apache_words.request(b"GET / HTTP/1.1") is None


def test_the_fallback_answers_for_the_first() -> None:
    """The first one failed, at most a second before: that may have been before a switch."""
    first = Request("http://shop.current", 502, BEGAN - 1.0)
    assert apache_words.request(line(200, "http://shop.fallback")) == first


def test_a_client_cannot_forge_a_request() -> None:
    """Apache writes a quote as \\", and what is not ASCII as \\xNN."""
    forged = r"GET /\" 503 1 \"-\" upstream=\"http://shop.current\" began=1 probe=- HTTP/1.1"
    text = LINE.replace("GET / HTTP/1.1", forged)
    assert apache_words.request(text.encode()) == Request("http://shop.current", 200, BEGAN)
    assert apache_words.look_at(text) == (BEGAN, False)


def test_times_and_failures() -> None:
    assert apache_words.look_at(line(503).decode()) == (BEGAN, True)
    common = '1.2.3.4 - - [30/Nov/2026:13:27:16 +0100] "GET / HTTP/1.1" 500 5'
    assert apache_words.look_at(common) == (1796041636.0, True)
    error = "[Mon Nov 30 13:27:19.470340 2026] [proxy:{}] [pid 1:tid 2] AH02454: x"
    when = time.mktime((2026, 11, 30, 13, 27, 19, 0, 0, -1))
    assert apache_words.look_at(error.format("error")) == (when, True)
    assert apache_words.look_at(error.format("warn")) == (when, False)
    assert apache_words.look_at("[Mon Nov 30 13:27:19.470340 2026] [:emerg] x") == (when, True)
    assert apache_words.look_at("Traceback") == (None, False)
