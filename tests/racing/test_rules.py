"""Racing rules: what they give up, against other people's formulas."""

import copy
import pickle

import numpy as np
import pytest
from scipy import stats
from scipy.special import digamma

from skhpo.racing import RULES, Bound, Forgiving, Paired
from skhpo.racing.paired import _distribution_of

MEMBERS = {
    name: rule(maximum=1.0) if name == "bound" else rule()
    for name, rule in RULES.items()
}


def matrices(n, seed=0):
    """Draw scores of a candidate so far and of finished ones, with ties in some."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        n_splits = rng.integers(4, 11)
        n_done = rng.integers(3, n_splits)
        scores = rng.uniform(size=(rng.integers(2, 8), n_splits))
        scores = 0.5 * scores + 0.5 * rng.uniform(size=(len(scores), 1))
        if rng.uniform() < 0.3:
            scores = np.round(scores, 1)
        yield scores[0, :n_done], scores[1:]


@pytest.mark.parametrize("name", MEMBERS)
def test_a_rule_is_a_pure_function_with_a_first_split(name):
    rule = MEMBERS[name]
    assert rule.min_splits >= 1
    for running, finished in matrices(50):
        for array in (running, finished):
            array.flags.writeable = False
        answers = [
            each(running, finished)
            for each in (
                rule,
                rule,
                copy.deepcopy(rule),
                pickle.loads(pickle.dumps(rule)),
            )
        ]
        assert type(answers[0]) is bool
        assert len(set(answers)) == 1


@pytest.mark.parametrize("name", MEMBERS)
def test_a_rule_gives_up_the_worst_and_never_the_best_so_far(name):
    rule = MEMBERS[name]
    finished = np.array([[0.9, 0.8, 0.85, 0.95, 0.9], [0.1, 0.2, 0.1, 0.1, 0.2]])
    assert rule(np.array([0.1, 0.11, 0.12, 0.1]), finished)
    assert not rule(finished[0, :4], finished)
    assert not rule(np.full(4, 0.99), finished)


@pytest.mark.parametrize("name", ["bound", "forgiving"])
def test_only_the_best_of_the_finished_counts(name):
    rule = MEMBERS[name]
    for running, finished in matrices(100):
        best = finished[[finished.mean(axis=1).argmax()]]
        assert rule(running, finished) == rule(running, best)
        worse = np.vstack([finished, finished.min(axis=0) - 1.0])
        assert rule(running, worse) == rule(running, finished)


def test_the_bound_is_that_of_perfect_scores_on_the_rest():
    rule = Bound(maximum=0.8)
    n_dropped = 0
    for running, finished in matrices(500):
        n_splits = finished.shape[1]
        perfect = np.r_[running, np.full(n_splits - len(running), 0.8)]
        highest = max(np.mean(row) for row in finished)
        assert rule(running, finished) == (np.mean(perfect) <= highest)
        n_dropped += rule(running, finished)
    assert 50 < n_dropped < 450


def test_what_could_only_equal_the_best_is_given_up_and_what_could_beat_it_is_not():
    finished = np.array([[1.0, 0.5, 0.75, 0.75]])  # sums without rounding
    running = np.array([0.5, 0.5])
    assert Bound(maximum=1.0)(running, finished)
    assert not Bound(maximum=1.0)(np.array([0.5, 0.5 + 2**-40]), finished)
    assert not Bound(maximum=1.0 + 1e-9)(running, finished)


@pytest.mark.parametrize("alpha", [0.001, 0.01, 0.1])
def test_the_paired_test_is_that_of_scipy_for_a_mean_of_finitely_many(alpha):
    """With few finished candidates, the variance is that of the differences alone."""
    rule = Paired(alpha=alpha)
    n_dropped = 0
    for running, finished in matrices(500):
        finished = finished[:3]
        best = finished[finished.mean(axis=1).argmax(), : len(running)]
        if np.ptp(running - best) > 1e-12:
            t = stats.ttest_rel(running, best).statistic
            t /= np.sqrt(1 - len(running) / finished.shape[1])
            p = stats.t(len(running) - 1).cdf(t)
            assert rule(running, finished) == (p < alpha)
            n_dropped += rule(running, finished)
    assert n_dropped > 10


def test_the_distribution_of_variances_is_found_again():
    """Scale 2, 6 degrees of freedom, 200,000 draws with 9 each: within 2 %."""
    rng = np.random.default_rng(0)
    around = 2.0 * 6.0 / rng.chisquare(6.0, 200_000)
    drawn = around * rng.chisquare(9, len(around)) / 9
    assert _distribution_of(drawn, 9) == pytest.approx((2.0, 6.0), rel=0.02)
    # Where all are estimates of the same one, it is theirs.
    drawn = 2.0 * rng.chisquare(9, 3) / 9
    usual, worth = _distribution_of(drawn.mean() * np.array([0.99, 1.0, 1.01]), 9)
    assert worth == np.inf
    bias = np.log(9 / 2) - digamma(9 / 2)  # of the logarithm of an estimate
    assert usual == pytest.approx(drawn.mean() * np.exp(bias), rel=1e-3)


def test_what_finished_candidates_say_of_the_spread_counts():
    """Three differences that agree are not enough where they usually do not."""
    rng = np.random.default_rng(0)
    best = np.full(10, 0.9)
    running = best[:3] - [0.010, 0.0101, 0.0099]
    assert Paired()(running, best[np.newaxis])
    noisy = best - 0.05 - 0.1 * rng.uniform(size=(8, 10))
    assert not Paired()(running, np.vstack([best, noisy]))
    # Nor too little where they do.
    running = best[:3] - [0.10, 0.13, 0.07]
    steady = best - 0.05 - 0.01 * rng.uniform(size=(8, 10))
    assert not Paired()(running, best[np.newaxis])
    assert Paired()(running, np.vstack([best, steady]))


@pytest.mark.filterwarnings("error")
def test_scores_of_any_size_are_judged():
    best = np.array([0.9, 0.8, 0.7, 0.9, 0.8])
    worse = best - np.array([0.1, 0.12, 0.11, 0.13, 0.12])
    others = best - 0.1 * np.random.default_rng(0).uniform(size=(4, 5))
    awful = np.full(5, -1e250) * np.arange(1, 6)
    for rows in ([best], [best, *others]):
        for unit in (1e-200, 1.0, 1e200):
            finished = np.array([*rows]) * unit
            assert Paired()(worse[:4] * unit, finished)
            assert not Paired()(best[:4] * unit, finished)
        assert Paired()(worse[:4], np.array([*rows, awful]))
        assert Paired()(np.full(3, -1e250), np.array([*rows]))
    zero = np.zeros((4, 5))
    assert not Paired()(zero[0, :3], zero)


def test_the_paired_test_of_equal_differences_goes_by_their_sign():
    finished = np.array([[0.9, 0.8, 0.7, 0.6]])
    for shift, dropped in [(-0.1, True), (0.0, False), (0.1, False)]:
        running = finished[0, :3] + shift
        assert Paired()(running, finished) == dropped


def test_the_paired_test_cares_for_pairs():
    """The same scores in another order are no longer worse on each split."""
    finished = np.array([[0.9, 0.5, 0.7, 0.3, 0.6]])
    running = finished[0, :4] - [0.02, 0.021, 0.019, 0.02]
    assert Paired()(running, finished)
    assert not Paired()(running[::-1], finished)


@pytest.mark.slow
def test_one_paired_test_keeps_its_level_and_looking_after_each_split_does_not():
    """alpha 0.05, 4000 draws, seed 0: within 4 standard errors with chance 0.9999.

    The level is that of candidates that would end with just the mean of the best.
    """
    rng = np.random.default_rng(0)
    rule = Paired(alpha=0.05)
    d = rng.normal(size=(4000, 10))
    d -= d.mean(axis=1, keepdims=True)
    zero = np.zeros((1, 10))
    once = np.mean([rule(row[:5], zero) for row in d])
    assert abs(once - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 4000)
    often = np.mean([any(rule(r[:k], zero) for k in range(3, 10)) for r in d])
    assert often > 0.08  # why alpha is a knob


def test_forgiving_compares_the_mean_with_the_worst_split():
    finished = np.array([[0.5, 0.75, 1.0], [0.7, 0.7, 0.7]])
    assert Forgiving()(np.array([0.49]), finished)
    assert not Forgiving()(np.array([0.5]), finished)
    assert not Forgiving()(np.array([0.3, 0.8]), finished)
    for value in (1.0, 0.9, 0.1):  # not all means of equal numbers are equal
        same = np.full((1, 10), value)
        for k in range(1, 10):
            assert not Forgiving()(same[0, :k], same)


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda: Bound(maximum=np.inf), "maximum = inf"),
        (lambda: Bound(maximum=np.nan), "maximum = nan"),
        (lambda: Bound(maximum="1"), "maximum = '1'"),
        (lambda: Bound(maximum=True), "maximum = True"),
        (lambda: Bound(1.0, min_splits=0), "min_splits = 0"),
        (lambda: Paired(alpha=0.0), "alpha = 0.0"),
        (lambda: Paired(alpha=1), "alpha = 1"),
        (lambda: Paired(alpha="a"), "alpha = 'a'"),
        (lambda: Paired(min_splits=1), "min_splits = 1"),
        (lambda: Forgiving(min_splits=1.5), "min_splits = 1.5"),
        (lambda: Forgiving(min_splits=True), "min_splits = True"),
    ],
)
def test_a_bad_parameter_of_a_rule_is_refused_by_name_and_value(make, shown):
    with pytest.raises(ValueError) as caught:
        make()
    assert shown in str(caught.value)
