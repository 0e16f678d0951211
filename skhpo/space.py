"""Names, bounds, scales, choices and branches: what a search may try.

A :class:`Space` is read once from what the user wrote and then answers three kinds
of question: which settings are there (``grid``, ``n_rows``, ``n_values``), how does
scikit-learn draw from it (``distributions``), and how does a setting look in the
unit cube where models work (``params``, ``point``, ``candidate``).

Each hyperparameter is a *dimension*, which maps its values to [0, 1] and back. A
dimension with finitely many values cuts [0, 1] into cells, one for each value:
``from_unit`` says in which cell a number lies, ``to_unit`` gives the middle of the
cell.
"""

import contextlib
import difflib
import hashlib
import itertools
import math
import numbers
import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from functools import cached_property

import numpy as np
import scipy.sparse
import scipy.stats
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state

from skhpo.trial import Candidate

__all__ = [
    "Categorical",
    "Coordinate",
    "Integer",
    "Real",
    "Space",
    "candidate_key",
    "check_names",
]

# What overlaps or has gaps is counted one by one up to here, and bounded above that.
_MAX_ROWS_COUNTED = 10_000


# Keys --------------------------------------------------------------------------------


def candidate_key(params):
    """Return a hashable key: equal keys mean the same setting.

    Values are the same when they have the same type and value: 1, 1.0 and True
    differ. NumPy scalars count as the Python value they hold, NaN equals NaN, and
    arrays, sparse matrices, lists, tuples, sets and dicts compare by content.
    Estimators compare by class and parameters; functions and all other objects
    are equal to themselves only.

    Parameters
    ----------
    params : dict of str to object
        What ``set_params`` receives.

    Returns
    -------
    tuple
        Hashable, whatever the values are. It keeps alive the objects that it
        compares by identity.

    Examples
    --------
    >>> candidate_key({"a": 1, "b": [2]}) == candidate_key({"b": [2], "a": 1})
    True
    >>> candidate_key({"a": 1}) == candidate_key({"a": 1.0})
    False
    """
    return tuple([(name, _value_key(params[name])) for name in sorted(params)])


def _value_key(value):
    kind = type(value)
    if kind in _HASHED_BY_VALUE:
        return kind, value
    if kind is float:
        return kind, value if value == value else None
    if kind is complex:
        return kind, _value_key(value.real), _value_key(value.imag)
    if isinstance(value, np.generic):
        # Dates, records and long doubles are no Python numbers; .item() may even
        # return the same type again.
        python_value = value.item() if value.dtype.kind in "biufcSU" else value
        if isinstance(python_value, np.generic):
            return kind, str(value.dtype), value.tobytes()
        return _value_key(python_value)
    if isinstance(value, (list, tuple)):
        return kind, tuple(map(_value_key, value))
    if isinstance(value, (set, frozenset)):
        return kind, frozenset(map(_value_key, value))
    if isinstance(value, dict):
        items = ((_value_key(name), _value_key(v)) for name, v in value.items())
        return kind, frozenset(items)
    if kind in (np.ndarray, np.memmap):
        return np.ndarray, str(value.dtype), value.shape, _array_content(value)
    if scipy.sparse.issparse(value):
        csr = value.tocsr(copy=True)
        csr.sum_duplicates()
        parts = (csr.data, csr.indices, csr.indptr)
        return kind, value.shape, tuple(map(_value_key, parts))
    if hasattr(value, "get_params") and not isinstance(value, type):
        return _estimator_key(value)
    return _Identity(value)


def _array_content(array):
    if array.dtype.hasobject:
        return tuple(map(_value_key, array.ravel().tolist()))
    if array.dtype.kind in "fc":
        array = array + 0.0  # -0.0 becomes 0.0
        array[np.isnan(array)] = np.nan
    return hashlib.sha256(array.tobytes()).digest()


def _estimator_key(estimator):
    kind = type(estimator)
    own_clone = getattr(kind, "__sklearn_clone__", None)
    if own_clone not in (None, BaseEstimator.__sklearn_clone__):
        # FrozenEstimator and its like stay fitted when cloned: the fit counts too.
        return _Identity(estimator)
    params = candidate_key(estimator.get_params(deep=False))
    # What clone carries along besides the parameters.
    output = getattr(estimator, "_sklearn_output_config", None)
    requests = getattr(estimator, "_metadata_request", None)
    return kind, params, _value_key(output), repr(requests)


class _Identity:
    """Make any object hashable; equal to itself only."""

    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return isinstance(other, _Identity) and self.value is other.value

    def __hash__(self):
        return id(self.value)


_HASHED_BY_VALUE = frozenset([int, str, bool, bytes, range, type(None)])


# Dimensions --------------------------------------------------------------------------


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
        u = self._encode(value)
        if u is None:
            raise ValueError(f"{reprlib.repr(value)} is not in {_describe(self)}.")
        return u

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

    def _encode(self, value):
        value = _as_python(value)
        index = None
        if not self._lazy:
            index = self._index.get(_value_key(value))
        elif type(value) is type(self.choices[0]) and value in self.choices:
            index = self.choices.index(value)
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
        if not (_is_number(value) and low <= value <= high):
            return None
        u = float(self.dist.cdf(value))
        if hasattr(self.dist, "pmf"):
            share = float(self.dist.pmf(value))
            if share == 0:
                return None
            u -= share / 2
        return min(max(u, 0.0), 1.0)

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


# Reading what the user wrote ---------------------------------------------------------


def _read_dimension(value, what):
    """Turn one entry of a space, called ``what`` in messages, into a dimension.

    None if it is not one by itself: then it must be a sequence of choices.
    """
    try:
        if isinstance(value, _Dimension):
            return value
        foreign = None if isinstance(value, type) else _read_foreign(value)
        if foreign is not None:
            return foreign
        if hasattr(value, "rvs") and not isinstance(value, type):
            return _Distribution(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{what}: {error}") from error
    if isinstance(value, tuple):
        _refuse_skopt_tuple(value, what)
    if hasattr(value, "__array__") and getattr(value, "ndim", 0) == 1 and len(value):
        # The [i] of a pandas Series would look up labels.
        return _Choices(value if isinstance(value, np.ndarray) else list(value))
    return None


def _read_foreign(value):
    """Translate an Optuna distribution or a skopt dimension; None if it is neither.

    They are known by their attributes, so that neither library is imported. skopt's
    are looked at before ``rvs``: theirs returns a list.
    """
    low, high = getattr(value, "low", None), getattr(value, "high", None)
    prior = getattr(value, "prior", None)
    if hasattr(value, "categories") and hasattr(value, "prior"):
        if prior is not None and len(set(prior)) > 1:
            raise ValueError(
                f"{reprlib.repr(value)} has prior probabilities, which are not "
                "supported; leave prior away."
            )
        return Categorical(value.categories)
    if isinstance(prior, str) and prior in ("uniform", "log-uniform"):
        whole = np.issubdtype(np.dtype(getattr(value, "dtype", type(low))), np.integer)
        return (Integer if whole else Real)(low, high, log=prior == "log-uniform")
    if hasattr(value, "rvs"):
        return None
    if hasattr(value, "choices"):
        return Categorical(value.choices)
    if low is None or high is None or not hasattr(value, "log"):
        return None
    step = getattr(value, "step", None)
    if isinstance(low, numbers.Integral):
        if step in (None, 1):
            return Integer(low, high, log=value.log)
        return _Choices(range(low, high + 1, step))
    if low == high:
        return _Choices([low])
    if step is None:
        return Real(low, high, log=value.log)
    low_, high_, step_ = (Decimal(str(x)) for x in (low, high, step))
    return _Choices(_FloatRange(low, step, int((high_ - low_) // step_) + 1))


def _refuse_skopt_tuple(value, what):
    if len(value) < 3 or not all(map(_is_number, value[:2])):
        return
    if not isinstance(value[2], str) or value[2] not in ("uniform", "log-uniform"):
        return
    low, high = map(_as_python, value[:2])
    whole = isinstance(low, int) and isinstance(high, int)
    log = ", log=True" if value[2] == "log-uniform" else ""
    raise ValueError(
        f"{what} = {reprlib.repr(value)} is a range in skopt's form, but a tuple is a "
        "list of choices here; write "
        f"skhpo.{'Integer' if whole else 'Real'}({low!r}, {high!r}{log})."
    )


def _sklearn_sentence(space_name, name, value):
    """Return what scikit-learn says about a bad entry, which its users search for."""
    shown = reprlib.repr(value)
    if getattr(value, "ndim", 1) > 1:
        return (
            f"Parameter array for {name!r} should be one-dimensional, got: {shown} "
            f"with shape {value.shape}"
        )
    if _is_sequence(value):
        return (
            f"Parameter grid for parameter {name!r} need to be a non-empty sequence, "
            f"got: {shown}"
        )
    if space_name != "param_grid" and not isinstance(value, Iterable):
        return (
            f"Parameter grid for parameter {name!r} is not iterable or a distribution "
            f"(value={shown})"
        )
    return (
        f"Parameter grid for parameter {name!r} needs to be a list or a numpy array, "
        f"but got {shown} (of type {type(value).__name__}) instead. Single values need "
        "to be wrapped in a list with one element."
    )


# The space ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Coordinate:
    """One axis of the unit cube.

    Parameters
    ----------
    name : str or None
        The hyperparameter; None for the choice of the branch.
    dimension : object
        Maps values to [0, 1] and back.
    branches : tuple of int
        Numbers of the branches in which the coordinate is active.
    """

    name: str | None
    dimension: object
    branches: tuple[int, ...]


class Space:
    """The settings that a search may try.

    Parameters
    ----------
    spec : dict or list of dict
        Names and what each may be: a list, tuple or array of choices, a
        distribution, or a dimension. Several dicts are branches: a setting comes
        from one of them. The empty dict is one setting, the estimator's defaults.
    name : str, default="param_distributions"
        What messages call the parameter that held ``spec``.

    Attributes
    ----------
    branches : list of dict of str to dimension
        One dict for each branch, names sorted.
    n_rows : int or math.inf
        Number of rows of the grid, as ParameterGrid counts them.
    n_values : int or math.inf
        Number of distinct settings; an upper bound where branches overlap and have
        more than 10,000 rows together, or where a discrete scipy distribution spans
        more whole numbers than that and leaves some out.
    has_duplicates : bool
        Whether a setting may come up more than once in the grid.
    distributions : list of dict
        The space in the form ParameterSampler takes: the user's own lists and
        distributions, and dimensions, which have ``rvs``.
    all_lists : bool
        Whether ParameterSampler draws without replacement: nothing has ``rvs``.
    coordinates : tuple of Coordinate
        The axes of the unit cube: the choice of the branch, if there are several,
        then each hyperparameter. One with equal dimensions in several branches is
        one axis.
    n_dims : int
        Number of coordinates.

    Raises
    ------
    TypeError
        If something is of the wrong type, such as a single value for a list.
    ValueError
        If values are missing or impossible, such as an empty list or reversed
        bounds.

    Examples
    --------
    >>> from skhpo.space import Real, Space
    >>> space = Space([{"kernel": ["linear"], "C": Real(1, 3)},
    ...                {"kernel": ["rbf"], "C": Real(1, 3), "gamma": [0.1, 1.0]}])
    >>> [coordinate.name for coordinate in space.coordinates]
    [None, 'C', 'kernel', 'gamma', 'kernel']
    >>> space.params([0.9, 0.5, 0.0, 0.0, 0.0])
    {'C': 2.0, 'gamma': 0.1, 'kernel': 'rbf'}
    >>> space.point({"kernel": "linear", "C": 3.0})
    array([0.25, 1.  , 0.5 ,  nan,  nan])
    """

    def __init__(self, spec, *, name="param_distributions"):
        self.name = name
        self.branches = []
        self.distributions = []
        for number, branch in enumerate(_read_branches(spec, name)):
            what = name if isinstance(spec, dict) else f"{name}[{number}]"
            dimensions, drawn_from = {}, {}
            for key in sorted(branch):
                value = branch[key]
                dimension = self._read(value, key, f"{what}[{key!r}]")
                dimensions[key] = dimension
                drawn_from[key] = _drawn_from(value, dimension)
            self.branches.append(dimensions)
            self.distributions.append(drawn_from)
        self.all_lists = not any(
            hasattr(value, "rvs") for d in self.distributions for value in d.values()
        )
        self._lay_out_cube()

    def __repr__(self):
        """Show the dimensions."""
        branches = self.branches if len(self.branches) > 1 else self.branches[0]
        return f"Space({branches!r})"

    def _lay_out_cube(self):
        active = {}
        n_branches = len(self.branches)
        if n_branches > 1:
            active[None, _Choices(range(n_branches))] = tuple(range(n_branches))
        for number, branch in enumerate(self.branches):
            for pair in branch.items():
                active[pair] = (*active.get(pair, ()), number)
        self.coordinates = tuple(Coordinate(*pair, active[pair]) for pair in active)
        self.n_dims = len(self.coordinates)
        axis = {pair: i for i, pair in enumerate(active)}
        # For each branch: name, dimension and axis of its hyperparameters.
        self._axes = [
            [(*pair, axis[pair]) for pair in branch.items()] for branch in self.branches
        ]

    # Counting and listing

    @property
    def n_rows(self):
        """Number of rows of the grid."""
        return _count([[d.n_rows for d in b.values()] for b in self.branches])

    @cached_property
    def n_values(self):
        """Number of distinct settings, or an upper bound."""
        bound = _count([[d.n_values for d in b.values()] for b in self.branches])
        if not self._branches_may_overlap or self.n_rows > _MAX_ROWS_COUNTED:
            return bound
        return len({candidate_key(params) for params in self.grid()})

    @cached_property
    def has_duplicates(self):
        """Whether a setting may come up more than once in the grid."""
        dimensions = [d for branch in self.branches for d in branch.values()]
        repeated = any(d.n_rows != d.n_values for d in dimensions)
        return repeated or self._branches_may_overlap

    @cached_property
    def _branches_may_overlap(self):
        return any(
            a.keys() == b.keys() and all(_may_overlap(a[name], b[name]) for name in a)
            for a, b in itertools.combinations(self.branches, 2)
        )

    def grid(self):
        """Run through all settings in ParameterGrid's order, without listing them.

        Returns
        -------
        iterator of dict
            Names in sorted order, the last one changing fastest.

        Raises
        ------
        TypeError
            If a dimension has infinitely many values.
        """
        for branch, given in zip(self.branches, self.distributions, strict=True):
            for name, dimension in branch.items():
                if dimension.n_values == math.inf:
                    sentence = _sklearn_sentence("param_grid", name, given[name])
                    raise TypeError(
                        f"{self.name}[{name!r}] = {_describe(given[name])} has "
                        "infinitely many values; a grid needs values: give a list such "
                        "as np.geomspace(0.001, 1000, 7), or use RandomSearch. "
                        f"{sentence}"
                    )
        return (
            dict(zip(branch, row, strict=True))
            for branch in self.branches
            for row in _product([d.rows() for d in branch.values()])
        )

    # The unit cube

    def params(self, point):
        """Decode a point of the unit cube.

        Parameters
        ----------
        point : array-like of shape (n_dims,)
            Coordinates in [0, 1]; those that are not active may be NaN.

        Returns
        -------
        dict of str to object
            What ``set_params`` receives, names in sorted order.

        Raises
        ------
        TypeError
            If a distribution can only be drawn from.
        ValueError
            If the shape is wrong, or an active coordinate is NaN.
        """
        return self._decode(self._check_point(point))[0]

    def point(self, params):
        """Encode a setting as a point of the unit cube.

        Parameters
        ----------
        params : dict of str to object
            Values for all the names of a branch.

        Returns
        -------
        ndarray of shape (n_dims,)
            Coordinates in [0, 1]: for a value from finitely many, the middle of its
            cell. Coordinates that are not active are NaN. If ``params`` lie in
            several branches, the first counts.

        Raises
        ------
        TypeError
            If a distribution can only be drawn from.
        ValueError
            If ``params`` lie in no branch.
        """
        reason = None
        for number, axes in enumerate(self._axes):
            if params.keys() != self.branches[number].keys():
                continue
            point = np.full(self.n_dims, np.nan)
            if len(self.branches) > 1:
                point[0] = self.coordinates[0].dimension.to_unit(number)
            try:
                for name, dimension, axis in axes:
                    point[axis] = dimension.to_unit(params[name])
            except (TypeError, ValueError) as error:
                reason = reason or type(error)(f"params[{name!r}]: {error}")
                continue
            return point
        if reason is not None:
            raise reason
        expected = " or ".join(str(list(branch)) for branch in self.branches)
        raise ValueError(
            f"params = {reprlib.repr(params)} has names other than those of "
            f"{self.name}; need {expected}."
        )

    def candidate(self, point):
        """Make the candidate that lies at a point of the unit cube.

        Parameters
        ----------
        point : array-like of shape (n_dims,)
            Coordinates in [0, 1].

        Returns
        -------
        Candidate
            With the decoded parameters, their key, and a read-only copy of
            ``point`` whose coordinates are NaN where not active.
        """
        point = self._check_point(point)
        params, axes = self._decode(point)
        active = np.full(self.n_dims, np.nan)
        active[axes] = point[axes]
        active.flags.writeable = False
        return Candidate(params, point=active, key=candidate_key(params))

    def _check_point(self, point):
        point = np.asarray(point, dtype=float)
        if point.shape != (self.n_dims,):
            raise ValueError(
                f"point has shape {point.shape}; need ({self.n_dims},), one number in "
                "[0, 1] for each coordinate."
            )
        return point

    def _decode(self, point):
        """Return the params at a point and the list of active axes."""
        active, number = [], 0
        if len(self.branches) > 1:
            active.append(0)
            number = self._value_at(point, 0, self.coordinates[0].dimension)
        params = {}
        for name, dimension, axis in self._axes[number]:
            active.append(axis)
            params[name] = self._value_at(point, axis, dimension)
        return params, active

    def _value_at(self, point, axis, dimension):
        name = self.coordinates[axis].name or "the branch"
        if math.isnan(point[axis]):
            raise ValueError(f"point[{axis}] = nan, but {name!r} is active there.")
        try:
            return dimension.from_unit(float(point[axis]))
        except TypeError as error:
            raise TypeError(f"{self.name}[{name!r}]: {error}") from error

    def _read(self, value, name, what):
        dimension = _read_dimension(value, what)
        if dimension is not None:
            return dimension
        try:
            _check_sequence(value, what)
        except (TypeError, ValueError) as error:
            sentence = _sklearn_sentence(self.name, name, value)
            raise type(error)(f"{error} {sentence}") from None
        return _Choices(value)


def _read_branches(spec, name):
    """Return the branches of a spec as a list of dicts with str keys."""
    noun = "Parameter grid" if name == "param_grid" else "Parameter distribution"
    if isinstance(spec, dict):
        spec = [spec]
    if not isinstance(spec, (list, tuple)):
        verb = "should be" if name == "param_grid" else "is not"
        raise TypeError(
            f"{name} = {reprlib.repr(spec)} must be a dict, or a list of dicts. {noun} "
            f"{verb} a dict or a list, got: {reprlib.repr(spec)} of type "
            f"{type(spec).__name__}"
        )
    if len(spec) == 0:
        raise ValueError(
            f"{name} = {spec!r} holds no dict; give at least one, {{}} for the "
            "estimator's defaults."
        )
    for number, branch in enumerate(spec):
        if not isinstance(branch, dict):
            shown = reprlib.repr(branch)
            raise TypeError(
                f"{name}[{number}] = {shown} must be a dict. {noun} is not a dict "
                f"({shown})"
            )
        for key in branch:
            if not isinstance(key, str):
                raise TypeError(
                    f"{name} has the key {reprlib.repr(key)} of type "
                    f"{type(key).__name__}; keys must be names of parameters (str)."
                )
    return spec


def _drawn_from(value, dimension):
    """Return what ParameterSampler draws from: the user's object where it can."""
    if isinstance(dimension, _Distribution):
        return dimension if value is dimension else dimension.dist
    if type(dimension) is _Choices and value is not dimension:
        return dimension.choices
    return dimension


def _count(factors):
    """Return the sum of the products of the factors of each branch."""
    if any(math.inf in row for row in factors):
        return math.inf  # math.inf times an int beyond float would overflow
    return sum(map(math.prod, factors))


def _may_overlap(a, b):
    """Tell cheaply whether two dimensions may share a value; True if in doubt."""
    listed = [d for d in (a, b) if isinstance(d, _Choices) and not d._lazy]
    if len(listed) < 2:
        return True
    return not a._index.keys().isdisjoint(b._index)


def _product(sequences):
    """Do what itertools.product does, without storing the sequences."""
    if not sequences:
        yield ()
        return
    *others, last = sequences
    for row in _product(others):
        for value in last:
            yield (*row, value)


# Names that the estimator must have --------------------------------------------------


def check_names(estimator, space):
    """Raise if a branch sets a parameter that the estimator does not have.

    Every name is set once on a clone, and once more for each estimator (or
    "passthrough", "drop", None) that may take the place of the part it belongs to.
    ``get_params`` is not asked: some estimators accept more than it lists.

    Parameters
    ----------
    estimator : estimator object
        It is cloned, never changed.
    space : Space
        The names and the values to try.

    Raises
    ------
    ValueError
        If a parameter cannot be set.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> from skhpo.space import Space, check_names
    >>> try:
    ...     check_names(SVC(), Space({"gama": [1.0]}, name="param_grid"))
    ... except ValueError as error:
    ...     print(str(error).partition(" Invalid")[0])
    param_grid names 'gama', which SVC does not have. Did you mean 'gamma'?
    """
    for branch in space.branches:
        if not branch:
            continue
        first = {name: _first_value(dimension) for name, dimension in branch.items()}
        _check_settable(estimator, first, space.name)
        for name, dimension in branch.items():
            if not any(other.startswith(f"{name}__") for other in branch):
                continue
            if not isinstance(dimension, _Choices) or dimension._lazy:
                continue
            for value in itertools.islice(dimension.values(), 1, None):
                if _is_part(value):
                    _check_settable(estimator, {**first, name: value}, space.name)


def _first_value(dimension):
    if dimension.n_values == math.inf:
        return dimension.rvs(random_state=0)
    return dimension.rows()[0]


def _is_part(value):
    """Tell whether a value can take the place of a step of a pipeline."""
    if value is None or isinstance(value, str):
        return value in (None, "passthrough", "drop")
    return hasattr(value, "get_params") and not isinstance(value, type)


def _set(estimator, params):
    # As scikit-learn does it: estimators among the values are cloned, too.
    return clone(estimator).set_params(**clone(params, safe=False))


def _check_settable(estimator, params, space_name):
    try:
        _set(estimator, params)
        return
    except Exception as error:
        failure = error
    # Find the name to blame: set one more at a time, parts before their parameters.
    accepted = {}
    for name in sorted(params, key=lambda name: name.count("__")):
        try:
            _set(estimator, {**accepted, name: params[name]})
        except Exception as error:
            message = _blame(estimator, accepted, name, params[name], error, space_name)
            raise ValueError(message) from error
        accepted[name] = params[name]
    raise failure


def _blame(estimator, accepted, name, value, error, space_name):
    """Say why ``name`` cannot be set on an estimator that has accepted others."""
    kind = type(estimator).__name__
    known = {}
    with contextlib.suppress(Exception):
        known = _set(estimator, accepted).get_params(deep=True)
    if isinstance(error, ValueError) and name not in known:
        suggestion = _closest_name(name, known)
        hint = f" Did you mean {suggestion!r}?" if suggestion else ""
        return f"{space_name} names {name!r}, which {kind} does not have.{hint} {error}"
    part = name.rpartition("__")[0]
    if part in known and not hasattr(known[part], "set_params"):
        holder = reprlib.repr(known[part])
        way_out = f"Give {part!r} a list of estimators in the same dict."
        if part in accepted:
            way_out = f"Put {part}={holder} into a dict of its own, without {name!r}."
        return (
            f"{space_name} names {name!r}, but {part!r} is {holder} there, which has "
            f"no parameters. {way_out} {error}"
        )
    return (
        f"{space_name}[{name!r}] = {reprlib.repr(value)} cannot be set on {kind}: "
        f"{type(error).__name__}: {error}"
    )


def _closest_name(name, known):
    """Return the known parameter that ``name`` most likely means, or None."""
    part, _, tail = name.rpartition("__")
    split = [(*key.rpartition("__")[::2], key) for key in known]
    same_part = {end.lower(): key for start, end, key in split if start == part}
    same_tail = {end.lower(): key for _, end, key in split}
    if exact := same_part.get(tail.lower()) or same_tail.get(tail.lower()):
        return exact
    # A name whose part exists is compared without it: the part would outweigh the rest.
    whole = {} if same_part else {key.lower(): key for key in known}
    for word, pool in [(tail, same_part), (name, whole), (tail, same_tail)]:
        if match := difflib.get_close_matches(word.lower(), pool, n=1):
            return pool[match[0]]
    return None
