# SPDX-License-Identifier: LGPL-2.1-or-later
"""The table and the tests agree: each row has a test, and each test that is named is there."""
import ast

import pytest

import faults

TESTS = faults.HERE.parent
# Rows, by the first letter of their id, whose tests are not written yet.
MISSING = ()
COLUMNS = {"id", "do", "while", "expected", "note"}


def functions_of(path):
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def rows_run_here():
    return {decorator.args[0].value
            for path in faults.HERE.glob("test_*.py") for function in functions_of(path)
            for decorator in function.decorator_list
            if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name)
            and decorator.func.id == "fault"}


@pytest.mark.parametrize("row_id", [row_id for row_id in faults.ROWS
                                    if not row_id.startswith(MISSING)])
def test_each_row_has_a_test(row_id):
    assert (row_id in rows_run_here()) != (row_id in faults.COVERED)


@pytest.mark.parametrize("row_id", faults.COVERED)
def test_what_covers_a_row_is_there(row_id):
    file, *names = faults.COVERED[row_id]
    assert row_id in faults.ROWS and names
    assert set(names) <= {function.name for function in functions_of(TESTS / file)}


def test_each_row_says_what_is_done_and_what_must_be_seen():
    for row in faults.ROWS.values():
        assert set(row) == COLUMNS
        assert all(isinstance(text, str) for text in row.values()), row
        assert row["do"] and row["expected"]
