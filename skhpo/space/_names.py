"""Names that the estimator must have."""

import contextlib
import copy
import difflib
import itertools
import math
import reprlib

from sklearn.base import clone

from skhpo.space._dimensions import _Choices


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
        # A copy, as a distribution may have a generator of its own.
        return copy.deepcopy(dimension).rvs(random_state=0)
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
    part = name.rpartition("__")[0]
    known = {}
    with contextlib.suppress(Exception):
        known = _set(estimator, accepted).get_params(deep=True)
    if isinstance(error, ValueError) and name not in known:
        suggestion = _closest_name(name, known)
        hint = f" Did you mean {suggestion!r}?" if suggestion else ""
        if part in accepted:
            hint = f" when {part!r} is {reprlib.repr(accepted[part])}.{hint}"
        else:
            hint = f".{hint}"
        return f"{space_name} names {name!r}, which {kind} does not have{hint} {error}"
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
