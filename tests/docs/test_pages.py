# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_pages.py owns the proof that the manual pages are well formed, refer to pages that there
are, and hold no example that nobody tries."""
import functools
import json
import os
import re
import shutil
import subprocess

import pytest

import manual

MANUALS = [page for page in manual.pages() if not page.endswith(".md")]
KINDS = ("sh", "sql", "pam", "unit", "lines", "tried", "text")
OURS = r"\b((?:pam_)?certmap[a-z-]*)(?: Ns )?\((\d)\)"


def names_of(pages):
    return {tuple(page.rsplit("/", 1)[-1].rsplit(".", 1)) for page in pages}


@functools.cache
def installed():
    """The manual pages that `meson install` would put somewhere, with the files they are made of."""
    listed = json.loads(subprocess.run(
        ["meson", "introspect", "--installed", os.environ["CERTMAP_BUILD_DIR"]], check=True,
        capture_output=True, text=True).stdout)
    return {target.rsplit("/", 1)[-1]: source for source, target in listed.items()
            if "/man/man" in target}


@pytest.mark.parametrize("page", list(installed()))
def test_mandoc_has_nothing_to_say(page):
    # What is said without a place in the file is about the pages of this machine.
    done = subprocess.run([shutil.which("mandoc") or pytest.skip("mandoc is not installed"),
                           "-Tlint", "-W", "style", installed()[page]], check=False,
                          capture_output=True, text=True)
    assert [line for line in (done.stdout + done.stderr).splitlines() if ".db lacks" not in line] \
        == []


def test_every_page_of_the_tree_is_installed():
    assert {page.rsplit("/", 1)[-1] for page in MANUALS} <= set(installed())


@pytest.mark.parametrize("page", manual.pages())
def test_pages_that_are_referred_to_are_there(page):
    referred = set(re.findall(OURS, manual.text_of(page)))
    assert referred <= names_of(installed())


@pytest.mark.parametrize("page", MANUALS)
def test_date_name_and_section_of_a_page_are_those_of_its_file(page):
    name, section = page.rsplit("/", 1)[-1].rsplit(".", 1)
    assert re.match(rf'\.\\" SPDX-License-Identifier: LGPL-2\.1-or-later\n\.Dd \w+ \d+, \d+\n'
                    rf"\.Dt {name.upper()} {section}\n\.Os\n\.Sh NAME\n\.Nm {name}\n",
                    manual.text_of(page))


@pytest.mark.parametrize("example", manual.examples(), ids=str)
def test_no_example_is_left_untried(example):
    kind, *rest = example.kind.split(" ")
    assert kind in KINDS, f"{example}: nobody tries this; see tests/lib/manual.py\n{example.text}"
    assert bool(rest) == (kind in ("unit", "lines", "tried"))
    if kind == "tried":
        assert rest[0] == "by" and (manual.TREE / rest[1]).is_file()


COMMON = {"database", "json", "wait", "help", "usage", "version"}
OF_A_CHANGE = {"dry-run", "sql", "yes"}


def options_of_synopsis():
    """{verb: its options} in the SYNOPSIS of certmapctl(1)."""
    found = {}
    for usage in manual.section(manual.text_of("certmapd/ctl/certmapctl.1"),
                                "SYNOPSIS").split(".Nm\n"):
        verb = re.match(r"\.Cm (.+)\n", usage)
        if verb:
            found.setdefault(verb[1], set()).update(re.findall(r"Fl -([a-z-]+)", usage))
            if "Fl v\n" in usage:
                found[verb[1]].add("verbose")
    return found


def options_of_help(verb):
    said = subprocess.run(
        [f"{os.environ['CERTMAP_BUILD_DIR']}/certmapd/certmapctl", *verb.split(), "--help"],
        check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"^ +(?:-., +)?--([a-z-]+)", said, re.M))


@pytest.mark.parametrize("verb", options_of_synopsis())
def test_page_and_help_have_the_same_options(verb):
    page = manual.text_of("certmapd/ctl/certmapctl.1")
    helped, general = options_of_help(verb), COMMON | OF_A_CHANGE
    assert COMMON <= helped and (not helped & OF_A_CHANGE or OF_A_CHANGE <= helped)
    written = options_of_synopsis()
    # `explain` and `explain --last` are two lines of one verb, as are those of `history`.
    assert helped - general == written[verb] - general
    assert [name for name in general | helped
            if not re.search(rf"^\.It .*\B-{name}(?![a-z-])", page, re.M)] == []


def test_pam_certmap_8_has_every_key_of_the_log():
    source = (manual.TREE / "pam_certmap" / "report.c").read_text(encoding="utf-8")
    keys = set(re.findall(r'add_(?:value|item)\(&?line, "(\w+)"', source)) | \
        set(re.findall(r'add\(&?line, "(?: ?)(\w+)=', source))
    page = manual.section(manual.text_of("pam_certmap/pam_certmap.8"), "DIAGNOSTICS")
    listed = re.findall(r"^\.(?:It )?Cm (.+)$", page, re.M)
    assert keys - {word for line in listed for word in line.split(" , ")} == set() != keys


def test_certmapd_8_has_every_field_of_the_log():
    sources = "".join(path.read_text(encoding="utf-8")
                      for path in (manual.TREE / "certmapd").glob("*.c"))
    keys = re.findall(r'log_add(?:_number)?\(\s*&?\w+, "(\w+)"', sources)
    assert {f"CERTMAP_{key.upper()}" for key in keys} == \
        set(re.findall(r"CERTMAP_[A-Z_]+", manual.text_of("certmapd/certmapd.8"))) != set()
