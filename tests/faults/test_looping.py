# SPDX-License-Identifier: LGPL-2.1-or-later
"""The judge of the answers is judged: it must see the wrong ones."""
import pytest

from looping import Answer, Truth, percentile, steady_percentile


@pytest.fixture
def edited():
    """Unmapped until 10 to 11, allowed from then until 20 to 21, unmapped again."""
    truth = Truth("unmapped")
    truth.begins += [10.0, 20.0]
    truth.ends += [11.0, 21.0]
    truth.reasons += ["allowed", "unmapped"]
    return truth


@pytest.mark.parametrize("begin, end, right", [
    (1, 2, {"unmapped"}), (9, 10.5, {"unmapped", "allowed"}), (10.2, 10.4, {"unmapped", "allowed"}),
    (10.9, 15, {"unmapped", "allowed"}), (11.5, 15, {"allowed"}),
    (15, 20.5, {"allowed", "unmapped"}),
    (21.1, 30, {"unmapped"}), (5, 30, {"unmapped", "allowed"}),
])
def test_an_answer_is_right_where_it_was_so_at_some_moment_of_its_lookup(edited, begin, end, right):
    reasons = ("unmapped", "allowed", "mapping-disabled", "WRONG", "none")
    assert {reason for reason in reasons
            if edited.is_right(Answer("alice", begin, end, reason))} == right


def test_a_change_counts_from_its_begin_to_its_end():
    truth = Truth("unmapped")
    with truth.changes("allowed"):
        assert len(truth.begins) == 2 and truth.ends == []
    assert len(truth.ends) == 1 and truth.begins[1] <= truth.ends[0]
    assert truth.reasons == ["unmapped", "allowed"]


def answers_that_took(seconds_at):
    return [Answer("alice", begin, begin + seconds_at(begin), "allowed") for begin in range(1000)]


def test_a_pause_is_in_one_part_and_what_is_slow_in_all():
    paused = answers_that_took(lambda begin: 1 if 300 <= begin < 320 else 0.01)
    assert percentile(paused, 0.99) == 1 and 0.009 < steady_percentile(paused, 0.99) < 0.011
    slow = answers_that_took(lambda begin: 1 if begin % 50 == 0 else 0.01)
    assert steady_percentile(slow, 0.99) == 1
