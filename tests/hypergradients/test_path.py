"""What solves between fits rest on: second derivatives, signs, guesses."""

import numpy as np
import pytest
from gradient_oracle import fit, parts
from sklearn import metrics
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from skhpo.hypergradients.base import Rough, polish, solve
from skhpo.hypergradients.differentiate import Differentiator
from skhpo.hypergradients.least_squares import _feature_sign
from skhpo.hypergradients.logistic import LogisticRegressionEquations
from skhpo.hypergradients.losses import REGRESSION, log_loss

LOSS = {
    LogisticRegression: log_loss,
    **dict.fromkeys([ElasticNet, Lasso, Ridge], REGRESSION[metrics.mean_squared_error]),
}


def three_classes(fit_intercept, C=0.5):
    X, y = make_classification(90, 6, n_informative=4, n_classes=3, random_state=0)
    model = LogisticRegression(C=C, fit_intercept=fit_intercept).fit(X, y)
    s = np.random.default_rng(0).uniform(0.2, 2, len(y))
    return LogisticRegressionEquations(model, X, y, s), model.get_params(deep=False), X


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_hessian_of_all_classes_is_what_products_say(fit_intercept, monkeypatch):
    # As of data too large to be taken at once.
    monkeypatch.setattr("skhpo.hypergradients.logistic._MAX_CELLS", 500)
    equations, params, _ = three_classes(fit_intercept)
    w = equations.w
    H = equations._joint_hessian(w).astype(float)
    H[np.diag_indices(18)] += 1 / params["C"]
    expected = np.column_stack([equations.product(w, e) for e in np.eye(len(w))])
    np.testing.assert_allclose(H, expected, atol=1e-4 * np.abs(expected).max())


def test_a_rough_factor_saves_products_and_not_accuracy(monkeypatch):
    equations, params, X = three_classes(True)
    w, _, converged = polish(equations, params, X)
    assert converged
    factor = equations.factor(w)
    assert isinstance(factor, Rough)
    calls = []
    own = equations.product
    monkeypatch.setattr(equations, "product", lambda *a: calls.append(a) or own(*a))
    rhs = np.random.default_rng(0).normal(size=len(w))
    with_factor = solve(equations, w, rhs, factor, 1e-10)
    n_with = len(calls)
    without = solve(equations, w, rhs, None, 1e-10)
    np.testing.assert_allclose(with_factor, without, rtol=1e-6)
    assert n_with < (len(calls) - n_with) / 2


@pytest.mark.parametrize("l1", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_signs_are_mended_until_no_coefficient_wants_to_change(l1, seed):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(40, 12))
    G, c = A.T @ A / 40, A.T @ (A @ rng.normal(size=12) + rng.normal(size=40)) / 40
    x = _feature_sign(G, c, l1, 0.05, rng.normal(size=12) * (rng.random(12) < 0.5))
    left = c - G @ x - 0.05 * x
    own = x != 0
    np.testing.assert_allclose(left[own], l1 * np.sign(x[own]), atol=1e-10)
    assert (np.abs(left[~own]) <= l1 * (1 + 1e-6)).all()


def begun(model, train, test, name, slopes=True):
    differentiate = Differentiator([name], LOSS[type(model)])
    solution = differentiate(fit(model, train), train, test, slopes=slopes).solution
    return differentiate.path(clone(model), train, test, "", solution)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_path_may_begin_near_one_on_another_split(n_classes):
    X, y = make_classification(
        120, 6, n_informative=4, n_classes=n_classes, random_state=0
    )
    model = LogisticRegression(C=1e4)
    splits = parts(X, y, 80), parts(X[::-1], y[::-1], 80)
    guide, path, alone = (begun(model, *split, "C") for split in [*splits, splits[1]])
    path.guide = guide
    guide.at({"C": 1e-2})
    seen = guide._known[0]
    np.testing.assert_array_equal(path._guess(path._place([1e-2])), seen.w)
    assert path._guess(path._place([2e4])) is path._fit.w
    found, expected = path.at({"C": 1e-2}), alone.at({"C": 1e-2})
    assert found.solution is None  # it is not that of the fit
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-6)
    np.testing.assert_allclose(found.slopes["C"], expected.slopes["C"], rtol=1e-3)
    assert path.at({"C": 1e-2}) is found
    # Back at the fit it begins at that, as if it had not been away.
    at_once = begun(model, *splits[1], "C").at({"C": 1e4})
    assert path.at({"C": 1e4}).solution == at_once.solution
    # Of other features there is nothing to learn.
    train, test = parts(X[:, :4], y, 80)
    other = begun(model, train, test, "C")
    other.guide = guide
    assert other.at({"C": 1e-2}).loss > 0


def test_a_path_leaves_the_solutions_of_its_guide_as_they_are():
    X, y = make_regression(60, 8, noise=10, random_state=0)
    splits = parts(X, y, 40), parts(X[::-1], y[::-1], 40)
    guide, path = (begun(Lasso(), *split, "alpha") for split in splits)
    path.guide = guide
    guide.at({"alpha": 20.0})
    before = guide._known[0].w.copy()
    path.at({"alpha": 25.0})
    np.testing.assert_array_equal(guide._known[0].w, before)


def test_values_close_to_zero_are_different_places():
    X, y = make_regression(60, 40, noise=30, random_state=0)
    train, test = parts(X * 1e-8, y, 40)
    path = begun(Ridge(alpha=1e-19, solver="svd"), train, test, "alpha")
    losses = [path.at({"alpha": alpha}).loss for alpha in (1e-19, 1e-17, 1e-15, 1e-13)]
    assert len(np.unique(losses)) == 4


def test_where_there_is_no_solution_there_is_no_look():
    X, y = make_classification(60, 5, random_state=0)
    train, test = parts(X, y, 40)
    path = begun(LogisticRegression(), train, test, "C")
    assert path.at({"C": 0.0}) is None
    # It goes on from where it was.
    assert path.at({"C": 2.0}).loss > 0


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_first_look_from_a_loose_fit_gives_the_exact_solution(n_classes):
    X, y = make_classification(
        90, 6, n_informative=4, n_classes=n_classes, random_state=0
    )
    train, test = parts(X, y, 60)
    model = LogisticRegression(C=100.0)
    loose = clone(model).set_params(tol=0.1)
    path = begun(loose, train, test, "C", slopes=False)
    tight = fit(clone(model).set_params(tol=1e-12, max_iter=10_000), train)
    first = path.at({"C": 100.0})
    found = np.frombuffer(first.solution)
    np.testing.assert_allclose(found[: tight.coef_.size], tight.coef_.ravel(), 1e-4)
    assert path.at({"C": 50.0}).solution is None


def test_where_several_solutions_may_be_a_look_gives_none():
    X, y = make_regression(30, 60, noise=10, random_state=0)
    train, test = parts(X, y, 20)
    assert begun(Lasso(), train, test, "alpha").at({"alpha": 1.0}).solution is None


def test_without_a_way_to_restore_a_solution_slopes_come_with_the_fit(monkeypatch):
    X, y = make_classification(60, 5, random_state=0)
    train, test = parts(X, y, 40)
    differentiate = Differentiator(["C"], log_loss)
    fitted = fit(LogisticRegression(), train)
    assert not differentiate(fitted, train, test, slopes=False).slopes
    monkeypatch.setattr(LogisticRegressionEquations, "restore", None)
    assert differentiate(fitted, train, test, slopes=False).slopes.keys() == {"C"}


def test_data_without_any_spread_are_not_looked_at():
    X, y = np.zeros((30, 3)), np.arange(30.0)
    train, test = parts(X, y, 20)
    assert begun(Lasso(), train, test, "alpha") is None
    assert begun(Ridge(), train, test, "alpha").at({"alpha": 2.0}).loss > 0


@pytest.mark.parametrize("shape", [(60, 10), (30, 80)], ids=["tall", "wide"])
@pytest.mark.parametrize("model", [Lasso, ElasticNet])
def test_columns_that_are_equal_have_a_solution(model, shape):
    X, y = make_regression(*shape, n_informative=4, noise=10, random_state=0)
    X = StandardScaler().fit_transform(np.column_stack([X, X[:, :3], -X[:, :1]]))
    train, test = parts(X, y / y.std(), 2 * shape[0] // 3)
    loss = LOSS[model]
    model = model(alpha=0.1, tol=1e-10, max_iter=100_000)
    path = begun(model, train, test, "alpha")
    for alpha in (0.1, 10.0, 0.4, 0.02):
        fitted = fit(model, train, alpha=alpha)
        share = np.full(len(test.y), 1 / len(test.y))
        expected = loss(fitted.predict(test.X)[:, None], test.y[:, None], share)
        np.testing.assert_allclose(
            path.at({"alpha": alpha}).loss, expected[0], rtol=1e-5
        )
