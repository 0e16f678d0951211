"""RandomSearch: distinct candidates drawn at random."""

import numpy as np

from skhpo._search.base import BaseSearch
from skhpo._search.constraints import REUSE, Count
from skhpo._search.fidelities import FIDELITY
from skhpo._search.races import RACING
from skhpo._sklearn import StrOptions
from skhpo.strategies.random import RandomStrategy


class RandomSearch(BaseSearch):
    """Try random candidates, none twice; the replacement of RandomizedSearchCV.

    For the same ``random_state`` the candidates are those of scikit-learn's
    RandomizedSearchCV, except that a repeat is skipped and another candidate drawn in
    its place.

    Parameters
    ----------
    estimator : estimator
        What is fitted for each candidate; a clone, never itself.
    param_distributions : dict or list of dict
        For each parameter a list, tuple or array of values, a frozen scipy.stats
        distribution (anything with ``rvs``), or a :class:`~skhpo.Real`,
        :class:`~skhpo.Integer` or :class:`~skhpo.Categorical`. A list of dicts gives
        branches, each as likely as the others. Distributions of Optuna and dimensions
        of scikit-optimize are understood.
    n_iter : int, default=10
        Number of distinct candidates. A smaller space is evaluated whole, with a
        warning.
    design : {"random", "sobol"}, default="random"
        Independent draws, or the points of a scrambled Sobol sequence [1]_, which
        cover the space more evenly.
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
    random_state : int, RandomState instance or None, default=None
        Decides the candidates. None draws from NumPy's global generator, as
        scikit-learn does.
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
        Why the search ended: "n_iter candidates evaluated",
        "search space exhausted", "timeout reached", "interrupted" or
        "stopped by a callback".
    n_candidates_ : int
        Number of rows of ``cv_results_``.
    n_fits_ : int
        Number of fits behind them, the refit not counted; one that is shared counts for
        each of its candidates.
    search_time_ : float
        Seconds that the search took, the refit not counted.

    See Also
    --------
    GridSearch : Tries every point of a grid.

    References
    ----------
    .. [1] A. B. Owen, "Scrambling Sobol' and Niederreiter-Xing points", 1998.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from skhpo import RandomSearch
    >>> X, y = load_iris(return_X_y=True)
    >>> space = {"C": loguniform(1e-2, 1e3), "kernel": ["linear", "rbf"]}
    >>> search = RandomSearch(SVC(), space, n_iter=20, random_state=0).fit(X, y)
    >>> search.n_candidates_, search.n_fits_
    (20, 100)
    """

    _parameter_constraints = {
        **BaseSearch._parameter_constraints,
        "param_distributions": [dict, list],
        "n_iter": [Count()],
        "design": [StrOptions({"random", "sobol"})],
        "reuse": REUSE,
        "racing": RACING,
        "fidelity": FIDELITY,
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator,
        param_distributions,
        *,
        n_iter=10,
        design="random",
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        pre_dispatch="2*n_jobs",
        random_state=None,
        error_score=np.nan,
        return_train_score=False,
        timeout=None,
        fit_timeout=None,
        checkpoint=None,
        reuse="exact",
        racing=None,
        fidelity=None,
    ):
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.design = design
        self.random_state = random_state
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

    def _make_strategy(self, space, random_state, n_planned):
        return RandomStrategy(
            space, self.n_iter, random_state, self.design, n_planned=n_planned
        )
