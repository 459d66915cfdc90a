"""The compiler or library that a build from source lacks, from the output of real builds."""

from __future__ import annotations

import pytest

from cartwheel.host.release.build_advice import built, missing, remedy

OUTPUTS = {
    "error: command 'gcc' failed: No such file or directory": "build-essential",
    "error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory": "build-essential",
    "unable to execute 'x86_64-linux-gnu-gcc': No such file or directory": "build-essential",
    "FileNotFoundError: [Errno 2] No such file or directory: 'cc'": "build-essential",
    "../meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc']]": "build-essential",
    "src/x.c:1:10: fatal error: Python.h: No such file or directory": "python3-dev",
    "Error: pg_config executable not found.": "libpq-dev",
    "./psycopg/psycopg.h:36:10: fatal error: libpq-fe.h: No such file or directory": "libpq-dev",
    "Exception: Can not find valid pkg-config name.": "default-libmysqlclient-dev",
    "c/_cffi_backend.c:15:10: fatal error: ffi.h: No such file or directory": "libffi-dev",
    "Error: Please make sure the libxml2 and libxslt development packages are installed.": (
        "libxml2-dev"
    ),
    "fatal error: openssl/ssl.h: No such file or directory": "libssl-dev",
    "Modules/common.h:15:10: fatal error: lber.h: No such file or directory": "libldap2-dev",
    "error: can't find Rust compiler; rustc is not installed or not found": "cargo",
    "Cargo, the Rust package manager, is not installed or is not on PATH.": "cargo",
    "The headers or library files could not be found for jpeg,": "libjpeg-dev",
    "/bin/sh: 1: cmake: not found": "cmake",
    "Exception: you need a C compiler to build uWSGI": "build-essential",
    "CMake Error: your CXX compiler was not found": "build-essential",
}


@pytest.mark.parametrize("output", OUTPUTS)
def test_what_a_build_lacks(output: str) -> None:
    what, packages = missing(f"Building wheel\n  {output}\n  note: this is not a problem with pip")
    assert what
    assert OUTPUTS[output] in packages


@pytest.mark.parametrize(
    "output",
    [
        "ERROR: No matching distribution found for flask==99",
        "error: command '/usr/bin/gcc' failed with exit code 1",
        "SyntaxError: invalid syntax",
    ],
)
def test_what_says_nothing_about_packages(output: str) -> None:
    assert missing(output) == ("", ())


@pytest.mark.parametrize(
    ("output", "file"),
    [
        ("src/x.c:3:10: fatal error: portaudio.h: No such file or directory", "portaudio.h"),
        (
            "a.cc:1:10: fatal error: gdal/cpl_port.hpp: No such file or directory",
            "gdal/cpl_port.hpp",
        ),
        ("Package libsystemd was not found in the pkg-config search path.", "libsystemd.pc"),
        ("Package 'dbus-1', required by 'virtual:world', not found", "dbus-1.pc"),
        ("No package 'libvirt' found", "libvirt.pc"),
        ('../meson.build:31:12: ERROR: Dependency "cairo" not found, tried pkgconfig', "cairo.pc"),
    ],
)
def test_a_file_whose_package_is_not_known(output: str, file: str) -> None:
    assert missing(f"first\n{output}\nlast") == (file, ())
    assert f"`apt-file search {file}`" in remedy(file, ())


@pytest.mark.parametrize(
    ("output", "name"),
    [
        (
            "  ERROR: Failed building wheel for python-ldap\nFailed to build python-ldap",
            "python-ldap",
        ),
        ("ERROR: Failed to build 'mysqlclient' when getting requirements", "mysqlclient"),
        ("error: Failed to build `systemd-python==235`", "systemd-python"),
        ("\u00d7 Failed to build installable wheels for some", "a package"),
        ("", "a package"),
    ],
)
def test_the_package_whose_build_failed(output: str, name: str) -> None:
    assert built(output) == name
