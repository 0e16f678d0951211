"""Numbers between two bounds."""

import math
import numbers
import reprlib
from dataclasses import dataclass, field

import numpy as np

from skhpo.space._dimensions.base import _Dimension, _is_number


@dataclass(frozen=True, repr=False)
class _Range(_Dimension):
    """What Real and Integer share."""

    low: float
    high: float
    log: bool = field(default=False, kw_only=True)

    def __repr__(self):
        log = ", log=True" if self.log else ""
        return f"{type(self).__name__}({self.low!r}, {self.high!r}{log})"

    def __post_init__(self):
        for name in ("low", "high"):
            value = getattr(self, name)
            if not _is_number(value, self._kind):
                raise TypeError(
                    f"{type(self).__name__}: {name} = {reprlib.repr(value)} "
                    f"must be {self._noun}."
                )
        if not isinstance(self.log, (bool, np.bool_)):
            raise TypeError(
                f"{type(self).__name__}: log = {reprlib.repr(self.log)} must be "
                "True or False."
            )
        try:
            finite = math.isfinite(float(self.high) - float(self.low))
        except OverflowError:
            finite = False
        if not finite:
            raise ValueError(
                f"{self!r} has NaN or infinite bounds, or a range beyond the largest "
                "float; need finite ones."
            )
        if self.high < self.low:
            raise ValueError(f"{self!r} has reversed bounds; need low < high.")
        if self.high == self.low and self._kind is numbers.Real:
            raise ValueError(
                f"{self!r} holds a single value; need low < high, or give a list "
                f"such as [{self.low!r}]."
            )
        if self.log and self.low <= 0:
            raise ValueError(
                f"{self!r} has a logarithmic scale and low <= 0; need 0 < low, or "
                "log=False."
            )
        if self.log and not self._start < self._end:
            raise ValueError(
                f"{self!r} has bounds whose logarithms are the same float; "
                "use log=False."
            )


@dataclass(frozen=True, repr=False)
class Real(_Range):
    """Real numbers between two bounds, both included.

    Parameters
    ----------
    low, high : float
        Finite bounds, ``low < high``.
    log : bool, default=False
        Whether the scale is logarithmic: the step from 1 to 10 is then as long
        as that from 10 to 100. Needs ``low > 0``.

    Raises
    ------
    TypeError
        If a bound is no real number, or ``log`` is no bool.
    ValueError
        If the bounds are reversed, equal, NaN or infinite; if ``log`` is True and
        they are not positive, or too close for their logarithms to differ.

    See Also
    --------
    Integer : Whole numbers between two bounds.
    Categorical : Values without an order.

    Examples
    --------
    >>> from skhpo.space import Real
    >>> Real(0.5, 2).from_unit(1.0)
    2.0
    >>> C = Real(1e-3, 1e3, log=True)
    >>> C
    Real(0.001, 1000.0, log=True)
    >>> round(C.from_unit(0.5), 6)
    1.0
    """

    continuous = True
    _kind, _noun = numbers.Real, "a real number"
    _own = float

    @property
    def _start(self):
        return math.log(self.low)

    @property
    def _end(self):
        return math.log(self.high)

    def _decode(self, u):
        low, high = float(self.low), float(self.high)
        if u in (0.0, 1.0):  # the bounds themselves, without rounding
            return high if u else low
        if self.log:
            value = math.exp((1 - u) * self._start + u * self._end)
        else:
            value = (1 - u) * low + u * high
        return min(max(value, low), high)

    def _encode(self, value):
        if not _is_number(value):
            return None
        low, high, value = float(self.low), float(self.high), float(value)
        if not low <= value <= high:
            return None
        if self.log:
            low, high, value = self._start, self._end, math.log(value)
        return (value - low) / (high - low)


@dataclass(frozen=True, repr=False)
class Integer(_Range):
    """Whole numbers between two bounds, both included.

    Parameters
    ----------
    low, high : int
        Bounds, ``low <= high``.
    log : bool, default=False
        Whether the scale is logarithmic. A value then takes the share of
        ``[log(low - 1/2), log(high + 1/2)]`` that rounds to it. Needs ``low >= 1``.

    Raises
    ------
    TypeError
        If a bound is no integer, or ``log`` is no bool.
    ValueError
        If the bounds are reversed; if ``log`` is True and they are not positive, or
        too large for their logarithms to differ.

    See Also
    --------
    Real : Real numbers between two bounds.
    Categorical : Values without an order.

    Notes
    -----
    Neighbours in a range longer than 2**52, or beyond about 10**12 on a logarithmic
    scale, are closer than a float in [0, 1] can tell.

    Examples
    --------
    >>> from skhpo.space import Integer
    >>> depth = Integer(1, 4)
    >>> [depth.from_unit(u) for u in (0, 0.3, 0.6, 1)]
    [1, 2, 3, 4]
    >>> depth.to_unit(1)
    0.125
    >>> len(Integer(1, 10**12).values())
    1000000000000
    """

    _kind, _noun = numbers.Integral, "an integer"
    _own = int

    @property
    def _start(self):
        return math.log(int(self.low) - 0.5)

    @property
    def _end(self):
        return math.log(int(self.high) + 0.5)

    @property
    def _values(self):
        return range(int(self.low), int(self.high) + 1)

    def _decode(self, u):
        low, high = int(self.low), int(self.high)
        if self.log:
            value = round(math.exp((1 - u) * self._start + u * self._end))
        else:
            value = low + int(u * (high - low + 1))
        return min(max(value, low), high)

    def _encode(self, value):
        if not (_is_number(value, numbers.Integral) and self.low <= value <= self.high):
            return None
        low, high, value = int(self.low), int(self.high), int(value)
        if self.log:
            middle = (math.log(value - 0.5) + math.log(value + 0.5)) / 2
            return (middle - self._start) / (self._end - self._start)
        return (2 * (value - low) + 1) / (2 * (high - low + 1))
