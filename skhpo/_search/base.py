"""What all searches share: ``fit`` on the engine, everything else scikit-learn's."""

import numbers
import os
import time
import warnings
from abc import abstractmethod
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from copy import deepcopy

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state, get_tags, indexable

from skhpo._engine import run
from skhpo._evaluation.fit import Evaluator
from skhpo._evaluation.splits import Splits, check_splits
from skhpo._results import (
    complete_rows,
    name_error_scores,
    report_failures,
    rows_of_complete,
    tabulate,
)
from skhpo._search.callbacks import CallbackTasks
from skhpo._search.fidelities import make_fidelity
from skhpo._search.hints import hint_at_scorers
from skhpo._search.interruption import one_interruption
from skhpo._search.progress import Progress
from skhpo._search.races import make_race
from skhpo._sklearn import (
    BaseSearchCV,
    Interval,
    MultimetricScorer,
    check_method_params,
    fit_context,
)
from skhpo.checkpoint import Checkpoint
from skhpo.space import Space, check_names
from skhpo.trial import TIMED_OUT

# Parameters that may change from one run to the next of a search with a checkpoint.
# Of the splitter only the splits matter; a grid may grow, as candidates are known by
# their parameters.
_MAY_CHANGE = frozenset(
    [
        "checkpoint",
        "cv",
        "fit_timeout",
        "n_iter",
        "n_jobs",
        "param_grid",
        "pre_dispatch",
        "racing",
        "refit",
        "reuse",
        "timeout",
        "verbose",
    ]
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

    _parameter_constraints = {
        **BaseSearchCV._parameter_constraints,
        "timeout": [Interval(numbers.Real, 0, None, closed="neither"), None],
        "fit_timeout": [Interval(numbers.Real, 0, None, closed="neither"), None],
        "checkpoint": [str, os.PathLike, Checkpoint, None],
    }

    # Which parameter says what may be tried.
    _space_name = "param_distributions"

    def _make_space(self):
        """Build the space and check it; called once in each ``fit``."""
        space = Space(getattr(self, self._space_name), name=self._space_name)
        check_names(self.estimator, space)
        return space

    @abstractmethod
    def _make_strategy(self, space, random_state, n_planned):
        """Build the strategy; called in each ``fit``.

        Parameters
        ----------
        space : Space
            Checked.
        random_state : int, RandomState instance or None
            That of the search, or of its first run.
        n_planned : int or None
            How many candidates the first run was to have, if not all. What is tried
            first may depend on it, so that a search that goes on with more begins
            alike.

        Returns
        -------
        strategy : Strategy
            In its initial state.
        """

    def _evaluation(self, space, scorer, y):
        """Choose options of the evaluator; called before the strategy is made.

        Parameters
        ----------
        space : Space
            Checked.
        scorer : callable
            As made by scikit-learn's ``check_scoring``, or the user's own.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs) or None
            Target of the search.

        Returns
        -------
        options : dict of str to object
            Keyword arguments of :class:`~skhpo._evaluation.fit.Evaluator`.
        """
        return {}

    def _connect(self, strategy, evaluator):
        """Give the strategy what it may ask besides; called before the first candidate.

        Parameters
        ----------
        strategy : Strategy
            In its initial state.
        evaluator : Evaluator
            Of this search.
        """

    def _names_to_share(self, strategy):
        """Give the parameters in which candidates that share fits may differ, if any.

        Parameters
        ----------
        strategy : Strategy
            It has the space.

        Returns
        -------
        names : set of str or None
            None if fits are not shared.
        """
        if not getattr(self, "reuse", False):
            return None
        return set().union(*strategy.space.branches)

    @property
    def _is_close(self):
        return getattr(self, "reuse", False) == "close"

    def _highest_is_best(self, strategy):
        """Tell whether the candidate with the highest score will be the best one.

        Parameters
        ----------
        strategy : Strategy
            In its initial state.
        """
        return True

    def _best_index(self, strategy, refit, refit_metric, results):
        """Give the row of the best candidate; called once at the end of the search.

        Parameters
        ----------
        strategy : Strategy
            It has been told all trials.
        refit : bool, str or callable
            That of the search.
        refit_metric : str
            Name of the metric that decides.
        results : dict of str to ndarray
            ``cv_results_``, of complete candidates only if `refit` is callable.
        """
        return self._select_best_index(refit, refit_metric, results)

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
        space = self._make_space()
        options = self._evaluation(space, scorer, y)
        random_state = getattr(self, "random_state", None)
        n_planned = getattr(self, "n_iter", None)
        # Instances of RandomState move on; a search that goes on has those from before.
        before = deepcopy(random_state)
        journal = None
        # Candidates first: cv may draw from the same instance.
        if self.checkpoint is None:
            strategy = self._make_strategy(space, random_state, n_planned)
        else:
            strategy = self._check_strategy(space, random_state, n_planned)
        indices = self._draw_splits(X, y, routed.splitter.split)
        race = make_race(self, scorer, len(indices), strategy)
        fidelity = make_fidelity(
            self, space, X, y, indices, routed.splitter.split, scorer
        )
        if self.checkpoint is not None:
            own = {"estimator": estimator, "random_state": before}
            journal = self._open_checkpoint(X, y, params, indices, own)
        with journal or nullcontext():
            if journal is not None:
                seed = journal.seed if random_state is None else before
                strategy = self._make_strategy(space, seed, journal.n_iter)
                if self.verbose > 0:
                    print(f"{journal.path}: {journal.n_recorded} fits are recorded")
            if fidelity is not None:
                strategy = fidelity.shared_among(strategy)
            n_splits = len(indices)
            self._print_plan(strategy.n_candidates, n_splits)
            names, unfinished = self._names_to_share(strategy), None
            if fidelity is not None and names is not None:
                unfinished = fidelity.unfinished(estimator)
            evaluator = Evaluator(
                estimator,
                Splits(
                    X,
                    y,
                    indices,
                    fit_params=routed.estimator.fit,
                    score_params=routed.scorer.score,
                    subsamples=None if fidelity is None else fidelity.subsamples,
                ),
                scorer=scorer,
                return_train_score=self.return_train_score,
                error_score=self.error_score,
                verbose=self.verbose,
                n_candidates=strategy.n_candidates,
                search=self if tasks.new_evaluation is not None else None,
                names=names,
                close=self._is_close,
                unfinished=unfinished,
                **options,
            )
            self._connect(strategy, evaluator)
            tasks.begin_search(strategy.n_candidates, n_splits)
            metric = self.refit if isinstance(self.refit, str) else None
            progress = Progress(
                self.verbose,
                strategy.n_candidates,
                metric,
                shows_best=self._highest_is_best(strategy),
            )
            with one_interruption(), progress:
                start = time.perf_counter()
                outcome = run(
                    strategy,
                    evaluator,
                    n_splits=n_splits,
                    n_jobs=self.n_jobs,
                    pre_dispatch=self.pre_dispatch,
                    new_context=tasks.new_evaluation,
                    on_trial=progress.update,
                    timeout=self.timeout,
                    fit_timeout=self.fit_timeout,
                    journal=journal,
                    race=race,
                )
                progress.close(outcome.reason)
                self._forget()
                self.search_time_ = time.perf_counter() - start
                multimetric = isinstance(scorer, MultimetricScorer)
                self.scorer_ = scorer._scorers if multimetric else scorer
                if outcome.interruption is not None:
                    # Whatever is wrong with them, the interruption is what is raised.
                    with suppress(Exception):
                        self._keep_results(outcome, n_splits, refit_metric, strategy)
        if outcome.interruption is not None:
            raise outcome.interruption
        tasks.end_search()
        self._keep_results(outcome, n_splits, refit_metric, strategy)
        if self.refit:
            self._refit(estimator, X, y, routed.estimator.fit, tasks)
        tasks.end()
        return self

    def _forget(self):
        """Drop what an earlier fit has left, so that nothing of two is mixed."""
        for name in [*vars(self)]:
            if name.endswith("_") and not name.startswith("_"):
                delattr(self, name)

    def _keep_results(self, outcome, n_splits, refit_metric, strategy):
        """Set the attributes that hold results; none if there is no best candidate."""
        try:
            self._set_results(outcome, n_splits, refit_metric, strategy)
            self._keep(strategy)
        except BaseException:
            self._forget()
            raise

    def _set_results(self, outcome, n_splits, refit_metric, strategy):
        """Set the attributes that hold results, from what the engine gives."""
        trials = outcome.trials
        n_complete = len(rows_of_complete(trials))
        if outcome.reason == TIMED_OUT and not n_complete:
            raise ValueError(
                f"timeout = {self.timeout!r} s was over before one candidate had been "
                "evaluated on all splits. Give more time, or a checkpoint, from which "
                "the search goes on when it is fitted again."
            )
        if not trials:
            raise ValueError(_NO_FITS)
        report_failures(trials, self.error_score)
        trials = name_error_scores(trials, self.error_score)
        # A callable of the user's shows only now whether it gives several metrics.
        first_scores = next(iter(trials[0].done.values())).test_scores
        self.multimetric_ = isinstance(first_scores, dict)
        if callable(self.scoring) and self.multimetric_:
            self._check_refit_for_multimetric(first_scores)
            refit_metric = self.refit
        limits = ("timeout", "fit_timeout", "racing", "fidelity")
        limited = any(getattr(self, limit, None) is not None for limit in limits)
        results = tabulate(trials, n_splits, self._format_results, limited=limited)
        self._choose_best(results, trials, refit_metric, strategy)
        self.cv_results_ = results
        self.n_splits_ = n_splits
        self.trials_ = trials
        self.n_candidates_ = len(trials)
        self.n_fits_ = sum(
            trial.n_splits_done for trial in trials if trial.group == trial.number
        )
        self.stop_reason_ = outcome.reason

    def _check_strategy(self, space, random_state, n_planned):
        """Raise for what no strategy can be made of, before there is a file.

        An instance of RandomState is drawn from as by a search without a checkpoint.
        """
        # None would draw from the global generator, to no end.
        random_state = 0 if random_state is None else random_state
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._make_strategy(space, random_state, n_planned)

    def _open_checkpoint(self, X, y, fit_params, indices, own):
        """Open the file of this search, new or to be resumed.

        `own` has parameters of the search as they were before anything was drawn.
        """
        checkpoint = self.checkpoint
        if not isinstance(checkpoint, Checkpoint):
            checkpoint = Checkpoint(checkpoint)
        cv = self.cv
        if getattr(cv, "shuffle", True) and getattr(cv, "random_state", 0) is None:
            raise ValueError(
                f"cv = {cv} draws other splits in each run, so that a search with a "
                "checkpoint could not go on. Give it an int as random_state."
            )
        params = self.get_params(deep=False)
        params |= {name: value for name, value in own.items() if name in params}
        aspects = {
            "search": type(self),
            "X": X,
            "y": y,
            "fit parameters": fit_params,
            "cv": indices,
        }
        for name in params.keys() - _MAY_CHANGE:
            value = params[name]
            if type(value) is dict:  # so that what differs has its name
                aspects |= {f"{name}[{key!r}]": value[key] for key in value}
            else:
                aspects[name] = value
        if self._is_close:  # no other value changes results
            aspects["reuse"] = self.reuse
        seed = None
        if params.get("random_state", 0) is None:
            seed = int(check_random_state(None).randint(np.iinfo(np.int32).max))
        return checkpoint.open(
            aspects, n_splits=len(indices), n_iter=params.get("n_iter"), seed=seed
        )

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
        given = isinstance(self.cv, Iterable) and not hasattr(self.cv, "split")
        n_samples = X.shape[0] if hasattr(X, "shape") else len(X)
        check_splits(indices, n_samples, None if given else cv)
        return indices

    def _print_plan(self, n_candidates, n_splits):
        if self.verbose > 0 and n_candidates is not None:
            print(
                f"Fitting {n_splits} folds for each of {n_candidates} candidates,"
                f" totalling {n_candidates * n_splits} fits"
            )

    def _choose_best(self, results, trials, refit_metric, strategy):
        """Set ``best_*`` where scikit-learn does."""
        if not self.refit and self.multimetric_:
            return
        rows = rows_of_complete(trials)
        if callable(self.refit) and len(rows) < len(trials):
            results = complete_rows(results, trials)
            best = self._best_index(strategy, self.refit, refit_metric, results)
            self.best_index_ = rows[best]
            self.best_params_ = results["params"][best]
            return
        self.best_index_ = self._best_index(strategy, self.refit, refit_metric, results)
        if not callable(self.refit):
            self.best_score_ = results[f"mean_test_{refit_metric}"][self.best_index_]
        self.best_params_ = results["params"][self.best_index_]

    def _refit(self, estimator, X, y, fit_params, tasks):
        """Fit the best candidate on all data."""
        # Values may be estimators, which stay as the user gave them.
        best = clone(estimator).set_params(**clone(self.best_params_, safe=False))

        def fit():
            start = time.time()
            if y is None:
                best.fit(X, **fit_params)
            else:
                best.fit(X, y, **fit_params)
            self.refit_time_ = time.time() - start
            self.best_estimator_ = best
            if hasattr(best, "feature_names_in_"):
                self.feature_names_in_ = best.feature_names_in_

        tasks.refit(best, fit)
