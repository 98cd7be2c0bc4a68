# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds that are set up in another way than the one that the other tests are for."""
import json
import os
import pathlib
import subprocess
import tempfile

import pytest

TREE = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(name="directory")
def make_directory():
    with tempfile.TemporaryDirectory(prefix="certmap-build.", dir="/var/tmp") as directory:
        yield pathlib.Path(directory)


def run(*command):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_nothing_that_a_test_starts_is_left_out_of_the_build():
    """Before meson 1.7 it was built in any case, and after that only where it says so."""
    targets = json.loads(run("meson", "introspect", "--targets",
                             os.environ.get("CERTMAP_BUILD_DIR", TREE / "build")))
    left_out = {target["name"] for target in targets
                if target["type"] == "executable" and not target["build_by_default"]}
    assert {name for name in left_out if not name.startswith("fuzz-")} == set()


def test_build_without_any_optional_feature_works(directory):
    """The tests of certmapctl from outside read JSON; tests/shell has one of a build without it."""
    build = directory / "build"
    run("meson", "setup", "-Dauto_features=disabled", "-Dwerror=true", build, TREE)
    run("ninja", "-C", build)
    certmapctl, database = build / "certmapd/certmapctl", directory / "mappings.db"
    for library in ("smartcols", "jansson", "xml2", "csv"):
        assert library not in run("ldd", certmapctl)
    run("meson", "test", "-C", build, "--no-rebuild", "--suite", "unit", "--suite", "module")

    run(TREE / "tests/lib/certificates", "ca", directory)
    run(TREE / "tests/lib/certificates", "client", directory, "root")
    run(certmapctl, "init", "--database", database)
    run(certmapctl, "add", "--database", database, "root", directory / "root.cer")
    assert "in force" in run(certmapctl, "list", "--database", database)
    refused = subprocess.run([certmapctl, "list", "--database", database, "--json"],
                             capture_output=True, text=True, check=False)
    assert refused.returncode != 0 and "without" in refused.stderr


def test_every_directory_is_an_option(directory):
    options = {"prefix": "/opt/certmap", "pamlibdir": "/o/pam", "systemdsystemunitdir": "/o/unit",
               "sysusersdir": "/o/sysusers", "tmpfilesdir": "/o/tmpfiles",
               "bashcompletiondir": "/o/completions"}
    run("meson", "setup", "-Dtests=false", *(f"-D{name}={path}" for name, path in options.items()),
        directory, TREE)
    listed = json.loads(run("meson", "introspect", "--installed", directory))
    places = [pathlib.Path(path) for path in listed.values()]
    assert {str(path.parent) for path in places} - {"/o/completions"} >= {
        "/opt/certmap/bin", "/opt/certmap/sbin", "/opt/certmap/share/certmap/sql", "/o/pam",
        "/o/unit", "/o/sysusers", "/o/tmpfiles"}
    outside = [path for path in places
               if not any(path.is_relative_to(root) for root in options.values())]
    assert outside == []
    # What is written into the units follows.
    unit = (directory / "certmapd/systemd/certmapd.service").read_text()
    assert "\nExecStart=/opt/certmap/sbin/certmapd " in unit
    assert "\nExecPaths=/opt/certmap/sbin/certmapd " in unit


def test_directories_that_are_not_given_are_those_of_the_system(directory):
    run("meson", "setup", "-Dtests=false", directory, TREE)
    places = json.loads(run("meson", "introspect", "--installed", directory)).values()
    # systemd-path(1), because systemd.pc is in a package of its own from Debian 13 on: then it is what
    # stands in certmapd/systemd/meson.build that must be right.
    for name, *command in (("certmapd.service", "systemd-path", "systemd-system-unit"),
                           ("certmapd.socket", "systemd-path", "systemd-system-unit"),
                           ("sysusers", "systemd-path", "sysusers"),
                           ("tmpfiles", "systemd-path", "tmpfiles"),
                           ("certmapctl", "pkg-config", "--variable=completionsdir",
                            "bash-completion")):
        wanted = run(*command).strip()
        assert any(path.startswith(wanted + "/") and name in path for path in places), name
    [module] = [path for path in places if path.endswith("/pam_certmap.so")]
    assert pathlib.Path(module).with_name("pam_unix.so").exists()
