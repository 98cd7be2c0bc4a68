# SPDX-License-Identifier: LGPL-2.1-or-later
"""manual.py owns the reading of README.md and the manual pages: the sections of a page, and its
examples with what each of them is, so that a test can try it.

An example is a literal block of a manual (.Bd -literal) or a fenced block of Markdown. What it is
follows from its first word; where that does not tell, from a mark in the line before the block,

    .\\" example: KIND           in a manual,
    <!-- example: KIND -->      in Markdown (or the word behind the fence).

The kinds, and who tries them:

    sh                commands of root. tests/box/test_examples.py runs them in a booted machine
    sql               typed into the sqlite3 shell by tests/docs/test_examples.py
    pam               lines of /etc/pam.d, put through libpam and the module by the same test
    unit NAME         a drop-in of that unit, checked by `systemd-analyze verify` in the box
    lines of PATH     each line stands in that file of the tree, which a test of its own tries
    tried by PATH     that test runs it
    text              a picture: nothing that anybody could type
"""
import dataclasses
import pathlib
import re

TREE = pathlib.Path(__file__).resolve().parents[2]

SH = ("certmapctl", "systemctl", "journalctl", "sqlite3", "install", "systemd-creds", "apt-get",
      "meson", "certmapd", "adduser", "usermod", "rm", "tests/run")
SQL = ("SELECT", "INSERT", "UPDATE", "DELETE", "BEGIN", "PRAGMA", "--")
PAM = ("auth", "account", "session", "password")


@dataclasses.dataclass
class Example:
    page: str  # relative to the tree
    line: int  # of its first line
    kind: str  # "" where nothing tells
    text: str

    def __str__(self):
        return f"{self.page}:{self.line}"


def pages():
    """The manual pages and the Markdown of the tree, relative to it."""
    manuals = [path for directory in ("certmapd", "pam_certmap", "sql")
               for path in sorted((TREE / directory).rglob("*.[1578]"))]
    return [str(path.relative_to(TREE)) for path in [*manuals, *sorted(TREE.glob("*.md"))]]


def text_of(page):
    return (TREE / page).read_text(encoding="utf-8")


def unroff(line):
    """A line of a literal block as a reader sees it."""
    return re.sub(r"\\(e|&|-)", lambda found: {"e": "\\", "&": "", "-": "-"}[found[1]], line)


def guess(text):
    words = text.split()
    first = words[0] if words else ""
    if first in SH:
        return "sh"
    if first.startswith(SQL) or re.match(r"\.[a-z]+ ", text):
        return "sql"
    return "pam" if first in PAM else ""


def blocks_of_manual(text):
    """(line number, mark, text) of each literal block."""
    mark, start, body = "", None, []
    for number, line in enumerate(text.splitlines(), 1):
        if start is None:
            found = re.fullmatch(r'\.\\" example: (.+)', line)
            if line.startswith(".Bd -literal"):
                start, body = number + 1, []
            else:
                mark = found[1] if found else ""
        elif line == ".Ed":
            yield start, mark, "".join(body)
            start, mark = None, ""
        else:
            body.append(unroff(line) + "\n")


def blocks_of_markdown(text):
    mark, start, body = "", None, []
    for number, line in enumerate(text.splitlines(), 1):
        if start is None:
            found = re.fullmatch(r"<!-- example: (.+) -->", line)
            if line.startswith("```"):
                start, body, mark = number + 1, [], mark or line[3:]
            else:
                mark = found[1] if found else ""
        elif line == "```":
            yield start, mark, "".join(body)
            start, mark = None, ""
        else:
            body.append(line + "\n")


def examples_of(page):
    blocks = blocks_of_markdown if page.endswith(".md") else blocks_of_manual
    return [Example(page, line, mark or guess(text), text)
            for line, mark, text in blocks(text_of(page))]


def examples(kind=""):
    """Those of this kind on all pages; of every kind where none is named."""
    return [example for page in pages() for example in examples_of(page)
            if not kind or example.kind.split()[:1] == [kind]]


def section(text, title, macro="Sh"):
    """The source of a section or subsection of a manual, up to the next of its rank."""
    ends = r"^\.Sh |\Z" if macro == "Sh" else r"^\.S[hs] |\Z"
    return re.search(rf"^\.{macro} {re.escape(title)}\n(.*?)(?={ends})", text,
                     re.M | re.S).group(1)


def tagged(text, macro):
    """The words that the items of a list are tagged with: `.It Va id , Va service`."""
    return [word for line in re.findall(rf"^\.It ({macro} .*)$", text, re.M)
            for word in line.split() if word not in (macro, ",")]
