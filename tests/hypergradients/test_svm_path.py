"""Support vector machines between fits: the solution, and how it is come by."""

import warnings

import numpy as np
import pytest
from gradient_oracle import fit, parts
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.base import clone
from sklearn.datasets import make_classification, make_moons, make_regression
from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from skhpo.hypergradients import svm, svm_path
from skhpo.hypergradients.differentiate import Differentiator
from skhpo.hypergradients.losses import REGRESSION, log_loss
from skhpo.hypergradients.svm import LibsvmEquations

LOSS = {SVC: log_loss, SVR: REGRESSION[metrics.mean_squared_error]}
MACHINES = [(SVC, 2), (SVC, 3), (SVR, 1)]
NAMES = {SVC: ("C", "gamma"), SVR: ("C", "gamma", "epsilon")}


def problem(kind, n_classes=2, seed=0):
    if kind is SVR:
        X, y = make_regression(90, 5, noise=5, random_state=seed)
        y = y / y.std()
    else:
        X, y = make_classification(
            90, 5, n_informative=3, n_classes=n_classes, flip_y=0.2, random_state=seed
        )
    return StandardScaler().fit_transform(X), y


def named(kind, *values):
    return dict(zip(NAMES[kind], values, strict=False))


def begun(model, train, test, names, slopes=True):
    differentiate = Differentiator(names, LOSS[type(model)])
    found = differentiate(fit(model, train), train, test, slopes=slopes)
    path = differentiate.path(clone(model), train, test, "", found.solution)
    return differentiate, path


@pytest.fixture
def fits(monkeypatch):
    """Values at which libsvm had to find the sets."""
    made = []
    own = LibsvmEquations.fitted

    def fitted(self, values):
        made.append(values)
        return own(self, values)

    monkeypatch.setattr(LibsvmEquations, "fitted", fitted)
    return made


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([SVC, SVR]),
    st.integers(0, 10**6),
    st.lists(st.floats(-1.5, 1.5), min_size=3, max_size=3),
)
def test_the_solution_keeps_to_its_margins_and_limits(kind, seed, way):
    X, y = problem(kind, seed=seed)
    train, test = parts(X, y, 60)
    names = NAMES[kind]
    model = kind(gamma=0.2, tol=1e-6)
    _, path = begun(model, train, test, names)
    values = model.get_params()
    values = {n: values[n] * np.exp(x) for n, x in zip(names, way, strict=False)}
    params = {**path._params, **values}
    duals = path._solved(params, path._known[0][1])
    assume(duals is not None)
    (dual,) = duals
    target = path._equations.machines[0].y
    K = rbf_kernel(path._X, gamma=params["gamma"])
    r = K @ dual.beta + dual.b - target
    assert dual.beta.sum() == pytest.approx(0, abs=1e-7)
    assert (np.abs(dual.beta) <= params["C"] * (1 + 1e-6)).all()
    if kind is SVC:
        want = target * dual.beta
        inside, beyond = target * r > 1e-6, target * r < -1e-6
        assert (want >= -1e-6).all()
    else:
        want = -np.sign(r) * dual.beta
        inside = np.abs(r) < params["epsilon"] - 1e-6
        beyond = np.abs(r) > params["epsilon"] + 1e-6
    np.testing.assert_array_equal(dual.beta[inside], 0)
    np.testing.assert_allclose(want[beyond], params["C"])


def test_a_kernel_has_the_rows_of_its_gamma_whatever_was_asked_for_before(rng):
    X, X_new = rng.normal(size=(12, 3)), rng.normal(size=(7, 3))
    kernel = svm_path._Kernel(euclidean_distances(X, X_new, squared=True))
    for gamma in (0.1, 0.1, 3.0, 0.1):
        kernel.move(gamma)
        expected = rbf_kernel(X, X_new, gamma=gamma)
        rows = rng.choice(12, 4, replace=False)
        np.testing.assert_allclose(kernel.rows(rows), expected[rows], rtol=1e-12)
        weights = rng.normal(size=12) * (rng.random(12) < 0.5)
        np.testing.assert_allclose(kernel.weighted(weights), weights @ expected)


@pytest.mark.parametrize(("kind", "n_classes"), MACHINES)
@pytest.mark.parametrize("reason", ["no changes", "singular"])
def test_where_sets_lead_nowhere_libsvm_finds_them(
    kind, n_classes, reason, fits, monkeypatch
):
    train, test = parts(*problem(kind, n_classes), 60)
    names = NAMES[kind]
    far = named(kind, 8.0, 0.5, 0.02)
    _, alone = begun(kind(gamma=0.1, tol=1e-9), train, test, names)
    expected = alone.at(far)
    fits.clear()
    if reason == "no changes":
        monkeypatch.setattr(svm_path, "_MAX_CHANGES", 1)
    else:

        def singular(K):
            raise np.linalg.LinAlgError

        monkeypatch.setattr(svm_path, "_FreeEquations", singular)
    _, path = begun(kind(gamma=0.1, tol=1e-9), train, test, names)
    found = path.at(far)
    assert fits == [far]
    assert found.loss == pytest.approx(expected.loss, rel=1e-6)
    assert found.slopes == pytest.approx(expected.slopes, rel=1e-4)


@pytest.mark.parametrize("kind", [SVC, SVR])
def test_a_far_place_is_gone_to_in_steps(kind, fits, monkeypatch):
    train, test = parts(*problem(kind), 60)
    model = kind(gamma=0.3, tol=1e-9)
    far = named(kind, 100.0, 0.05, 0.3)
    ends = []
    own = svm_path.on_the_way

    def noted(before, values, share):
        ends.append(share)
        return own(before, values, share)

    monkeypatch.setattr(svm_path, "on_the_way", noted)
    differentiate, path = begun(model, train, test, NAMES[kind])
    found = path.at(far)
    assert not fits
    assert ends[0] == ends[-1] == 1 and 0 < min(ends) < 1
    expected = differentiate(fit(model, train, **far), train, test)
    assert found.loss == pytest.approx(expected.loss, rel=1e-6)
    assert found.slopes == pytest.approx(expected.slopes, rel=1e-3)


def test_the_same_place_is_solved_once():
    train, test = parts(*problem(SVC), 60)
    _, path = begun(SVC(gamma=0.1), train, test, NAMES[SVC])
    place = {"C": 3.0, "gamma": 0.2}
    assert path.at(place) is path.at(dict(place))


@pytest.mark.parametrize("seed", range(5))
def test_all_support_vectors_may_be_bound(seed):
    X, y = problem(SVC, seed=seed)
    even = np.sort(np.r_[np.flatnonzero(y == 0)[:30], np.flatnonzero(y == 1)[:30]])
    rest = np.setdiff1d(np.arange(len(y)), even)
    train, test = parts(np.r_[X[even], X[rest]], np.r_[y[even], y[rest]], 60)
    differentiate, path = begun(SVC(gamma=0.3, tol=1e-9), train, test, NAMES[SVC])
    bound = 0
    # From 1e-3 the way leads back.
    for C in (0.3, 0.1, 0.05, 0.02, 0.005, 1e-3, 2.0):
        values = {"C": C, "gamma": 0.3}
        fitted = fit(SVC(tol=1e-9), train, **values)
        bound += (np.abs(fitted.dual_coef_) == C).all()
        expected = differentiate(fitted, train, test)
        found = path.at(values)
        assert found.loss == pytest.approx(expected.loss, rel=1e-6)
        assert found.slopes == pytest.approx(expected.slopes, rel=1e-4, abs=1e-6)
    assert bound > 1


def test_all_errors_of_a_regression_may_cost_nothing():
    X, y = problem(SVR)
    train, test = parts(X, y, 60)
    differentiate, path = begun(SVR(gamma=0.2), train, test, NAMES[SVR])
    for epsilon in (1.0, 2.0, 3.0, 10.0):
        values = named(SVR, 1.0, 0.2, epsilon)
        expected = differentiate(fit(SVR(tol=1e-9), train, **values), train, test)
        found = path.at(values)
        assert found.loss == pytest.approx(expected.loss, rel=1e-6)
        assert found.slopes == pytest.approx(expected.slopes, rel=1e-4, abs=1e-6)
    assert not fit(SVR(), train, **values).support_.size


@pytest.mark.parametrize("offset", [1e6, 1e8])
def test_a_regression_moves_with_its_targets(offset):
    X, y = problem(SVR)
    losses = {}
    for shift in (0.0, offset):
        train, test = parts(X, y + shift, 60)
        _, path = begun(SVR(gamma=0.2), train, test, NAMES[SVR])
        places = [named(SVR, *v) for v in ((1, 0.2, 0.01), (10, 0.1, 0.03))]
        losses[shift] = [path.at(place).loss for place in places]
    np.testing.assert_allclose(losses[offset], losses[0.0], rtol=1e-4)


@pytest.mark.parametrize("gamma", [2.0, 20.0])
def test_where_limits_are_large_the_margin_is_hard(gamma):
    X, y = make_moons(100, noise=0.1, random_state=0)
    train, test = parts(X, y, 70)
    differentiate, path = begun(SVC(gamma=5.0, C=1e4), train, test, NAMES[SVC])
    losses = []
    for C in (1e6, 1e8, 1e10):
        found = path.at({"C": C, "gamma": gamma})
        fitted = fit(SVC(tol=1e-6), train, C=C, gamma=gamma)
        expected = differentiate(fitted, train, test)
        assert found.loss == pytest.approx(expected.loss, rel=1e-3)
        losses.append(found.loss)
    # The margin is hard.
    np.testing.assert_allclose(losses, losses[0], rtol=1e-6)


def test_a_fit_that_takes_long_is_no_place(monkeypatch):
    train, test = parts(*problem(SVC), 60)
    _, path = begun(SVC(gamma=0.1), train, test, NAMES[SVC])
    monkeypatch.setattr(svm_path, "_MAX_CHANGES", 0)
    assert path.at({"C": 2.0, "gamma": 0.1}).loss > 0
    monkeypatch.setattr(svm, "_MAX_STEPS", 3)
    assert path.at({"C": 3.0, "gamma": 0.1}) is None


def test_a_fit_between_rows_leaves_probabilities_out(fits, monkeypatch):
    train, test = parts(*problem(SVC), 60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = SVC(gamma=0.1, probability=True, random_state=0)
        _, path = begun(model, train, test, NAMES[SVC])
    monkeypatch.setattr(svm_path, "_MAX_CHANGES", 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert path.at({"C": 2.0, "gamma": 0.1}).loss > 0
    assert fits


def test_a_class_without_weight_is_named():
    X, y = problem(SVC, 3)
    train, test = parts(X, y, 60, {"sample_weight": (y[:60] > 0).astype(float)})
    with pytest.raises(ValueError, match=r"sample_weight is 0 .* of the class .*0"):
        Differentiator(["C"], log_loss)(fit(SVC(), train), train, test)


@pytest.mark.parametrize("kind", [SVC, SVR])
def test_samples_that_are_equal_have_a_solution(kind):
    X, y = problem(kind)
    X, y = np.repeat(X[:50], 2, axis=0), np.repeat(y[:50], 2)
    train, test = parts(X, y, 70)
    model = kind(gamma=0.1, tol=1e-9)
    differentiate, path = begun(model, train, test, NAMES[kind])
    for values in (named(kind, 0.3, 0.2, 0.05), named(kind, 5.0, 0.05, 0.2)):
        expected = differentiate(fit(model, train, **values), train, test)
        assert path.at(values).loss == pytest.approx(expected.loss, rel=1e-5)


@pytest.mark.parametrize(("kind", "n_classes"), MACHINES)
def test_samples_without_weight_are_left_out(kind, n_classes):
    X, y = problem(kind, n_classes)
    weight = np.random.default_rng(0).uniform(0.5, 2, 60)
    weight[::4] = 0
    train, test = parts(X, y, 60, {"sample_weight": weight})
    kept = weight > 0
    fewer = train._replace(
        X=train.X[kept], y=train.y[kept], params={"sample_weight": weight[kept]}
    )
    model = kind(gamma=0.1, tol=1e-9)
    values = named(kind, 4.0, 0.3, 0.05)
    losses = [
        begun(model, part, test, NAMES[kind])[1].at(values) for part in (train, fewer)
    ]
    assert losses[0].loss == pytest.approx(losses[1].loss, rel=1e-7)
    assert losses[0].slopes == pytest.approx(losses[1].slopes, rel=1e-6)


@pytest.mark.parametrize(("kind", "n_classes"), MACHINES)
def test_slopes_at_a_fit_can_be_found_later(kind, n_classes):
    X, y = problem(kind, n_classes)
    weight = np.random.default_rng(0).integers(0, 3, 60).astype(float)
    train, test = parts(X, np.array(y), 60, {"sample_weight": weight})
    model = kind(gamma=0.1, tol=1e-9)
    differentiate = Differentiator(NAMES[kind], LOSS[kind])
    fitted = fit(model, train)
    expected = differentiate(fitted, train, test)
    brief = differentiate(fitted, train, test, slopes=False, first=False)
    assert brief.slopes == {}
    assert brief.loss == pytest.approx(expected.loss, rel=1e-5)
    found = differentiate.at_solution(clone(model), train, test, "", brief.solution)
    assert found.loss == expected.loss
    assert found.slopes == expected.slopes


@pytest.mark.parametrize(
    "model",
    [SVC(max_iter=500), *(SVC(kernel=k) for k in ("linear", "poly", "sigmoid"))],
)
def test_a_fit_that_need_not_be_the_solution_has_no_path(model):
    train, test = parts(*problem(SVC), 60)
    found = Differentiator(["C"], log_loss)(
        fit(model, train), train, test, slopes=False
    )
    assert found.solution is None and found.slopes.keys() == {"C"}


def test_a_value_that_the_estimator_refuses_is_no_place():
    train, test = parts(*problem(SVC), 60)
    _, path = begun(SVC(gamma=0.1), train, test, NAMES[SVC])
    assert path.at({"C": -1.0, "gamma": 0.1}) is None
    assert path.at({"C": 2.0, "gamma": 0.1}).loss > 0


def test_what_will_be_kept_is_counted_before():
    X, y = problem(SVC, 3)
    train, test = parts(X, y, 60)
    _, path = begun(SVC(gamma=0.1), train, test, NAMES[SVC])
    before = path.n_bytes
    assert "_kernels" not in vars(path)
    kept = sum(kernel.D.nbytes for pair in path._kernels for kernel in pair)
    sizes = [(train.y != k).sum() for k in range(3)]
    assert kept == 8 * sum(n * n + n * len(test.y) for n in sizes)
    assert path.n_bytes == before == 2 * kept
