"""Reading what the user wrote for one hyperparameter."""

import numbers
import reprlib
from collections.abc import Iterable
from decimal import Decimal

import numpy as np

from skhpo.space._dimensions import (
    Categorical,
    Integer,
    Real,
    _as_python,
    _Choices,
    _Dimension,
    _Distribution,
    _FloatRange,
    _is_number,
    _is_sequence,
)


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
