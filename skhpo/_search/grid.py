"""GridSearch: every point of a grid."""

import numpy as np

from skhpo._search.base import BaseSearch
from skhpo._search.constraints import REUSE
from skhpo._search.fidelities import FIDELITY
from skhpo._search.races import RACING
from skhpo.strategies.grid import GridStrategy

# A grid above this is a mistake unless something ends the search before its last
# point: at 1 ms for a fit it would take hours, and its results gigabytes.
MAX_UNBOUNDED_ROWS = 10_000_000


class GridSearch(BaseSearch):
    """Try every point of a grid; the replacement of GridSearchCV.

    Scores, ranks, ``best_*`` and the keys of ``cv_results_`` are those of
    scikit-learn's GridSearchCV, to the last bit. A point that stands in the grid more
    than once keeps its rows and is evaluated once, unless a ``random_state`` of the
    estimator is None.

    Parameters
    ----------
    estimator : estimator
        What is fitted for each candidate; a clone, never itself.
    param_grid : dict or list of dict
        Values to try for each parameter: a list, tuple or array, or an
        :class:`~skhpo.Integer` or :class:`~skhpo.Categorical`. A list of dicts gives
        several grids, one after the other. Grids are not held in memory as a whole.
    scoring : str, callable, list, tuple or dict, default=None
        How predictions are judged, larger is better. A str, a callable with the
        signature ``scorer(estimator, X, y)`` or None (the estimator's ``score``) give
        one metric; a list or tuple of str, a dict of scorers, or a callable that
        returns a dict give several.
    n_jobs : int, default=None
        Number of fits at a time, in the active joblib backend. None means 1, -1 all
        processors. Results do not depend on it.
    refit : bool, str or callable, default=True
        Whether to fit the best candidate on all data at the end. With several
        metrics: the name of the one that decides, or False. A callable receives
        ``cv_results_`` and returns the ``best_index_``; there is no ``best_score_``
        then.
    cv : int, splitter or iterable, default=None
        The splits, drawn once for the whole search. None means 5 folds, an int that
        many; stratified for classifiers.
    verbose : int, default=0
        Above 0 the size of the search and its progress are printed, above 1 a line for
        each fit, above 2 its scores, above 9 also its start.
    pre_dispatch : int or str, default="2*n_jobs"
        How many tasks joblib may hold ready for its workers.
    error_score : "raise" or float, default=nan
        Score of a fit that fails; "raise" raises the error.
    return_train_score : bool, default=False
        Whether the training part of each split is scored as well.
    timeout : float, default=None
        Seconds for the search, the fit on all data not counted. No fit starts later,
        and those under way are stopped; the best of the candidates that were complete
        is used, and ``cv_results_`` has the columns ``status`` and ``n_splits_done``.
        With this or `fit_timeout`, every fit runs in a process that can be killed.
    fit_timeout : float, default=None
        Seconds for fitting and scoring one candidate on one split. What takes longer
        is killed, and counts as a fit that failed.
    checkpoint : str, path-like or Checkpoint, default=None
        File in which every finished fit is recorded. The same search of the same data
        goes on from it, and makes no recorded fit again; `n_iter` may have grown, or
        the grid. In a folder there is one file for each search, as nested searches
        need it.
    reuse : {"exact", "close"} or False, default="exact"
        Whether one fit may answer for several candidates: the first trees of a larger
        forest, steps of a pipeline that are the same. With "exact" only where scores
        are those of separate fits to the last bit; with "close" also where predictions
        differ by less than 1e-10 of the largest, such as those of penalties from one
        decomposition. False fits each candidate apart. See
        :doc:`/user_guide/less_work`.
    racing : {"bound", "paired", "forgiving"} or callable, default=None
        Rule by which a candidate is given up before its last split, compared with the
        best of those before it; see :doc:`/user_guide/racing`. "bound" gives up what
        could not become the best with perfect scores on all other splits, and so
        never changes the best; it needs a metric whose maximum is known. "paired" (a
        one-sided paired test, from the third split on) and "forgiving" (worse on
        average than the best on its worst split) save more and guarantee nothing. Or
        an object of :mod:`skhpo.racing`, or a ``rule(running, finished)`` of your own.
        Given-up candidates rank last, and ``cv_results_`` has the columns ``status``
        and ``n_splits_done``. Several metrics race on the one that ``refit`` names.
    fidelity : str, Schedule or None, default=None
        Spend little on most candidates: "halving" or "hyperband", or an instance of
        :class:`skhpo.fidelity.Halving` or :class:`~skhpo.fidelity.Hyperband`, which
        says what is to be little of. Candidates with all of the resource rank first,
        and one of them is the best; ``cv_results_`` has a row for each candidate and
        rung, and the columns ``iter`` and ``n_resources``, ``bracket`` if there are
        several, ``status`` and ``n_splits_done``. Not with `racing`.

    Attributes
    ----------
    cv_results_ : dict of str to (masked) ndarray
        A row for each candidate: ``params``, ``param_*``, scores of every split, their
        mean, standard deviation and rank, and times in seconds, exactly as
        scikit-learn lays them out.
    best_estimator_ : estimator
        The best candidate, fitted on all data. Only if ``refit`` is not False.
    best_score_ : float
        Its mean held-out score. Not with several metrics and ``refit=False``, nor with
        a callable ``refit``.
    best_params_ : dict
        Its parameters. Not with several metrics and ``refit=False``; the same holds
        for ``best_index_``.
    best_index_ : int
        Its row in ``cv_results_``.
    scorer_ : callable or dict of str to callable
        What scored the candidates.
    n_splits_ : int
        Number of splits.
    refit_time_ : float
        Seconds that the fit on all data took. Only if ``refit`` is not False.
    multimetric_ : bool
        Whether there are several metrics.
    classes_ : ndarray of shape (n_classes,)
        Labels. Only if the best estimator is a classifier.
    n_features_in_ : int
        Number of features. Only if the best estimator knows it.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features. Only if the best estimator knows them.
    trials_ : list of Trial
        Every candidate with the results of its splits: ``params``, ``status``
        ("complete", "raced", "failed" when the fits of all splits failed, "timeout"
        when a limit did it), ``splits`` (those with the same ``group`` were fitted
        together), ``errors`` (tracebacks by split) and ``group`` (the row that this one
        repeats, or its own).
    stop_reason_ : str
        Why the search ended: "all candidates evaluated", "timeout reached",
        "interrupted" or "stopped by a callback".
    n_candidates_ : int
        Number of rows of ``cv_results_``.
    n_fits_ : int
        Number of fits behind them, the refit not counted; one that is shared counts for
        each of its candidates.
    search_time_ : float
        Seconds that the search took, the refit not counted.

    See Also
    --------
    RandomSearch : Tries a given number of candidates from lists and distributions.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from skhpo import GridSearch
    >>> X, y = load_iris(return_X_y=True)
    >>> search = GridSearch(SVC(), {"kernel": ["linear", "rbf"], "C": [1, 10]})
    >>> search.fit(X, y).best_params_
    {'C': 1, 'kernel': 'linear'}
    >>> search.stop_reason_
    'all candidates evaluated'
    """

    _space_name = "param_grid"
    _parameter_constraints = {
        **BaseSearch._parameter_constraints,
        "param_grid": [dict, list],
        "reuse": REUSE,
        "racing": RACING,
        "fidelity": FIDELITY,
    }

    def __init__(
        self,
        estimator,
        param_grid,
        *,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        pre_dispatch="2*n_jobs",
        error_score=np.nan,
        return_train_score=False,
        timeout=None,
        fit_timeout=None,
        checkpoint=None,
        reuse="exact",
        racing=None,
        fidelity=None,
    ):
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.timeout = timeout
        self.fit_timeout = fit_timeout
        self.checkpoint = checkpoint
        self.reuse = reuse
        self.racing = racing
        self.fidelity = fidelity
        self.param_grid = param_grid

    def _make_strategy(self, space, random_state, n_planned):
        strategy = GridStrategy(space)
        if space.n_rows > MAX_UNBOUNDED_ROWS and not self._may_be_stopped():
            raise ValueError(
                f"param_grid has {space.n_rows} points and nothing bounds the search. "
                "Give fewer values, set timeout, use RandomSearch with n_iter, or set "
                "a callback that asks to stop (set_callbacks, scikit-learn 1.9)."
            )
        return strategy

    def _may_be_stopped(self):
        """Tell whether a limit or a callback may end the search.

        scikit-learn's own callbacks never do.
        """
        return self.timeout is not None or any(
            not type(callback).__module__.startswith("sklearn.")
            for callback in getattr(self, "_skl_callbacks", [])
        )
