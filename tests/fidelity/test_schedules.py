"""How many candidates get how much: numbers only."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV

from skhpo.fidelity import Halving, Hyperband

SIZES = [(1, 1, 1), (2, 1, 100), (5, 20, 300), (30, 20, 10_000), (81, 1, 81), (7, 9, 9)]


@pytest.mark.parametrize("n_candidates, smallest, largest", SIZES)
@pytest.mark.parametrize("factor", [2, 3, 2.5])
@pytest.mark.parametrize("Schedule", [Halving, Hyperband])
def test_every_bracket_ends_with_everything(
    Schedule, factor, n_candidates, smallest, largest
):
    schedule = Schedule(factor=factor)
    brackets = schedule.brackets(n_candidates, smallest, largest)
    assert sum(rungs[0][0] for rungs in brackets) == n_candidates
    for rungs in brackets:
        sizes, resources = np.array(rungs).T
        assert resources[-1] == largest
        assert (resources >= smallest).all()
        assert (np.diff(resources) > 0).all()
        np.testing.assert_array_equal(sizes[1:], np.ceil(sizes[:-1] / factor))


class Constant(BaseEstimator):
    def __init__(self, a=0, size=1):
        self.a = a
        self.size = size

    def fit(self, X, y=None):
        return self

    def score(self, X, y=None):
        return self.a


@pytest.mark.parametrize("n_candidates", [2, 3, 8, 9, 28])
@pytest.mark.parametrize("largest", [1, 5, 27, 54, 81])
def test_rungs_are_those_of_scikit_learn(n_candidates, largest):
    theirs = HalvingGridSearchCV(
        Constant(),
        {"a": range(n_candidates)},
        resource="size",
        max_resources=largest,
        cv=2,
    ).fit(np.zeros((4, 1)))
    (ours,) = Halving().brackets(n_candidates, 1, largest)
    assert [size for size, _ in ours] == theirs.n_candidates_
    if largest % 3 ** (len(ours) - 1) == 0:  # theirs rounds the first one
        assert [resources for _, resources in ours] == theirs.n_resources_


def test_brackets_of_hyperband_cost_about_the_same():
    brackets = Hyperband().brackets(1000, 1, 81)
    assert [len(rungs) for rungs in brackets] == [5, 4, 3, 2, 1]
    costs = [sum(n * each for n, each in rungs) for rungs in brackets]
    assert max(costs) < 1.1 * min(costs)


@pytest.mark.parametrize("Schedule", [Halving, Hyperband])
@pytest.mark.parametrize(
    "options, message",
    [
        ({"resource": 3}, "resource = 3"),
        ({"resource": ""}, "resource = ''"),
        ({"factor": 1}, "factor = 1 "),
        ({"factor": "3"}, "factor = '3'"),
        ({"factor": np.nan}, "factor = nan"),
        ({"min_resources": 0}, "min_resources = 0"),
        ({"min_resources": True}, "min_resources = True"),
        ({"min_resources": "smallest"}, "min_resources = 'smallest'"),
        ({"max_resources": 2.5}, "max_resources = 2.5"),
        ({"max_resources": "all"}, "max_resources = 'all'"),
        ({"resource": "max_iter"}, "max_resources = 'auto'.*'max_iter'"),
        ({"random_state": None}, "random_state = None"),
        ({"random_state": -1}, "random_state = -1"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(Schedule, options, message):
    with pytest.raises(ValueError, match=message):
        Schedule(**options)


@pytest.mark.parametrize("schedule", [Halving, Hyperband])
@pytest.mark.parametrize("factor", [1.1, 1.5, 3])
def test_no_rung_of_a_bracket_repeats_the_resources_of_another(schedule, factor):
    for bracket in schedule(factor=factor).brackets(30, 1, 4):
        amounts = [n_resources for _, n_resources in bracket]
        assert amounts == sorted(set(amounts))
        assert amounts[-1] == 4
