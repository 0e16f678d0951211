"""Leading steps of a pipeline that no candidate changes, fitted once for each split."""

import itertools

import numpy as np
from scipy.sparse import issparse
from sklearn.pipeline import Pipeline

from skhpo._evaluation.keeping import Keeper
from skhpo._evaluation.splits import MAX_SHARED_BYTES


class Prefix(Keeper):
    """Fits the leading steps once for each split, and keeps what they make of its data.

    The other steps are then fitted to the same features as in the whole pipeline, so
    that scores are the same to the last bit.

    Parameters
    ----------
    estimator : Pipeline
        Of the search.
    n_steps : int
        How many of its steps are leading ones.

    Attributes
    ----------
    before : str
        What stands before the names of parameters of the rest in the whole: nothing,
        or if one step is left, its name.
    """

    def __init__(self, estimator, n_steps):
        super().__init__()
        self._n_steps = n_steps
        self._names = tuple(name + "__" for name, _ in estimator.steps[n_steps:])
        self.before = self._names[0] if len(self._names) == 1 else ""

    @classmethod
    def of(cls, estimator, names):
        """Make one, or None where fitting it once might give other scores.

        Parameters
        ----------
        estimator : estimator
            Of the search.
        names : iterable of str
            Parameters that candidates set.

        Returns
        -------
        Prefix or None
            None if there is no leading step of a pipeline that is not searched, or one
            has a random state that differs from fit to fit.
        """
        if type(estimator) is not Pipeline or estimator.memory is not None:
            return None
        if estimator.verbose or getattr(estimator, "transform_input", None) is not None:
            return None
        searched = {name.partition("__")[0] for name in names}
        if searched & {"steps", "memory", "verbose", "transform_input"}:
            return None
        n_steps = 0
        for step, transformer in estimator.steps[:-1]:
            if step in searched or _draws(transformer):
                break
            n_steps += 1
        return cls(estimator, n_steps) if n_steps else None

    def strip(self, split, estimator, train, test):
        """Replace a pipeline by the rest of it, and the data by its features.

        Parameters
        ----------
        split : int
            Which split.
        estimator : Pipeline
            Not fitted, its parameters set.
        train, test : Part
            The data of the split.

        Returns
        -------
        stripped : tuple of (estimator, Part, Part) or None
            The rest, not fitted, and the parts with features in place of X and its own
            fit parameters. None where features were found too large to keep, or other
            steps have fit parameters too.
        """
        if not self._names_all(train.params):
            return None
        if split not in self._kept:
            features = self._fit(estimator, train, test)
            self._keep(split, features)
        elif self._kept[split] is None:
            return None
        else:
            features = self._kept[split]
        return self._rest(estimator, train, test, features)

    def features(self, split, estimator, train, test):
        """Give what the steps after the leading ones see of a split.

        Parameters
        ----------
        split : int
            Which split.
        estimator : Pipeline
            Not fitted, its parameters set.
        train, test : Part
            The data of the split; steps may write to them.

        Returns
        -------
        stripped : tuple of (estimator, Part, Part) or None
            As :meth:`strip` gives it, however large they are.
        """
        if not self._names_all(train.params):
            return None
        features = self._kept.get(split)
        if features is None:
            features = self._fit(estimator, train, test)
            self._keep(split, features)
        return self._rest(estimator, train, test, features)

    def _keep(self, split, features):
        kept = filter(None, self._kept.values())
        n_bytes = sum(map(n_bytes_of, itertools.chain(features, *kept)))
        self._kept[split] = features if n_bytes <= MAX_SHARED_BYTES else None

    def _names_all(self, params):
        """Tell whether all fit parameters are those of the rest."""
        return all(name.startswith(self._names) for name in params)

    def _fit(self, estimator, train, test):
        """Fit the leading steps, and give what they make of both parts' X."""
        front = estimator[: self._n_steps]
        return front.fit_transform(train.X, train.y), front.transform(test.X)

    def _rest(self, estimator, train, test, features):
        """Put the features in place of the data, and their own names of parameters."""
        params = {
            name.removeprefix(self.before): value
            for name, value in train.params.items()
        }
        rest = estimator[self._n_steps :] if not self.before else estimator.steps[-1][1]
        return (
            rest,
            train._replace(X=features[0], params=params, shared=False),
            test._replace(X=features[1], shared=False),
        )


def _draws(transformer):
    """Tell whether two fits may differ; only the class would know for sure."""
    if not hasattr(transformer, "get_params"):
        return False
    return any(
        name.rpartition("__")[2] == "random_state" and value is None
        for name, value in transformer.get_params(deep=True).items()
    )


def n_bytes_of(X):
    """Tell how large X is; too large if that is not known."""
    if isinstance(X, np.ndarray):
        return X.nbytes
    if issparse(X) and hasattr(X, "data"):
        return 2 * X.data.nbytes
    if hasattr(X, "memory_usage"):  # pandas
        return int(X.memory_usage().sum())
    return MAX_SHARED_BYTES + 1
