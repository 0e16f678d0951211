"""Transformers side by side: each distinct one is fitted once, however it is combined.

The columns are divided and the features put together by scikit-learn's own code, which
finds in the place of a transformer one that was fitted before.
"""

import numpy as np
from sklearn.base import BaseEstimator, clone

from skhpo.reuse.base import Family, NotShared, copy_of, draws, freeze


class Blocks(Family):
    """Candidates with the same blocks, whatever transforms them.

    Parameters
    ----------
    transformed : callable
        ``transformed(transformers, X, y)`` fits several to the same data, and yields
        position, fitted transformer and features of each.

    Attributes
    ----------
    place : str
        Parameter that lists names and transformers, and what they are given.
    fitted_place : str
        Where the fitted ones are.
    """

    place = "transformers"
    fitted_place = "transformers_"

    def __init__(self, transformed):
        self._transformed = transformed

    def is_shared(self, name):
        return True  # what has to be equal is in the key

    def key(self, estimator):
        if draws(estimator) or estimator.n_jobs not in (None, 1):
            raise NotShared
        params = estimator.get_params(deep=False)
        try:
            blocks = [
                (name, transformer if isinstance(transformer, str) else None, *columns)
                for name, transformer, *columns in params.pop(self.place)
            ]
        except (TypeError, ValueError) as error:
            raise NotShared from error  # a fit of its own says what is wrong
        return freeze(blocks), freeze(params)

    def leader(self, estimators):
        lists = [getattr(each, self.place) for each in estimators]
        slots = [
            Slot([blocks[number][1] for blocks in lists], self._transformed)
            for number in range(len(lists[0]))
        ]
        return BlocksLeader(slots)

    def view(self, leader, estimator):
        blocks = [
            (name, slot.stand_in(transformer), *columns)
            for slot, (name, transformer, *columns) in zip(
                leader.slots, getattr(estimator, self.place), strict=True
            )
        ]
        whole = clone(estimator)
        setattr(whole, self.place, blocks)
        leader.features = whole.fit_transform(leader.X, leader.y, **leader.params)
        fitted = [
            (name, part.own if isinstance(part, StandIn) else part, *columns)
            for name, part, *columns in getattr(whole, self.fitted_place)
        ]
        return copy_of(whole, estimator, **{self.fitted_place: fitted})

    def features(self, view, X, leader_features):
        return leader_features.features

    def examples(self, cls):
        from sklearn.feature_selection import SelectKBest
        from sklearn.preprocessing import MinMaxScaler, StandardScaler

        rng = np.random.default_rng(0)
        X = rng.normal(size=(30, 5))
        y = (X[:, 0] + rng.normal(size=30) > 0).astype(int)
        columns = ([[0, 1, 2]], [[3, 4]], [[1]])
        if cls.__name__ == "FeatureUnion":
            columns = ([], [], [])
        grid = []
        for k in (1, 2):
            for scaler in (StandardScaler(), MinMaxScaler(), "passthrough"):
                steps = SelectKBest(k=k), scaler, "drop"
                blocks = zip("abc", steps, columns, strict=True)
                grid.append(cls([(name, step, *rest) for name, step, rest in blocks]))
        yield X, y, grid


class Union(Blocks):
    """The same where each transformer gets all columns."""

    place = fitted_place = "transformer_list"


class BlocksLeader:
    """The data, and what stands in each place.

    Parameters
    ----------
    slots : list of Slot
        One for each block.

    Attributes
    ----------
    features : array-like or sparse matrix
        Of the candidate whose view was made last.
    X, y, params : object
        What is fitted to.
    """

    def __init__(self, slots):
        self.slots = slots

    def fit(self, X, y=None, **params):
        """Keep the data; views decide what is fitted."""
        self.X, self.y, self.params = X, y, params
        return self

    fit_transform = fit


class Slot:
    """The transformers that candidates have for one block.

    Parameters
    ----------
    transformers : list of estimator or str
        Of the candidates, not fitted.
    transformed : callable
        As in :class:`Blocks`.
    """

    def __init__(self, transformers, transformed):
        self._transformed = transformed
        self._distinct = {}
        for transformer in transformers:
            if not isinstance(transformer, str):
                self._distinct.setdefault(freeze(transformer), transformer)
        self._fitted = None

    def stand_in(self, transformer):
        """Give what stands for `transformer`, which may be a word."""
        if isinstance(transformer, str):
            return transformer
        return StandIn(transformer, self)

    def fitted(self, transformer, X, y):
        """Give a fitted transformer and its features; the first fits all of them."""
        if self._fitted is None:
            keys, steps = list(self._distinct), list(self._distinct.values())
            self._fitted = {
                keys[i]: (step, features)
                for i, step, features in self._transformed(steps, X, y)
            }
        return self._fitted[freeze(transformer)]


class StandIn(BaseEstimator):
    """A transformer that may have been fitted for another candidate.

    Parameters
    ----------
    transformer : estimator
        For which it stands.
    slot : Slot
        Its place.

    Attributes
    ----------
    own : estimator
        The transformer, fitted if its block has any columns.
    """

    def __init__(self, transformer, slot):
        self.transformer = transformer
        self.slot = slot
        self.own = transformer

    def __sklearn_clone__(self):
        return self

    def fit_transform(self, X, y=None):
        """Fit it, unless it was, and give its features."""
        self.own, features = self.slot.fitted(self.transformer, X, y)
        return features

    def fit(self, X, y=None):
        """Fit it; never called, but asked for."""
        self.fit_transform(X, y)
        return self

    def transform(self, X):
        """Transform; never called, but asked for."""
        return self.own.transform(X)
