# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_protocol_manual.py owns the proof that certmap-protocol(7) says every word of PROTOCOL.md, as
mandoc shows it to a reader, and nothing else."""
import collections
import os
import pathlib
import re
import subprocess
import sys

import pytest

import manual

PROTOCOL = manual.TREE / "certmapd/protocol"
sys.path.insert(0, str(PROTOCOL))
import page  # noqa: E402

WIDE = 500  # columns, so that no cell of a table is broken


def words(text):
    return collections.Counter(re.findall(r"\w+", text.casefold()))


def shown(source, tmp_path):
    path = tmp_path / "page.7"
    path.write_text(source, encoding="ascii")
    return subprocess.run(["mandoc", "-Tutf8", "-O", f"width={WIDE}", path], check=True,
                          capture_output=True, text=True).stdout


def without_overstrikes(text):
    return re.sub(".\b", "", text)


def body(text):
    """Without what page.py puts around it, and the lines at the edges of the page."""
    return text.split("DESCRIPTION\n", 1)[1].rsplit("SEE ALSO\n", 1)[0]


def test_every_word_is_shown_and_no_other(tmp_path):
    source = (PROTOCOL / "PROTOCOL.md").read_text(encoding="utf-8")
    made = without_overstrikes(shown(page.page(source), tmp_path))
    source = re.sub(r"<!--[^>]*-->\n|^# .*\n|^```.*$|^\|[-|]+\|$", "", source, flags=re.M)
    assert words(body(made)) == words(source)


def test_no_mark_is_left_over(tmp_path):
    source = (PROTOCOL / "PROTOCOL.md").read_text(encoding="utf-8")
    made = without_overstrikes(shown(page.page(source), tmp_path))
    assert not re.search(r"\*\*|`|\||\\f", made)


def test_what_it_does_not_know_stops_it():
    with pytest.raises(AssertionError):
        page.page("> a quotation\n")


def test_a_line_is_never_taken_for_a_request(tmp_path):
    assert ".Sh is none" in shown(page.page("A line. .Sh is none\n\n'br is none either\n"), tmp_path)


def test_the_installed_page_is_made_from_it():
    built = pathlib.Path(os.environ["CERTMAP_BUILD_DIR"],
                         "certmapd/protocol/certmap-protocol.7").read_text(encoding="ascii")
    assert built == page.page((PROTOCOL / "PROTOCOL.md").read_text(encoding="utf-8"))
