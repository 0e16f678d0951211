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
        if sizes[bracket, 0] >= len(before) > 1:
            assert begins[bracket, 0] < begins[before[1]]
            assert ends[bracket, 0] > ends[before[-1]]


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


def test_the_model_is_told_scores_as_they_would_be_with_everything():
    inner = bayes()
    strategy = HalvingStrategy(inner, BRACKETS, n_samples=30)

    def score(candidate):
        return -candidate.params["a"] + 5.0 * (candidate.rung.n_resources == 30)

    trials = drive(strategy, score, n=1)
    _, losses = inner._told()
    assert len(losses) == 9
    expected = {t.params["a"]: t.params["a"] - 5 for t in trials}
    np.testing.assert_allclose(sorted(losses), sorted(expected.values()), atol=1e-9)
