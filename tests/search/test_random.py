"""RandomSearch beyond RandomizedSearchCV: distinct candidates and Sobol designs."""

import warnings

import numpy as np
import pytest
from scipy.stats import binom, loguniform, randint, uniform
from sklearn.datasets import load_iris
from sklearn.model_selection import RandomizedSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skhpo import Categorical, Integer, RandomSearch, Real
from skhpo.space import Space
from skhpo.strategies.random import RandomStrategy

X, y = load_iris(return_X_y=True)
SPACES = {
    "lists": {"C": [0.1, 1, 10, 100], "kernel": ["linear", "rbf"]},
    "distributions": {"C": loguniform(0.1, 100), "kernel": ["linear", "rbf"]},
    "branches": [
        {"C": loguniform(0.1, 100), "kernel": ["linear"]},
        {"C": uniform(1, 9), "gamma": loguniform(1e-3, 1)},
    ],
}


def draw(space, n_iter=20, random_state=0, **options):
    strategy = RandomStrategy(Space(space), n_iter, random_state, **options)
    candidates = []
    while batch := strategy.ask(7):
        candidates += batch
    return [candidate.params for candidate in candidates], strategy.exhausted_reason


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("seed", [0, np.random.RandomState(3), None])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_candidates_and_scores_are_those_of_randomized_search_cv(space, seed, n_jobs):
    results = []
    for cls in [RandomizedSearchCV, RandomSearch]:
        if seed is None:
            np.random.seed(5)
        elif seed != 0:
            seed.seed(3)
        search = cls(SVC(), space, n_iter=8, random_state=seed, n_jobs=n_jobs)
        results.append(search.fit(X, y).cv_results_)
    expected, found = results
    assert found["params"] == expected["params"]
    np.testing.assert_array_equal(found["mean_test_score"], expected["mean_test_score"])


def test_repeats_are_skipped_and_others_drawn():
    space = {"max_depth": randint(1, 12)}
    params, reason = draw(space, n_iter=9, random_state=0)
    assert len({p["max_depth"] for p in params}) == len(params) == 9
    assert reason == "n_iter candidates evaluated"
    sklearn = RandomizedSearchCV(
        DecisionTreeClassifier(), space, n_iter=40, random_state=0
    )
    drawn = [p["max_depth"] for p in sklearn.fit(X, y).cv_results_["params"]]
    assert [p["max_depth"] for p in params] == list(dict.fromkeys(drawn))[:9]


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("design", ["random", "sobol"])
@pytest.mark.parametrize(
    "space",
    [
        {"max_depth": [1, 2, 3], "criterion": ["gini", "entropy"]},
        {"max_depth": randint(1, 4), "criterion": ["gini", "entropy"]},
        {"max_depth": Integer(1, 3), "criterion": Categorical(["gini", "entropy"])},
    ],
)
def test_a_space_of_six_points_gives_six_evaluations_and_one_warning(
    space, design, n_jobs
):
    search = RandomSearch(
        DecisionTreeClassifier(random_state=0),
        space,
        n_iter=20,
        design=design,
        random_state=0,
        n_jobs=n_jobs,
    )
    with pytest.warns(UserWarning) as caught:
        search.fit(X, y)
    assert len(caught) == 1
    assert "n_iter = 20 exceeds the 6 points of the space" in str(caught[0].message)
    assert (search.n_candidates_, search.n_fits_) == (6, 30)
    assert search.stop_reason_ == "search space exhausted"


def test_exactly_the_whole_space_is_no_reason_to_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        params, reason = draw({"C": [1, 2, 3]}, n_iter=3)
    assert sorted(p["C"] for p in params) == [1, 2, 3]
    assert reason == "n_iter candidates evaluated"


def test_duplicate_values_of_a_list_count_once():
    params, _ = draw({"C": [1, 1, 1, 1, 1, 1, 2, 3]}, n_iter=3)
    assert sorted(p["C"] for p in params) == [1, 2, 3]


class Coin:
    """A distribution of a user's own, which says nothing about its size."""

    def rvs(self, random_state=None):
        return int(random_state.randint(2))


def test_a_space_of_unknown_size_is_given_up_with_a_warning():
    with pytest.warns(
        UserWarning, match="gave nothing new.*n_iter = 5 candidates the 2 found"
    ):
        params, reason = draw({"C": Coin()}, n_iter=5)
    assert [p["C"] for p in params] in ([0, 1], [1, 0])
    assert reason == "search space exhausted"


def test_values_too_unlikely_to_be_drawn_do_not_hold_up_the_search():
    with pytest.warns(UserWarning, match="Values that are less likely are left out"):
        params, reason = draw({"C": binom(100, 0.5)}, n_iter=101)
    assert 30 < len(params) < 101
    assert reason == "search space exhausted"


@pytest.mark.parametrize("exponent", [6, 12, 19, 40])
def test_spaces_of_any_size_start_at_once(exponent):
    digits = {f"x{i}": list(range(10)) for i in range(exponent)}
    params, _ = draw(digits, n_iter=50)
    assert len({tuple(p.values()) for p in params}) == 50
    means = np.mean([list(p.values()) for p in params])
    assert means == pytest.approx(4.5, abs=0.6)  # 3.6 sigma or more at 6 digits


def test_the_global_generator_is_left_alone_when_there_is_a_seed():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    RandomSearch(GaussianNB(), {"var_smoothing": uniform(0, 1)}, random_state=1).fit(
        X, y
    )
    np.testing.assert_array_equal(np.random.get_state()[1], before)


SOBOL_SPACE = {
    "C": Real(1e-3, 1e3, log=True),
    "degree": Integer(1, 8),
    "kernel": ["linear", "poly", "rbf", "sigmoid"],
}


def test_a_sobol_design_is_even_in_every_dimension():
    params, _ = draw(SOBOL_SPACE, n_iter=64, design="sobol")
    logs = np.sort(np.log10([p["C"] for p in params]))
    # Each of 64 equal bins of the unit interval holds one point.
    np.testing.assert_array_equal(np.floor((logs + 3) / 6 * 64), np.arange(64))
    for name, n_values in [("degree", 8), ("kernel", 4)]:
        _, counts = np.unique([p[name] for p in params], return_counts=True)
        assert list(counts) == [64 // n_values] * n_values


def test_random_draws_are_not_even():
    # The negative control of the test above.
    params, _ = draw(SOBOL_SPACE, n_iter=64)
    logs = np.sort(np.log10([p["C"] for p in params]))
    assert not np.array_equal(np.floor((logs + 3) / 6 * 64), np.arange(64))


def test_a_sobol_design_depends_on_its_seed_only():
    first, again, other = (
        draw(SOBOL_SPACE, n_iter=10, random_state=seed, design="sobol")[0]
        for seed in [1, 1, 2]
    )
    assert first == again != other


def test_a_sobol_design_reaches_all_branches():
    branches = [{"kernel": ["linear"]}, {"gamma": Real(0, 1)}, {"degree": [2, 3]}]
    params, _ = draw(branches, n_iter=19, design="sobol")
    names = [next(iter(p)) for p in params]
    assert names.count("kernel") == 1 and names.count("degree") == 2


def test_a_single_point_is_a_space_too():
    for design in ["random", "sobol"]:
        assert draw({}, n_iter=1, design=design)[0] == [{}]
        assert draw({"C": [5]}, n_iter=1, design=design)[0] == [{"C": 5}]


def test_an_unknown_design_is_refused():
    with pytest.raises(ValueError, match="'design' parameter of RandomSearch"):
        RandomSearch(SVC(), SPACES["lists"], design="halton").fit(X, y)


def test_a_distribution_with_a_generator_of_its_own_is_drawn_from_by_nobody_else():
    class Own:
        def __init__(self):
            self.rng = np.random.RandomState(1)

        def rvs(self, random_state=None):
            return self.rng.rand() + 0.1

    expected, found = (
        cls(SVC(), {"C": Own()}, n_iter=3, random_state=0).fit(X, y)
        for cls in [RandomizedSearchCV, RandomSearch]
    )
    assert found.cv_results_["params"] == expected.cv_results_["params"]
