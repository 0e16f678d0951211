"""Losses and slopes as refits give them, without the equations that are tested."""

import copy
import warnings
from itertools import combinations

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from skhpo._evaluation.splits import Part
from skhpo.hypergradients.chain import differentiable
from skhpo.hypergradients.differentiate import Differentiator
from skhpo.hypergradients.losses import calibrated


def parts(X, y, n_train, train_params=None, test_params=None):
    """Split into the first rows and the others."""
    rows = slice(n_train), slice(n_train, None)
    take = X.iloc.__getitem__ if hasattr(X, "iloc") else X.__getitem__
    return (
        Part(take(rows[0]), y[rows[0]], train_params or {}),
        Part(take(rows[1]), y[rows[1]], test_params or {}),
    )


def fit(estimator, train, **params):
    """Fit a copy, at other parameters; deprecated settings are not the point."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", "Inconsistent values: penalty")
        return (
            clone(estimator).set_params(**params).fit(train.X, train.y, **train.params)
        )


def held_out_loss(estimator, train, test, loss, **params):
    """Compute the loss of what a refit itself predicts."""
    fitted = fit(estimator, train, **params)
    s = test.params.get("sample_weight", np.ones(len(test.y)))
    s = s / s.sum()
    if not is_classifier(fitted):
        f = fitted.predict(test.X).reshape(len(s), -1)
        return loss(f, test.y.reshape(len(s), -1), s)[0]
    y = np.searchsorted(fitted.classes_, test.y)
    if not hasattr(fitted, "predict_log_proba"):
        f = decision_values(fitted, test.X)
        return calibrated(loss, f, y, s)[0]
    f = fitted.predict_log_proba(test.X)
    return loss(f[:, 1:] - f[:, :1] if f.shape[1] == 2 else f, y, s)[0]


def decision_values(fitted, X):
    """Compute decision values, of several classes without the votes of their pairs."""
    k = len(fitted.classes_)
    fitted = copy.deepcopy(fitted)
    model = fitted[-1] if isinstance(fitted, Pipeline) else fitted
    if type(model) is not SVC or k == 2:
        return fitted.decision_function(X).reshape(X.shape[0], -1)
    model.set_params(decision_function_shape="ovo", break_ties=False)
    f = np.zeros((X.shape[0], k))
    values = fitted.decision_function(X).T
    for (i, j), value in zip(combinations(range(k), 2), values, strict=True):
        f[:, i] += value
        f[:, j] -= value
    return f


def assert_slopes(estimator, train, test, loss, names, *, rel=1e-4, step=2e-5):
    """Compare slopes with central differences of refits.

    Refits are polished, since libsvm's kernels have single precision. That they are
    polished towards their own solution, their own predictions tell.
    """

    def differentiate(names, **params):
        return Differentiator(names, loss)(fit(estimator, train, **params), train, test)

    assert differentiable(estimator, names) == list(names)
    found = differentiate(names)
    own = held_out_loss(estimator, train, test, loss)
    np.testing.assert_allclose(found.loss, own, rtol=1e-5)
    assert set(found.slopes) == set(names)
    for name in names:
        value = estimator.get_params()[name]
        h = step * (abs(value) or 1.0)
        above = differentiate([], **{name: value + h}).loss
        below = differentiate([], **{name: value - h}).loss
        slope = (above - below) / (2 * h)
        np.testing.assert_allclose(
            found.slopes[name], slope, rtol=rel, atol=1e-8, err_msg=name
        )
