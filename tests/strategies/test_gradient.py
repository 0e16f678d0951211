"""Descents find the minimum in few evaluations; combinations are searched around."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skhpo import Categorical, Integer, Real
from skhpo.hypergradients.base import Derivative
from skhpo.space import Space
from skhpo.strategies._descent import (
    AT_BOUND,
    CONVERGED,
    FAILED,
    FLAT,
    KINK,
    _poll,
    descend,
    scout,
)
from skhpo.strategies.gradient import GradientStrategy
from skhpo.trial import Candidate, SplitResult, Trial

UNIT = st.floats(0, 1)


def run(function, start, limit=200, **options):
    """Answer the points looked at, their values, and why the descent ended."""
    search = descend(np.array(start, dtype=float), **options)
    points, values = [], []
    u = next(search)
    while len(points) < limit:
        f, g, *curve = function(u)
        points.append(u)
        values.append(f)
        try:
            u = search.send((f, g, *curve))
        except StopIteration as stop:
            return np.array(points), np.array(values), stop.value
    raise AssertionError("it does not end")


def bowl(centre, steep=1.0, floor=1.0):
    """Make a function that is no parabola, with its minimum at `centre`."""
    centre = np.atleast_1d(centre)

    def function(u):
        left = u - centre
        e = np.exp(left)
        scale = steep * (1 + np.arange(len(u)))
        return floor + scale @ (e - left - 1), scale * (e - 1)

    return function


@settings(deadline=None, max_examples=100)
@given(UNIT, UNIT, st.floats(0.1, 1000))
def test_one_coordinate_takes_few_evaluations(centre, start, steep):
    function = bowl(centre, steep)
    points, values, reason = run(function, [start])
    assert values.min() <= 1.001
    assert len(points) <= 12
    assert reason in (CONVERGED, FLAT) or points[values.argmin()] in (0, 1)


@settings(deadline=None, max_examples=100)
@given(UNIT, UNIT, st.floats(0.1, 1000))
def test_a_scout_goes_where_it_is_low_if_that_is_far(centre, start, steep):
    function, n_looks = bowl(centre, steep), 0
    search = scout(np.array([start]))
    u = next(search)
    with pytest.raises(StopIteration) as stop:
        while True:
            n_looks += 1
            u = search.send(function(u))
    u, curvature = stop.value.value
    assert n_looks <= 10
    if u is None:
        assert abs(centre - start) <= 0.16 or function(np.array([start]))[0] < 1.001
    else:
        assert abs(u[0] - start) > 0.15
        assert function(u)[0] < 1.002
        # That of the bowl at its centre, and about its ends.
        assert curvature is None or steep / 3 < curvature < 3 * steep


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(UNIT, UNIT), min_size=2, max_size=5), st.floats(0.1, 100))
def test_several_coordinates_converge(pairs, steep):
    centre, start = np.transpose(pairs)
    points, values, _ = run(bowl(centre, steep), start)
    assert values.min() <= 1.02
    assert len(points) <= 60


def test_several_coordinates_nearly_always_converge_closely():
    """400 bowls, seed 0: the 99th percentile lies within 0.5 %, the median 0.01 %."""
    rng = np.random.default_rng(0)
    values = []
    for _ in range(400):
        centre, start = rng.uniform(size=(2, rng.integers(2, 6)))
        steep = 10 ** rng.uniform(-1, 2)
        values.append(run(bowl(centre, steep), start)[1].min())
    assert np.quantile(values, 0.99) <= 1.005
    assert np.median(values) <= 1.0001


@pytest.mark.parametrize("centre", [-1.0, 2.0])
@pytest.mark.parametrize("n", [1, 3])
def test_a_minimum_outside_ends_at_the_bound(centre, n):
    points, values, reason = run(bowl(np.full(n, centre)), np.full(n, 0.4))
    assert reason == AT_BOUND
    assert (points[values.argmin()] == (0 if centre < 0 else 1)).all()


@pytest.mark.parametrize("n", [1, 2])
def test_a_kink_does_not_waste_evaluations(n):
    def function(u):
        left = u - 0.37
        return 1 + np.abs(left).sum(), np.sign(left)

    points, values, _ = run(function, np.full(n, 0.9))
    assert values.min() < 1.02
    assert len(points) <= 40


def rotated(function, angle):
    """Turn a function of the plane about the middle of the square."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def other(u):
        f, g = function(turn @ (u - 0.5))
        return f, turn.T @ g

    return other


def valley(x):
    """A convex function of the plane: a kink across, and a slope along."""
    return 5 + 10 * abs(x[0]) + (x[1] - 2) ** 2, np.array(
        [10 * np.sign(x[0]), 2 * (x[1] - 2)]
    )


@pytest.mark.parametrize("angle", np.linspace(0, 3, 7))
def test_around_a_kink_nothing_is_tried_where_the_loss_is_known_to_rise(angle):
    function = rotated(valley, angle)
    f, _ = function(np.array([0.5, 0.5]))
    poll, seen, found = _poll(np.array([0.5, 0.5]), f, 0.05), [], None
    new = next(poll)
    while found is None:
        f_new, g_new = function(new)
        assert not any(
            np.linalg.norm(new - u) < 0.05 and g @ (new - u) > 0 for u, g in seen
        )
        seen.append((new, g_new))
        try:
            new = poll.send((f_new, g_new))
        except StopIteration as stop:
            found = stop.value
            break
    # The loss is convex: what is better among the eight neighbours is found.
    angles = np.arange(8) * np.pi / 4
    around = 0.5 + 0.05 * np.column_stack([np.cos(angles), np.sin(angles)])
    best = min(function(u)[0] for u in around)
    assert (found is None) == (best >= f - 1e-4 * f)
    assert found is not None or len(seen) < 8


def cone(u):
    left = u - 0.37
    return 1 + np.abs(left).sum(), np.sign(left)


def test_around_a_kink_there_are_only_looks_that_are_wanted():
    points, values, reason = run(cone, [0.9, 0.6])
    unpolled, _, early = run(cone, [0.9, 0.6], may_poll=lambda f: False)
    assert reason == early == KINK
    np.testing.assert_array_equal(points[: len(unpolled)], unpolled)
    asked = []
    run(cone, [0.9, 0.6], may_poll=lambda f: asked.append(f) or False)
    assert asked == [values[: len(unpolled)].min()]
    # Those that were left out are what a search from the kink begins with.
    end = unpolled[values[: len(unpolled)].argmin()]
    around, _, _ = run(cone, end, at_kink=True)
    n = len(unpolled)
    np.testing.assert_array_equal(around[1:3], points[n : n + 2])
    assert np.isclose(np.linalg.norm(around[1] - end), 0.05)


def test_looks_that_cost_little_are_nearer_to_a_kink_too():
    points, values, reason = run(cone, [0.9, 0.6])
    more, more_values, same = run(cone, [0.9, 0.6], looks_cost=lambda: False)
    assert reason == same == KINK
    assert more_values.min() <= values.min()
    end = more[more_values.argmin()]
    distances = np.linalg.norm(more[more_values.argmin() + 1 :] - end, axis=1)
    for length in (0.05, 0.025, 0.0125):
        assert np.isclose(distances, length).any()
    costly = np.linalg.norm(points - points[values.argmin()], axis=1)
    assert not np.isclose(costly, 0.0125).any()


@pytest.mark.parametrize("start", [(0.2, 0.95), (0.95, 0.2)])
def test_a_model_that_foretold_its_steps_is_believed(start):
    narrow = np.array([[30.0, 25.0], [25.0, 30.0]])

    def function(u):
        g = narrow @ (u - 0.43)
        return 1 + g @ (u - 0.43) / 2, g

    points, values, reason = run(function, start)
    assert values.min() <= 1 + 1e-4
    # Nothing is looked at once more after the best one.
    assert values.argmin() == len(points) - 1
    assert reason == CONVERGED


@pytest.mark.parametrize("n", [1, 2])
def test_failures_are_stepped_back_from(n):
    def function(u):
        if u[0] < 0.5:
            return np.inf, np.zeros(n)
        return bowl(np.full(n, 0.3))(u)

    points, values, _ = run(function, np.full(n, 0.9))
    assert np.isfinite(values).sum() > 2
    assert points[values.argmin()][0] < 0.56


@pytest.mark.parametrize("n", [1, 2])
def test_a_start_that_fails_ends_it(n):
    points, _, reason = run(lambda u: (np.inf, np.zeros(n)), np.full(n, 0.5))
    assert len(points) == 1
    assert reason == FAILED


@pytest.mark.parametrize("n", [1, 2])
def test_a_constant_ends_at_once(n):
    points, _, reason = run(lambda u: (1.0, np.zeros(n)), np.full(n, 0.5))
    assert len(points) == 1
    assert reason == FLAT


@settings(deadline=None, max_examples=50)
@given(st.floats(0.05, 0.95), UNIT)
def test_a_curve_leads_straight_to_the_minimum(centre, start):
    function = bowl(centre, 30)

    def with_curve(u):
        f, g = function(u)
        curve = [(v, *function(np.array([v]))) for v in np.linspace(0, 1, 13)]
        return f, g, [(v, f, float(g[0])) for v, f, g in curve]

    points, values, reason = run(with_curve, [start])
    assert values.min() <= 1.0001
    assert len(points) <= 3
    assert reason == CONVERGED


# The strategy


def evaluate(number, candidate, names):
    """Answer a trial whose loss is a bowl in log10 of the parameters."""
    logs = {name: math.log10(candidate.params[name]) for name in names}
    worse = 0.5 * (candidate.params.get("kind", "a") != "b")
    worse += 0.1 * abs(candidate.params.get("degree", 3) - 3)
    loss = 1 + worse + sum((value - 1) ** 2 for value in logs.values())
    slopes = {
        name: 2 * (value - 1) / (candidate.params[name] * math.log(10))
        for name, value in logs.items()
    }

    derivative = Derivative(loss, slopes)
    splits = (SplitResult(-loss, None, 0.0, 0.0, derivative=derivative),) * 2
    return Trial(number, candidate, splits, number)


def search(
    spec,
    n_iter,
    *,
    smooth=("C", "alpha"),
    current=None,
    evaluate=evaluate,
    **attributes,
):
    space = Space(spec)

    def smooth_names(fixed, names):
        return [name for name in names if name in smooth]

    strategy = GradientStrategy(space, n_iter, smooth_names, current or {})
    vars(strategy).update(attributes)
    trials = []
    while candidates := strategy.ask(3):
        (candidate,) = candidates
        names = [name for name in smooth if name in candidate.params]
        trials.append(evaluate(len(trials), candidate, names))
        strategy.tell(trials[-1:])
    return strategy, trials


LOG = Real(1e-4, 1e4, log=True)


def test_the_current_parameters_are_the_start():
    _, trials = search({"C": LOG}, 20, current={"C": 3.0})
    assert trials[0].params == {"C": 3.0}
    _, trials = search({"C": LOG}, 20, current={"C": 1e9})
    assert trials[0].params["C"] == pytest.approx(1.0)


def test_it_converges_and_says_so():
    strategy, trials = search({"C": LOG, "alpha": LOG}, 50)
    best = min(trials, key=lambda trial: trial.splits[0].derivative.loss)
    assert best.splits[0].derivative.loss < 1.501
    assert len(trials) < 15
    assert strategy.exhausted_reason == CONVERGED


@pytest.mark.parametrize("n_iter", [18, 40])
def test_few_combinations_are_all_tried(n_iter):
    spec = {"C": LOG, "kind": ["a", "b"], "degree": Integer(2, 4)}
    _, trials = search(spec, n_iter)
    tried = Counter((trial.params["kind"], trial.params["degree"]) for trial in trials)
    assert len(tried) == 6
    assert min(tried.values()) >= 3
    best = min(trials, key=lambda trial: trial.splits[0].derivative.loss)
    assert (best.params["kind"], best.params["degree"]) == ("b", 3)


def test_a_combination_without_a_gradient_is_one_candidate():
    spec = [{"C": LOG, "kind": ["a"]}, {"degree": [2, 3, 4, 5]}, {"alpha": LOG}]
    _, trials = search(spec, 10)
    names = Counter(tuple(sorted(trial.params)) for trial in trials)
    assert names["degree",] == 4
    assert names["C", "kind"] >= 3 <= names["alpha",]


def test_no_more_than_n_iter_distinct_candidates():
    for n_iter in (1, 2, 5, 13):
        spec = [{"C": LOG, "kind": ["a", "b"]}, {"alpha": LOG}]
        _, trials = search(spec, n_iter)
        assert len(trials) <= n_iter
        assert len({trial.candidate.key for trial in trials}) == len(trials)


def test_many_combinations_are_proposed_by_a_model():
    spec = {"C": LOG, "kind": ["a", "b"], "degree": Integer(1, 50), "x": Real(0, 1)}
    strategy, trials = search(spec, 40)
    assert len(trials) == 40
    assert strategy.exhausted_reason == "n_iter candidates evaluated"
    losses = [trial.splits[0].derivative.loss for trial in trials]
    assert min(losses) < 1.6


@pytest.mark.parametrize("lower", [0, 1])
def test_of_two_kinks_only_the_lower_is_looked_around(lower):
    tips = np.array([[0.31, 0.33], [0.72, 0.71]])
    floors = np.array([1.0, 1.0]) + 0.2 * (np.arange(2) != lower)

    def evaluate(number, candidate, names):
        u = np.array([candidate.params[name] for name in names])
        losses = floors + np.abs(u - tips).sum(axis=1)
        slopes = np.sign(u - tips[losses.argmin()])
        derivative = Derivative(
            losses.min(), dict(zip(names, slopes.tolist(), strict=True))
        )
        return Trial(
            number,
            candidate,
            (SplitResult(-losses.min(), None, 0.0, 0.0, derivative=derivative),),
            number,
        )

    spec = {"C": Real(0, 1), "alpha": Real(0, 1)}
    current = {"C": 0.2, "alpha": 0.35}
    strategy, trials = search(spec, 200, current=current, evaluate=evaluate)
    assert strategy.exhausted_reason == KINK
    places = np.array([[t.params["C"], t.params["alpha"]] for t in trials])
    losses = np.array([t.splits[0].derivative.loss for t in trials])
    n_around = []
    for tip in tips:
        near = np.abs(places - tip).sum(axis=1) < 0.2
        best = places[near][losses[near].argmin()]
        # Steps on the way may be as long, but do not go along an axis.
        away = np.sort(np.abs(places - best), axis=1)
        n_around.append(np.isclose(away, [0, 0.05], atol=1e-12).all(axis=1).sum())
    assert n_around[lower] >= 4
    assert n_around[1 - lower] == 0
    assert np.abs(places[losses.argmin()] - tips[lower]).sum() < 0.02


def test_a_proposal_is_descended_from_in_the_branch_of_its_types():
    kinds = [*"abcdefghij"]
    spec = [{"C": Real(0.1, 3.0), "kind": kinds}, {"C": Integer(1, 3), "kind": kinds}]
    _, trials = search(spec, 12, current={"C": 1, "kind": "a"})
    assert trials[0].params == {"C": 1, "kind": "a"}
    assert type(trials[0].params["C"]) is int
    # A whole number has no slope, so the next one is a proposal of the model.
    assert trials[1].params["kind"] != "a" or type(trials[1].params["C"]) is int


def test_a_space_that_is_exhausted_says_so():
    spec = [{"C": LOG}, {"kind": Categorical(["a", "b"])}]
    strategy, trials = search(spec, 50)
    assert {"a", "b"} <= {trial.params.get("kind") for trial in trials}
    assert strategy.exhausted_reason == CONVERGED


# Looks between rows


def looking(seen, *, higher=0.0, n_most=100, after=None, solution=None):
    """Make ``look_from``, which sees the same bowl; its answers go to `seen`.

    They are too high by a share, and after `n_most` of them it answers `after`. The
    solution, if there is one, comes with each.
    """

    def look_from(params, derivatives, is_short):
        assert len(derivatives) == 2

        def look(values, n_splits=None):
            if len(seen) >= n_most:
                return after
            candidate = Candidate({**params, **values})
            trial = evaluate(0, candidate, [*values])
            seen.append(values)
            found = []
            for split in trial.splits[:n_splits]:
                scaled = {
                    k: v * (1 + higher) for k, v in split.derivative.slopes.items()
                }
                loss = split.derivative.loss * (1 + higher)
                found.append(Derivative(loss, scaled, solution))
            return found

        return look

    return look_from


@pytest.mark.parametrize("spec", [{"C": LOG}, {"C": LOG, "alpha": LOG}])
def test_between_start_and_end_it_only_looks(spec):
    seen = []
    current = {"C": 0.02, "alpha": 500.0}
    strategy, trials = search(
        spec, 50, current=current, look_from=looking(seen), rows_around=False
    )
    assert len(trials) == 2
    assert trials[0].params == {name: current[name] for name in spec}
    assert trials[1].splits[0].derivative.loss < 1.5001
    assert len(seen) > 2
    assert strategy.exhausted_reason == CONVERGED


@pytest.mark.parametrize("solution", [None, bytes(8)])
def test_slopes_of_a_loose_fit_are_found_again_unless_its_solution_is_known(solution):
    completed = []

    def complete(params, derivatives):
        completed.append(params)
        return derivatives

    look_from = looking([], higher=-0.01, solution=solution)
    with pytest.warns(RuntimeWarning, match="goes on by fits"):
        _, trials = search({"C": LOG}, 50, look_from=look_from, complete=complete)
    assert (trials[0].params in completed) == (solution is None)
    assert completed


def test_ends_of_the_bracket_are_rows_where_another_score_decides():
    _, trials = search({"C": LOG}, 50, current={"C": 0.02}, look_from=looking([]))
    _, end, *ends = [math.log10(trial.params["C"]) for trial in trials]
    assert end == pytest.approx(1, abs=0.01)
    assert ends
    # Of 8 decades, not where the end is already.
    assert all(abs(other - end) > 0.16 for other in ends)
    _, fewer = search({"C": LOG}, 2, current={"C": 0.02}, look_from=looking([]))
    assert len(fewer) == 2


def test_the_lowest_looks_that_are_apart_are_rows_where_another_score_decides():
    seen, spec = [], {"C": LOG, "alpha": LOG}
    current = {"C": 0.02, "alpha": 500.0}
    _, trials = search(spec, 50, current=current, look_from=looking(seen))
    places = [[math.log10(trial.params[name]) / 8 for name in spec] for trial in trials]
    assert 2 < len(trials) <= 10
    for number in range(2, len(places)):
        apart = np.subtract(places[1:number], places[number])
        assert np.linalg.norm(apart, axis=1).min() >= 0.02 - 1e-9
    around = [trial.params for trial in trials[2:]]
    assert all(params in seen for params in around)
    losses = [np.mean([s.derivative.loss for s in t.splits]) for t in trials[2:]]
    assert losses == sorted(losses)
    _, fewer = search(spec, 4, current=current, look_from=looking([]))
    assert [t.params for t in fewer] == [t.params for t in trials[:4]]


def split_bowls(*centres):
    """Make ``evaluate`` with a bowl of its own for each split, in log10 of C."""

    def evaluate(number, candidate, names):
        value = math.log10(candidate.params["C"])
        splits = []
        for centre, depth in centres:
            slope = 2 * depth * (value - centre)
            slopes = {"C": slope / (candidate.params["C"] * math.log(10))}
            derivative = Derivative(1 + depth * (value - centre) ** 2, slopes)
            splits.append(SplitResult(0, None, 0.0, 0.0, derivative=derivative))
        return Trial(number, candidate, tuple(splits), number)

    return evaluate


def looking_at(seen, *centres):
    """Make ``look_from`` that sees these bowls; places and splits go to `seen`."""
    evaluate = split_bowls(*centres)

    def look_from(params, derivatives, is_short):
        def look(values, n_splits=None):
            assert len(seen) < 100
            trial = evaluate(0, Candidate(values), ["C"])
            seen.append((values["C"], n_splits))
            return [split.derivative for split in trial.splits[:n_splits]]

        return look

    return look_from


@pytest.mark.parametrize(
    ("centres", "start", "stays"),
    [
        (((2, 1), (2.4, 1)), 1e-3, False),
        (((1, 1), (-1, 1)), 1e-3, False),  # the loss of both is lower there, too
        (((3, 0.01), (-3, 1)), 1e-3, True),  # that of the second is not
        (((2, 1), (2.4, 1)), 30.0, True),  # near
    ],
    ids=["alike", "opposed", "misled", "near"],
)
def test_from_afar_the_first_split_goes_ahead(centres, start, stays):
    seen = []
    evaluate, look_from = split_bowls(*centres), looking_at(seen, *centres)
    strategy, trials = search(
        {"C": LOG},
        50,
        current={"C": start},
        evaluate=evaluate,
        look_from=look_from,
        rows_around=False,
    )
    weights = [depth for _, depth in centres]
    least = np.average([centre for centre, _ in centres], weights=weights)
    end = math.log10(trials[-1].params["C"])
    assert end == pytest.approx(least, abs=0.05)
    assert len(trials) == 2
    assert seen[0] == (start, 1)
    assert ((start, None) in seen) == stays
    by_all = [value for value, n_splits in seen if n_splits is None]
    assert stays or len(by_all) <= 4
    assert strategy.exhausted_reason == CONVERGED


def test_from_afar_there_are_ends_of_the_bracket_too():
    centres = ((2, 1), (2.02, 1))  # all splits look about within a small step
    _, trials = search(
        {"C": LOG},
        50,
        current={"C": 1e-3},
        evaluate=split_bowls(*centres),
        look_from=looking_at([], *centres),
    )
    _, end, *ends = [math.log10(trial.params["C"]) for trial in trials]
    assert min(ends) < end - 0.16
    assert max(ends) > end + 0.16


def test_it_may_come_back_to_where_the_first_split_left():
    # Fits are loose there, and the loss of both falls towards it.
    centres, seen = ((1, 1), (6, 3)), []
    loose = split_bowls(*((centre, 10 * depth) for centre, depth in centres))
    strategy, trials = search(
        {"C": LOG},
        50,
        current={"C": 1e4},
        evaluate=loose,
        look_from=looking_at(seen, *centres),
        complete=lambda params, derivatives: derivatives,
    )
    assert seen.index((1e4, 1)) < seen.index((1e4, None))
    assert strategy.exhausted_reason == AT_BOUND
    assert min(trial.splits[1].derivative.loss for trial in trials) == 121


def test_without_another_row_to_come_it_does_not_look():
    seen = []
    _, trials = search({"C": LOG}, 1, look_from=looking(seen))
    assert len(trials) == 1
    assert not seen


def test_each_combination_is_looked_at_from_its_own_start():
    spec = {"C": LOG, "kind": ["a", "b"], "degree": Integer(2, 4)}
    _, trials = search(spec, 50, look_from=looking([]), rows_around=False)
    assert len(trials) == 12
    best = min(trials, key=lambda trial: trial.splits[0].derivative.loss)
    assert (best.params["kind"], best.params["degree"]) == ("b", 3)


@pytest.mark.parametrize("n_most", [0, 1])
def test_where_there_is_no_solution_it_goes_on_by_rows_and_says_so(n_most):
    look_from = looking([], n_most=n_most)
    with pytest.warns(
        RuntimeWarning, match="has found no solution. .* goes on by fits"
    ):
        strategy, trials = search(
            {"C": LOG}, 50, current={"C": 0.02}, look_from=look_from
        )
    assert min(trial.splits[0].derivative.loss for trial in trials) < 1.5001
    assert len(trials) > 2
    assert strategy.exhausted_reason == CONVERGED


def test_looks_that_fits_do_not_confirm_are_left():
    look_from = looking([], higher=-0.01)
    with pytest.warns(RuntimeWarning, match="a loss of 1.485, the fits one of 1.5"):
        strategy, trials = search(
            {"C": LOG}, 50, current={"C": 0.02}, look_from=look_from
        )
    assert min(trial.splits[0].derivative.loss for trial in trials) < 1.5001
    assert strategy.exhausted_reason == CONVERGED


def test_when_it_is_late_it_asks_for_rows_without_a_word():
    look_from = looking([], n_most=1, after=[])
    _, trials = search({"C": LOG}, 50, current={"C": 0.02}, look_from=look_from)
    assert len(trials) > 2


@pytest.mark.parametrize("start", [0.0, 0.1, 0.99, 1.0])
def test_where_looks_are_cheap_plains_are_crossed(start):
    def function(u):
        left = (u - 0.4) / 0.05
        e = np.exp(-(left**2))
        return 1 - 0.5 * e[0], left * e / 0.05

    values = []
    search = descend(np.array([start]), lambda: False)
    u = next(search)
    while len(values) < 50:
        values.append(function(u)[0])
        try:
            u = search.send(function(u))
        except StopIteration as stop:
            assert function(stop.value.u)[0] < 0.5005
            break
    assert len(values) < 25
    points, _, _ = run(function, [start])
    assert len(points) < 5  # by fits it is given up
