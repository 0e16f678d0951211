"""The space: branches of dimensions, as rows of a grid and as a unit cube."""

import itertools
import math
import reprlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skhpo.space._dimensions import (
    _MAX_ROWS_COUNTED,
    _as_python,
    _check_sequence,
    _Choices,
    _describe,
    _Distribution,
)
from skhpo.space._keys import candidate_key
from skhpo.space._reading import _read_dimension, _sklearn_sentence
from skhpo.trial import Candidate


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
                        f"as {_some_values(dimension)}, or use RandomSearch. {sentence}"
                    )
        return (
            dict(zip(branch, row, strict=True))
            for branch in self.branches
            for row in _product([d.rows() for d in branch.values()])
        )

    def grid_row(self, number):
        """Give one setting of the grid, by its place in :meth:`grid`.

        Parameters
        ----------
        number : int
            From 0 to ``n_rows - 1``, however large.

        Returns
        -------
        params : dict of str to object
            The setting.
        """
        for branch in self.branches:
            rows = {name: dimension.rows() for name, dimension in branch.items()}
            n_rows = math.prod(d.n_rows for d in branch.values())
            if number < n_rows:
                params = {}
                for name in reversed(branch):
                    number, place = divmod(number, branch[name].n_rows)
                    params[name] = rows[name][place]
                return {name: params[name] for name in branch}
            number -= n_rows
        raise IndexError(f"the grid has {self.n_rows} rows")

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
            several branches, that counts which gives the most values with their types,
            the first of equals.

        Raises
        ------
        TypeError
            If a distribution can only be drawn from.
        ValueError
            If ``params`` lie in no branch.
        """
        reason, found, least = None, None, np.inf
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
            if len(self.branches) == 1:
                return point
            # 1 is in Real(0.1, 1), but another branch may have it as an integer.
            n_others = _n_other_types(params, self.branches[number])
            if n_others < least:
                found, least = point, n_others
        if found is not None:
            return found
        if reason is not None:
            raise reason
        # Blame the branch that comes nearest.
        branch = min(self.branches, key=lambda branch: len(params.keys() ^ branch))
        lacks = [name for name in branch if name not in params]
        foreign = [name for name in params if name not in branch]
        raise ValueError(
            f"params = {reprlib.repr(params)} does not have the names of "
            f"{self.name}: "
            + " and ".join(
                f"{what} {names}"
                for what, names in [("lacks", lacks), ("does not know", foreign)]
                if names
            )
            + f"; need {' or '.join(str(list(branch)) for branch in self.branches)}."
        )

    def setting(self, params):
        """Make the candidate of a setting, to the last bit.

        Parameters
        ----------
        params : dict of str to object
            Values for all the names of a branch.

        Returns
        -------
        Candidate
            With the same values, of the types that the space itself would give: 1.0
            for 1 in a range of real numbers.

        Raises
        ------
        ValueError
            If ``params`` lie in no branch.
        """
        point = self.point(params)
        branch = self.branch_at(point)
        own = {name: branch[name].own(params[name]) for name in branch}
        point.flags.writeable = False
        return Candidate(own, point=point, key=candidate_key(own))

    def nearest(self, params):
        """Give a setting that keeps as many of these values as possible.

        Parameters
        ----------
        params : dict of str to object
            Values for any names, in the space or not.

        Returns
        -------
        dict of str to object
            The values that lie in the space, and the middle of the dimension for the
            others; in the branch that keeps the largest share, the first of equals.

        Raises
        ------
        TypeError
            If a distribution can only be drawn from.
        """
        best, best_share = None, -1.0
        for branch in self.branches:
            setting, n_kept = {}, 0
            for name, dimension in branch.items():
                try:
                    dimension.to_unit(params[name])
                    setting[name] = params[name]
                    n_kept += 1
                except (KeyError, ValueError):
                    setting[name] = dimension.from_unit(0.5)
            # The empty branch is the estimator as it is.
            share = n_kept / len(branch) if branch else 1.0
            if share > best_share:
                best, best_share = setting, share
        return best

    def candidate(self, point, *, with_tails=False):
        """Make the candidate that lies at a point of the unit cube.

        Parameters
        ----------
        point : array-like of shape (n_dims,)
            Coordinates in [0, 1].
        with_tails : bool, default=False
            Whether coordinates are quantiles of the whole distributions.

        Returns
        -------
        Candidate
            With the decoded parameters, their key, and a read-only copy of
            ``point`` whose coordinates are NaN where not active.
        """
        point = self._check_point(point)
        params, axes = self._decode(point, with_tails)
        active = np.full(self.n_dims, np.nan)
        active[axes] = point[axes]
        active.flags.writeable = False
        return Candidate(params, point=active, key=candidate_key(params))

    def branch_at(self, point):
        """Tell which branch a point of the unit cube is in.

        Parameters
        ----------
        point : ndarray of shape (n_dims,)
            As candidates have it.

        Returns
        -------
        dict of str to dimension
            One of :attr:`branches`.
        """
        return self.branches[self._number_at(point)]

    def _number_at(self, point):
        if len(self.branches) == 1:
            return 0
        return self._value_at(point, 0, self.coordinates[0].dimension)

    def _check_point(self, point):
        point = np.asarray(point, dtype=float)
        if point.shape != (self.n_dims,):
            raise ValueError(
                f"point has shape {point.shape}; need ({self.n_dims},), one number in "
                "[0, 1] for each coordinate."
            )
        return point

    def _decode(self, point, with_tails=False):
        """Return the params at a point and the list of active axes."""
        active = [0] if len(self.branches) > 1 else []
        params = {}
        for name, dimension, axis in self._axes[self._number_at(point)]:
            active.append(axis)
            params[name] = self._value_at(point, axis, dimension, with_tails)
        return params, active

    def _value_at(self, point, axis, dimension, with_tails=False):
        name = self.coordinates[axis].name or "the branch"
        if math.isnan(point[axis]):
            raise ValueError(f"point[{axis}] = nan, but {name!r} is active there.")
        try:
            decode = dimension.from_quantile if with_tails else dimension.from_unit
            return decode(float(point[axis]))
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


def _n_other_types(params, branch):
    """Count the values that a branch gives with another type; NumPy's count half."""
    n = 0.0
    for name, dimension in branch.items():
        value = params[name]
        kind = type(dimension._own(value))
        if kind is not type(value):
            n += 0.5 if kind is type(_as_python(value)) else 1.0
    return n


def _drawn_from(value, dimension):
    """Return what ParameterSampler draws from: the user's object where it can."""
    if isinstance(dimension, _Distribution):
        return dimension if value is dimension else dimension.dist
    if type(dimension) is _Choices and value is not dimension:
        return dimension.choices
    return dimension


def _some_values(dimension):
    """Show a few values of a dimension, evenly spaced on its own scale."""
    try:
        values = [dimension.from_unit(u) for u in (0.05, 0.35, 0.65, 0.95)]
    except TypeError:  # it can only be drawn from
        return "np.geomspace(0.001, 1000, 7)"
    return f"[{', '.join(f'{value:.2g}' for value in values)}]"


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
