"""A loss is the metric that it is named after, and its derivative is one."""

from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import expit, softmax
from sklearn import metrics
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import check_scoring, get_scorer, make_scorer

from skhpo.hypergradients import losses
from skhpo.hypergradients.losses import (
    CLASSIFICATION,
    REGRESSION,
    balanced_log_loss,
    brier,
    calibrated,
    log_loss,
    loss_of,
)

N = 40


def of(metric, **kwargs):
    return loss_of(make_scorer(metric, **kwargs), classifier=False)


def share(score):
    """Turn a score with a best value of one into a loss."""
    return lambda y, f, **kwargs: 1 - score(y, f, **kwargs)


METRICS = [
    (of(metric), metric)
    for metric in [
        metrics.mean_squared_error,
        metrics.root_mean_squared_error,
        metrics.mean_absolute_error,
        metrics.mean_absolute_percentage_error,
        metrics.mean_squared_log_error,
        metrics.root_mean_squared_log_error,
    ]
]
METRICS += [
    (of(metric), share(metric))
    for metric in [metrics.r2_score, metrics.explained_variance_score]
]
METRICS += [
    (
        of(metrics.mean_pinball_loss, alpha=alpha),
        partial(metrics.mean_pinball_loss, alpha=alpha),
    )
    for alpha in (0.1, 0.5, 0.8)
]
ONE_TARGET = [
    (of(metrics.mean_poisson_deviance), metrics.mean_poisson_deviance),
    (of(metrics.mean_gamma_deviance), metrics.mean_gamma_deviance),
]
ONE_TARGET += [
    (
        of(metrics.mean_tweedie_deviance, power=power),
        partial(metrics.mean_tweedie_deviance, power=power),
    )
    for power in (-1, 0, 1, 1.5, 2, 3)
]


def draw(seed, k=1):
    """Give positive predictions, targets, and weights that sum to one."""
    rng = np.random.default_rng(seed)
    s = rng.uniform(0.2, 2, N)
    return rng.gamma(3, 1, (N, k)), rng.gamma(3, 1, (N, k)), s / s.sum()


def draw_classes(seed, n_classes):
    """Give logits, numbered classes, and weights that sum to one."""
    rng = np.random.default_rng(seed)
    s = rng.uniform(0.2, 2, N)
    k = n_classes if n_classes > 2 else 1
    y = rng.permutation(np.arange(N) % n_classes)
    return rng.normal(size=(N, k)), y, s / s.sum()


def assert_derivative(loss, f, *, rel=1e-6):
    """Compare a derivative with central differences in random directions."""
    _, slope = loss(f)
    assert slope.shape == f.shape
    rng = np.random.default_rng(1)
    for _ in range(5):
        v = rng.normal(size=f.shape)
        h = 1e-6
        difference = (loss(f + h * v)[0] - loss(f - h * v)[0]) / (2 * h)
        assert_allclose(np.vdot(slope, v), difference, rtol=rel, atol=1e-8)


# Regression --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("loss, metric", METRICS + ONE_TARGET)
def test_a_loss_of_regression_equals_its_metric(loss, metric, seed):
    f, y, s = draw(seed)
    value, _ = loss(f, y, s)
    assert value == pytest.approx(metric(y[:, 0], f[:, 0], sample_weight=s))


@pytest.mark.parametrize("loss, metric", METRICS)
def test_a_loss_is_the_mean_over_targets(loss, metric):
    f, y, s = draw(0, k=3)
    assert loss(f, y, s)[0] == pytest.approx(metric(y, f, sample_weight=s))


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("loss", [loss for loss, _ in METRICS + ONE_TARGET])
def test_the_derivative_of_a_loss_of_regression_is_that_of_differences(loss, k):
    f, y, s = draw(0, k)
    assert_derivative(lambda f: loss(f, y, s), f)


def test_a_perfect_prediction_has_no_slope():
    _, y, s = draw(0)
    for name in ("mean_squared_error", "mean_absolute_error", "r2_score"):
        value, slope = of(getattr(metrics, name))(y, y, s)
        assert value == 0
        assert not slope.any()


def test_a_constant_target_has_a_share_of_variance():
    f, _, s = draw(0)
    value, slope = of(metrics.r2_score)(f, np.ones_like(f), s)
    assert np.isfinite(value)
    assert np.isfinite(slope).all()


# Classification ----------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_log_loss_equals_the_metric(n_classes, seed):
    f, y, s = draw_classes(seed, n_classes)
    p = expit(f)[:, 0] if n_classes == 2 else softmax(f, axis=1)
    assert log_loss(f, y, s)[0] == pytest.approx(
        metrics.log_loss(y, p, sample_weight=s)
    )


@pytest.mark.parametrize("seed", range(3))
def test_brier_equals_the_metric(seed):
    f, y, s = draw_classes(seed, 2)
    expected = metrics.brier_score_loss(y, expit(f)[:, 0], sample_weight=s)
    assert brier(f, y, s)[0] == pytest.approx(expected)


def test_brier_of_several_classes_sums_over_them():
    f, y, s = draw_classes(0, 3)
    expected = s @ ((softmax(f, axis=1) - np.eye(3)[y]) ** 2).sum(axis=1)
    assert brier(f, y, s)[0] == pytest.approx(expected)


def test_balanced_log_loss_is_the_mean_of_those_of_the_classes():
    f, y, s = draw_classes(0, 3)
    y[y == 2] = np.arange((y == 2).sum()) % 5 // 4 * 2
    of_classes = [
        log_loss(f[y == c], y[y == c], s[y == c] / s[y == c].sum())[0] for c in range(3)
    ]
    assert balanced_log_loss(f, y, s)[0] == pytest.approx(np.mean(of_classes))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("loss", [log_loss, brier, balanced_log_loss])
def test_the_derivative_of_a_loss_of_classes_is_that_of_differences(loss, n_classes):
    f, y, s = draw_classes(0, n_classes)
    assert_derivative(lambda f: loss(f, y, s), f)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_sure_mistakes_have_a_finite_loss(n_classes):
    f, y, s = draw_classes(0, n_classes)
    value, slope = log_loss(1e4 * f, y, s)
    assert np.isfinite(value)
    assert np.isfinite(slope).all()


# Calibration -------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("loss", [log_loss, brier])
def test_the_derivative_of_a_calibrated_loss_is_that_of_differences(
    loss, scale, n_classes
):
    f, y, s = draw_classes(0, n_classes)
    f = f + 0.7 * (np.eye(n_classes)[y] if n_classes > 2 else 2 * y[:, None] - 1)

    def calibrate(f):
        value, slope = calibrated(loss, scale * f, y, s)
        return value, scale * slope

    assert_derivative(calibrate, f, rel=1e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("outlier", [1, 1e4])
@pytest.mark.parametrize("loss", [log_loss, balanced_log_loss])
def test_no_other_scale_or_offset_calibrates_better(loss, outlier, n_classes, rng):
    f, y, s = draw_classes(1, n_classes)
    f = 30 * (f + (np.eye(n_classes)[y] if n_classes > 2 else y[:, None]))
    f[0] *= -outlier
    value, _ = calibrated(loss, f, y, s)

    def penalised(ab):
        return loss(ab[0] * f + ab[1:], y, s)[0] + 1e-4 * ab @ ab / len(y)

    start = np.append(1 / np.abs(f).mean(), np.zeros(f.shape[1]))
    found = minimize(penalised, start, method="Nelder-Mead", options={"maxiter": 5000})
    assert value <= found.fun + 1e-9
    for width in (1e-3, 1e-1, 10.0):
        for ab in found.x * (1 + width * rng.normal(size=(20, len(start)))):
            assert value <= penalised(ab)


@pytest.mark.parametrize("kind", ["noisy", "separated", "far apart", "one class"])
def test_two_classes_are_calibrated_by_newton_steps_alone(kind, rng, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("It fell back on another method.")

    monkeypatch.setattr(losses, "minimize", never)
    f, y, s = draw_classes(2, 2)
    if kind == "one class":
        y = np.ones_like(y)
    elif kind != "noisy":
        mean, std = (14, 5) if kind == "far apart" else (0, 1)
        f = np.exp(rng.normal(mean, std, f.shape)) * (2 * y[:, None] - 1)
    s[:3] = 0

    def calibrate(f):
        return calibrated(log_loss, f, y, s / s.sum())

    value, slope = calibrate(f)
    assert np.isfinite(value)
    way = rng.normal(size=f.shape) * f
    assert np.vdot(slope, way) == pytest.approx(
        (calibrate(f + 1e-5 * way)[0] - calibrate(f - 1e-5 * way)[0]) / 2e-5,
        rel=1e-3,
        abs=1e-9,
    )


def test_separated_classes_have_a_calibrated_loss():
    y = np.arange(N) % 2
    f = np.where(y, 2.0, -1.0)[:, None]
    value, slope = calibrated(log_loss, f, y, np.full(N, 1 / N))
    assert 0 < value < 0.1
    assert np.isfinite(slope).all()


# Scorers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, expected",
    [
        ("neg_log_loss", log_loss),
        ("neg_brier_score", brier),
        ("accuracy", log_loss),
        ("f1_macro", log_loss),
        ("roc_auc_ovr", log_loss),
        ("balanced_accuracy", balanced_log_loss),
    ],
)
def test_a_scorer_of_classes_has_its_loss(name, expected):
    assert loss_of(get_scorer(name), classifier=True) is expected


@pytest.mark.parametrize("classifier", [True, False])
def test_the_score_of_an_estimator_has_its_loss(classifier):
    scorer = check_scoring(LogisticRegression() if classifier else Ridge())
    known = CLASSIFICATION if classifier else REGRESSION
    expected = metrics.accuracy_score if classifier else metrics.r2_score
    assert loss_of(scorer, classifier=classifier) is known[expected]


@pytest.mark.parametrize("classifier", [True, False])
@pytest.mark.parametrize(
    "scorer",
    [get_scorer("neg_max_error"), lambda estimator, X, y: 0.0],
    ids=["max", "own"],
)
def test_a_scorer_without_a_loss_is_refused_with_names(scorer, classifier):
    with pytest.raises(ValueError, match=r"no smooth loss .* smooth_scoring"):
        loss_of(scorer, classifier=classifier)
