# SPDX-License-Identifier: LGPL-2.1-or-later
"""report.py owns what people read: the table, the chart, and their way into the README."""
import pathlib
import platform
import re
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
LICENCE = "SPDX-License-Identifier: LGPL-2.1-or-later"
README = HERE.parent.parent / "README.md"
RESULTS = HERE / "results.md"
CHART = HERE / "lookup.svg"
CHART_DATA = HERE / "lookup.dat"
CHART_COMMANDS = HERE / "lookup.gnuplot"


class Row:
    """One line of the table. `ratio` is to the floor that `what` names; `target` bounds it. `key`:
    its words in the README, where it stands without its section; None: it is not there."""

    def __init__(self, section, what, figure, ratio=None, target=None, key=None):
        self.section = section
        self.what = what
        self.figure = figure
        self.ratio = ratio
        self.target = target
        self.key = key

    def as_key(self):
        return Row("", self.key, self.figure, self.ratio, self.target)

    def cells(self):
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        if self.target is None:
            return self.what, self.figure, ratio, "", ""
        bound, value, words = self.target
        is_met = value >= bound if words.startswith("at least") else value <= bound
        return self.what, self.figure, ratio, words, "met" if is_met else "missed"


def at_most(bound, value, unit=""):
    return bound, value, f"at most {bound:g}{unit}"


def at_least(bound, value, unit=""):
    return bound, value, f"at least {bound:g}{unit}"


def usec(nsec):
    """A time for people."""
    value = nsec / 1000
    for limit, scale, unit in ((1000, 1, "µs"), (1000000, 1000, "ms")):
        if value < limit:
            return f"{value / scale:.3g} {unit}"
    return f"{value / 1000000:.3g} s"


def table(rows):
    """In Markdown, with columns as wide as what is in them."""
    lines = [("what", "measured", "ratio", "target", "")] + [row.cells() for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    text = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
            for line in lines]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def sections(rows):
    names = list(dict.fromkeys(row.section for row in rows))
    return "\n\n".join(f"{name}\n\n{table([row for row in rows if row.section == name])}"
                       for name in names)


# The bench is two busy processes; what others need beside them is missing in the figures.
BUSY_LOAD = 0.5
BUSY = (". **The machine was busy with other work**: times are too long, and ratios to an exchange "
        "that fits between two turns of the scheduler too high. Run it again on a quiet one")


def machine():
    load = float(pathlib.Path("/proc/loadavg").read_text("ascii").split()[0])
    busy = BUSY if load > BUSY_LOAD else ""
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text("ascii"))
    cores = len(re.findall(r"^processor", pathlib.Path("/proc/cpuinfo").read_text("ascii"), re.M))
    return (f"{cores} cores, {model.group(1) if model else platform.machine()}, "
            f"Linux {platform.release()}, {time.strftime('%Y-%m-%d', time.gmtime())}, "
            f"load {load:.2f} at the start{busy}")


def write_chart(points):
    """`points`: number of mappings, and the times in microseconds of floor, hit and miss."""
    CHART_DATA.write_text(
        f"# {LICENCE}\n# mappings  raw_exchange  hit  miss    (p50 at one client, microseconds)\n" +
        "".join(" ".join(f"{value:g}" for value in point) + "\n" for point in points),
        encoding="ascii")
    subprocess.run(["gnuplot", CHART_COMMANDS.name], cwd=HERE, check=True)
    # In front of it the XML declaration alone may stand.
    declaration, chart = CHART.read_text(encoding="utf-8").split("\n", 1)
    CHART.write_text(f"{declaration}\n<!-- {LICENCE} -->\n{chart}", encoding="utf-8")


def write(rows, points, introduction):
    """The files beside this one, and the part of the README between its marks."""
    RESULTS.write_text(f"<!-- {LICENCE} -->\n# Results of `tests/bench/run --write`\n\n"
                       f"{introduction}\n\n{sections(rows)}\n", encoding="utf-8")
    if points:
        write_chart(points)
    key = table([row.as_key() for row in rows if row.key])
    readme = README.read_text(encoding="utf-8")
    marked = re.compile(r"(<!-- bench -->\n).*?(<!-- /bench -->)", re.S)
    if not marked.search(readme):
        raise RuntimeError("README.md has lost the marks <!-- bench --> and <!-- /bench -->")
    README.write_text(marked.sub(
        lambda found: f"{found[1]}{introduction}\n\n{key}\n{found[2]}", readme), encoding="utf-8")
