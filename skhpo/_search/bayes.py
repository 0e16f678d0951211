"""BayesSearch: candidates from a model of the scores so far."""

import numpy as np

from skhpo._search.base import BaseSearch
from skhpo._search.constraints import EXACT_REUSE, Count
from skhpo._search.fidelities import FIDELITY
from skhpo._sklearn import HasMethods, StrOptions
from skhpo.reuse import DECIDE_DRAWS, draws
from skhpo.strategies.bayes import BayesStrategy


class BayesSearch(BaseSearch):
    """Learn from the scores so far which candidate to try next.

    A model of the score over the space, the surrogate, is fitted to the candidates
    tried so far; the next one is where the model sees the best chance of a gain. Fewer
    candidates are needed than by :class:`RandomSearch` for the same score. The result
    is a function of the data, the parameters and ``random_state``, whatever ``n_jobs``
    is.

    Parameters
    ----------
    estimator : estimator
        What is fitted for each candidate; a clone, never itself. Its own parameters, as
        far as they lie in the space, make the first candidate.
    param_distributions : dict or list of dict
        For each parameter a list, tuple or array of values, a frozen scipy.stats
        distribution (with ``ppf`` and ``cdf``), or a :class:`~skhpo.Real`,
        :class:`~skhpo.Integer` or :class:`~skhpo.Categorical`. Sorted numbers in a list
        are taken as ordered. A list of dicts gives branches, modelled together.
        Distributions of Optuna and dimensions of scikit-optimize are understood.
    n_iter : int, default=50
        Number of distinct candidates. A smaller space is evaluated whole, with a
        warning.
    max_pending : int, default=2
        Number of candidates under way at a time, each on all splits: candidate i is
        proposed from the scores of candidates up to ``i - max_pending``. 1 learns the
        most from each candidate and is the choice for one worker; more keep more
        workers busy.
    surrogate : {"auto", "gp", "forest", "tpe"} or object, default="auto"
        "gp" is a Gaussian process [1]_ with log expected improvement [2]_ and a lower
        confidence bound in turns; "forest" are randomised trees, as in SMAC [3]_; "tpe"
        are the densities of good and bad candidates, as in Hyperopt and Optuna [4]_.
        "auto" is the Gaussian process, replaced by the forest above 1000 candidates, or
        where most hyperparameters are categories and the forest predicts better.
        Classes to adapt are in ``skhpo.strategies.surrogates``.
    initial_candidates : list of dict, default=None
        Settings of the space to evaluate first, in this order; each with a value for
        every name of a branch. One that is repeated is evaluated once.
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
        Decides the candidates. None draws a seed from NumPy's global generator.
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
    reuse : {"exact"} or False, default="exact"
        Whether one fit may answer for several candidates where their scores are those
        of separate fits to the last bit. A space that is evaluated whole is shared as
        in :class:`GridSearch`. Else those under way together share steps of a pipeline
        that are the same, if one worker evaluates them: up to `max_pending`, whose
        other hyperparameters mostly differ. No proposal changes. False fits each
        candidate apart.
    fidelity : str, Schedule or None, default=None
        Spend little on most candidates: "halving" or "hyperband", or an instance of
        :class:`skhpo.fidelity.Halving` or :class:`~skhpo.fidelity.Hyperband`, which
        says what is to be little of. Candidates with all of the resource rank first,
        and one of them is the best; ``cv_results_`` has a row for each candidate and
        rung, and the columns ``iter`` and ``n_resources``, ``bracket`` if there are
        several, ``status`` and ``n_splits_done``. `initial_candidates` and the
        estimator's own parameters get all of it at once. The model learns from all
        rungs, and those go on of which it expects most with everything; with ``"tpe"``,
        which predicts no scores, those with the best scores.

    Attributes
    ----------
    cv_results_ : dict of str to (masked) ndarray
        A row for each candidate: ``params``, ``param_*``, scores of every split, their
        mean, standard deviation and rank, and times in seconds, exactly as
        scikit-learn lays them out.
    best_estimator_ : estimator
        The best candidate, fitted on all data. Only if ``refit`` is not False.
    surrogate_ : Predictor
        Predicts the mean score of any setting from all trials:
        ``surrogate_.predict([params, ...], return_std=True)``. Not with "tpe", which
        models where good candidates lie and not their scores.
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
        ("complete", "failed" when the fits of all splits failed, "timeout" when a limit
        did it), ``splits`` (those with the same ``group`` were fitted together),
        ``errors`` (tracebacks by split) and ``group`` (its own row).
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
    RandomSearch : Draws candidates without learning from their scores.
    GridSearch : Tries every point of a grid.

    Notes
    -----
    With several metrics the one that ``refit`` names is optimised; if ``refit`` is
    False or a callable, the first one. A single metric is always the one optimised,
    whatever a callable ``refit`` then chooses by. A candidate whose score is NaN counts
    as a little worse than the worst other, and so does one whose score is infinite.

    The last bits of a score may depend on the number of threads that BLAS uses in a
    fit, which joblib's processes reduce. They are rounded off before the model sees
    them. Where an estimator's scores differ by more than that, so may the candidates;
    ``OMP_NUM_THREADS=1`` rules it out. The model itself is computed with one thread;
    where fits run in other threads of the process, as with joblib's threading backend,
    BLAS has one thread as long as the search lasts, for them as well.

    References
    ----------
    .. [1] J. Snoek, H. Larochelle and R. P. Adams, "Practical Bayesian optimization of
       machine learning algorithms", 2012.
    .. [2] S. Ament, S. Daulton, D. Eriksson, M. Balandat and E. Bakshy, "Unexpected
       improvements to expected improvement for Bayesian optimization", 2023.
    .. [3] F. Hutter, H. H. Hoos and K. Leyton-Brown, "Sequential model-based
       optimization for general algorithm configuration", 2011.
    .. [4] J. Bergstra, R. Bardenet, Y. Bengio and B. Kegl, "Algorithms for
       hyper-parameter optimization", 2011.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from skhpo import BayesSearch, Real
    >>> X, y = load_iris(return_X_y=True)
    >>> space = {"C": Real(1e-2, 1e3, log=True), "gamma": Real(1e-4, 10, log=True)}
    >>> search = BayesSearch(SVC(), space, n_iter=15, random_state=0).fit(X, y)
    >>> bool(search.best_score_ > 0.97)
    True
    >>> mean, std = search.surrogate_.predict(
    ...     [{"C": 1.0, "gamma": 0.1}, {"C": 0.01, "gamma": 1e-4}], return_std=True
    ... )
    >>> bool(mean[0] > mean[1])
    True
    """

    _parameter_constraints = {
        **BaseSearch._parameter_constraints,
        "param_distributions": [dict, list],
        "n_iter": [Count()],
        "max_pending": [Count()],
        "surrogate": [
            StrOptions({"auto", "gp", "forest", "tpe"}),
            HasMethods(["propose"]),
        ],
        "initial_candidates": [list, tuple, None],
        "random_state": ["random_state"],
        "reuse": EXACT_REUSE,
        "fidelity": FIDELITY,
    }

    def __init__(
        self,
        estimator,
        param_distributions,
        *,
        n_iter=50,
        max_pending=2,
        surrogate="auto",
        initial_candidates=None,
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
        fidelity=None,
    ):
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.max_pending = max_pending
        self.surrogate = surrogate
        self.initial_candidates = initial_candidates
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
        self.fidelity = fidelity

    def _make_strategy(self, space, random_state, n_planned):
        if isinstance(self.surrogate, type):
            name = self.surrogate.__name__
            raise TypeError(
                f"surrogate = {name} is a class; give an instance, {name}()."
            )
        return BayesStrategy(
            space,
            self.n_iter,
            random_state,
            n_planned=n_planned,
            metric=self.refit if isinstance(self.refit, str) else None,
            max_pending=self.max_pending,
            surrogate=self.surrogate,
            initial_candidates=self.initial_candidates or (),
            current=self.estimator.get_params(deep=True),
        )

    def _names_to_share(self, strategy):
        names = super()._names_to_share(strategy)
        learns = strategy.max_pending is not None
        return None if learns and _may_draw(self.estimator, strategy.space) else names

    def _keep(self, strategy):
        predictor = strategy.predictor()
        if predictor is not None:
            self.surrogate_ = predictor


def _may_draw(estimator, space):
    """Tell whether some setting of the space may draw without a seed.

    Fits that are shared leave NumPy's global generator in another state. Where all
    candidates are known, those that draw are seen before any fit; here they are not.
    """
    if draws(estimator):
        return True
    return any(
        name.rpartition("__")[2] in DECIDE_DRAWS
        or (not dimension.ordinal and any(map(draws, dimension.values())))
        for branch in space.branches
        for name, dimension in branch.items()
    )
