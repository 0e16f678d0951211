"""HypergradSearch: candidates along the gradient of the held-out loss."""

import itertools
import numbers
import time
from dataclasses import replace
from functools import partial

import numpy as np
from sklearn import get_config
from sklearn.base import clone, is_classifier
from sklearn.metrics import get_scorer

from skhpo._evaluation.looks import complete, look_from
from skhpo._evaluation.prefix import Prefix
from skhpo._search.base import BaseSearch
from skhpo._search.constraints import Count
from skhpo._search.hints import hint_at_parameters, hint_at_scorers
from skhpo._sklearn import Interval, MultimetricScorer, StrOptions
from skhpo.hypergradients import TABLE
from skhpo.hypergradients.chain import Chain, differentiable, equations_of, requested
from skhpo.hypergradients.differentiate import Differentiator
from skhpo.hypergradients.losses import check_loss, is_itself, loss_of
from skhpo.preprocessing import BlockScaler
from skhpo.strategies._shrinkage import Shrinkage
from skhpo.strategies.gradient import GradientStrategy

# Combinations of the other hyperparameters that are looked at for something smooth.
_N_CHECKED = 1000
# So many scales of one BlockScaler learn the held-out parts by heart.
_MANY_SCALES = 8
_HINTS = {
    "smooth_scoring": "Name the scorer that a smooth loss belongs to, such as "
    "'neg_log_loss', give a callable loss(f, y, s), or leave it out.",
    "check_gradient": "Set it to True to compare slopes with fits, else to False.",
}


class HypergradSearch(BaseSearch):
    """Follow the derivative of the held-out loss by the hyperparameters.

    Where a fit is the solution of smooth equations, one more linear solve tells how the
    held-out loss changes with every continuous hyperparameter. A handful of candidates
    then does what a grid needs dozens for. Rows of ``cv_results_`` are fits of the
    estimator like those of any other search, scored by ``scoring``; only which ones
    are made is decided by a smooth loss that stands for it. For linear models the way
    from the first candidate to the last is found by solves of its own, and there may
    be two rows in all. The result does not depend on ``n_jobs``.

    Parameters
    ----------
    estimator : estimator
        What is fitted for each candidate; a clone, never itself. Its last step, behind
        pipelines and a TransformedTargetRegressor, is one of
        ``skhpo.hypergradients.TABLE``, or has a method ``__hypergradient__``.
        Its own parameters, as far as they lie in the space, are the start.
    param_distributions : dict or list of dict
        As :class:`BayesSearch` takes it. Those that are continuous and can be
        differentiated are searched by descent: parameters of the last step such as
        ``C`` or ``alpha``, and continuous parameters of deterministic steps in front
        of it, such as ``gamma`` of a Nystroem. All combinations of the others are
        tried, with a descent for each; where there are too many for ``n_iter``, or some
        are continuous, a Gaussian process proposes settings from which short descents
        start.
    n_iter : int, default=50
        Number of distinct candidates at most. The search ends earlier when the next
        step promises nothing.
    smooth_scoring : str or callable, default=None
        The smooth loss to descend: the name of a scorer it belongs to, such as
        "neg_log_loss", or a callable ``loss(f, y, s)`` of outputs of shape
        (n_samples, n_outputs) (predictions, or logits), targets (classes numbered)
        and weights that sum to one, which returns a float and its derivative by `f`.
        None chooses by ``scoring``: log-loss for classification metrics, the metric
        itself for most of regression.
    shrinkage : "auto", float or None, default=None
        How strongly the scales of a :class:`BlockScaler` are drawn together. Many of
        them learn the held-out parts by heart, so what is minimised is the smooth loss
        plus ``shrinkage * loss_1 * v``: `loss_1` is the least loss with one common
        scale, and `v` the variance of ``log(scale**2)``. "auto" chooses the strength
        among infinity (one common scale), 10, 1, 0.1 and 0.01, by the loss on splits
        that are left out when the scales are searched: the strongest that is not
        clearly worse than the best. That takes a descent for each strength and split,
        with 5 splits 100 to 300 candidates in all; where ``n_iter`` is smaller, the
        weak ones are not tried. 0 shrinks nothing. None is "auto" where more than 8
        scales of one BlockScaler are searched, otherwise 0.
    check_gradient : bool, default=False
        Whether the slopes of the first candidate are compared with differences of
        fits, two for each hyperparameter and split; a ValueError says where they
        differ. For an estimator of your own, or solvers that do not converge.
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
        Decides what the Gaussian process proposes, where there is one.
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
        Its row in ``cv_results_``: that with the best score, and of several such rows
        that with the least smooth loss; but where scales are shrunk that with the least
        shrunk loss at the chosen strength, as rows of other descents have better scores
        for the wrong reason.
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
        did it), ``splits``,
        ``errors`` (tracebacks by split) and ``group`` (its own row).
    stop_reason_ : str
        Why the search ended, such as "converged: the next step promises less than
        0.01 % of the loss" or "n_iter candidates evaluated". Where scales are shrunk it
        ends with the strengths that were not tried, or not on all splits, such as
        "; not tried to the end: shrinkage = 0.1, 0.01".
    n_candidates_ : int
        Number of rows of ``cv_results_``.
    n_fits_ : int
        Number of fits behind them, the refit not counted, nor what the derivatives of
        steps in front take, nor looks between rows.
    looks_ : list of (dict, float)
        Where the search has looked between rows, in its order: parameters, and the mean
        smooth loss over all splits. Empty where it went by rows alone.
    search_time_ : float
        Seconds that the search took, the refit not counted.
    shrinkage_ : float
        How strongly the scales of the best candidate were shrunk: infinite for one
        common scale, with which the search begins, so also where it ended too soon for
        anything else; 0 for a candidate without such scales. With a callable `refit`,
        the strength at which the search came by its row; without a best candidate,
        that of the least smooth loss. Only if scales are shrunk.
    optimism_ : float
        By how much the best candidate's smooth loss is too small, as far as left-out
        splits tell: the mean loss of each split, left out of a search with the same
        strength, minus the best candidate's. NaN if it was not measured: where
        ``shrinkage`` is a number, the search ended before all splits had been left out
        (``stop_reason_`` says so), or a callable `refit` chose the row. Only if scales
        are shrunk.

    See Also
    --------
    BayesSearch : Needs no derivatives, and takes any estimator.
    BlockScaler : One penalty for each group of features.

    Notes
    -----
    ``trials_[i].splits[j].derivative`` holds the smooth loss and its slopes. It is that
    of the equations' exact solution, polished by Newton steps from the fitted one, so
    it may differ from the score of a fit that was stopped early. A row that only
    confirms what was seen between rows has the loss of the fit itself, and no slopes,
    unless it was stopped early; so has the first one, stopped early or not, if it is
    far from where the search goes on with all splits.

    Between rows, ridge, lasso, elastic net, generalised linear models, logistic
    regression with an l2 penalty and linear support vector machines with squared losses
    are solved by Newton steps or coordinate descent, each split from the solution that
    it, or at first another one, has had at a place near by; behind a Nystroem or an
    RBFSampler, too, whose gamma and coef0 may move with them. SVC and SVR with the
    kernel rbf are solved from the support vectors of such a place, or fitted where
    these do not lead there. That is done in the main process, with the data of all
    splits, and kernels of them, in memory, up to 512 MB. What is found becomes a row.
    If the score is not the smooth loss itself, or that is of calibrated decision
    values, so do the ends of the bracket around it or, of several parameters, the
    lowest looks of the descent that ended there, four for each. A RuntimeWarning says
    where there was no solution, or the fits have a higher loss than the solves; then
    the search goes on by fits. Another one names fits that were stopped early, if their
    loss is more than a hundredth above that of their own equations.

    With several metrics the one that ``refit`` names is followed; if ``refit`` is False
    or a callable, ``smooth_scoring`` must say what is.

    References
    ----------
    .. [1] F. Pedregosa, "Hyperparameter optimization with approximate gradient", ICML
       2016.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skhpo import HypergradSearch, Real
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), LogisticRegression())
    >>> space = {"logisticregression__C": Real(1e-4, 1e4, log=True)}
    >>> search = HypergradSearch(model, space, scoring="neg_log_loss").fit(X, y)
    >>> search.n_candidates_ < 8
    True
    >>> search.stop_reason_
    'converged: the next step promises less than 0.01 % of the loss'
    """

    _parameter_constraints = {
        **BaseSearch._parameter_constraints,
        "param_distributions": [dict, list],
        "n_iter": [Count()],
        "smooth_scoring": [str, callable, None],
        "shrinkage": [
            StrOptions({"auto"}),
            Interval(numbers.Real, 0, None, closed="both"),
            None,
        ],
        "check_gradient": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator,
        param_distributions,
        *,
        n_iter=50,
        smooth_scoring=None,
        shrinkage=None,
        check_gradient=False,
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
    ):
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.smooth_scoring = smooth_scoring
        self.shrinkage = shrinkage
        self.check_gradient = check_gradient
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

    def _validate_params(self):
        with hint_at_parameters(_HINTS):
            super()._validate_params()

    def _make_space(self):
        space = super()._make_space()
        self._check_something_smooth(space)
        return space

    def _make_strategy(self, space, random_state, n_planned):
        scales = self._scales(space)
        ones = dict.fromkeys(itertools.chain(*scales), 1.0)
        return GradientStrategy(
            space,
            self.n_iter,
            self._smooth_names,
            {**ones, **self.estimator.get_params(deep=True)},
            random_state=random_state,
            n_planned=n_planned,
            metric=self.refit if isinstance(self.refit, str) else None,
            shrinkage=self._make_shrinkage(scales),
        )

    def _scales(self, space):
        """List the searched scales of each BlockScaler."""
        names = {
            name: None
            for branch in space.branches
            for name, dimension in branch.items()
            if dimension.continuous
        }
        groups = []
        for step, value in self.estimator.get_params(deep=True).items():
            if isinstance(value, BlockScaler):
                own = [n for n in names if n.rpartition("__")[0] == step]
                groups.append(tuple(own))
        return groups

    def _draw_splits(self, X, y, split_params):
        indices = super()._draw_splits(X, y, split_params)
        if self.shrinkage == "auto" and len(indices) < 2:
            raise ValueError(
                "shrinkage = 'auto' is chosen on splits that are left out, but cv = "
                f"{self.cv!r} gives a single one. Use several, or set shrinkage to a "
                "number."
            )
        return indices

    def _make_shrinkage(self, scales):
        strength = self.shrinkage
        if strength is None:
            many = any(len(names) > _MANY_SCALES for names in scales)
            strength = "auto" if many else 0
        if strength == 0:
            return None
        groups = [names for names in scales if len(names) > 1]
        if not groups:
            raise ValueError(
                f"shrinkage = {self.shrinkage!r}, but param_distributions names no two "
                "scales of one BlockScaler with a range; name some, such as "
                "blockscaler__x0 and blockscaler__x1, or set shrinkage=None."
            )
        required = self.shrinkage is not None
        strength = None if strength == "auto" else float(strength)
        return Shrinkage(groups, strength, required)

    def _highest_is_best(self, strategy):
        return strategy.shrinkage is None

    def _best_index(self, strategy, refit, refit_metric, results):
        if callable(refit):
            return self._select_best_index(refit, refit_metric, results)
        rows = strategy.contenders
        scores = results[f"mean_test_{refit_metric}"]
        if rows and strategy.choices:
            rows = np.array(rows)
            scores = np.where(np.isnan(scores[rows]), -np.inf, scores[rows])
            return int(rows[np.argmax(scores)])
        best = self._select_best_index(refit, refit_metric, results)
        tied = np.flatnonzero(scores == scores[best])
        return int(min(tied, key=strategy.mean_loss, default=best))

    def _keep(self, strategy):
        self.trials_ = [
            _with_slopes(trial, strategy.known(trial.candidate))
            for trial in self.trials_
        ]
        self.looks_ = strategy.looks
        if strategy.shrinkage is None:
            return
        choice = strategy.choice(getattr(self, "best_index_", None))
        self.shrinkage_, self.optimism_ = choice
        if strategy.untried not in self.stop_reason_:
            self.stop_reason_ += strategy.untried

    def _smooth_names(self, params, names):
        estimator = clone(self.estimator).set_params(**clone(params, safe=False))
        return differentiable(estimator, names)

    def _check_something_smooth(self, space):
        """Raise unless there is a setting with something to differentiate."""
        for branch in space.branches:
            free, rest = _split(branch)
            choices = itertools.product(
                *(
                    d.values() if d.n_values < np.inf else [_middle(space, name, d)]
                    for name, d in rest.items()
                )
            )
            for values in itertools.islice(choices, _N_CHECKED):
                fixed = dict(zip(rest, values, strict=True))
                middle = {name: _middle(space, name, branch[name]) for name in free}
                if self._smooth_names({**fixed, **middle}, free):
                    return
        known = ", ".join(cls.__name__ for cls in TABLE)
        raise ValueError(
            f"param_distributions names {sorted(set().union(*space.branches))}, none "
            "of which is continuous and can be differentiated for this estimator, as "
            f"{type(Chain(self.estimator).model).__name__} is set. HypergradSearch "
            f"knows continuous parameters of {known} and networks of skorch, as far as "
            "their other settings keep the fit smooth (the user guide has the table), "
            "and of deterministic steps in front of them; give a range such as "
            "Real(1e-3, 1e3, log=True), or use BayesSearch, RandomSearch or GridSearch."
        )

    def _evaluation(self, space, scorer, y):
        names = {name for branch in space.branches for name in _split(branch)[0]}
        differentiate = Differentiator(
            sorted(names),
            self._smooth_loss(scorer, y),
            weight=self._weight(scorer),
            check=self.check_gradient,
        )
        every = set().union(*space.branches)
        prefix = Prefix.of(self.estimator, every)
        return {"differentiate": differentiate, "prefix": prefix}

    def _connect(self, strategy, evaluator):
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        strategy.look_from = partial(look_from, evaluator, deadline=deadline)
        strategy.complete = partial(complete, evaluator, deadline=deadline)
        is_loss = self._follows_score(evaluator.scorer)
        strategy.rows_around = not is_loss or self._calibrates(strategy.space)

    def _calibrates(self, space):
        """Tell whether decision values have the loss, whatever has the score."""
        values = (
            value
            for branch in space.branches
            for dimension in branch.values()
            for value in getattr(dimension, "choices", ())
        )
        models = [self.estimator, *(v for v in values if hasattr(v, "fit"))]
        equations = [equations_of(Chain(model).model) for model in models]
        return any(getattr(each, "kind", None) == "decision" for each in equations)

    def _follows_score(self, scorer):
        """Tell whether the row with the least loss must be the best one."""
        if isinstance(scorer, MultimetricScorer):
            if not isinstance(self.refit, str):
                return not self.refit  # there is no best one
            scorer = scorer._scorers[self.refit]
        classifier = is_classifier(self.estimator)
        return self.smooth_scoring is None and is_itself(scorer, classifier=classifier)

    def _weight(self, scorer):
        """Name the weights of the held-out samples among the score parameters."""
        if not get_config()["enable_metadata_routing"]:
            return "sample_weight"
        several = isinstance(scorer, MultimetricScorer)
        if several:
            if not isinstance(self.refit, str):
                return None
            scorer = scorer._scorers[self.refit]
        if not hasattr(scorer, "get_metadata_routing"):
            return None
        name = requested(scorer.get_metadata_routing().score)
        # A lone scorer is handed them under their own name.
        return name if several or name is None else "sample_weight"

    def _smooth_loss(self, scorer, y):
        classifier = is_classifier(self.estimator)
        smooth = self.smooth_scoring
        if isinstance(smooth, str):
            try:
                with hint_at_scorers(smooth):
                    smooth = get_scorer(smooth)
            except ValueError as error:
                raise ValueError(f"smooth_scoring = {smooth!r}: {error}") from error
        if hasattr(smooth, "_score_func"):
            shown = f"smooth_scoring = {self.smooth_scoring!r}"
            return loss_of(smooth, classifier=classifier, shown=shown)
        if smooth is not None:
            check_loss(smooth, y, classifier=classifier)
            return smooth
        if isinstance(scorer, MultimetricScorer):
            if not isinstance(self.refit, str):
                raise ValueError(
                    f"There are several metrics and refit = {self.refit!r} names none; "
                    "say in smooth_scoring which smooth one to follow, such as "
                    f"{'neg_log_loss' if classifier else 'neg_mean_squared_error'!r}."
                )
            scorer = scorer._scorers[self.refit]
        return loss_of(scorer, classifier=classifier)


def _with_slopes(trial, derivatives):
    """Give a trial the slopes that the strategy has found for it, if it has."""
    if not derivatives or trial.cut_off:
        return trial
    splits = [
        replace(split, derivative=derivative)
        for split, derivative in zip(trial.splits, derivatives, strict=True)
    ]
    return replace(trial, splits=tuple(splits))


def _split(branch):
    """Part the dimensions into continuous ones and the others."""
    free = [name for name, d in branch.items() if d.continuous]
    return free, {name: d for name, d in branch.items() if name not in free}


def _middle(space, name, dimension):
    try:
        return dimension.from_unit(0.5)
    except TypeError as error:  # it can only be drawn from
        raise TypeError(f"{space.name}[{name!r}]: {error}") from error
