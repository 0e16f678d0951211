"""What every kind of dimension offers, and what they all need to know of values."""

import math
import numbers
import reprlib
from dataclasses import fields

import numpy as np
from sklearn.utils import check_random_state


class _Dimension:
    """What every dimension offers; a kind of dimension says how in four hooks.

    All are frozen dataclasses. The hooks are ``_values``, the distinct values as a
    sequence or None; ``_own``, the value as the dimension itself writes it;
    ``_decode``, from u in [0, 1] to a value; and ``_encode``, from a value to u, or
    None if it is no value of this dimension.

    Attributes
    ----------
    n_values : int or math.inf
        Number of distinct values.
    n_rows : int or math.inf
        Number of values as a grid counts them, repeated ones included.
    ordinal : bool
        Whether the values are numbers and [0, 1] follows their order.
    continuous : bool
        Whether the values are all the real numbers of a range.
    """

    ordinal = True
    continuous = False
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

    def from_quantile(self, u):
        """Decode a number from [0, 1], tails of a distribution included.

        Parameters
        ----------
        u : float
            Share of what is drawn that is no larger.

        Returns
        -------
        object
            As :meth:`from_unit` gives it.
        """
        return self.from_unit(u)

    def to_unit(self, value):
        """Encode a value as a number in [0, 1].

        Parameters
        ----------
        value : object
            One of the values.

        Returns
        -------
        float
            Where the value lies: the middle of its cell if they are discrete. Those in
            a tail of a distribution lie at its end.

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
        return self._own(value)

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

    def _described(self):
        return repr(self)

    def __getstate__(self):
        # Cached properties stay behind: they are recomputed when asked for.
        return {f.name: getattr(self, f.name) for f in fields(self)}


def _describe(value):
    """Return a short name of a value or dimension for messages."""
    if isinstance(value, _Dimension):
        return value._described()
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


def _as_python(value):
    return value.item() if isinstance(value, np.generic) else value
