# SPDX-License-Identifier: LGPL-2.1-or-later
"""page.py owns the making of certmap-protocol(7) from PROTOCOL.md, so that the protocol is written
down once.

    page.py OUTPUT PROTOCOL.md

It knows the Markdown that PROTOCOL.md uses, and ends with an error where there is anything else:
headings, paragraphs, lists, tables, fenced blocks, and `code`, *emphasis* and **weight** in a line.
"""
import re
import sys
import textwrap

HEAD = """'\\" t
.\\" SPDX-License-Identifier: LGPL-2.1-or-later
.\\" Made from PROTOCOL.md by page.py.
.Dd November 22, 2026
.Dt CERTMAP-PROTOCOL 7
.Os
.Sh NAME
.Nm certmap-protocol
.Nd what a client and certmapd say to each other
.Sh DESCRIPTION
"""
FOOT = """.Sh SEE ALSO
unix(7), certmap(7), certmapd(8), pam_certmap(8)
"""
WIDTH = 76  # mandoc(1) minds input lines of more than 80 bytes
FONTS = (("**", "B"), ("*", "I"))
# Not in the words of ASCII.
CHARACTERS = {"\\": "\\e", "→": "\\(->", "–": "\\(en", "—": "\\(em", "…": "..."}


def escape(text):
    return "".join(CHARACTERS.get(character, character) for character in text)


def inline(text):
    """A run of text with its fonts. Code is taken out first: nothing in it is a mark."""
    out = []
    for index, part in enumerate(re.split(r"`([^`]*)`", text)):
        if index % 2:
            out.append("\\fB" + escape(part).replace("-", "\\-").replace(" ", "\\ ") + "\\fP")
            continue
        part = escape(re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", part))
        for mark, font in FONTS:
            inner = re.escape(mark)
            part = re.sub(rf"{inner}(\S(?:.*?\S)?){inner}", rf"\\f{font}\1\\fP", part)
        out.append(part)
    return "".join(out)


def lines_of(text):
    """Input lines: a new sentence begins on a new line, and nothing is taken for a request."""
    for sentence in re.split(r"(?<=[.?!])(?:(?<=[.?!])|(?<=[.?!]\)))\s+", " ".join(text.split())):
        for line in textwrap.wrap(inline(sentence), WIDTH, break_long_words=False,
                                  break_on_hyphens=False):
            yield "\\&" + line if line[0] in ".'" else line


def paragraph(text):
    return "\n".join(lines_of(text)) + "\n"


def heading(level, title):
    if level == 2:
        return f".Sh {inline(title).upper()}\n"
    return f".Ss {inline(title)}\n"


CELL_MAX = 60  # characters, beyond which a column is broken into lines


def wrapped(text):
    """A cell that tbl(1) breaks into lines."""
    lines = "\n".join(lines_of(text)) or "\\&"
    return f"T{{\n{lines}\nT}}"


def table(rows):
    """tbl(1). The columns of long cells, and the last, share the room that there is."""
    header, _, *body = [[cell.strip() for cell in row.strip().strip("|").split("|")]
                        for row in rows]
    columns = len(header)
    assert all(len(cells) == columns for cells in body), body
    long = [column == columns - 1 or any(len(cells[column]) > CELL_MAX for cells in body)
            for column in range(columns)]
    layout = " ".join("lx" if is_long else "l" for is_long in long)
    out = [".TS"]
    if any(header):
        out += [" ".join(["lb"] * columns), f"{layout}.",
                "\t".join(inline(cell) for cell in header)]
    else:
        out += [f"{layout}."]
    for cells in body:
        out.append("\t".join(wrapped(cell) if is_long else inline(cell)
                             for cell, is_long in zip(cells, long)))
    return "\n".join(out + [".TE"]) + "\n"


def items(lines):
    """The texts of a list's items, whose further lines are indented."""
    texts = []
    for line in lines:
        found = re.match(r"(?:-|\d+\.) +(.*)", line)
        if found:
            texts.append(found[1])
        else:
            assert line.startswith("  "), line
            texts[-1] += " " + line.strip()
    return texts


def bullets(lines, kind):
    body = "".join(".It\n" + paragraph(text) for text in items(lines))
    return f".Bl -{kind}\n{body}.El\n"


def literal(lines):
    body = "\n".join("\\&" + escape(line) if line[:1] in ("'", ".") else escape(line)
                     for line in lines)
    return f".Bd -literal -offset indent\n{body}\n.Ed\n"


def split(text):
    """The blocks of the page: (kind, lines)."""
    fence, block = None, []
    for line in text.splitlines():
        if fence is not None:
            if line == "```":
                yield "literal", fence
                fence = None
            else:
                fence.append(line)
        elif line.startswith("```") or not line:
            if block:
                yield "text", block
            block, fence = [], [] if line else None
        else:
            block.append(line)
    if block:
        yield "text", block


def render(kind, lines):
    first = lines[0]
    if kind == "literal":
        return literal(lines)
    if first.startswith("#"):
        assert len(lines) == 1, lines
        marks, title = first.split(" ", 1)
        return heading(len(marks), title)
    if first.startswith("|"):
        return table(lines)
    if first.startswith("- "):
        return bullets(lines, "bullet")
    if re.match(r"\d+\. ", first):
        return bullets(lines, "enum")
    assert not re.match(r"[>+=_]|<(?!\w)|    ", first), first
    return paragraph("\n".join(lines))


def page(text):
    text = re.sub(r"<!--.*?-->\n", "", text, flags=re.S)
    out, fresh = [HEAD], True
    for kind, lines in split(text):
        if lines[0].startswith("# "):
            continue
        block = render(kind, lines)
        is_heading = block.startswith((".Sh", ".Ss"))
        # No empty paragraph below a heading, nor before a block that makes its own room.
        if not (fresh or is_heading or block.startswith((".Bl", ".Bd"))):
            out.append(".Pp\n")
        out.append(block)
        fresh = is_heading
    return "".join(out) + FOOT


def main():
    output, source = sys.argv[1:]
    with open(source, encoding="utf-8") as markdown:
        made = page(markdown.read())
    with open(output, "w", encoding="ascii") as manual:
        manual.write(made)


if __name__ == "__main__":
    main()
