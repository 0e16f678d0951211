"""Estimators around others: how they are combined is decided after they are fitted."""

from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from skhpo.reuse.base import Family, NotShared, copy_of, draws, tiny_data, untouched


class Around(Family):
    """What holds other estimators, whose fits may not draw."""

    def key(self, estimator):
        if draws(estimator):
            raise NotShared
        return ()

    def size(self, estimator):
        return 0

    def view(self, leader, estimator):
        return copy_of(leader, estimator)


class Voting(Around):
    """Weights of votes, and how they are counted."""

    shared = ("weights", "voting", "flatten_transform")

    def leader(self, estimators):
        return super().leader(estimators).set_params(weights=None)

    def view(self, leader, estimator):
        weights = estimator.weights
        if weights is not None and len(weights) != len(estimator.estimators):
            return None  # a fit of its own raises
        return super().view(leader, estimator)

    def examples(self, cls):
        from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

        grid = [{}, {"weights": [1, 3]}, {"weights": [0.2, 0.1]}]
        kind = KNeighborsRegressor
        if "Classifier" in cls.__name__:
            kind = KNeighborsClassifier
            grid += [{"voting": "soft", "weights": [1, 3]}]
        members = [("few", kind(2)), ("many", kind(9))]
        yield *tiny_data(cls), [cls(members, **params) for params in grid]


class FixedThreshold(Around):
    """Thresholds of one classifier."""

    shared = ("threshold", "pos_label")

    def examples(self, cls):
        from sklearn.neighbors import KNeighborsClassifier

        X, y = tiny_data(cls)
        inner = KNeighborsClassifier(7)
        thresholds = ("auto", 0.2, 0.6)
        yield X, y > 0, [cls(inner, threshold=each) for each in thresholds]


class Stacking(Around):
    """Final estimators, on the same predictions of the same estimators."""

    shared = ("final_estimator",)

    def is_shared(self, name):
        return name.partition("__")[0] == "final_estimator"

    def leader(self, estimators):
        leader = super().leader(estimators)
        is_classifier = isinstance(leader, ClassifierMixin)
        recorder = ClassRecorder() if is_classifier else ValueRecorder()
        return leader.set_params(final_estimator=recorder)

    def view(self, leader, estimator):
        recorded = leader.final_estimator_
        view = super().view(leader, estimator)
        # It makes ``final_estimator_``, the default if there is none.
        view._validate_final_estimator()
        view.final_estimator_.fit(untouched(recorded.X), recorded.y, **recorded.params)
        return view

    def examples(self, cls):
        from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        kinds = (KNeighborsRegressor, DecisionTreeRegressor)
        if "Classifier" in cls.__name__:
            kinds = (KNeighborsClassifier, DecisionTreeClassifier)
        neighbors, tree = kinds
        members = [("few", neighbors(2)), ("many", neighbors(9))]
        finals = [None, neighbors(3), tree(max_depth=2, random_state=0)]
        for passthrough in (False, True):
            common = {"passthrough": passthrough, "cv": 2}
            yield *tiny_data(cls), [cls(members, each, **common) for each in finals]


class _Recorder(BaseEstimator):
    """Keep what a final estimator is fitted to."""

    def fit(self, X, y, **params):
        """Keep everything."""
        self.X, self.y, self.params = X, y, params
        return self


class ClassRecorder(ClassifierMixin, _Recorder):
    """In the place of a classifier."""


class ValueRecorder(RegressorMixin, _Recorder):
    """In the place of a regressor."""
