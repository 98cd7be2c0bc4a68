# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every file says what its licence is, where it has a place to say it."""
import difflib
import os
import pathlib
import subprocess

TREE = pathlib.Path(__file__).resolve().parents[1]
LINE = b"SPDX-License-Identifier: LGPL-2.1-or-later"
FIRST_LINES = 3  # below "#!", and the type of a manual page

# No place for a comment: debian/copyright speaks for them.
BARE = {"LICENSE", "debian/changelog", "debian/source/format", "debian/libpam-certmap.pam-config",
        "debian/certmapd.README.Debian", "debian/libpam-certmap.README.Debian"}


def files():
    """Those under version control; in a release, which has none, those where nobody builds."""
    try:
        listed = subprocess.run(["git", "-c", "safe.directory=*", "-C", TREE, "ls-files", "-z"],
                                capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        listed = b""
    # A release that is unpacked inside of somebody's repository is under nobody's control, either.
    if listed:
        return [os.fsdecode(name) for name in listed.split(b"\0") if name]
    found = [path for directory in ("certmapd", "pam_certmap", "sql", "tests")
             for path in (TREE / directory).rglob("*")]
    return ["meson.build"] + [str(path.relative_to(TREE)) for path in found
                              if path.is_file() and "__pycache__" not in path.parts]


def is_data(name):
    """Bytes that a test feeds to the code are what they are, and a table is its rows."""
    is_input = name.startswith("tests/fuzz/") and name.count("/") == 3  # of the target that it lies by
    return name.endswith(".tsv") or is_input or b"\0" in (TREE / name).read_bytes()


def test_every_file_names_its_licence():
    present = [name for name in files() if (TREE / name).is_file()]
    assert "meson.build" in present
    silent = [name for name in present if name not in BARE and not is_data(name)
              and LINE not in b"\n".join((TREE / name).read_bytes().split(b"\n")[:FIRST_LINES])]
    assert silent == []


# Where the FSF is to be found, and whom its example names: Debian 13's copy has them of later years.
OF_ITS_YEAR = ("Franklin Street", "write to the Free Software", "fsf.org", "www.gnu.org/licenses",
               "Ty Coon", "Moe Ghoul")


def test_licence_is_the_whole_text():
    """As debian.org's base-files has it, where that is installed."""
    text = (TREE / "LICENSE").read_text()
    assert "GNU LESSER GENERAL PUBLIC LICENSE\n                       Version 2.1" in text
    common = pathlib.Path("/usr/share/common-licenses/LGPL-2.1")
    if common.exists():
        changed = [line for line in difflib.ndiff(text.splitlines(), common.read_text().splitlines())
                   if line.startswith(("- ", "+ ")) and not any(of in line for of in OF_ITS_YEAR)]
        assert changed == []
