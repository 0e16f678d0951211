"""Weights of words: they are counted once, each candidate weights the counts."""

import numpy as np
from sklearn.base import clone

from skhpo.reuse.base import Family, NotShared, copy_of


class Tfidf(Family):
    """Weightings of the same counts."""

    shared = ("use_idf", "norm", "sublinear_tf", "smooth_idf")

    def key(self, estimator):
        if estimator.dtype not in (np.float64, np.float32):
            raise NotShared  # it warns
        return super().key(estimator)

    def leader(self, estimators):
        return CountLeader(clone(estimators[0]))

    def view(self, leader, estimator):
        weights = {name: getattr(estimator, name) for name in self.shared}
        tfidf = type(leader.vectorizer._tfidf)(**weights).fit(leader.counts)
        return copy_of(leader.vectorizer, estimator, _tfidf=tfidf)

    def features(self, view, X, leader_features):
        return view._tfidf.transform(leader_features)

    def examples(self, cls):
        words = ["one", "two", "two", "three", "three", "three", "four"]
        documents = [" ".join(words[i % 4 : 3 + i % 5]) for i in range(12)]
        grid = [
            {},
            {"use_idf": False, "norm": "l1"},
            {"sublinear_tf": True, "norm": None},
            {"smooth_idf": False},
        ]
        yield documents, None, [cls(**params) for params in grid]


class CountLeader:
    """The counts of words.

    Parameters
    ----------
    vectorizer : TfidfVectorizer
        Gives the other parameters; it is changed.

    Attributes
    ----------
    vectorizer : TfidfVectorizer
        Fitted, without weights.
    counts : sparse matrix of shape (n_documents, n_words)
        Of the training data.
    """

    def __init__(self, vectorizer):
        self.vectorizer = vectorizer.set_params(
            use_idf=False, norm=None, sublinear_tf=False
        )

    def fit(self, X, y=None):
        """Count."""
        self.fit_transform(X)
        return self

    def fit_transform(self, X, y=None):
        """Count, and give the counts."""
        self.counts = self.vectorizer.fit_transform(X)
        return self.counts
