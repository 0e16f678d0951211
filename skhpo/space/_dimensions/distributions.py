"""What scipy.stats draws from, or anything else with ``rvs``."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.stats

from skhpo.space._dimensions.base import (
    _as_python,
    _describe,
    _Dimension,
    _is_number,
)
from skhpo.space._keys import _value_key

# What has gaps is counted one by one up to here, and bounded above that.
_MAX_ROWS_COUNTED = 10_000

# What hardly a draw reaches is left out at either end: a bound itself, where it is one
# of infinitely many values, and tails.
_TAIL = 1e-3


@dataclass(frozen=True, eq=False, repr=False)
class _Distribution(_Dimension):
    """A frozen scipy.stats distribution, or any object with ``rvs``.

    Mapping to and from [0, 1] takes ``ppf`` and ``cdf``. It is cut at the quantiles
    0.001 and 0.999, but for ends of discrete distributions that are at least a
    thousandth as likely as the median.
    """

    dist: object

    def __post_init__(self):
        if not hasattr(self.dist, "ppf"):
            return
        what = self._described()
        try:
            with np.errstate(invalid="ignore"):  # the message below says it better
                middle = float(self.dist.ppf(0.5))
                ends = [float(self.dist.ppf(u)) for u in (_TAIL, 1 - _TAIL)]
        except TypeError as error:
            raise TypeError(
                f"{what} is not a frozen distribution ({error}); give its arguments, "
                "as in scipy.stats.loguniform(1e-3, 1e3)."
            ) from error
        if math.isnan(middle):
            name = what.partition("(")[0]
            need = _SCIPY_DOMAINS.get(name, "arguments that the distribution allows")
            raise ValueError(f"{what} has reversed or invalid bounds; need {need}.")
        if not np.isfinite([middle, *ends]).all():
            raise ValueError(f"{what} has infinite bounds; need finite ones.")

    def __repr__(self):
        return f"{type(self).__name__}({self._described()})"

    def _described(self):
        return _describe(self.dist)

    def __eq__(self, other):
        return type(self) is type(other) and self._key == other._key

    def __hash__(self):
        return hash(self._key)

    @cached_property
    def _key(self):
        family = getattr(self.dist, "dist", None)
        name = str(getattr(family, "name", ""))
        # Only scipy's own families are known by their arguments; a histogram or a
        # user's subclass holds data of its own.
        if family and type(family) is type(getattr(scipy.stats, name, None)):
            return name, _value_key((self.dist.args, self.dist.kwds))
        return _value_key(self.dist)

    @property
    def ordinal(self):
        return hasattr(self.dist, "ppf")

    @property
    def continuous(self):
        return self.ordinal and not hasattr(self.dist, "pmf")

    @cached_property
    def _support(self):
        support = getattr(self.dist, "support", None)
        return (-math.inf, math.inf) if support is None else support()

    @cached_property
    def _values(self):
        low, high = self._support
        if not hasattr(self.dist, "pmf") or not math.isfinite(high - low):
            return None
        # A frozen one keeps the values it was made of inside.
        values = getattr(self.dist, "xk", None)
        if values is None and hasattr(getattr(self.dist, "dist", None), "xk"):
            values = np.asarray(self.dist.dist.xk)
            values = values + (low - values.min())  # as loc shifts them
        if values is None:
            n_whole = int(high - low) + 1
            if n_whole > _MAX_ROWS_COUNTED:
                return range(int(low), int(low) + n_whole)
            values = low + np.arange(n_whole)
        values = np.asarray(values)
        return list(map(_whole, values[self.dist.pmf(values) > 0].tolist()))

    @cached_property
    def _reach(self):
        """The quantiles that 0 and 1 stand for; what lies outside is not proposed."""
        low, high = self._support
        return (
            0.0 if self._is_likely(low) else _TAIL,
            1.0 if self._is_likely(high) else 1 - _TAIL,
        )

    def _is_likely(self, end):
        if self.continuous or not math.isfinite(end):
            return False
        return self.dist.pmf(end) >= _TAIL * self.dist.pmf(self.dist.ppf(0.5))

    def _decode(self, u):
        self._require("ppf")
        least, largest = self._reach
        return self.from_quantile(least + (largest - least) * u)

    def from_quantile(self, u):
        self._require("ppf")
        value = self.dist.ppf(u)
        if not math.isfinite(value):
            value = self.dist.ppf(min(max(u, 2.0**-53), 1 - 2.0**-53))
        low, high = self._support
        value = _as_python(min(max(value, low), high))
        return _whole(value) if hasattr(self.dist, "pmf") else value

    def _encode(self, value):
        self._require("cdf")
        self._require("ppf")
        low, high = self._support
        if not (_is_number(value) and low <= value <= high and math.isfinite(value)):
            return None
        value = float(value)
        u = float(self.dist.cdf(value))
        if hasattr(self.dist, "pmf"):
            share = float(self.dist.pmf(value))
            if share == 0:
                return None
            u -= share / 2
        least, largest = self._reach
        return min(max((u - least) / (largest - least), 0.0), 1.0)

    def _own(self, value):
        return _whole(_as_python(value)) if hasattr(self.dist, "pmf") else float(value)

    def rvs(self, size=None, random_state=None):
        if size is None:
            return self.dist.rvs(random_state=random_state)
        return self.dist.rvs(size=size, random_state=random_state)

    def _require(self, method):
        if not hasattr(self.dist, method):
            raise TypeError(
                f"{self._described()} has no {method} method, so it can be drawn "
                "from but not modelled; give skhpo.Real, skhpo.Integer, a list or a "
                "scipy.stats distribution instead."
            )


_SCIPY_DOMAINS = {
    "loguniform": "0 < low < high",
    "reciprocal": "0 < low < high",
    "randint": "low < high",
    "uniform": "scale > 0 (it reaches from loc to loc + scale)",
}


def _whole(value):
    """Return an int where the value is one; scipy's discrete ppf gives floats."""
    return int(value) if float(value).is_integer() else value
