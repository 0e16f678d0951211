"""Where the model lives: columns, which of them are active, and their features.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
x                     (m, d)       model points: a number in [0, 1] in a numeric column,
                                   a level 0, 1, ... in a categorical one
branch                (m,)         which branch of a conditional space a point lies in
active                (b, d)       whether a column exists in a branch
Z                     (m, p)       features
groups                (p,)         column of each feature
====================  ===========  ====================================================

A category enters the squared distance as ``1[x != x']``, which is that of one-hot
vectors of length ``1 / sqrt 2``: the kernel stays one of Euclidean distances, hence
positive definite. A column that does not exist in a branch has the value 1/2, or a
level of its own if it is categorical, so that it adds nothing to the distance between
two points of such branches; that two points lie in different branches is told by the
column of the branch. This is the imputation of SMAC [1]_, made for a kernel.

References
----------
.. [1] F. Hutter, H. H. Hoos and K. Leyton-Brown, "Sequential model-based optimization
   for general algorithm configuration", 2011.
"""

from dataclasses import dataclass

import numpy as np

INACTIVE_NUMBER = 0.5
INACTIVE_LEVEL = -1.0


@dataclass(frozen=True)
class Column:
    """One column of the model points.

    Parameters
    ----------
    n_levels : int, default=0
        Number of levels of a category; 0 for a number.
    grid : ndarray of shape (n_values,), default=None
        The values that a number may take, increasing; None for any in [0, 1].
    """

    n_levels: int = 0
    grid: np.ndarray | None = None


class Domain:
    """The set of model points.

    Parameters
    ----------
    columns : list of Column
        The columns.
    active : ndarray of shape (n_branches, d)
        Whether a column exists in a branch. With several branches the first column is
        that of the branch, categorical with a level for each.
    """

    def __init__(self, columns, active):
        self.columns = tuple(columns)
        self.active = np.asarray(active, dtype=bool)
        self.n_columns = len(self.columns)
        self.n_branches = len(self.active)
        self.categorical = np.array([c.n_levels > 0 for c in self.columns], dtype=bool)
        groups, self._levels = [], []
        for j, column in enumerate(self.columns):
            levels = np.arange(column.n_levels, dtype=float)
            if column.n_levels and not self.active[:, j].all():
                levels = np.append(levels, INACTIVE_LEVEL)
            self._levels.append(levels)
            groups += [j] * max(1, len(levels))
        self.groups = np.array(groups, dtype=int)
        # The feature of each numeric column.
        first = np.searchsorted(self.groups, np.arange(self.n_columns))
        self.numeric = np.flatnonzero(~self.categorical)
        self.numeric_features = first[self.numeric]
        self.n_levels = np.array([column.n_levels for column in self.columns], int)
        # What a point may change and stay in its branch.
        single = [c.grid is not None and len(c.grid) == 1 for c in self.columns]
        self.movable = self.active & ~np.array(single, dtype=bool)
        if self.n_branches > 1:
            self.movable[:, 0] = False

    def branch(self, x):
        """Tell the branch of each point.

        Parameters
        ----------
        x : ndarray of shape (m, d)
            Model points.

        Returns
        -------
        branch : ndarray of int of shape (m,)
            From 0 to ``n_branches - 1``.
        """
        if self.n_branches == 1:
            return np.zeros(len(x), dtype=int)
        return x[:, 0].astype(int)

    def canonical(self, x):
        """Move points to the nearest ones that exist.

        Parameters
        ----------
        x : ndarray of shape (m, d)
            Points whose numbers may lie off their grids, with anything in the columns
            that do not exist in their branch.

        Returns
        -------
        x : ndarray of shape (m, d)
            New array.
        """
        x = np.array(x)
        for j in self.numeric:
            grid = self.columns[j].grid
            if grid is not None:
                borders = (grid[1:] + grid[:-1]) / 2
                x[:, j] = grid[np.searchsorted(borders, x[:, j])]
        blank = np.where(self.categorical, INACTIVE_LEVEL, INACTIVE_NUMBER)
        return np.where(self.active[self.branch(x)], x, blank)

    def from_uniform(self, u):
        """Turn points of the unit cube into model points.

        Parameters
        ----------
        u : ndarray of shape (m, d)
            Numbers in [0, 1], one for each column.

        Returns
        -------
        x : ndarray of shape (m, d)
            Model points.
        """
        x = np.array(u, dtype=float)
        for j in np.flatnonzero(self.categorical):
            n = self.columns[j].n_levels
            x[:, j] = np.minimum((x[:, j] * n).astype(int), n - 1)
        return self.canonical(x)

    def features(self, x):
        """Compute the features of model points.

        Parameters
        ----------
        x : ndarray of shape (m, d)
            Model points.

        Returns
        -------
        Z : ndarray of shape (m, p)
            Features.
        """
        Z = np.empty((len(x), len(self.groups)))
        Z[:, self.numeric_features] = x[:, self.numeric]
        for j in np.flatnonzero(self.categorical):
            Z[:, self.groups == j] = (x[:, [j]] == self._levels[j]) * np.sqrt(0.5)
        return Z
