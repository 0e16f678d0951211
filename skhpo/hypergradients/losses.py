"""Smooth held-out losses, and the scorers that each of them stands for.

Scores are what a search is judged by; a gradient needs a loss that is smooth, or at
least so almost everywhere. A loss is a function of outputs, targets and weights that
returns its value and the derivative by the outputs. Classes are numbered.
"""

from functools import partial

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logsumexp, softmax, xlogy
from sklearn import metrics

# Of calibration: largest slope at its end, and where the value tells no more; Newton
# steps at most, and their least share.
_GTOL, _NEARLY = 1e-9, 1e-7
_MAX_NEWTON = 60
_SHORT = 1e-3


def log_loss(f, y, s):
    """Mean negative log-likelihood of logits, of shape (n, 1) or (n, n_classes)."""
    if f.shape[1] == 1:
        sign = 2 * y[:, None] - 1
        return -(s[:, None] * log_expit(sign * f)).sum(), s[:, None] * (
            expit(f) - y[:, None]
        )
    rows = np.arange(len(y))
    slope = softmax(f, axis=1)
    slope[rows, y] -= 1
    return (s * (logsumexp(f, axis=1) - f[rows, y])).sum(), s[:, None] * slope


def brier(f, y, s):
    """Mean squared difference of probabilities; summed over classes if several."""
    if f.shape[1] == 1:
        p = expit(f)
        left = p - y[:, None]
        return (s[:, None] * left**2).sum(), 2 * s[:, None] * left * p * (1 - p)
    p = softmax(f, axis=1)
    left = p.copy()
    left[np.arange(len(y)), y] -= 1
    slope = 2 * (left - (left * p).sum(axis=1, keepdims=True)) * p
    return (s[:, None] * left**2).sum(), s[:, None] * slope


def balanced_log_loss(f, y, s):
    """Log-loss in which every class weighs the same."""
    return log_loss(f, y, _balanced(y, s))


def _balanced(y, s):
    s = s / np.bincount(y, s)[y]
    return s / s.sum()


def calibrated(loss, f, y, s):
    """Compute a loss of ``a f + b`` with the scale and offsets that make it smallest.

    Platt scaling. At the minimum the derivatives by a and b vanish, so that they need
    none by f. A little shrinkage keeps a finite when the classes are separated.
    """
    if loss is balanced_log_loss:
        loss, s = log_loss, _balanced(y, s)
    unit = max(np.abs(f).mean(), 1e-12)
    g = f / unit
    penalty = 2e-4 / len(y) / np.append(unit**2, np.ones(f.shape[1]))

    def penalised(ab):
        value, slope = loss(ab[0] * g + ab[1:], y, s)
        gradient = np.append(np.vdot(slope, g), slope.sum(axis=0))
        return value + penalty @ ab**2 / 2, gradient + penalty * ab

    ab, ended = np.append(1.0, np.zeros(f.shape[1])), False
    if loss is log_loss and f.shape[1] == 1:
        ab, ended = _newton(_of_two(g[:, 0], y, s, penalty), ab)
    elif loss is log_loss:
        ab, ended = _newton(_of_several(g, s, penalty, penalised), ab)
    if not ended:
        options = {"gtol": _GTOL}
        ab = minimize(penalised, ab, jac=True, method="BFGS", options=options).x
    value, _ = penalised(ab)
    _, slope = loss(ab[0] * g + ab[1:], y, s)
    return value, ab[0] / unit * slope


def _of_two(g, y, s, penalty):
    """Give the penalised log-loss for two classes as a function, in few operations.

    The derivatives by a and b are d_a and d_b, the second ones h_aa, h_ab and h_bb.

    Returns
    -------
    callable
        Of a and b. Gives the value, and a function without arguments that gives
        Newton's step there and the largest slope.
    """
    sign, sg = 2.0 * y - 1, s * g
    sgg = sg * g

    def function(ab):
        f = ab[0] * g + ab[1]

        def step():
            p = expit(f)
            left = p - y
            d_a, d_b = sg @ left + penalty[0] * ab[0], s @ left + penalty[1] * ab[1]
            p *= 1 - p
            h_aa, h_ab, h_bb = sgg @ p + penalty[0], sg @ p, s @ p + penalty[1]
            step = np.array([h_bb * d_a - h_ab * d_b, h_aa * d_b - h_ab * d_a])
            return step / (h_aa * h_bb - h_ab**2), max(abs(d_a), abs(d_b))

        return penalty @ ab**2 / 2 - s @ log_expit(sign * f), step

    return function


def _of_several(g, s, penalty, penalised):
    """Give a function as :func:`_of_two` does, for several classes."""

    def function(ab):
        value, gradient = penalised(ab)

        def step():
            H = _curvature(ab, g, s) + np.diag(penalty)
            return np.linalg.solve(H, gradient), np.abs(gradient).max()

        return value, step

    return function


def _curvature(ab, g, s):
    """Differentiate the log-loss of ``a g + b`` twice, by a and b; several classes."""
    p = softmax(ab[0] * g + ab[1:], axis=1)
    sp = s[:, None] * p
    left = g - (p * g).sum(axis=1, keepdims=True)
    H = np.empty(2 * (len(ab),))
    H[0, 0] = (sp * left**2).sum()
    H[0, 1:] = H[1:, 0] = (sp * left).sum(axis=0)
    H[1:, 1:] = np.diag(sp.sum(axis=0)) - p.T @ sp
    return H


def _newton(function, x):
    """Take damped Newton steps; give where they lead, and whether that is the end."""
    value, step_there = function(x)
    for _ in range(_MAX_NEWTON):
        step, slope = step_there()
        if slope <= _GTOL:
            return x, True
        length = 1.0
        while not (found := function(x - length * step))[0] < value:
            length /= 2
            if length < _SHORT:
                # Near the end the value is only rounding.
                return x, slope <= _NEARLY
        x = x - length * step
        value, step_there = found
    return x, False


def _mean_over_targets(f, y, s, loss):
    value, slope = loss(f, y)
    return (s @ value).mean(), s[:, None] * slope / f.shape[1]


def _squared(f, y):
    return (f - y) ** 2, 2 * (f - y)


def _absolute(f, y):
    return np.abs(f - y), np.sign(f - y)


def _pinball(f, y, alpha):
    slope = np.where(f > y, 1 - alpha, -alpha)
    return slope * (f - y), slope


def _relative(f, y):
    scale = np.maximum(np.abs(y), np.finfo(float).eps)
    return np.abs(f - y) / scale, np.sign(f - y) / scale


def _squared_log(f, y):
    left = np.log1p(f) - np.log1p(y)
    return left**2, 2 * left / (1 + f)


def _deviance(f, y, power=0.0):
    if power == 0:
        return _squared(f, y)
    if power == 1:
        return 2 * (xlogy(y, y / f) - y + f), 2 * (1 - y / f)
    if power == 2:
        return 2 * (np.log(f / y) + y / f - 1), 2 * (1 / f - y / f**2)
    value = (
        np.maximum(y, 0) ** (2 - power) / ((1 - power) * (2 - power))
        - y * f ** (1 - power) / (1 - power)
        + f ** (2 - power) / (2 - power)
    )
    return 2 * value, 2 * (f ** (1 - power) - y * f**-power)


def _root(f, y, s, loss):
    value, slope = loss(f, y)
    root = np.sqrt(s @ value)
    return root.mean(), s[:, None] * slope / (2 * np.maximum(root, 1e-300) * f.shape[1])


def _share_of_variance(f, y, s, *, centred=False):
    """One minus r2 (or explained variance), averaged over targets."""
    left = f - y
    if centred:
        left = left - s @ left
    variance = s @ (y - s @ y) ** 2
    variance = np.where(variance > 0, variance, 1)
    value = (s @ left**2 / variance).mean()
    return value, 2 * s[:, None] * left / variance / f.shape[1]


def _targets(loss, **kwargs):
    return partial(_mean_over_targets, loss=partial(loss, **kwargs))


# By the metric of a scorer: the loss that stands for it, and what the metric's own
# keyword arguments mean to it.
CLASSIFICATION = {
    metrics.log_loss: log_loss,
    metrics.brier_score_loss: brier,
    metrics.balanced_accuracy_score: balanced_log_loss,
    **dict.fromkeys(
        [
            metrics.accuracy_score,
            metrics.average_precision_score,
            metrics.cohen_kappa_score,
            metrics.f1_score,
            metrics.fbeta_score,
            metrics.jaccard_score,
            metrics.matthews_corrcoef,
            metrics.precision_score,
            metrics.recall_score,
            metrics.roc_auc_score,
            metrics.top_k_accuracy_score,
        ],
        log_loss,
    ),
}
REGRESSION = {
    metrics.mean_squared_error: _targets(_squared),
    metrics.root_mean_squared_error: partial(_root, loss=_squared),
    metrics.r2_score: _share_of_variance,
    metrics.explained_variance_score: partial(_share_of_variance, centred=True),
    metrics.mean_absolute_error: _targets(_absolute),
    metrics.median_absolute_error: _targets(_absolute),
    metrics.mean_absolute_percentage_error: _targets(_relative),
    metrics.mean_squared_log_error: _targets(_squared_log),
    metrics.root_mean_squared_log_error: partial(_root, loss=_squared_log),
    metrics.mean_poisson_deviance: _targets(_deviance, power=1),
    metrics.mean_gamma_deviance: _targets(_deviance, power=2),
    metrics.d2_absolute_error_score: _targets(_absolute),
}
# Metrics whose own arguments change the loss.
_WITH_ARGUMENTS = {
    metrics.mean_pinball_loss: (_pinball, "alpha", 0.5),
    metrics.d2_pinball_score: (_pinball, "alpha", 0.5),
    metrics.mean_tweedie_deviance: (_deviance, "power", 0.0),
    metrics.d2_tweedie_score: (_deviance, "power", 0.0),
}


# Metrics that a mere relative of theirs stands for.
_RELATED = {
    *(CLASSIFICATION.keys() - {metrics.log_loss, metrics.brier_score_loss}),
    metrics.median_absolute_error,
}


def is_itself(scorer, *, classifier):
    """Tell whether the smooth loss of a scorer says what the scorer says.

    Parameters
    ----------
    scorer : callable
        As :func:`loss_of` takes it.
    classifier : bool
        Whether the estimator is a classifier.

    Returns
    -------
    bool
        False where something else stands for it, or that is not known.
    """
    metric = getattr(scorer, "_score_func", None)
    if metric is None:
        return not classifier and type(scorer).__name__ == "_PassthroughScorer"
    return metric not in _RELATED


def loss_of(scorer, *, classifier, shown=None):
    """Find the smooth loss that stands for a scorer.

    Parameters
    ----------
    scorer : callable
        One of scikit-learn's, or made by ``make_scorer`` of one of its metrics.
    classifier : bool
        Whether the estimator is a classifier.
    shown : str, default=None
        What a message calls it; None for ``scoring`` with the scorer.

    Returns
    -------
    loss : callable
        ``loss(f, y, s)`` returns a value and its derivative by `f`. Weights `s` sum to
        one.

    Raises
    ------
    ValueError
        If there is none.
    """
    known = CLASSIFICATION if classifier else REGRESSION
    default = metrics.accuracy_score if classifier else metrics.r2_score
    metric = getattr(scorer, "_score_func", None)
    if metric is None and type(scorer).__name__ == "_PassthroughScorer":
        metric = default
    if metric in known:
        return known[metric]
    if metric in _WITH_ARGUMENTS and not classifier:
        loss, name, default = _WITH_ARGUMENTS[metric]
        return _targets(loss, **{name: scorer._kwargs.get(name, default)})
    names = sorted(
        m.__name__ for m in (*known, *([] if classifier else _WITH_ARGUMENTS))
    )
    kind = "classifiers" if classifier else "regressors"
    shown = shown or f"scoring = {scorer!r}"
    raise ValueError(
        f"There is no smooth loss of {kind} for {shown}. Name one that stands for "
        f"it in smooth_scoring, such as {_example(classifier)!r}. Known are "
        f"the scorers of {', '.join(names)}."
    )


def check_loss(loss, y, *, classifier):
    """Raise unless a loss of the user's gives what a descent needs.

    It is called with outputs that say nothing: equal logits, or the mean of `y`.

    Parameters
    ----------
    loss : callable
        To be called as ``loss(f, y, s)``.
    y : array-like of shape (n,) or (n, n_targets)
        Target of the search.
    classifier : bool
        Whether the estimator is a classifier.

    Raises
    ------
    ValueError
        If it cannot be called so, or returns something else than a number and an
        array of the shape of the outputs.
    """
    try:
        f, y = _nothing_known(y, classifier)
    except (TypeError, ValueError):
        return  # whatever y is, others will say what is wrong with it
    try:
        with np.errstate(all="ignore"):
            value, slope = loss(f, y, np.full(len(f), 1 / len(f)))
        found = np.asarray(value, float).shape, np.asarray(slope, float).shape
        fault = f"returned shapes {found[0]} and {found[1]}"
    except Exception as error:
        found, fault = None, f"gave {type(error).__name__}: {error}"
    if found != ((), f.shape):
        raise ValueError(
            f"smooth_scoring = {loss!r} must be the name of a scorer, or a callable "
            "loss(f, y, s) of outputs, targets and weights that returns a float and "
            "its derivative by f, an array of the shape of f. Called with f of shape "
            f"{f.shape} and y of shape {y.shape}, it {fault}. Correct it, or name a "
            f"scorer, such as {_example(classifier)!r}."
        )


def _nothing_known(y, classifier):
    """Give outputs without any knowledge, and targets, as a loss gets them."""
    y = np.asarray(y)
    if classifier:
        classes, y = np.unique(y.reshape(len(y)), return_inverse=True)
        return np.zeros((len(y), len(classes) if len(classes) > 2 else 1)), y
    y = y.reshape(len(y), -1).astype(float)
    return np.broadcast_to(y.mean(axis=0), y.shape).copy(), y


def _example(classifier):
    return "neg_log_loss" if classifier else "neg_mean_squared_error"
