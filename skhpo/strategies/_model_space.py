"""A space as models see it: points of a :class:`~skhpo.gp.domain.Domain`."""

import numpy as np

from skhpo.gp.domain import Column, Domain

# Longer grids are taken as continuous; candidates are rounded when they are decoded.
MAX_GRID = 1000


class ModelSpace:
    """Columns for what varies, and the way from candidates to model points and back.

    A hyperparameter with one value has no column. One that several branches share has
    one column, so that what is learnt in one branch serves the other; but not if its
    name belongs to an estimator that the branches replace, as ``model__C`` does where
    they set different values of ``model``.

    Parameters
    ----------
    space : Space
        Whose dimensions can be mapped to [0, 1] and back.
    with_lack : bool, default=False
        Whether there is one more column, the last: how much of a resource was lacking,
        from 0, where a candidate had everything, to 1. New points have everything.

    Attributes
    ----------
    domain : Domain
        Where model points live.

    Raises
    ------
    TypeError
        If a distribution can only be drawn from.
    """

    def __init__(self, space, with_lack=False):
        self.space = space
        self._with_lack = with_lack
        n_branches = len(space.branches)
        self._axes, columns, active = [], [], []
        for axis, coordinate in enumerate(space.coordinates):
            if coordinate.dimension.n_values == 1:
                continue
            try:
                column = _column(coordinate)
            except TypeError as error:
                raise TypeError(f"{space.name}[{coordinate.name!r}]: {error}") from None
            owners = {}
            for branch in coordinate.branches:
                owner = _owner(space.branches[branch], coordinate.name)
                owners.setdefault(owner, []).append(branch)
            for branches in owners.values():
                self._axes.append(axis)
                columns.append(column)
                active.append(np.isin(np.arange(n_branches), branches))
        if with_lack:
            columns.append(Column(grid=np.zeros(1)))
            active.append(np.ones(n_branches, dtype=bool))
        active = np.array(active, dtype=bool).reshape(len(columns), n_branches).T
        self.domain = Domain(columns, active)

    def encode(self, params):
        """Give the model point of a setting.

        Parameters
        ----------
        params : dict of str to object
            A setting of the space.

        Returns
        -------
        x : ndarray of shape (d,)
            Its model point.
        """
        domain = self.domain
        point = self.space.point(params)[self._axes]
        if self._with_lack:
            point = np.append(point, 0.0)
        x = point.copy()
        for j in np.flatnonzero(domain.categorical & ~np.isnan(point)):
            x[j] = int(point[j] * domain.columns[j].n_levels)
        return domain.canonical(x[None])[0]

    def candidate(self, x):
        """Make the candidate at a model point.

        Parameters
        ----------
        x : ndarray of shape (d,)
            A model point.

        Returns
        -------
        Candidate
            With its parameters, point and key.
        """
        point = np.full(self.space.n_dims, 0.5)
        active = self.domain.active[self.domain.branch(x[None])[0]]
        for j in np.flatnonzero(active[: len(self._axes)]):
            n_levels = self.domain.columns[j].n_levels
            point[self._axes[j]] = (x[j] + 0.5) / n_levels if n_levels else x[j]
        return self.space.candidate(point)


def _column(coordinate):
    dimension, n_values = coordinate.dimension, coordinate.dimension.n_values
    dimension.to_unit(dimension.from_unit(0.5))  # raises for what can only be drawn
    # The branches are numbered, and have no order.
    if coordinate.name is None or not dimension.ordinal:
        return Column(n_levels=n_values)
    if n_values > MAX_GRID:
        return Column()
    grid = map(dimension.to_unit, dimension.values())
    return Column(grid=np.unique([*grid]))  # those in its tails are at one place


def _owner(branch, name):
    """Return what a branch sets of the estimators that a name passes through."""
    parts = [] if name is None else name.split("__")
    owners = ("__".join(parts[:i]) for i in range(1, len(parts)))
    return tuple((owner, branch[owner]) for owner in owners if owner in branch)
