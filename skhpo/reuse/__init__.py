"""What one fit can answer for many candidates, to the last bit or nearly so.

A forest of 100 trees begins with the forest of 50: of candidates that differ in the
number of trees only, one is fitted, and the others are views of it. The table says for
which classes that is known, and the family how it is done. To add one, write its
:class:`~skhpo.reuse.base.Family`, in a file of its own, and a line here. Members are
found by exact type: a subclass may do something else. Each is tried once in a process,
and left out where a release of scikit-learn has changed what it relies on.

There are two tables. What is in the first is equal to the last bit; with ``close=True``
members of the second come before it, whose answers differ by round-off.

The order of calls, for each split::

    groups = {}
    for estimator in estimators:
        groups.setdefault(group_key(estimator, params, names), []).append(estimator)
    for group in groups.values():  # the key None is no group
        for number, fitted_estimator in fitted(group, X, y, names=names):
            ...

:func:`leader` and :func:`views` are the parts of it that see no data.
"""

import importlib
from functools import partial

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skhpo.reuse import (
    blocks,
    combined,
    components,
    kernels,
    members,
    neighbors,
    paths,
    pruning,
    ridge,
    selection,
    stages,
    text,
)
from skhpo.reuse.base import (
    DECIDE_DRAWS,
    NotShared,
    calls,
    check_plain,
    check_valid,
    draws,
    fit,
    may_be_sorted,
    own_copy,
    untouched,
    values_of,
)
from skhpo.reuse.growth import Growth
from skhpo.reuse.pipeline import Pipelines, is_passthrough
from skhpo.reuse.selftest import holds

__all__ = [
    "CLOSE",
    "DECIDE_DRAWS",
    "TABLE",
    "draws",
    "fitted",
    "group_key",
    "grown",
    "is_passthrough",
    "is_size",
    "is_whole",
    "leader",
    "may_be_sorted",
    "may_grow",
    "may_share",
    "own_copy",
    "untouched",
    "views",
]


def _transformed(transformers, X, y):
    return _PIPELINES[False].transformed(transformers, X, y)


# By name and public module, so that importing skhpo imports none of them.
TABLE = {
    ("sklearn.compose", "ColumnTransformer"): blocks.Blocks(_transformed),
    ("sklearn.cross_decomposition", "PLSRegression"): (
        components.PartialLeastSquares()
    ),
    ("sklearn.decomposition", "PCA"): components.PCA(),
    ("sklearn.discriminant_analysis", "LinearDiscriminantAnalysis"): (
        components.LinearDiscriminant()
    ),
    ("sklearn.discriminant_analysis", "QuadraticDiscriminantAnalysis"): (
        components.QuadraticDiscriminant()
    ),
    ("sklearn.ensemble", "AdaBoostClassifier"): members.AdaBoost(),
    ("sklearn.ensemble", "AdaBoostRegressor"): members.AdaBoost(),
    ("sklearn.ensemble", "BaggingClassifier"): members.Bagging(),
    ("sklearn.ensemble", "BaggingRegressor"): members.Bagging(),
    ("sklearn.ensemble", "ExtraTreesClassifier"): members.Forest(),
    ("sklearn.ensemble", "ExtraTreesRegressor"): members.Forest(),
    ("sklearn.ensemble", "GradientBoostingClassifier"): stages.GradientBoosting(),
    ("sklearn.ensemble", "GradientBoostingRegressor"): stages.GradientBoosting(),
    ("sklearn.ensemble", "HistGradientBoostingClassifier"): (
        stages.HistGradientBoosting()
    ),
    ("sklearn.ensemble", "HistGradientBoostingRegressor"): (
        stages.HistGradientBoosting()
    ),
    ("sklearn.ensemble", "IsolationForest"): members.IsolationForest(),
    ("sklearn.ensemble", "RandomForestClassifier"): members.Forest(),
    ("sklearn.ensemble", "RandomForestRegressor"): members.Forest(),
    ("sklearn.ensemble", "StackingClassifier"): combined.Stacking(),
    ("sklearn.ensemble", "StackingRegressor"): combined.Stacking(),
    ("sklearn.ensemble", "VotingClassifier"): combined.Voting(),
    ("sklearn.ensemble", "VotingRegressor"): combined.Voting(),
    ("sklearn.feature_extraction.text", "TfidfVectorizer"): text.Tfidf(),
    ("sklearn.feature_selection", "RFE"): selection.RFE(),
    ("sklearn.feature_selection", "SelectFromModel"): selection.SelectFromModel(),
    ("sklearn.feature_selection", "SelectKBest"): selection.SelectKBest(),
    ("sklearn.feature_selection", "SelectPercentile"): selection.SelectPercentile(),
    ("sklearn.feature_selection", "VarianceThreshold"): selection.VarianceThreshold(),
    ("sklearn.kernel_ridge", "KernelRidge"): ridge.KernelRidge(),
    ("sklearn.linear_model", "Lars"): paths.Lars(),
    ("sklearn.linear_model", "LassoLars"): paths.LassoLars(),
    ("sklearn.linear_model", "OrthogonalMatchingPursuit"): paths.Pursuit(),
    ("sklearn.linear_model", "Ridge"): ridge.Ridge(),
    ("sklearn.linear_model", "RidgeClassifier"): ridge.Ridge(),
    ("sklearn.model_selection", "FixedThresholdClassifier"): (
        combined.FixedThreshold()
    ),
    ("sklearn.neighbors", "KNeighborsClassifier"): neighbors.Neighbors(),
    ("sklearn.neighbors", "KNeighborsRegressor"): neighbors.Neighbors(),
    ("sklearn.pipeline", "FeatureUnion"): blocks.Union(_transformed),
    ("sklearn.svm", "NuSVC"): kernels.SupportVectors(),
    ("sklearn.svm", "NuSVR"): kernels.SupportVectors(),
    ("sklearn.svm", "OneClassSVM"): kernels.SupportVectors(),
    ("sklearn.svm", "SVC"): kernels.SupportVectors(),
    ("sklearn.svm", "SVR"): kernels.SupportVectors(),
    ("sklearn.tree", "DecisionTreeClassifier"): pruning.Tree(),
    ("sklearn.tree", "DecisionTreeRegressor"): pruning.Tree(),
    ("sklearn.tree", "ExtraTreeClassifier"): pruning.Tree(),
    ("sklearn.tree", "ExtraTreeRegressor"): pruning.Tree(),
}


# The same of what differs by round-off; an exact family answers what these leave.
CLOSE = {
    ("sklearn.kernel_ridge", "KernelRidge"): ridge.CloseKernelRidge(),
    ("sklearn.linear_model", "LassoLars"): paths.CloseLassoLars(),
    ("sklearn.linear_model", "Ridge"): ridge.CloseRidge(),
    ("sklearn.linear_model", "RidgeClassifier"): ridge.CloseRidge(),
    ("sklearn.svm", "NuSVC"): kernels.SharedKernel(),
    ("sklearn.svm", "NuSVR"): kernels.SharedKernel(),
    ("sklearn.svm", "OneClassSVM"): kernels.SharedKernel(),
    ("sklearn.svm", "SVC"): kernels.SharedKernel(),
    ("sklearn.svm", "SVR"): kernels.SharedKernel(),
}


def may_share(estimator, names, *, close=False):
    """Tell whether candidates of a search may share fits at all.

    Parameters
    ----------
    estimator : estimator
        Of the search.
    names : iterable of str
        Parameters that any candidate sets.
    close : bool, default=False
        Whether the table of close families counts as well.

    Returns
    -------
    may : bool
        False for most searches; :func:`group_key` need not be asked then.
    """
    family = _family(estimator, close=close)
    return family is not None and family.may_share(tuple(names))


def group_key(estimator, params, names, *, close=False):
    """Tell which candidates may share a fit: those with equal keys.

    Parameters
    ----------
    estimator : estimator
        Clone of the estimator of the search, with the parameters of the candidate set;
        not fitted.
    params : dict of str to object
        Parameters of the candidate, as given to ``set_params``.
    names : iterable of str
        Parameters that any candidate of the search sets. In others, candidates do not
        differ.
    close : bool, default=False
        Whether the table of close families counts as well.

    Returns
    -------
    key : hashable or None
        None if it shares its fit with no other.

    Warns
    -----
    UserWarning
        If a family turns out not to work with this release of scikit-learn.
    """
    names = tuple(sorted(set(names) | set(params)))
    family = _family(estimator, close=close)
    if family is None or not family.may_share(names):
        return None  # most searches: it should not cost them anything
    try:
        check_plain(estimator)
        return _key(estimator, names, close=close)
    except NotShared:
        return None


def is_whole(key):
    """Tell whether one fit answers for all candidates of a group.

    Parameters
    ----------
    key : hashable
        As :func:`group_key` gives it.

    Returns
    -------
    whole : bool
        If not, they have what stands in front of fits of their own in common: divided,
        the group does little twice.
    """
    kind, *_, what = key
    return kind is not Pipeline or what


def leader(estimators, *, close=False):
    """Make the estimator to fit for a group: the largest, or what is larger still.

    Parameters
    ----------
    estimators : list of estimator
        With equal keys, not fitted; they are left as they are.
    close : bool, default=False
        Whether the table of close families counts as well.

    Returns
    -------
    leader : object
        Not fitted. It need not be a candidate: a tree that others are prunings of is
        grown in full. It need not be an estimator, but has its method ``fit``.
    """
    return _family(estimators[0], close=close).leader(estimators)


def views(fitted_leader, estimators, *, close=False):
    """Make of a fitted leader what separate fits would have made of its candidates.

    Parameters
    ----------
    fitted_leader : object
        Made by :func:`leader`, and fitted. It is not changed, but views hold what it
        holds.
    estimators : list of estimator
        The group, not fitted.
    close : bool, default=False
        Whether the table of close families counts as well.

    Yields
    ------
    view : estimator or None
        Fitted, with the parameters of the candidate. None if a fit of its own has to
        answer: it would warn, fail, or choose another algorithm, or candidates differ
        in more than the last step of a pipeline.
    """
    family = _family(estimators[0], close=close)
    for estimator in estimators:
        yield family.view(fitted_leader, estimator)


def fitted(estimators, X, y=None, *, names, params=None, close=False):
    """Fit a group, together as far as it can be.

    Parameters
    ----------
    estimators : list of estimator
        With equal keys, not fitted; they are left as they are.
    X, y : array-like
        Training data.
    names : iterable of str
        Parameters in which candidates may differ, as for :func:`group_key`.
    params : dict of str to object, default=None
        Parameters of ``fit``.
    close : bool, default=False
        Whether the table of close families counts as well.

    Yields
    ------
    number : int
        Position in `estimators`; each comes once, in any order.
    estimator : estimator
        Fitted.
    """
    params = params or {}
    family = _family(estimators[0], close=close)
    if calls(params):
        for i, estimator in enumerate(estimators):
            yield i, fit(clone(estimator), X, y, params)
        return
    if isinstance(family, Pipelines):
        yield from family.fit(estimators, X, y, tuple(names), params)
        return
    alone = [i for i, each in enumerate(estimators) if family.alone(each, X)]
    shared = [i for i in range(len(estimators)) if i not in alone]
    if len(shared) > 1:
        fitted_leader = fit(
            family.leader([estimators[i] for i in shared]), X, y, params
        )
        for i in shared:
            view = family.view(fitted_leader, estimators[i])
            if view is None:
                alone.append(i)
            else:
                yield i, view
    else:
        alone += shared
    if not family.exact:
        yield from _fitted_exactly(estimators, alone, X, y, names, params)
        return
    for i in alone:
        yield i, fit(clone(estimators[i]), X, y, params)


def _fitted_exactly(estimators, alone, X, y, names, params):
    """Fit those that a close family has left, by the exact one of their class."""
    groups = {}
    for i in alone:
        key = group_key(estimators[i], {}, names)
        groups.setdefault(("alone", i) if key is None else key, []).append(i)
    for group in groups.values():
        if len(group) == 1:
            yield group[0], fit(clone(estimators[group[0]]), X, y, params)
            continue
        part = [estimators[i] for i in group]
        for i, estimator in fitted(part, X, y, names=names, params=params):
            yield group[i], estimator


def _family(estimator, *, close):
    """Find the family of an estimator by its exact type, or give None."""
    cls = type(estimator)
    if cls is Pipeline:
        return _PIPELINES[close]
    for module in _MODULES:
        name = module, cls.__name__
        family = (close and CLOSE.get(name)) or TABLE.get(name)
        if family is not None and cls.__module__.startswith(module):
            public = getattr(importlib.import_module(module), cls.__name__)
            return family if public is cls else None
    return None


def _key(estimator, names, *, close):
    family = _family(estimator, close=close)
    if family is None or not family.may_share(names):
        raise NotShared
    if isinstance(family, Pipelines):
        return Pipeline, *family.key(estimator, names)
    check_valid(estimator)
    own = family.key(estimator)
    if not holds(type(estimator), family):
        raise NotShared
    rest = [name for name in names if not family.is_shared(name)]
    return type(estimator), own, values_of(estimator, rest)


_MODULES = {module for module, _ in [*TABLE, *CLOSE]}
_PIPELINES = {
    close: Pipelines(*(partial(part, close=close) for part in (_key, fitted, _family)))
    for close in (False, True)
}
_GROWTH = Growth(partial(_family, close=False))
is_size, may_grow, grown = _GROWTH.is_size, _GROWTH.may_grow, _GROWTH.grown
