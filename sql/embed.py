#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the migrations into a C file, so that certmapctl carries them and reads none at run time.

embed.py OUT.c FILE.sql ...: the files in their order, which is the order of their numbers.
"""
import pathlib
import re
import sys

output, *inputs = sys.argv[1:]
names = [pathlib.Path(name).name for name in inputs]
numbers = [int(re.match(r"(\d{4})-", name).group(1)) for name in names]
if numbers != list(range(1, len(numbers) + 1)):
    sys.exit(f"migrations must be numbered 0001, 0002, ... without a gap: {names}")

with open(output, "w", encoding="ascii") as out:
    out.write("/* Made by sql/embed.py from the migrations beside it. */\n")
    out.write('#include "migrations.h"\n\n')
    for number, name in zip(numbers, inputs):
        data = pathlib.Path(name).read_bytes() + b"\0"
        out.write(f"static const char migration_{number}[] = {{\n")
        for start in range(0, len(data), 16):
            out.write("\t" + " ".join(f"{byte:d}," for byte in data[start:start + 16]) + "\n")
        out.write("};\n\n")
    out.write("const struct migration migrations[] = {\n")
    for number, name in zip(numbers, names):
        out.write(f'\t{{ "{name}", migration_{number} }},\n')
    out.write("};\n\n")
    out.write("const unsigned migration_count = sizeof migrations / sizeof migrations[0];\n")
