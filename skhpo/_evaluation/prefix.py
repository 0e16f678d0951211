"""Leading steps of a pipeline that no candidate changes, fitted once for each split."""

from sklearn.pipeline import Pipeline

from skhpo._evaluation.splits import MAX_SHARED_BYTES


class Prefix:
    """Fits the leading steps once for each split, and keeps what they make of its data.

    The last step is then fitted to the same features as in a pipeline of its own, so
    that its scores are the same to the last bit.

    Parameters
    ----------
    estimator : Pipeline
        Of the search.

    Attributes
    ----------
    name : str
        What stands before the names of the last step's parameters.
    """

    def __init__(self, estimator):
        self.name = estimator.steps[-1][0] + "__"
        self._kept = {}
        self._n_bytes = 0

    def __getstate__(self):
        return {**self.__dict__, "_kept": {}, "_n_bytes": 0}

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
            None unless only the last step of a pipeline is searched, and the others
            have no random state that differs from fit to fit.
        """
        if type(estimator) is not Pipeline or len(estimator.steps) < 2:
            return None
        last = estimator.steps[-1][0]
        if estimator.memory is not None or estimator.verbose:
            return None
        if not all(name == last or name.startswith(last + "__") for name in names):
            return None
        if getattr(estimator, "transform_input", None) is not None:
            return None
        for step in estimator.steps[:-1]:
            if not hasattr(step[1], "get_params"):
                continue
            for name, value in step[1].get_params(deep=True).items():
                if name.rpartition("__")[2] == "random_state" and value is None:
                    # It may draw or not; only its class would know.
                    return None
        return cls(estimator)

    def strip(self, split, estimator, train, test):
        """Replace a pipeline by its last step, and the data by its features.

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
            The last step, not fitted, and the parts with features in place of X and
            its own fit parameters. None where the features are too large to keep, or
            other steps have fit parameters too.
        """
        if not all(name.startswith(self.name) for name in train.params):
            return None
        if split not in self._kept:
            front = estimator[:-1]
            X = front.fit_transform(train.X, train.y)
            features = X, front.transform(test.X)
            n_bytes = sum(map(_n_bytes, features))
            if self._n_bytes + n_bytes > MAX_SHARED_BYTES:
                return None
            self._n_bytes += n_bytes
            self._kept[split] = features
        X, X_test = self._kept[split]
        params = {
            name.removeprefix(self.name): value for name, value in train.params.items()
        }
        return (
            estimator.steps[-1][1],
            train._replace(X=X, params=params, shared=False),
            test._replace(X=X_test, shared=False),
        )


def _n_bytes(X):
    if hasattr(X, "nbytes"):
        return X.nbytes
    if hasattr(X, "data") and hasattr(X.data, "nbytes"):  # sparse
        return X.data.nbytes * 2
    return MAX_SHARED_BYTES + 1
