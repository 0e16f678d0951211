"""Races in the engine: what is given up is a function of scores alone."""

import joblib
import numpy as np
import pytest
from joblib import parallel_config
from replay import Table, replay, simulate
from sklearn.utils.fixes import parse_version

from skhpo.racing import Bound, Forgiving, Paired

RULES = {"bound": Bound(1.0), "paired": Paired(), "forgiving": Forgiving()}


def tables(n, seed=0):
    """Draw tables of scores in [0, 1]: easy and hard splits, ties, failures."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        n_candidates, n_splits = rng.integers(2, 30), rng.integers(4, 11)
        scores = (
            rng.beta(5, 1, size=(n_candidates, 1))
            + rng.normal(0, 0.1, size=(1, n_splits))
            + rng.normal(0, rng.uniform(0, 0.2), size=(n_candidates, n_splits))
        ).clip(0, 1)
        if rng.uniform() < 0.4:
            scores = np.round(scores, rng.integers(1, 3))
        if rng.uniform() < 0.3:
            scores[rng.uniform(size=scores.shape) < 0.02] = np.nan
        yield scores


def winner(trials):
    """Find the first of the highest means, as a search does."""
    means = [
        np.mean([result.test_scores for result in trial.splits])
        if not trial.cut_off
        else np.nan
        for trial in trials
    ]
    return None if np.isnan(means).all() else int(np.nanargmax(means))


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("lag", [1, 4, 9])
def test_what_is_given_up_is_what_a_plain_loop_gives_up(name, lag):
    n_raced = 0
    for scores in tables(60):
        trials = replay(scores, RULES[name], lag)
        assert [t.n_splits_done for t in trials] == simulate(scores, RULES[name], lag)
        for trial in trials:
            assert trial.raced == trial.cut_off == (trial.status == "raced")
            assert sorted(trial.done) == [*range(trial.n_splits_done)]
            n_raced += trial.raced
    assert n_raced > 30


def test_bound_never_changes_the_winner():
    n_saved = 0
    for scores in tables(600, seed=1):
        raced = replay(scores, Bound(1.0))
        assert winner(raced) == winner(replay(scores, None))
        n_saved += sum(trial.raced for trial in raced)
    assert n_saved > 300


def test_with_a_maximum_that_is_too_low_bound_does_change_it():
    """The comparison above can fail."""
    assert any(
        winner(replay(scores, Bound(0.5))) != winner(replay(scores, None))
        for scores in tables(100, seed=1)
    )


@pytest.mark.parametrize("name", RULES)
def test_the_first_candidates_up_to_the_lag_are_never_given_up(name):
    scores = np.linspace(1, 0.1, 12)[:, None] * np.linspace(1, 0.99, 6)
    for lag in (1, 4):
        done = [trial.n_splits_done for trial in replay(scores, RULES[name], lag)]
        assert done[:lag] == [6] * lag
        assert done[-1] < 6


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("backend", ["threading", "loky", "multiprocessing"])
def test_the_order_of_arrival_decides_nothing(name, backend):
    rng = np.random.default_rng(0)
    n_tables = 4 if backend == "threading" else 1
    for scores in tables(n_tables, seed=2):
        naps = rng.exponential(0.003, size=scores.shape)
        expected = simulate(scores, RULES[name], 4)
        for n_jobs in (2, 5):
            with parallel_config(backend):
                trials = replay(scores, RULES[name], naps=naps, n_jobs=n_jobs)
            assert [trial.n_splits_done for trial in trials] == expected
            for trial in trials:
                assert sorted(trial.done) == [*range(trial.n_splits_done)]


@pytest.mark.parametrize("error_score", [np.nan, "raise"])
def test_workers_that_would_wait_go_ahead_unless_an_error_were_raised(error_score):
    scores = np.full((8, 10), 0.9)
    scores[4:] = 0.5
    naps = np.full(scores.shape, 0.002)
    naps[0, 9] = 0.5  # all others wait for it
    table = Table(scores, naps)
    table.error_score = error_score
    with parallel_config("threading"):
        trials = replay(scores, Forgiving(min_splits=3), n_jobs=4, table=table)
    assert [trial.n_splits_done for trial in trials] == [10] * 4 + [3] * 4
    assert [len(trial.done) for trial in trials] == [10] * 4 + [3] * 4
    assert len(table.evaluated) == len({*table.evaluated})
    if error_score == "raise":
        assert len(table.evaluated) == 52
    elif parse_version(joblib.__version__) >= parse_version("1.4"):
        # Before, results are read in order, and the one that is late holds them up.
        assert len(table.evaluated) > 52


def test_a_failed_split_keeps_its_candidate_in_and_is_no_measure_for_others():
    scores = np.full((12, 5), 0.9)
    scores[0] = [1.0, 1.0, 1.0, 1.0, np.nan]  # would be the best
    scores[6] = [np.nan, 0.1, 0.1, 0.1, 0.1]
    scores[7] = 0.1
    trials = replay(scores, Forgiving())
    assert [trial.n_splits_done for trial in trials] == [5] * 7 + [1] + [5] * 4
    assert trials[6].status == "complete"


def test_where_nothing_is_finite_nothing_is_given_up():
    trials = replay(np.full((9, 5), np.nan), Forgiving())
    assert {trial.n_splits_done for trial in trials} == {5}


def test_a_rule_cannot_write_into_the_scores_of_others():
    class Writing:
        min_splits = 2

        def __call__(self, running, finished):
            running[:] = 0
            finished[:] = 0

    with pytest.raises(ValueError, match="read-only"):
        replay(np.full((9, 5), 0.5), Writing())


def test_a_function_will_do_and_is_asked_from_the_first_split_on():
    asked = []

    def rule(running, finished):
        asked.append((len(running), finished.shape))
        return False

    replay(np.full((6, 4), 0.5), rule)
    assert asked == [(k, (n, 4)) for n in (1, 2) for k in (1, 2, 3)]
