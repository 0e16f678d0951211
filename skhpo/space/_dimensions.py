"""Dimensions: the values of one hyperparameter, and their places in [0, 1].

A dimension with finitely many values cuts [0, 1] into cells, one for each value:
``from_unit`` says in which cell a number lies, ``to_unit`` gives the middle of the
cell.
"""

import itertools
import math
import numbers
import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from functools import cached_property

import numpy as np
import scipy.stats
from sklearn.utils import check_random_state

from skhpo.space._keys import _value_key

# What has gaps is counted one by one up to here, and bounded above that.
_MAX_ROWS_COUNTED = 10_000


class _Dimension:
    """What every dimension offers; a kind of dimension says how in three hooks.

    All are frozen dataclasses. The hooks are ``_values``, the distinct values as a
    sequence or None; ``_decode``, from u in [0, 1] to a value; and ``_encode``, from
    a value to u, or None if it is no value of this dimension.

    Attributes
    ----------
    n_values : int or math.inf
        Number of distinct values.
    n_rows : int or math.inf
        Number of values as a grid counts them, repeated ones included.
    ordinal : bool
        Whether the values are numbers and [0, 1] follows their order.
    """

    ordinal = True
    _values = None

    @property
    def _rows(self):
        return self._values

    @property
    def n_values(self):
        """Number of distinct values."""
        return math.inf if self._values is None else _length(self._values)

    @property
    def n_rows(self):
        """Number of values, repeated ones included."""
        return math.inf if self._values is None else _length(self._rows)

    def values(self):
        """Return the distinct values.

        Returns
        -------
        sequence
            It may be lazy, such as a range.

        Raises
        ------
        TypeError
            If there are infinitely many.
        """
        if self._values is None:
            raise TypeError(f"{self!r} has infinitely many values.")
        return self._values

    def rows(self):
        """Return the values as a grid runs through them.

        Returns
        -------
        sequence
            The values, repeated ones included.
        """
        self.values()  # raises if there is no end of them
        return self._rows

    def from_unit(self, u):
        """Decode a number from [0, 1].

        Parameters
        ----------
        u : float
            Where the value lies; outside [0, 1], the nearest end counts.

        Returns
        -------
        object
            For ranges and distributions, a Python float or int.
        """
        return self._decode(min(max(float(u), 0.0), 1.0))

    def to_unit(self, value):
        """Encode a value as a number in [0, 1].

        Parameters
        ----------
        value : object
            One of the values.

        Returns
        -------
        float
            Where the value lies: the middle of its cell if they are discrete.

        Raises
        ------
        ValueError
            If it is none of the values.
        """
        try:
            u = self._encode(value)
        except OverflowError:  # an integer beyond the largest float
            u = None
        if u is None:
            raise ValueError(f"{reprlib.repr(value)} is not in {_describe(self)}.")
        return u

    def own(self, value):
        """Give a value as this dimension itself would.

        Parameters
        ----------
        value : object
            One of the values, perhaps of another type: 1 for 1.0.

        Returns
        -------
        object
            The same value, to the last bit, of the type that ``from_unit`` gives.

        Raises
        ------
        ValueError
            If it is none of the values.
        """
        self.to_unit(value)  # raises for what is none of them
        return self._own(_as_python(value))

    def rvs(self, size=None, random_state=None):
        """Draw values as scipy's distributions do.

        Parameters
        ----------
        size : int or tuple of int, default=None
            Shape of the result; None gives one value.
        random_state : int, RandomState, Generator or None, default=None
            Source of randomness.

        Returns
        -------
        object or ndarray
            One value, or an array of them.
        """
        if not isinstance(random_state, np.random.Generator):
            random_state = check_random_state(random_state)
        if size is None:
            return self.from_unit(random_state.uniform())
        drawn = np.empty(size, dtype=object)
        for index, u in np.ndenumerate(random_state.uniform(size=size)):
            drawn[index] = self.from_unit(u)
        return np.array(drawn.tolist()) if self.ordinal else drawn

    def __getstate__(self):
        # Cached properties stay behind: they are recomputed when asked for.
        return {f.name: getattr(self, f.name) for f in fields(self)}


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
        If the bounds are reversed, equal, NaN or infinite, or not positive while
        ``log`` is True.

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

    _kind, _noun = numbers.Real, "a real number"
    _own = float

    def _decode(self, u):
        low, high = float(self.low), float(self.high)
        if u in (0.0, 1.0):  # the bounds themselves, without rounding
            return high if u else low
        if self.log:
            value = math.exp((1 - u) * math.log(low) + u * math.log(high))
        else:
            value = (1 - u) * low + u * high
        return min(max(value, low), high)

    def _encode(self, value):
        if not (_is_number(value) and self.low <= value <= self.high):
            return None
        low, high, value = float(self.low), float(self.high), float(value)
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
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
        If the bounds are reversed, or not positive while ``log`` is True.

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
    def _values(self):
        return range(int(self.low), int(self.high) + 1)

    def _decode(self, u):
        low, high = int(self.low), int(self.high)
        if self.log:
            start, end = math.log(low - 0.5), math.log(high + 0.5)
            value = round(math.exp((1 - u) * start + u * end))
        else:
            value = low + int(u * (high - low + 1))
        return min(max(value, low), high)

    def _encode(self, value):
        if not (_is_number(value, numbers.Integral) and self.low <= value <= self.high):
            return None
        low, high, value = int(self.low), int(self.high), int(value)
        if self.log:
            start, end = math.log(low - 0.5), math.log(high + 0.5)
            middle = (math.log(value - 0.5) + math.log(value + 0.5)) / 2
            return (middle - start) / (end - start)
        return (2 * (value - low) + 1) / (2 * (high - low + 1))


@dataclass(frozen=True, eq=False, repr=False)
class _Choices(_Dimension):
    """The values of a list, tuple or one-dimensional array, as the user gave them.

    ``ordinal`` if they are numbers in strictly rising or falling order.
    """

    choices: Sequence

    def __post_init__(self):
        _check_sequence(self.choices, f"{type(self).__name__}: choices")

    def __repr__(self):
        return f"{type(self).__name__}({self.choices!r})"

    def __eq__(self, other):
        return type(self) is type(other) and self._key == other._key

    def __hash__(self):
        return hash(self._key)

    @property
    def _lazy(self):
        """Whether the values follow a rule and may be too many for a list."""
        return isinstance(self.choices, (range, _FloatRange))

    @cached_property
    def _key(self):
        return self.choices if self._lazy else tuple(map(_value_key, self.choices))

    @cached_property
    def _index(self):
        """Position among the distinct values, for each value's key."""
        return {key: i for i, key in enumerate(dict.fromkeys(self._key))}

    @cached_property
    def _values(self):
        if self._lazy or len(self._index) == len(self.choices):
            return self.choices
        # Reversed, so that the first of equal values stays.
        by_key = dict(zip(reversed(self._key), reversed(self.choices), strict=True))
        return [by_key[key] for key in self._index]

    @cached_property
    def ordinal(self):
        if self._lazy:
            return True
        pairs = list(itertools.pairwise(self._values))
        return all(map(_is_number, self._values)) and (
            all(a < b for a, b in pairs) or all(a > b for a, b in pairs)
        )

    @property
    def _rows(self):
        return self.choices

    def _decode(self, u):
        return self._values[min(int(u * self.n_values), self.n_values - 1)]

    def _own(self, value):
        return self._decode(self._encode(value))

    @cached_property
    def _index_of_python(self):
        """The same for the Python values of NumPy's scalars, the first of equals."""
        keys = map(_value_key, map(_as_python, reversed(self._values)))
        places = reversed(range(len(self._values)))
        return dict(zip(keys, places, strict=True))

    def _encode(self, value):
        index = None
        if not self._lazy:
            index = self._index.get(_value_key(value))
            if index is None:
                index = self._index_of_python.get(_value_key(_as_python(value)))
        elif type(value := _as_python(value)) is type(self.choices[0]):
            index = self.choices.index(value) if value in self.choices else None
        return None if index is None else (2 * index + 1) / (2 * self.n_values)


@dataclass(frozen=True, eq=False, repr=False)
class Categorical(_Choices):
    """Values without an order.

    A plain list does the same, except that a list of sorted numbers is taken to be
    ordered: wrap numbers that are mere names in a Categorical.

    Parameters
    ----------
    choices : list, tuple or one-dimensional array
        The values, of any kind; estimators and lists too.

    Raises
    ------
    TypeError
        If ``choices`` is no sequence, or a string.
    ValueError
        If ``choices`` is empty, or an array of more than one dimension.

    See Also
    --------
    Integer : Whole numbers between two bounds.
    Real : Real numbers between two bounds.

    Examples
    --------
    >>> from skhpo.space import Categorical
    >>> kernel = Categorical(["linear", "rbf"])
    >>> kernel.from_unit(0.7)
    'rbf'
    >>> kernel.to_unit("rbf")
    0.75
    """

    ordinal = False


@dataclass(frozen=True)
class _FloatRange(Sequence):
    """``start + i * step`` for i < n, in decimals: 0.1 * 3 is 0.3."""

    start: float
    step: float
    n: int

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if not -self.n <= i < self.n:
            raise IndexError(i)
        step = Decimal(str(self.step))
        return float(Decimal(str(self.start)) + int(i % self.n) * step)

    def __contains__(self, value):
        if not math.isfinite(value):
            return False
        i = self.index(value)
        return 0 <= i < self.n and math.isclose(self[i], value, abs_tol=1e-300)

    def index(self, value):
        return round((value - self.start) / self.step)


@dataclass(frozen=True, eq=False, repr=False)
class _Distribution(_Dimension):
    """A frozen scipy.stats distribution, or any object with ``rvs``.

    Mapping to and from [0, 1] takes ``ppf`` and ``cdf``. An unbounded distribution
    is cut at the quantiles 2**-53 and 1 - 2**-53, so that every value is finite.
    """

    dist: object

    def __post_init__(self):
        if not hasattr(self.dist, "ppf"):
            return
        what = _describe(self.dist)
        try:
            with np.errstate(invalid="ignore"):  # the message below says it better
                middle = float(self.dist.ppf(0.5))
        except TypeError as error:
            raise TypeError(
                f"{what} is not a frozen distribution ({error}); give its arguments, "
                "as in scipy.stats.loguniform(1e-3, 1e3)."
            ) from error
        if math.isnan(middle):
            name = what.partition("(")[0]
            need = _SCIPY_DOMAINS.get(name, "arguments that the distribution allows")
            raise ValueError(f"{what} has reversed or invalid bounds; need {need}.")
        if math.isinf(middle):
            raise ValueError(f"{what} has infinite bounds; need finite ones.")

    def __repr__(self):
        return f"{type(self).__name__}({_describe(self.dist)})"

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

    @cached_property
    def _support(self):
        support = getattr(self.dist, "support", None)
        return (-math.inf, math.inf) if support is None else support()

    @cached_property
    def _values(self):
        low, high = self._support
        if not hasattr(self.dist, "pmf") or not math.isfinite(high - low):
            return None
        n_whole = int(high - low) + 1
        if n_whole > _MAX_ROWS_COUNTED:
            return range(int(low), int(low) + n_whole)
        values = np.asarray(getattr(self.dist, "xk", low + np.arange(n_whole)))
        return list(map(_whole, values[self.dist.pmf(values) > 0].tolist()))

    def _decode(self, u):
        self._require("ppf")
        value = self.dist.ppf(u)
        if not math.isfinite(value):
            value = self.dist.ppf(min(max(u, 2.0**-53), 1 - 2.0**-53))
        low, high = self._support
        value = _as_python(min(max(value, low), high))
        return _whole(value) if hasattr(self.dist, "pmf") else value

    def _encode(self, value):
        self._require("cdf")
        low, high = self._support
        if not (_is_number(value) and low <= value <= high and math.isfinite(value)):
            return None
        u = float(self.dist.cdf(value))
        if hasattr(self.dist, "pmf"):
            share = float(self.dist.pmf(value))
            if share == 0:
                return None
            u -= share / 2
        return min(max(u, 0.0), 1.0)

    def _own(self, value):
        return _whole(value) if hasattr(self.dist, "pmf") else float(value)

    def rvs(self, size=None, random_state=None):
        if size is None:
            return self.dist.rvs(random_state=random_state)
        return self.dist.rvs(size=size, random_state=random_state)

    def _require(self, method):
        if not hasattr(self.dist, method):
            raise TypeError(
                f"{_describe(self.dist)} has no {method} method, so it can be drawn "
                "from but not modelled; give skhpo.Real, skhpo.Integer, a list or a "
                "scipy.stats distribution instead."
            )


_SCIPY_DOMAINS = {
    "loguniform": "0 < low < high",
    "reciprocal": "0 < low < high",
    "randint": "low < high",
    "uniform": "scale > 0 (it reaches from loc to loc + scale)",
}


def _describe(value):
    """Return a short name of a value for messages."""
    if isinstance(value, _Range):
        return repr(value)
    if isinstance(value, (_Choices, _Distribution)):
        (value,) = value.__getstate__().values()
    family = getattr(getattr(value, "dist", None), "name", None)
    if family is None or not hasattr(value, "kwds"):
        return reprlib.repr(value)
    kwds = [f"{name}={v!r}" for name, v in value.kwds.items()]
    return f"{family}({', '.join([*map(repr, value.args), *kwds])})"


def _length(values):
    """Do what len does, for ranges of any length."""
    if isinstance(values, range):
        return max(0, -((values.start - values.stop) // values.step))
    return len(values)


def _is_number(value, kind=numbers.Real):
    return isinstance(value, kind) and not isinstance(value, bool)


def _whole(value):
    """Return an int where the value is one; scipy's discrete ppf gives floats."""
    return int(value) if float(value).is_integer() else value


def _as_python(value):
    return value.item() if isinstance(value, np.generic) else value


def _is_sequence(value):
    if isinstance(value, np.ndarray):
        return value.ndim == 1
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _check_sequence(value, what):
    """Raise unless ``value`` is a non-empty sequence of choices, named ``what``."""
    shown = f"{what} = {reprlib.repr(value)}"
    kind = type(value).__name__
    if getattr(value, "ndim", 1) > 1:
        raise ValueError(
            f"{shown} has {value.ndim} dimensions; give a one-dimensional array, or a "
            "list of arrays."
        )
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{shown} is a {kind}; give a list such as [{value!r}].")
    if isinstance(value, type):
        raise TypeError(f"{shown} is a class; give an instance of it, or a list.")
    if not _is_sequence(value):
        if isinstance(value, Iterable) and getattr(value, "ndim", 1):
            raise TypeError(f"{shown} is a {kind}; give a list of values.")
        raise TypeError(
            f"{shown} is a single value; give a list such as [{reprlib.repr(value)}]."
        )
    if _length(value) == 0:
        raise ValueError(f"{shown} is empty; give at least one value.")
