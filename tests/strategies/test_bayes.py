"""The strategy of BayesSearch: proposals, lag, start, hard scores, each surrogate."""

import itertools
import math
import pickle
import warnings
from collections import deque

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from model_oracle import SEEDS, assert_in_domain, domains, draw_points, repeatable
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import loguniform, randint, spearmanr, uniform
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.svm import SVC, SVR

from skhpo import Categorical, Integer, Real
from skhpo.gp.domain import Column, Domain
from skhpo.space import Space
from skhpo.strategies._model_space import ModelSpace
from skhpo.strategies.bayes import (
    MIN_GAP,
    N_CHECKED,
    BayesStrategy,
    _far_first,
    _Steps,
)
from skhpo.strategies.random import RandomStrategy
from skhpo.strategies.surrogates import SURROGATES
from skhpo.trial import SplitResult, Trial

few = settings(repeatable, max_examples=15)
each_surrogate = pytest.mark.parametrize("surrogate", SURROGATES)

PLANE = {"x": Real(0, 1), "y": Real(0, 1)}
MIXED = {
    "x": Real(0, 1),
    "C": Real(1e-3, 1e3, log=True),
    "n": Integer(1, 9),
    "kind": ["a", "b", "c"],
}
BRANCHES = [
    {"kernel": ["linear"], "C": Real(1e-3, 1e3, log=True)},
    {
        "kernel": ["rbf"],
        "C": Real(1e-3, 1e3, log=True),
        "gamma": Real(1e-4, 10, log=True),
    },
    {"kernel": ["poly"], "degree": Integer(2, 4)},
]
SPECS = {"plane": PLANE, "mixed": MIXED, "branches": BRANCHES}


def as_trial(number, candidate, scores):
    splits = tuple(SplitResult(s, None, 0.0, 0.0) for s in np.atleast_1d(scores))
    return Trial(number, candidate, splits, number)


def run(spec, score, n_iter=12, *, random_state=0, max_pending=2, **options):
    """Ask and tell with the lag of the engine; return the strategy and the trials."""
    space = spec if isinstance(spec, Space) else Space(spec)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_iter = ")
        strategy = BayesStrategy(
            space, n_iter, random_state, max_pending=max_pending, **options
        )
    pending, trials = deque(), []

    def finish():
        candidate = pending.popleft()
        trials.append(as_trial(len(trials), candidate, score(candidate.params)))
        strategy.tell(trials[-1:])

    while batch := strategy.ask(1):
        pending += batch
        if strategy.max_pending and len(pending) >= strategy.max_pending:
            finish()
    while pending:
        finish()
    return strategy, trials


def params_of(run):
    return [trial.params for trial in run[1]]


def keys_of(run):
    return [trial.candidate.key for trial in run[1]]


def smooth(params):
    """Score any setting by its numbers and by the length of its words."""
    total = 0.0
    for value in params.values():
        if isinstance(value, str):
            total += 0.1 * len(value)
        else:
            total -= (math.log10(abs(value) + 1e-3) + 1) ** 2
    return total


NUMBERS = st.sampled_from(
    [
        Real(0, 1),
        Real(-5, 10),
        Real(1e-4, 1e4, log=True),
        Integer(0, 10**6),
        Integer(1, 10**4, log=True),
        Integer(-2, 3),
        loguniform(1e-3, 1e3),
        uniform(2, 3),
        randint(1, 5),
        [1, 2, 5, 10],
        list(range(50)),
        np.geomspace(1e-3, 1e3, 7),
    ]
)
VALUES = NUMBERS | st.sampled_from(
    [["a", "b"], ["a", None, 1, True], Categorical([3, 1, 2]), [0.5], [7, 2, 3]]
)


@st.composite
def specs(draw):
    """Draw a space of one or several branches."""
    names = st.sampled_from("abcde")
    branch = st.dictionaries(names, VALUES, min_size=1, max_size=4)
    spec = draw(st.lists(branch, min_size=1, max_size=3))
    return spec[0] if len(spec) == 1 else spec


def disjoint(space):
    """Tell whether no setting lies in two branches."""
    return not space._branches_may_overlap


# Proposals ---------------------------------------------------------------------------


@few
@given(specs(), SEEDS, st.integers(1, 3), st.sampled_from([*SURROGATES]))
def test_proposals_lie_in_the_space_and_none_comes_twice(
    spec, seed, max_pending, surrogate
):
    space = Space(spec)
    strategy, trials = run(
        space,
        smooth_or_zero,
        random_state=seed % 2**32,
        max_pending=max_pending,
        surrogate=surrogate,
    )
    for trial in trials:
        space.point(trial.params)  # raises if it is not
    assert len({trial.candidate.key for trial in trials}) == len(trials)
    assert len(trials) == min(12, space.n_values) or (
        strategy.exhausted_reason == "search space exhausted"
    )


def smooth_or_zero(params):
    return smooth({k: v for k, v in params.items() if isinstance(v, (int, float))})


@each_surrogate
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_seed_decides_the_proposals(spec, surrogate):
    runs = [
        run(spec, smooth, 9, random_state=seed, surrogate=surrogate)
        for seed in [3, 3, 4]
    ]
    assert params_of(runs[0]) == params_of(runs[1])
    assert params_of(runs[0]) != params_of(runs[2])


def test_a_random_state_instance_is_a_seed_too():
    runs = [
        run(PLANE, smooth, 8, random_state=np.random.RandomState(1)) for _ in range(2)
    ]
    assert params_of(runs[0]) == params_of(runs[1])
    np.random.seed(1)
    assert params_of(run(PLANE, smooth, 8, random_state=None)) == params_of(runs[0])


@each_surrogate
@pytest.mark.parametrize("max_pending", [1, 2, 4])
def test_a_candidate_depends_on_the_trials_that_lie_the_lag_back(
    surrogate, max_pending
):
    differs_from = 9  # the score of this trial, and of later ones
    n_told = itertools.count()

    def other(params):
        number = next(n_told)
        return smooth(params) if number < differs_from else 100.0 * number

    options = {"max_pending": max_pending, "surrogate": surrogate}
    one = params_of(run(MIXED, smooth, 16, **options))
    two = params_of(run(MIXED, other, 16, **options))
    same = differs_from + max_pending
    assert one[:same] == two[:same]
    # Otherwise nothing is learnt.
    assert one[same:] != two[same:]


def test_more_candidates_do_not_change_the_first_ones():
    start, more = (params_of(run(PLANE, smooth, n)) for n in (12, 19))
    assert more[:12] == start


@pytest.mark.parametrize("max_pending", [2, 5])
def test_candidates_under_way_are_kept_away_from(max_pending):
    strategy, _ = run(PLANE, smooth, 10, max_pending=1)
    strategy.n_candidates = 10 + max_pending
    points = [c.point for c in strategy.ask(max_pending)]
    for a, b in itertools.combinations(points, 2):
        assert np.abs(a - b).max() > 1e-3


@each_surrogate
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_scale_and_place_of_the_scores_do_not_matter(spec, surrogate):
    # Short numbers, so that the arithmetic is exact.
    def score(params):
        return np.round(2**10 * np.clip(smooth(params), -100, 100)) / 2**10

    runs = [
        params_of(run(spec, transformed, 14, surrogate=surrogate))
        for transformed in [
            score,
            lambda params: 2.0**-20 * score(params) + 2.0**-14,
            lambda params: -score(params),
        ]
    ]
    assert runs[1] == runs[0]
    assert runs[2] != runs[0]


def test_proposals_do_not_depend_on_the_global_generator():
    np.random.seed(0)
    first = params_of(run(MIXED, smooth, 9))
    before = np.random.get_state()[1].copy()
    np.random.seed(5)
    assert params_of(run(MIXED, smooth, 9)) == first
    np.random.seed(0)
    run(MIXED, smooth, 9)
    assert_array_equal(np.random.get_state()[1], before)


@each_surrogate
@pytest.mark.parametrize(
    "spec", [{"n": Integer(1, 40), "kind": list("abcdefgh")}, PLANE], ids=["grid", "r"]
)
@pytest.mark.slow
def test_two_hundred_candidates_and_more(surrogate, spec):
    _, trials = run(spec, smooth, 215, surrogate=surrogate, max_pending=3)
    assert len({trial.candidate.key for trial in trials}) == 215
    steps = Space(spec).grid() if "n" in spec else [{"x": 0.1, "y": 0.1}]
    best = max(smooth(params) for params in steps)
    assert max(smooth(trial.params) for trial in trials[:100]) >= best - 1e-2


# The start ---------------------------------------------------------------------------

GIVEN = [{"x": 0.25, "y": 0.75}, {"x": 0.5, "y": 0.5}]


def test_given_settings_come_first_in_their_order():
    found = params_of(run(PLANE, smooth, 10, initial_candidates=GIVEN))
    assert found[:2] == GIVEN
    assert len(found) == 10


def test_given_settings_are_evaluated_to_the_last_digit():
    spec = {"C": Real(1e-3, 1e3, log=True), "x": Real(-5, 10)}
    first = [{"C": 10.0, "x": 0.1}, {"C": 0.3, "x": 2.0}]
    assert params_of(run(spec, smooth, 6, initial_candidates=first))[:2] == first


def test_given_settings_that_repeat_are_evaluated_once():
    found = params_of(run(PLANE, smooth, 10, initial_candidates=[*GIVEN, *GIVEN]))
    assert found[:2] == GIVEN
    assert len(found) == 10
    assert found[2] not in GIVEN


def test_the_start_does_not_depend_on_scores_and_is_spread():
    starts = [
        params_of(run({f"x{i}": Real(0, 1) for i in range(4)}, score, 24))[:4]
        for score in [smooth, lambda params: -smooth(params)]
    ]
    assert starts[0] == starts[1]
    quarters = [[int(4 * value) for value in p.values()] for p in starts[0]]
    for quarter in np.transpose(quarters):  # Sobol: one in each
        assert sorted(quarter) == [0, 1, 2, 3]


@few
@given(specs(), st.dictionaries(st.sampled_from("abcdef"), st.floats() | st.text()))
def test_the_nearest_setting_lies_in_the_space(spec, params):
    space = Space(spec)
    space.point(space.nearest(params))


@repeatable
@given(specs(), SEEDS)
def test_the_nearest_setting_of_a_setting_is_itself(spec, seed):
    space = Space(spec)
    candidate = space.candidate(np.random.default_rng(seed).random(space.n_dims))
    nearest = space.nearest(candidate.params | {"zzz": 1})
    share = [len(b.keys() & nearest.keys()) for b in space.branches]
    assert max(share) > 0
    if len(space.branches) == 1:
        assert nearest == candidate.params


# Hard scores -------------------------------------------------------------------------


def alternating(*values):
    cycle = itertools.cycle(values)
    return lambda params: next(cycle)


SCORES = {
    "nan": lambda: lambda params: math.nan,
    "first nan": lambda: alternating(*[math.nan] * 6, 1.0, 2.0),
    "mostly nan": lambda: alternating(math.nan, math.nan, 1.0, math.nan, 2.0),
    "minus infinity": lambda: alternating(-math.inf, 1.0, 2.0),
    "infinity": lambda: alternating(math.inf, 1.0, 2.0, 3.0),
    "all infinite": lambda: alternating(math.inf, -math.inf),
    "zero": lambda: lambda params: 0.0,
    "constant": lambda: lambda params: 0.3,
    "two values": lambda: alternating(0.1, 0.1, 0.2),
    "one outlier": lambda: alternating(*[0.5] * 6, -1e20),
    "one success": lambda: alternating(*[0.5] * 6, 0.9),
    "huge": lambda: lambda params: 1e100 * smooth(params),
    "tiny": lambda: lambda params: 1e-100 * smooth(params),
    "steps": lambda: lambda params: float(np.round(smooth(params))),
    "a failed split": lambda: alternating([1.0, math.nan], [2.0, 3.0], 1.0),
}


@each_surrogate
@pytest.mark.parametrize("score", SCORES)
def test_no_scores_break_the_search(score, surrogate):
    spec = [MIXED, *BRANCHES]
    strategy, trials = run(spec, SCORES[score](), 12, surrogate=surrogate)
    assert len({trial.candidate.key for trial in trials}) == 12
    assert strategy.exhausted_reason == "n_iter candidates evaluated"


each_predictor = pytest.mark.parametrize(
    "surrogate", [name for name in SURROGATES if SURROGATES[name].predicts]
)


@each_predictor
@pytest.mark.parametrize(
    "score", [s for s in SCORES if s not in ("nan", "all infinite", "zero", "constant")]
)
def test_predictions_are_not_far_from_the_scores(score, surrogate):
    strategy, trials = run(MIXED, SCORES[score](), 9, surrogate=surrogate)
    told = [np.mean([split.test_scores for split in t.splits]) for t in trials]
    told = [value for value in told if np.isfinite(value)]
    new = [c.params for c in RandomStrategy(Space(MIXED), 25, 9).ask(25)]
    mean, std = strategy.predictor().predict(new, return_std=True)
    margin = np.ptp(told)
    assert np.isfinite(mean).all()
    assert (mean >= min(told) - margin).all()
    assert (mean <= max(told) + margin).all()
    assert (std >= 0).all()
    assert (std <= 3 * margin).all()


@each_surrogate
def test_a_region_that_fails_is_left(surrogate):
    def score(params):
        return math.nan if params["x"] > 0.5 else -((params["y"] - 0.3) ** 2)

    found = params_of(run(PLANE, score, 30, surrogate=surrogate))
    assert np.mean([p["x"] > 0.5 for p in found[15:]]) < 0.35


# Small spaces ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"a": [1]},
        {"a": ["x", "y", "z"]},
        {"a": Integer(1, 4), "b": [True, False]},
        [{"a": [1]}, {"b": [2, 3]}],
        [{"a": [1]}, {}],
        [{"a": [1, 2]}, {"a": [2, 3]}],
        {"a": randint(0, 3)},
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_a_space_smaller_than_n_iter_is_evaluated_whole(spec, first):
    space = Space(spec)
    given_first = [list(space.grid())[-1]] if first else []
    with pytest.warns(UserWarning, match=f"exceeds the {space.n_values} points"):
        BayesStrategy(space, 50, 0)
    strategy, trials = run(spec, smooth_or_zero, 50, initial_candidates=given_first)
    assert len(trials) == space.n_values
    assert strategy.exhausted_reason == "search space exhausted"
    expected = {space.candidate(space.point(p)).key for p in space.grid()}
    assert {trial.candidate.key for trial in trials} == expected
    assert params_of((None, trials))[: len(given_first)] == given_first


@each_surrogate
def test_all_but_one_point_of_a_space_are_found(surrogate):
    spec = {"a": Integer(1, 4), "b": ["x", "y", "z"], "c": [True, False]}
    strategy, trials = run(spec, smooth_or_zero, 23, surrogate=surrogate)
    assert len({trial.candidate.key for trial in trials}) == 23
    assert strategy.exhausted_reason == "n_iter candidates evaluated"


@pytest.mark.parametrize("n", [0, 1, 15, 250])
def test_points_near_known_ones_come_last_in_the_order_of_the_others(n, rng):
    known = rng.random((4, 2))
    ranked = rng.random((n, 2))
    ranked[::3] = known[rng.integers(4, size=len(ranked[::3]))] + 0.9 * MIN_GAP
    moved = [*_far_first(ranked, known)]
    gaps = [np.abs(known - x).max(axis=1).min() for x in ranked]
    behind = [i < N_CHECKED and gap < MIN_GAP for i, gap in enumerate(gaps)]
    expected = ranked[np.argsort(behind, kind="stable")]
    assert_array_equal(np.reshape(moved, ranked.shape), expected)


def test_a_space_whose_size_is_unknown_ends_when_nothing_new_is_found(monkeypatch):
    monkeypatch.setattr("skhpo.strategies.bayes.MAX_REPEATS", 200)
    # Whole numbers far out are too unlikely to be drawn.
    from scipy.stats import poisson

    with pytest.warns(UserWarning, match="200 draws in a row gave nothing new"):
        strategy, trials = run({"a": poisson(0.01)}, smooth_or_zero, 60)
    assert len({trial.candidate.key for trial in trials}) == len(trials) < 60
    assert strategy.exhausted_reason == "search space exhausted"


# The surrogates, one by one ----------------------------------------------------------

LOSSES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "ties": lambda rng, n: rng.integers(0, 3, size=n).astype(float),
    "constant": lambda rng, n: np.full(n, 2.0),
    "failures": lambda rng, n: np.where(rng.random(n) < 0.4, np.nan, rng.random(n)),
    "all failed": lambda rng, n: np.full(n, np.inf),
    "outlier": lambda rng, n: np.append(rng.random(n)[1:], 1e30)[:n],
}


@each_surrogate
@few
@given(
    domains(),
    SEEDS,
    st.integers(0, 20),
    st.integers(0, 3),
    st.sampled_from([*LOSSES]),
)
def test_a_surrogate_proposes_points_of_the_domain(
    surrogate, domain, seed, n, n_pending, losses
):
    rng = np.random.default_rng(seed)
    x, pending = draw_points(domain, n, rng), draw_points(domain, n_pending, rng)
    y = LOSSES[losses](rng, n)
    before = x.copy(), y.copy(), pending.copy()
    model = SURROGATES[surrogate]()
    for number in [n + n_pending, n + n_pending + 1]:
        ranked = model.propose(domain, x, y, pending, number, rng)
        assert_in_domain(domain, ranked)
        if np.isfinite(y).any():
            assert len(ranked) > 0
    for now, then in zip((x, y, pending), before, strict=True):
        assert_array_equal(now, then)


@each_predictor
@few
@given(domains(), SEEDS, st.integers(2, 20), st.sampled_from([*LOSSES]))
def test_a_surrogate_predicts_finite_losses(surrogate, domain, seed, n, losses):
    model = SURROGATES[surrogate]()
    rng = np.random.default_rng(seed)
    x, y = draw_points(domain, n, rng), LOSSES[losses](rng, n)
    assume(np.isfinite(y).any())
    model.propose(domain, x, y, x[:0], n, rng)
    mean, std = model.predictor(domain, x, y)(draw_points(domain, 30, rng))
    assert mean.shape == std.shape == (30,)
    assert np.isfinite(mean).all()
    assert np.isfinite(std).all()
    assert (std >= 0).all()


@each_surrogate
def test_the_same_generator_gives_the_same_ranking(surrogate, rng):
    space = ModelSpace(Space(MIXED))
    x = draw_points(space.domain, 15, rng)
    y = rng.normal(size=15)
    ranked = [
        SURROGATES[surrogate]().propose(
            space.domain, x, y, x[:2], 17, np.random.default_rng(0)
        )
        for _ in range(2)
    ]
    assert_array_equal(*ranked)


@each_surrogate
def test_a_surrogate_finds_the_better_half(surrogate, rng):
    domain = ModelSpace(Space(PLANE)).domain
    x = draw_points(domain, 30, rng)
    y = x[:, 0] + 0.01 * x[:, 1]
    proposals = [
        SURROGATES[surrogate]().propose(
            domain, x, y, x[:0], number, np.random.default_rng(number)
        )[0]
        for number in range(30, 40)
    ]
    assert np.mean([p[0] < 0.5 for p in proposals]) >= 0.8


@each_predictor
def test_predictions_follow_the_scores(surrogate):
    def score(params):
        return 10 + params["x"] - params["y"]

    strategy, trials = run(PLANE, score, 30, max_pending=1, surrogate=surrogate)
    new = params_of((None, run(PLANE, lambda p: 0.0, 25, random_state=9)[1]))
    mean, std = strategy.predictor().predict(new, return_std=True)
    assert spearmanr(mean, [score(p) for p in new])[0] > 0.8
    assert np.mean(mean) == pytest.approx(np.mean([score(p) for p in new]), abs=0.5)
    assert (std < 1).all()
    told = [trial.params for trial in trials]
    at_trials = strategy.predictor().predict(told)
    assert_allclose(at_trials, [score(p) for p in told], atol=0.3)


@each_predictor
def test_failures_are_expected_to_be_bad(surrogate):
    def score(params):
        return np.nan if params["x"] > 0.6 else params["x"]

    strategy, trials = run(PLANE, score, 30, surrogate=surrogate)
    failed = [t.params for t in trials if t.params["x"] > 0.7]
    good = [t.params for t in trials if 0.3 < t.params["x"] < 0.6]
    assert min(len(failed), len(good)) > 1
    predictor = strategy.predictor()
    assert predictor.predict(failed).mean() < predictor.predict(good).mean() - 0.1


@each_predictor
def test_failures_are_worse_than_scores_that_tie(surrogate):
    def score(params):
        return np.nan if params["x"] > 0.6 else 0.5

    strategy, _ = run(PLANE, score, 20, surrogate=surrogate)
    bad, good = strategy.predictor().predict(
        [{"x": 0.9, "y": 0.5}, {"x": 0.2, "y": 0.5}]
    )
    assert bad < good - 0.02


def test_a_forest_is_uncertain_of_what_shares_a_leaf():
    domain = ModelSpace(Space(PLANE)).domain
    x = np.array([[0.4, 0.4], [0.41, 0.41]])
    predict = SURROGATES["forest"]().predictor(domain, x, np.array([0.0, 1.0]))
    mean, std = predict(x)
    assert_allclose(mean, 0.5)
    assert_allclose(std, 0.5)


@pytest.mark.parametrize("surrogate", ["auto", "gp", "forest"])
def test_a_predictor_can_be_pickled_before_and_after_use(surrogate):
    strategy, trials = run(MIXED, smooth, 8, surrogate=surrogate)
    told = [trial.params for trial in trials]
    predictor = strategy.predictor()
    before = pickle.loads(pickle.dumps(predictor))
    mean = predictor.predict(told)
    after = pickle.loads(pickle.dumps(predictor))
    for other in (before, after):
        assert_array_equal(other.predict(told), mean)


def test_densities_predict_no_scores():
    assert run(PLANE, smooth, 8, surrogate="tpe")[0].predictor() is None


def test_there_is_no_predictor_before_a_score_is_finite():
    strategy = BayesStrategy(Space(PLANE), 10, 0)
    assert strategy.predictor() is None
    strategy.tell([as_trial(0, strategy.ask(1)[0], math.nan)])
    assert strategy.predictor() is None


# Steps of a score --------------------------------------------------------------------


def test_the_step_of_an_accuracy_is_one_sample_though_splits_are_uneven(rng):
    sizes = np.array([59, 59, 60])
    steps = _Steps()
    right = rng.integers(40, 56, size=(30, 3))
    for number, counts in enumerate(right):
        steps.add(as_trial(number, None, counts / sizes), None)
    assert steps.of_mean == pytest.approx(1 / 178, rel=1e-3)
    # In the means it cannot be seen.
    gaps = np.diff(np.unique((right / sizes).mean(axis=1)))
    assert gaps[gaps > 1e-9].min() < 0.1 / 178


@pytest.mark.parametrize(
    "scores",
    [
        [],
        [[0.5, 0.5]],
        [[0.5, 0.5], [0.75, 0.5]],
        [[0.5, 0.5], [0.5 + 1e-12, 0.5 - 1e-12]],
        [[0.5, np.nan], [0.75, np.nan]],
        [[0.5, np.inf], [0.75, np.inf]],
    ],
)
def test_a_step_that_was_not_seen_in_every_split_is_not_known(scores):
    steps = _Steps()
    for number, row in enumerate(scores):
        steps.add(as_trial(number, None, row), None)
    # Splits without a finite score count for nothing.
    known = len(scores) > 0 and not np.isfinite(scores).all()
    assert steps.of_mean == (0.25 if known else 0.0)


def test_the_step_is_told_to_a_surrogate_that_asks_for_it():
    class Asking:
        predicts = False
        step = None

        def __init__(self):
            self.steps = []

        def propose(self, domain, x, losses, pending, number, rng):
            self.steps.append(self.step)
            return domain.from_uniform(rng.random((1, domain.n_columns)))

    def in_tenths(params):
        return np.round(params["x"], 1)

    strategy, _ = run(PLANE, in_tenths, 12, surrogate=Asking())
    steps = strategy._surrogate.steps
    assert len(steps) > 3
    assert steps[-1] == pytest.approx(0.1)


@pytest.mark.parametrize("surrogate", ["auto", "gp"])
def test_a_plateau_that_can_only_repeat_its_loss_is_left(surrogate):
    # Ten points that tie, as good as any, and one far away that is worse.
    domain = Domain([Column()], [[True]])
    x = np.append(np.linspace(0, 0.3, 10), 0.6)[:, None]
    losses = np.append(np.zeros(10), 0.1)
    proposed = {}
    for step in (0.0, 0.05):
        model = SURROGATES[surrogate]()
        model.step = step
        none = np.empty((0, 1))
        # Of an even number: expected improvement.
        found = model.propose(domain, x, losses, none, 20, np.random.default_rng(0))
        proposed[step] = found[0, 0]
    assert proposed[0.0] < 0.4 < proposed[0.05]


def test_a_surrogate_of_ones_own_is_copied_and_asked():
    class Corner:
        predicts = False

        def __init__(self):
            self.calls = []

        def propose(self, domain, x, losses, pending, number, rng):
            self.calls.append((len(x), len(losses), len(pending), number))
            return domain.from_uniform(np.full((1, domain.n_columns), 0.999))

    corner = Corner()
    strategy, trials = run(PLANE, smooth, 10, surrogate=corner, max_pending=2)
    assert corner.calls == []
    calls = strategy._surrogate.calls
    assert calls
    for n, n_losses, n_pending, number in calls:
        assert n == n_losses == number - 1
        assert n_pending == 1
    corners = [p for p in params_of((None, trials)) if p["x"] == p["y"] == 0.999]
    assert len(corners) == 1  # then it repeats itself, and others are drawn


# The space as models see it ----------------------------------------------------------


@repeatable
@given(specs(), SEEDS)
def test_encoding_a_decoded_point_gives_it_back(spec, seed):
    space = Space(spec)
    assume(disjoint(space))
    model_space = ModelSpace(space)
    for x in draw_points(model_space.domain, 5, np.random.default_rng(seed)):
        candidate = model_space.candidate(x)
        space.point(candidate.params)
        again = model_space.encode(candidate.params)
        assert_in_domain(model_space.domain, again[None])
        # Whole numbers from long ranges are a cell wide.
        for name, value in model_space.candidate(again).params.items():
            same = value == candidate.params[name]
            assert same or value == pytest.approx(candidate.params[name], rel=1e-9)
        discrete = [
            c.n_levels > 0 or c.grid is not None for c in model_space.domain.columns
        ]
        assert_array_equal(again[discrete], x[discrete])


@repeatable
@given(specs(), SEEDS)
def test_decoding_an_encoded_setting_gives_it_back(spec, seed):
    space = Space(spec)
    assume(disjoint(space))
    model_space = ModelSpace(space)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        strategy = RandomStrategy(space, 5, seed)
    for candidate in strategy.ask(5):
        x = model_space.encode(candidate.params)
        assert_in_domain(model_space.domain, x[None])
        params = model_space.candidate(x).params
        assert params.keys() == candidate.params.keys()
        for name, value in candidate.params.items():
            if isinstance(value, float):
                assert params[name] == pytest.approx(value, rel=1e-9, abs=1e-12)
            else:
                assert params[name] == value


@repeatable
@given(specs())
def test_what_does_not_vary_has_no_column(spec):
    space = Space(spec)
    domain = ModelSpace(space).domain
    varying = [c for c in space.coordinates if c.dimension.n_values > 1]
    assert domain.n_columns >= len(varying)
    assert domain.n_branches == len(space.branches)
    assert domain.active.any(axis=0).all()


def test_what_branches_share_is_one_column():
    domain = ModelSpace(Space(BRANCHES)).domain
    assert_array_equal(domain.active.sum(axis=0), [3, 2, 1, 1])


def test_a_parameter_of_estimators_that_are_exchanged_is_a_column_for_each():
    one = Space(
        [
            {"model": [LogisticRegression()], "model__C": Real(0.1, 10, log=True)},
            {"model": [SVC()], "model__C": Real(0.1, 10, log=True)},
        ]
    )
    domain = ModelSpace(one).domain
    assert_array_equal(domain.active.sum(axis=0), [2, 1, 1])
    alike = Space(
        [
            {"a": ["x"], "model__C": Real(0.1, 10, log=True)},
            {"a": ["y"], "model__C": Real(0.1, 10, log=True)},
        ]
    )
    assert_array_equal(ModelSpace(alike).domain.active.sum(axis=0), [2, 2])


def test_estimators_as_values_are_categories():
    space = Space(
        {"model": [Ridge(), Lasso(), SVR()], "scale": [True, False], "C": [1, 2, 3]}
    )
    domain = ModelSpace(space).domain
    assert_array_equal([c.n_levels for c in domain.columns], [0, 3, 2])


def test_a_distribution_that_only_draws_is_refused_by_name():
    class OnlyDraws:
        def rvs(self, random_state=None):
            return random_state.randint(10)

    with pytest.raises(TypeError, match="ppf"):
        ModelSpace(Space({"a": OnlyDraws()}))
