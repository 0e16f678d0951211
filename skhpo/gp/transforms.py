"""Losses as the Gaussian process likes them: standardised, without a long tail.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
y                     (n,)         losses, smaller is better; not finite: failed
m, w                  scalars      median and robust standard deviation of the first 10
u                     (n,)         (y - m) / w
c(u)                  (n,)         u up to 3, then 3 + log(1 + u - 3)
psi(c; lambda)        (n,)         Yeo and Johnson's power transform [1]_
v                     (n,)         standardised psi: mean 0, standard deviation 1
====================  ===========  ====================================================

Every step is strictly increasing, so the order of the losses is kept. What a transform
can destroy is the distance among the best ones, on which the end of a search depends: a
power that shrinks it, relative to the range, to less than a third is turned down. What
it can invent is a landscape: once most losses lie close together at an optimum, their
own deviation would blow up differences that matter to nobody, so the unit is that of
the losses from before the search closed in.

References
----------
.. [1] I.-K. Yeo and R. A. Johnson, "A new family of power transformations to improve
   normality or symmetry", 2000.
.. [2] A. Cowen-Rivers et al., "HEBO: pushing the limits of sample-efficient
   hyper-parameter optimisation", 2022.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

_TAIL = 3.0
# A failure is so much worse than the worst success, in robust standard deviations.
_FAILURE_MARGIN = 0.5
_MAX_SHRINKAGE = 3.0
_N_BEST = 5
_N_EARLY = 10
_MAX_DEPTH = 10.0


@dataclass(frozen=True)
class OutputTransform:
    """A strictly increasing map from losses to standardised values.

    Parameters
    ----------
    middle, width : float
        Median and robust standard deviation of the losses.
    power : float
        Yeo and Johnson's lambda; 1 changes nothing.
    mean, std : float
        What standardises the values at the end.
    """

    middle: float
    width: float
    power: float
    mean: float
    std: float

    def forward(self, y):
        """Transform losses.

        Parameters
        ----------
        y : ndarray of shape (n,)
            Finite losses.

        Returns
        -------
        v : ndarray of shape (n,)
            Standardised values.
        """
        c = _compress((np.asarray(y, dtype=float) - self.middle) / self.width)
        return (_yeo_johnson(c, self.power) - self.mean) / self.std

    def log_slope(self, y):
        """Compute the logarithm of the derivative of :meth:`forward`.

        Parameters
        ----------
        y : ndarray of shape (n,)
            Finite losses.

        Returns
        -------
        log_slope : ndarray of shape (n,)
            What a density of v lacks to be one of y.
        """
        u = (np.asarray(y, dtype=float) - self.middle) / self.width
        c = _compress(u)
        log_slope = np.sign(c) * (self.power - 1) * np.log1p(np.abs(c))
        log_slope -= np.log1p(np.maximum(u - _TAIL, 0))
        return log_slope - np.log(self.std * self.width)

    def inverse(self, v):
        """Undo :meth:`forward`.

        Parameters
        ----------
        v : ndarray of shape (n,)
            Standardised values.

        Returns
        -------
        y : ndarray of shape (n,)
            Losses; infinite beyond the range of the transform, and growing very fast
            near its end.
        """
        c = _inverse_yeo_johnson(np.asarray(v) * self.std + self.mean, self.power)
        with np.errstate(over="ignore"):
            u = np.where(c <= _TAIL, c, _TAIL + np.expm1(np.maximum(c - _TAIL, 0)))
        return u * self.width + self.middle


def fit_output_transform(y, *, power=None):
    """Choose a transform for these losses.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Losses in the order of evaluation; NaN and infinite ones are failures.
    power : float, default=None
        Yeo and Johnson's lambda; None for the one of largest likelihood.

    Returns
    -------
    transform : OutputTransform
        For finite losses.
    v : ndarray of shape (n,)
        The transformed losses, failures a little worse than the worst success.
    """
    y = np.asarray(y, dtype=float)
    good = y[np.isfinite(y)]
    if len(good) == 0:
        return OutputTransform(0.0, 1.0, 1.0, 0.0, 1.0), np.zeros(len(y))
    middle, width = _robust_scale(good)
    c = _compress((_fill(y, width) - middle) / width)
    lam = _choose_power(c) if power is None else power
    psi = _yeo_johnson(c, lam)
    mean, std = psi.mean(), psi.std()
    if not std > 1e-12:
        std = 1.0
    return OutputTransform(middle, width, lam, mean, std), (psi - mean) / std


def with_failures(y):
    """Give failures a loss that is a little worse than the worst success.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Losses in the order of evaluation; NaN and infinite ones are failures, and at
        least one is none.

    Returns
    -------
    y : ndarray of shape (n,)
        Finite losses.
    """
    _, width = _robust_scale(y[np.isfinite(y)])
    return _fill(y, width)


def _fill(y, width):
    finite = np.isfinite(y)
    return np.where(finite, y, y[finite].max() + _FAILURE_MARGIN * width)


def _robust_scale(y):
    """Return the middle of the losses, and their unit.

    Where more than half of the losses tie, deviations of the better half serve. The way
    from the middle to the best is never more than ten units.
    """
    _, exponent = np.frexp(np.abs(y).max())
    y = np.ldexp(y, -exponent)  # exact, and then nothing can overflow
    early = y[:_N_EARLY]
    middle = np.median(early)
    # Below this, differences are those of rounding.
    least = 1e-12 * abs(middle)
    width = max(
        1.4826 * np.median(np.abs(early - middle)), (middle - y.min()) / _MAX_DEPTH
    )
    for part in (np.sort(early)[: -(-len(early) // 2)], early, y):
        if width > least:
            break
        width = part.std()
    width = width if width > least else 1.0
    return np.ldexp(middle, exponent), np.ldexp(width, exponent)


def _compress(u):
    return np.where(u <= _TAIL, u, _TAIL + np.log1p(np.maximum(u - _TAIL, 0)))


def _choose_power(c):
    """Find Yeo and Johnson's lambda of largest likelihood, if it keeps the best apart.

    Equation (3.3) of their paper, profiled over mean and variance.
    """
    if len(c) < _N_BEST or np.ptp(c) == 0:
        return 1.0
    jacobian = np.sum(np.sign(c) * np.log1p(np.abs(c)))

    def loss(power):
        variance = _yeo_johnson(c, power).var()
        return 0.5 * len(c) * np.log(max(variance, 1e-300)) - (power - 1) * jacobian

    power = minimize_scalar(
        loss, bounds=(-2.0, 4.0), method="bounded", options={"xatol": 1e-3}
    ).x
    if _gap(_yeo_johnson(c, power)) * _MAX_SHRINKAGE < _gap(c):
        return 1.0
    return float(power)


def _gap(values):
    """Return the distance from the best to the fifth, relative to the range."""
    values = np.sort(values)
    return (values[_N_BEST - 1] - values[0]) / (values[-1] - values[0])


def _yeo_johnson(c, power):
    x = np.abs(c)
    up = np.log1p(x) if abs(power) < 1e-8 else np.expm1(power * np.log1p(x)) / power
    rest = 2 - power
    down = np.log1p(x) if abs(rest) < 1e-8 else np.expm1(rest * np.log1p(x)) / rest
    return np.where(c >= 0, up, -down)


def _inverse_yeo_johnson(psi, power):
    x = np.abs(psi)
    rest = 2 - power
    with np.errstate(divide="ignore", over="ignore"):
        up, down = (
            np.expm1(x) if abs(p) < 1e-8 else np.expm1(_log1p(p * x) / p)
            for p in (power, rest)
        )
    return np.where(psi >= 0, up, -down)


def _log1p(x):
    return np.log1p(np.maximum(x, -1.0))


def resolution(v):
    """Estimate the step between neighbouring scores where scores tie.

    An accuracy moves in steps of one sample. Points on the same step tell nothing of
    the slope below it: a model that takes their values as exact sees cliffs.

    Parameters
    ----------
    v : ndarray of shape (n,)
        Transformed losses.

    Returns
    -------
    step : float
        Zero if no two losses tie.
    """
    distinct = np.unique(v)
    gaps = np.diff(distinct)
    gaps = gaps[gaps > 1e-9]
    if len(gaps) == 0 or len(gaps) + 1 == len(v):
        return 0.0
    # Transformed, the steps are longer among the good losses or among the bad ones.
    return float(np.median(gaps))
