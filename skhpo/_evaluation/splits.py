"""The splits of a search, drawn once, and the data of each split."""

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.utils import get_tags

from skhpo._sklearn import check_method_params, device, get_namespace, safe_split

# Bytes of sliced data that one process keeps for fits that cannot write to it.
MAX_SHARED_BYTES = 64 * 2**20


class Part(NamedTuple):
    """One side of a split: data, and the parameters sliced along with it.

    A shared part is given to several fits, and read-only.
    """

    X: object
    y: object
    params: dict
    shared: bool = False


class Splits:
    """Data, and the row numbers of the training and test part of every split.

    Parameters
    ----------
    X, y : indexable, of length n_samples
        As the user gave them; `y` may be None.
    indices : list of (ndarray of shape (n_train,), ndarray of shape (n_test,))
        Row numbers of the two parts of each split.
    fit_params, score_params : dict
        Parameters of the estimator's ``fit`` and of the scorer. Those with a length
        of n_samples are sliced.
    subsamples : Subsamples, default=None
        What smaller parts consist of; None if there are none.
    """

    def __init__(self, X, y, indices, *, fit_params, score_params, subsamples=None):
        self.X = X
        self.y = y
        self.fit_params = fit_params
        self.score_params = score_params
        # Splitters that only know NumPy give NumPy indices; an X of another
        # namespace or device wants its own.
        xp, _ = get_namespace(X)
        if subsamples is not None:
            # A part of a mask would be a mask of a part.
            indices = [tuple(map(row_numbers, parts)) for parts in indices]
        self.indices = [
            (xp.asarray(train, device=device(X)), xp.asarray(test, device=device(X)))
            for train, test in indices
        ]
        self._shareable = (
            _is_plain_array(X)
            and X.dtype != object
            and (y is None or _is_plain_array(y))
            and all(
                _is_plain_array(value)
                for value in (*fit_params.values(), *score_params.values())
            )
        )
        self._subsamples = subsamples
        self._shared = {}
        self._n_shared_bytes = 0
        self._fraction = 1.0  # that of the parts that are kept

    def __getstate__(self):
        return {**self.__dict__, "_shared": {}, "_n_shared_bytes": 0}

    def train(self, place, estimator, *, share):
        """Give a training part.

        Parameters
        ----------
        place : (int, float)
            Which split, and what fraction of its samples.
        estimator : estimator
            Decides whether X is a square kernel, to be sliced both ways.
        share : bool
            Whether the part may be given to several fits. A shared part is
            read-only; otherwise each call slices anew.

        Returns
        -------
        part : Part
            X, y and the fit parameters.
        """
        train, _ = self._rows(place)
        return self._part(place, estimator, train, None, self.fit_params, share)

    def test(self, place, estimator, *, share):
        """Give the held-out part of a split, with the score parameters."""
        train, test = self._rows(place)
        return self._part(place, estimator, test, train, self.score_params, share)

    def train_score_params(self, place):
        """Slice the score parameters along the training part of a split."""
        return check_method_params(
            self.X, params=self.score_params, indices=self._rows(place)[0]
        )

    def _rows(self, place):
        """Give the row numbers of both parts."""
        number, fraction = place
        train, test = self.indices[number]
        if fraction == 1:
            return train, test
        return (
            train[self._subsamples.train(number, fraction)],
            test[self._subsamples.test(number, fraction)],
        )

    def _part(self, place, estimator, rows, train, params, share):
        _, fraction = place
        key = place, train is None
        if share:
            if fraction != self._fraction:
                # Smaller and larger parts come one after another.
                self._shared, self._n_shared_bytes = {}, 0
                self._fraction = fraction
            # In other threads they may be under way at the same time.
            part = self._shared.get(key)
            if part is not None:
                return part
        X, y = safe_split(estimator, self.X, self.y, rows, train)
        part = Part(X, y, check_method_params(self.X, params=params, indices=rows))
        return self._keep(key, part) if share else part

    def may_share(self, estimator):
        """Tell whether the parts can be made read-only for this estimator."""
        return self._shareable and not get_tags(estimator).input_tags.pairwise

    def _keep(self, key, part):
        """Make `part` read-only and keep it, while the cap allows."""
        arrays = [part.X, *part.params.values()]
        if part.y is not None:
            arrays.append(part.y)
        n_bytes = sum(array.nbytes for array in arrays)
        if self._n_shared_bytes + n_bytes > MAX_SHARED_BYTES:
            return part
        for array in arrays:
            array.flags.writeable = False
        self._n_shared_bytes += n_bytes
        part = part._replace(shared=True)
        self._shared[key] = part
        return part


def row_numbers(rows):
    """Give the row numbers that a mask stands for; others are as they are."""
    rows = np.asarray(rows)
    return np.flatnonzero(rows) if rows.dtype == bool else rows


def check_splits(indices, n_samples, splitter=None):
    """Raise if a split tests nothing, or has rows that X does not have.

    An empty training part is left to the estimator: some learn nothing. So is to the
    scorer, with a warning, an empty test part that a splitter has made.

    Parameters
    ----------
    indices : list of (array-like of shape (n_train,), array-like of shape (n_test,))
        Row numbers, or masks of shape (n_samples,), of the two parts of each split.
    n_samples : int
        Number of rows of X.
    splitter : object, default=None
        What has drawn the splits; None if the user gave them.

    Raises
    ------
    ValueError
        If a part is unusable.

    Warns
    -----
    UserWarning
        If a splitter has left a test part empty.
    """
    for number, parts in enumerate(indices):
        for name, part in zip(("training", "test"), parts, strict=True):
            if not isinstance(part, np.ndarray | list | tuple | range):
                continue  # of another namespace or device, or an iterator
            rows = np.asarray(part)
            if rows.dtype == bool:
                if rows.shape != (n_samples,):
                    raise ValueError(
                        f"cv: the {name} part of split {number} is a mask of shape "
                        f"{rows.shape}, but X has {n_samples} samples."
                    )
                rows = rows.nonzero()[0]
            if name == "test" and rows.size == 0:
                _complain_of_nothing(number, splitter)
            if rows.dtype.kind in "iu" and rows.size:
                _check_rows(rows, n_samples, f"the {name} part of split {number}")


def _complain_of_nothing(number, splitter):
    if splitter is None:
        raise ValueError(
            f"cv: split {number} has an empty test part. Give every split samples to "
            "score, or leave it out."
        )
    warnings.warn(
        f"cv: {splitter!r} has left the test part of split {number} empty. What it "
        "counts is up to the scorer. Use fewer splits.",
        UserWarning,
        stacklevel=2,
    )


def _check_rows(rows, n_samples, where):
    outside = rows[(rows < -n_samples) | (rows >= n_samples)]
    if outside.size:
        raise ValueError(
            f"cv: {where} has the index {outside[0]}, but X has {n_samples} samples; "
            f"indices go from 0 to {n_samples - 1}."
        )


def _is_plain_array(value):
    return type(value) in (np.ndarray, np.memmap)
