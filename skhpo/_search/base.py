"""What all searches share: ``fit`` on the engine, everything else scikit-learn's."""

import time
from abc import abstractmethod
from copy import deepcopy

from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import get_tags, indexable

from skhpo._engine import run
from skhpo._evaluation.fit import Evaluator
from skhpo._evaluation.splits import Splits, check_splits
from skhpo._results import name_error_scores, report_failures, tabulate
from skhpo._search.callbacks import CallbackTasks
from skhpo._search.hints import hint_at_scorers
from skhpo._search.progress import Progress
from skhpo._sklearn import (
    BaseSearchCV,
    MultimetricScorer,
    check_method_params,
    fit_context,
)

_NO_FITS = (
    "No fits were performed. Was the CV iterator empty? Were there no candidates?"
)


class BaseSearch(BaseSearchCV):
    """Base class of the searches.

    It inherits the surface of scikit-learn's searches (prediction, tags, metadata
    routing, HTML view) and overrides ``fit``. A subclass says which candidates are
    tried.
    """

    @abstractmethod
    def _make_strategy(self):
        """Check the space and build the strategy; called once in each ``fit``.

        Returns
        -------
        strategy : Strategy
            In its initial state.
        """

    def _evaluation(self, scorer):
        """Choose options of the evaluator; called before the strategy is made.

        Parameters
        ----------
        scorer : callable
            As made by scikit-learn's ``check_scoring``, or the user's own.

        Returns
        -------
        options : dict of str to object
            Keyword arguments of :class:`~skhpo._evaluation.fit.Evaluator`.
        """
        return {}

    def _keep(self, strategy):
        """Keep what the strategy has learnt; called once at the end of the search.

        Parameters
        ----------
        strategy : Strategy
            It has been told all trials.
        """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.transformer_tags = deepcopy(inner.transformer_tags)
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        return tags

    def _validate_params(self):
        with hint_at_scorers(self.scoring):
            super()._validate_params()

    def _get_scorers(self):
        with hint_at_scorers(self.scoring):
            return super()._get_scorers()

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, **params):
        """Search, then fit the best estimator on all data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, n_samples)
            Training data, or a precomputed kernel. Anything that the estimator
            accepts and that can be indexed along the samples is passed on untouched.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Target.
        **params : dict of str to object
            Passed to the estimator's ``fit``, the scorer and the splitter as
            scikit-learn's searches do: those with a length of n_samples are split
            along with `X`, ``groups`` goes to the splitter, and metadata routing
            decides when it is enabled.

        Returns
        -------
        self : object
            The fitted search.

        Raises
        ------
        ValueError
            If a parameter of the search or the space is invalid (before any fit), if
            every fit failed, or if the splitter contradicts itself.
        TypeError
            If a value of the space has the wrong type.
        """
        scorer, refit_metric = self._get_scorers()
        X, y = indexable(X, y)
        params = check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        tasks = CallbackTasks(self, X, y, params.get("sample_weight"))

        estimator = clone(self.estimator)
        options = self._evaluation(scorer)
        strategy = self._make_strategy()
        indices = self._draw_splits(X, y, routed.splitter.split)
        n_splits = len(indices)
        self._print_plan(strategy.n_candidates, n_splits)

        tasks.begin_search(strategy.n_candidates, n_splits)
        evaluator = Evaluator(
            estimator,
            Splits(
                X,
                y,
                indices,
                fit_params=routed.estimator.fit,
                score_params=routed.scorer.score,
            ),
            scorer=scorer,
            return_train_score=self.return_train_score,
            error_score=self.error_score,
            verbose=self.verbose,
            n_candidates=strategy.n_candidates,
            search=self if tasks.new_evaluation is not None else None,
            **options,
        )
        start = time.perf_counter()
        metric = self.refit if isinstance(self.refit, str) else None
        n_candidates = strategy.n_candidates
        with Progress(self.verbose, n_candidates, n_splits, metric) as progress:
            trials, reason = run(
                strategy,
                evaluator,
                n_splits=n_splits,
                n_jobs=self.n_jobs,
                pre_dispatch=self.pre_dispatch,
                new_context=tasks.new_evaluation,
                on_trial=progress.update,
            )
            progress.close(reason)
        search_time = time.perf_counter() - start
        tasks.end_search()
        if not trials:
            raise ValueError(_NO_FITS)

        report_failures(trials, self.error_score)
        trials = name_error_scores(trials, self.error_score)
        # A callable of the user's shows only now whether it gives several metrics.
        first_scores = trials[0].splits[0].test_scores
        self.multimetric_ = isinstance(first_scores, dict)
        if callable(self.scoring) and self.multimetric_:
            self._check_refit_for_multimetric(first_scores)
            refit_metric = self.refit
        results = tabulate(trials, n_splits, self._format_results)
        self._choose_best(results, refit_metric)
        if self.refit:
            self._refit(estimator, X, y, routed.estimator.fit, tasks)

        multimetric = isinstance(scorer, MultimetricScorer)
        self.scorer_ = scorer._scorers if multimetric else scorer
        self.cv_results_ = results
        self.n_splits_ = n_splits
        self.trials_ = trials
        self.n_candidates_ = len(trials)
        self.n_fits_ = sum(
            trial.n_splits_done for trial in trials if trial.group == trial.number
        )
        self.search_time_ = search_time
        self.stop_reason_ = reason
        self._keep(strategy)
        tasks.end()
        return self

    def _draw_splits(self, X, y, split_params):
        """Draw the splits, once for the whole search."""
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        n_splits = cv.get_n_splits(X, y, **split_params)
        indices = list(cv.split(X, y, **split_params))
        if not indices and not n_splits:
            raise ValueError(_NO_FITS)
        if len(indices) != n_splits:
            # scikit-learn's own words, whose tense changed with 1.9.
            verb = "return" if hasattr(self, "set_callbacks") else "returned"
            raise ValueError(
                f"cv.split and cv.get_n_splits {verb} inconsistent results. "
                f"Expected {n_splits} splits, got {len(indices)}"
            )
        check_splits(indices, X.shape[0] if hasattr(X, "shape") else len(X))
        return indices

    def _print_plan(self, n_candidates, n_splits):
        if self.verbose > 0 and n_candidates is not None:
            print(
                f"Fitting {n_splits} folds for each of {n_candidates} candidates,"
                f" totalling {n_candidates * n_splits} fits"
            )

    def _choose_best(self, results, refit_metric):
        """Set ``best_*`` where scikit-learn does."""
        if not self.refit and self.multimetric_:
            return
        self.best_index_ = self._select_best_index(self.refit, refit_metric, results)
        if not callable(self.refit):
            self.best_score_ = results[f"mean_test_{refit_metric}"][self.best_index_]
        self.best_params_ = results["params"][self.best_index_]

    def _refit(self, estimator, X, y, fit_params, tasks):
        """Fit the best candidate on all data."""
        # Values may be estimators, which stay as the user gave them.
        self.best_estimator_ = clone(estimator).set_params(
            **clone(self.best_params_, safe=False)
        )

        def fit():
            start = time.time()
            if y is None:
                self.best_estimator_.fit(X, **fit_params)
            else:
                self.best_estimator_.fit(X, y, **fit_params)
            self.refit_time_ = time.time() - start
            if hasattr(self.best_estimator_, "feature_names_in_"):
                self.feature_names_in_ = self.best_estimator_.feature_names_in_

        tasks.refit(self.best_estimator_, fit)
