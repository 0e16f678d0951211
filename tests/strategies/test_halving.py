"""What halving asks of the strategy that proposes, when, and what it tells it."""

from collections import Counter

import numpy as np
import pytest

from skhpo.fidelity import Hyperband
from skhpo.space import Real, Space
from skhpo.strategies.bayes import BayesStrategy
from skhpo.strategies.grid import GridStrategy
from skhpo.strategies.halving import HalvingStrategy
from skhpo.trial import SplitResult, Trial

BRACKETS = [[(6, 10), (2, 30)], [(3, 30)]]


def grid(n):
    return GridStrategy(Space({"a": list(range(n))}))


def drive(strategy, score, n=4):
    """Ask and tell as the engine does; return the trials."""
    trials, n_told = [], 0
    while True:
        n_needed = strategy.n_needed(len(trials))
        assert n_needed <= len(trials)
        if n_needed > n_told:
            strategy.tell(trials[n_told:n_needed])
            n_told = n_needed
        asked = strategy.ask(n)
        if not asked and strategy.n_needed(len(trials)) <= n_told:
            strategy.tell(trials[n_told:])
            return trials
        for candidate in asked:
            result = SplitResult(score(candidate), None, 0.0, 0.0)
            trials.append(Trial(len(trials), candidate, (result,), len(trials)))


def places(trials):
    return [
        (t.candidate.rung.bracket, t.candidate.rung.iteration, t.params["a"])
        for t in trials
    ]


def test_the_next_bracket_begins_between_the_rungs_of_one_where_nothing_is_learnt():
    strategy = HalvingStrategy(grid(9), BRACKETS, n_samples=30)
    trials = drive(strategy, lambda candidate: candidate.params["a"] % 4)
    assert places(trials) == [
        *((0, 0, a) for a in range(6)),
        (1, 0, 6),
        (0, 1, 3),
        (0, 1, 2),
        (1, 0, 7),
        (1, 0, 8),
    ]
    shares = [1 / 3] * 6 + [1.0] * 5
    assert [t.candidate.fraction for t in trials] == shares
    assert strategy.n_candidates == 11


@pytest.mark.parametrize("n", [5, 27, 81, 200])
def test_brackets_overlap_but_every_rung_is_whole_and_in_its_turn(n):
    brackets = Hyperband().brackets(n, 10, 1000)
    strategy = HalvingStrategy(grid(n), brackets, n_samples=1000)
    trials = drive(strategy, lambda candidate: candidate.params["a"], n=7)
    rungs = [(t.candidate.rung.bracket, t.candidate.rung.iteration) for t in trials]
    sizes = {
        (bracket, iteration): size
        for bracket, rungs in enumerate(brackets)
        for iteration, (size, _) in enumerate(rungs)
    }
    assert Counter(rungs) == sizes
    assert list(dict.fromkeys(r for r in rungs if r[1])) == [r for r in sizes if r[1]]
    begins = {rung: rungs.index(rung) for rung in sizes}
    ends = {rung: len(rungs) - 1 - rungs[::-1].index(rung) for rung in sizes}
    for bracket in range(1, len(brackets)):
        before = [(bracket - 1, i) for i in range(len(brackets[bracket - 1]))]
        assert begins[bracket, 0] > ends[before[0]]
        if len(before) > 1:
            assert begins[bracket, 0] == begins[before[1]] - 1
            assert ends[bracket, 0] > ends[before[-1]] or sizes[bracket, 0] < len(
                before
            )


def test_a_parameter_as_resource_is_set():
    strategy = HalvingStrategy(grid(9), BRACKETS, parameter="b")
    trials = drive(strategy, lambda candidate: 0.0)
    assert [t.params["b"] for t in trials] == [10] * 6 + [30] * 5
    assert {t.candidate.fraction for t in trials} == {1.0}


@pytest.mark.parametrize("n, expected", [(4, 4 + 2), (1, 1 + 1), (7, 7 + 2)])
def test_where_too_few_are_proposed_the_best_of_them_go_on(n, expected):
    strategy = HalvingStrategy(grid(n), BRACKETS, n_samples=30)
    trials = drive(strategy, lambda candidate: candidate.params["a"])
    assert len(trials) == expected
    last = [t for t in trials if t.candidate.rung.iteration == 1]
    best = sorted(range(min(n, 6)), reverse=True)[:2]
    assert [t.params["a"] for t in last] == best


def test_what_has_no_score_goes_on_last():
    strategy = HalvingStrategy(grid(6), BRACKETS[:1], n_samples=30)
    trials = drive(strategy, lambda c: np.nan if c.params["a"] else -1.0)
    assert [t.params["a"] for t in trials[6:]] == [0, 1]


def test_a_rung_without_any_score_is_told():
    strategy = HalvingStrategy(grid(6), BRACKETS[:1], n_samples=30)
    with pytest.warns(UserWarning, match="None of the 6 .* iteration 0.*min_resources"):
        trials = drive(strategy, lambda candidate: np.nan)
    assert [t.params["a"] for t in trials[6:]] == [0, 1]


def test_a_grid_is_shuffled_among_brackets_when_asked_to():
    orders = [
        [
            trial.params["a"]
            for trial in drive(strategy, lambda candidate: 0.0)
            if trial.candidate.rung.iteration == 0
        ]
        for strategy in (
            HalvingStrategy(grid(9), BRACKETS, n_samples=30, rng=rng)
            for rng in map(np.random.default_rng, (0, 0, 1))
        )
    ]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert sorted(orders[0]) == list(range(9))


def bayes(max_pending=1):
    space = Space({"a": Real(0, 1)})
    return BayesStrategy(space, 9, 0, max_pending=max_pending)


@pytest.mark.parametrize("max_pending", [1, 2, 4])
def test_a_learning_strategy_knows_what_its_lag_allows_and_each_rung_is_whole(
    max_pending,
):
    inner = bayes(max_pending)
    strategy = HalvingStrategy(inner, BRACKETS, n_samples=30)
    needed, n_asked = [], 0
    trials, n_told = [], 0
    while len(trials) < 11:
        needed.append(strategy.n_needed(n_asked))
        if needed[-1] > n_told:
            strategy.tell(trials[n_told : needed[-1]])
            n_told = needed[-1]
        (candidate,) = strategy.ask(1)
        n_asked += 1
        result = SplitResult(-candidate.params["a"], None, 0.0, 0.0)
        trials.append(Trial(len(trials), candidate, (result,), len(trials)))
    lag = [i - max_pending + 1 for i in range(11)]
    assert needed == [*lag[:6], 6, 6, *lag[8:]]
    assert strategy.ask(1) == []
    assert [t.candidate.rung.bracket for t in trials] == [0] * 8 + [1] * 3


def test_the_model_is_told_what_each_trial_lacked_and_what_more_adds_on_average():
    inner = bayes()
    strategy = HalvingStrategy(inner, BRACKETS, n_samples=30)

    def score(candidate):
        return -candidate.params["a"] + 5.0 * (candidate.rung.n_resources == 30)

    trials = drive(strategy, score, n=1)
    points, losses = inner._told()
    assert len(losses) == 11  # two candidates come with either amount
    lacks = [float(t.candidate.rung.n_resources == 10) for t in trials]
    assert sorted(points[:, -1]) == sorted(lacks)
    np.testing.assert_allclose(losses, points[:, 0] - 5, atol=1e-9)


def test_densities_are_told_the_score_with_the_most_of_each_candidate():
    inner = BayesStrategy(Space({"a": Real(0, 1)}), 9, 0, surrogate="tpe")
    strategy = HalvingStrategy(inner, BRACKETS, n_samples=30)

    def score(candidate):
        return candidate.rung.n_resources + candidate.params["a"] % 0.1

    trials = drive(strategy, score, n=1)
    points, losses = inner._told()
    assert points.shape == (9, 1)
    most = {t.params["a"]: t for t in trials}
    gains = [
        30 - 10
        for t in trials
        if t.candidate.rung.n_resources == 30 and t.candidate.rung.bracket == 0
    ]
    assert gains == [20, 20]
    for (a,), loss in zip(points, losses, strict=True):
        assert loss == pytest.approx(-30 - most[a].params["a"] % 0.1, abs=1e-9)


def shifted(candidate):
    """Score best at 0.8 with everything, at 0.2 with the least."""
    best = 0.8 if candidate.rung.n_resources == 90 else 0.2
    return -((candidate.params["a"] - best) ** 2)


@pytest.mark.parametrize("surrogate", ["gp", "tpe"])
def test_those_go_on_of_which_the_model_expects_most_with_everything(surrogate):
    space, brackets = Space({"a": Real(0, 1)}), [[(8, 90)], [(12, 10), (3, 90)]]
    inner = BayesStrategy(space, 20, 0, surrogate=surrogate, max_pending=1)
    trials = drive(HalvingStrategy(inner, brackets, n_samples=90), shifted, n=1)
    rung = sorted(trials[8:20], key=lambda t: t.splits[0].test_scores)
    best_of_rung = {t.params["a"] for t in rung[-3:]}
    rung.sort(key=lambda t: -abs(t.params["a"] - 0.8))
    best_with_all = {t.params["a"] for t in rung[-3:]}
    assert best_of_rung != best_with_all
    # Densities predict no scores.
    expected = best_with_all if surrogate == "gp" else best_of_rung
    assert {t.params["a"] for t in trials[20:]} == expected


def test_what_has_no_score_is_not_expected_to_have_one():
    brackets = [[(3, 90)], [(6, 10), (3, 90)]]
    inner = BayesStrategy(Space({"a": Real(0, 1)}), 9, 0, max_pending=1)
    strategy = HalvingStrategy(inner, brackets, n_samples=90)
    failing = []

    def score(candidate):
        if candidate.rung.n_resources == 10 and len(failing) < 3:
            failing.append(candidate.params["a"])
            return np.nan
        return candidate.params["a"]

    trials = drive(strategy, score, n=1)
    assert {t.params["a"] for t in trials[9:]}.isdisjoint(failing)
    assert len(trials) == 12


def test_infinite_scores_add_nothing_to_what_more_adds():
    inner = bayes()
    strategy = HalvingStrategy(inner, BRACKETS, n_samples=30)
    drive(strategy, lambda c: -np.inf if c.params["a"] > 0.3 else c.params["a"], n=1)
    _, losses = inner._told()
    assert np.isfinite(losses).any() and np.isinf(losses).any()


def test_a_single_amount_is_no_column_of_the_model():
    inner = bayes()
    HalvingStrategy(inner, [[(9, 30)]], n_samples=30)
    assert inner._domain.n_columns == 1
    HalvingStrategy(inner, BRACKETS, n_samples=30)
    assert inner._domain.n_columns == 2


@pytest.mark.parametrize("surrogate", ["gp", "forest"])
def test_predictions_are_of_scores_with_everything(surrogate):
    inner = BayesStrategy(
        Space({"a": Real(0, 1)}), 30, 0, surrogate=surrogate, max_pending=1
    )
    strategy = HalvingStrategy(inner, [[(10, 90)], [(20, 10), (4, 90)]], n_samples=90)
    drive(strategy, shifted, n=1)
    best, worst = strategy.predictor().predict([{"a": 0.8}, {"a": 0.2}])
    assert best > worst + 0.1
