"""Values that are listed one by one."""

import itertools
import math
import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import numpy as np

from skhpo.space._dimensions.base import (
    _as_python,
    _describe,
    _Dimension,
    _is_number,
    _length,
)
from skhpo.space._keys import _value_key


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

    def _described(self):
        return _describe(self.choices)

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
