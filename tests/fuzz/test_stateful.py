# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_stateful.py tells a short story of stateful.py, another one each time: what fails prints the
seed."""
import random

import stateful

SECONDS = 10
# Among so many there is an edit and a look, whatever the seed, also where the seconds are not enough.
STEPS_MIN = 100


def test_a_random_life_is_answered_as_the_model_foretells():
    story = stateful.run(SECONDS, random.SystemRandom().randrange(2**32), steps_min=STEPS_MIN)
    assert story.counts["edit"] > 0 and story.counts["look"] > 0
