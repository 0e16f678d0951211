"""Fit and score one candidate on one split; the only caller of ``estimator.fit``.

What happens here is what scikit-learn's searches do for each fit, in the same order,
with the same messages. The difference is that fits which cannot write to their data
are given the same slice of it.
"""

import time
from itertools import groupby
from traceback import format_exc
from typing import NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.utils import get_tags

from skhpo._evaluation.lines import end_line, start_line
from skhpo._evaluation.scores import (
    error_scores,
    exit_error,
    from_signal,
    real_scores,
)
from skhpo._evaluation.steps import SharedSteps
from skhpo._evaluation.stops import watch_callbacks
from skhpo._evaluation.trust import (
    cannot_write,
    scorer_asks_only,
    scorer_cannot_write,
)
from skhpo.reuse import (
    draws,
    fitted,
    group_key,
    may_be_sorted,
    may_share,
    own_copy,
)
from skhpo.trial import SplitResult, shortened

_SCALARS = (bool, int, float, complex, str, bytes, type(None), np.generic)


class Unit(NamedTuple):
    """The smallest piece of work: one candidate on one split.

    Parameters
    ----------
    number : int
        Row of the candidate in ``cv_results_``.
    params : dict of str to object
        What ``set_params`` receives.
    split : int
        Which split.
    context : CallbackContext or None
        Where scikit-learn's callbacks are told about this fit.
    key : str or None
        Name of the candidate in the checkpoint.
    group : int or None
        Units of a split that have it in common may share a fit: the number of the
        first of them.
    fraction : float
        Of the samples of the split, in (0, 1].
    follows : int or None
        Number of the unit whose fit this one may go on from.
    may_follow : bool
        Whether one may come that goes on from this one.
    slopes : bool
        Whether a derivative is to have slopes.
    """

    number: int
    params: dict
    split: int
    context: object = None
    key: str | None = None
    group: int | None = None
    fraction: float = 1.0
    follows: int | None = None
    may_follow: bool = False
    slopes: bool = True

    @property
    def place(self):
        """(int, float) : What says which data it sees."""
        return self.split, self.fraction


def batches(units):
    """Divide units into those that are evaluated together.

    Parameters
    ----------
    units : list of Unit
        Those of a group and split side by side.

    Yields
    ------
    batch : list of Unit
        One, or several that may share a fit.
    """
    for (group, _), run in groupby(units, lambda unit: (unit.group, unit.split)):
        if group is None:
            yield from ([unit] for unit in run)
        else:
            yield list(run)


class Evaluator:
    """Everything a worker needs to evaluate a unit of this search.

    Parameters
    ----------
    estimator : estimator
        Cloned for every fit.
    splits : Splits
        Data and splits.
    scorer : callable
        As made by scikit-learn's ``check_scoring``, or the user's own.
    return_train_score : bool
        Whether the training part is scored too.
    error_score : "raise" or float
        Score of a fit that fails.
    verbose : int
        As in scikit-learn: above 1 each fit prints a line.
    n_candidates : int or None
        How many candidates there will be, for messages.
    search : estimator
        The search itself, for callbacks; None when there are none.
    differentiate : callable, default=None
        ``differentiate(estimator, train, test, prefix, first, slopes)`` gives the
        derivative of a held-out loss at a fitted estimator, which stands behind
        `prefix` in the estimator of the search; `first` is the first candidate, and
        `slopes` tells whether it needs any.
    prefix : Prefix, default=None
        Leading steps that are fitted once for each split.
    names : set of str, default=None
        Parameters in which candidates differ; None if they share no fits.
    close : bool, default=False
        Whether shared fits may differ from separate ones by round-off.
    unfinished : Unfinished, default=None
        Fits that may go on with more of a resource.
    """

    def __init__(
        self,
        estimator,
        splits,
        *,
        scorer,
        return_train_score,
        error_score,
        verbose,
        n_candidates=None,
        search=None,
        differentiate=None,
        prefix=None,
        names=None,
        close=False,
        unfinished=None,
    ):
        self.estimator = estimator
        self.splits = splits
        self.scorer = scorer
        self.return_train_score = return_train_score
        self.error_score = error_score
        self.verbose = verbose
        self.n_candidates = n_candidates
        self.search = search
        self.differentiate = differentiate
        self.prefix = prefix
        self.names = names
        self.close = close
        self.unfinished = unfinished
        self._base_cannot_write = cannot_write(estimator)
        self.scorer_cannot_write = scorer_cannot_write(scorer)
        self._scorer_asks_only = scorer_asks_only(scorer)
        self._made = [], []

    def evaluate(self, unit):
        """Fit and score one unit.

        Parameters
        ----------
        unit : Unit
            What to evaluate.

        Returns
        -------
        result : SplitResult
            Scores and times, or the traceback of the fit and ``error_score``.
        """
        if self.verbose > 9:
            print(start_line(self, unit))
        estimator = self.candidate(unit.params)
        share = self._may_share(estimator, unit)
        start = time.time()
        train = self.splits.train(
            unit.place,
            estimator,
            share=share and (self.scorer_cannot_write or not self.return_train_score),
        )
        test = self.splits.test(
            unit.place, estimator, share=share and self.scorer_cannot_write
        )
        error, stop, derivative = None, False, None
        watchers = [] if unit.context is None else watch_callbacks(unit.context)
        slopes = unit.slopes or not self._leaves_data_alone(estimator, unit)
        try:
            estimator, train, test, before = self._strip(estimator, train, test, unit)
            grown = self._go_on(unit, estimator, train)
            if grown is None:
                self._fit(estimator, train, unit.context)
            else:
                estimator = grown
        except (Exception, SystemExit) as exception:
            if isinstance(exception, SystemExit) and from_signal(exception):
                raise
            if self.error_score == "raise":
                if isinstance(exception, SystemExit):
                    raise exit_error(exception, "the fit of", unit) from exception
                raise
            if share and "read-only" in str(exception):
                # It does write to its data, against what its class promises.
                self._base_cannot_write = False
                return self.evaluate(unit)
            fit_time, score_time = time.time() - start, 0.0
            error = format_exc()
            failed = error_scores(self.scorer, self.error_score)
            test_scores, train_scores = failed, None
            if self.return_train_score:
                train_scores = failed
        else:
            fit_time = time.time() - start
            test_scores = self._score_test(estimator, test, unit)
            score_time = time.time() - start - fit_time
            train_scores = None
            if self.return_train_score:
                params = self.splits.train_score_params(unit.place)
                train_scores = self._score(
                    estimator, train._replace(params=params), unit
                )
            if self.differentiate is not None:
                derivative = self.differentiate(
                    estimator,
                    train,
                    test,
                    before,
                    first=unit.number == 0,
                    slopes=slopes,
                )
            self._keep(unit, estimator, test_scores)
        finally:
            if unit.context is not None:
                stop = unit.context.call_on_fit_task_end(
                    estimator=self.search,
                    X=train.X,
                    y=train.y,
                    metadata=_callback_metadata(train),
                )
                stop |= any(watcher.stop for watcher in watchers)
        result = SplitResult(
            test_scores, train_scores, fit_time, score_time, error, stop, derivative
        )
        if self.verbose > 1:
            print(end_line(self, unit, result))
        return result

    def evaluate_all(self, units):
        """Fit and score units, those of a group together.

        Parameters
        ----------
        units : list of Unit
            What to evaluate.

        Returns
        -------
        results : list of SplitResult
            One for each.
        """
        return [
            result for batch in batches(units) for result in self.evaluate_batch(batch)
        ]

    def evaluate_batch(self, batch, on_progress=None):
        """Fit and score units that may share a fit.

        Parameters
        ----------
        batch : list of Unit
            Of one split.
        on_progress : callable, default=None
            Called after each of several, without arguments.

        Returns
        -------
        results : list of SplitResult
            One for each.
        """
        if len(batch) == 1:
            return [self.evaluate(batch[0])]
        results = self._evaluate_together(batch, on_progress)
        for i, unit in enumerate(batch):
            if i not in results:
                results[i] = self.evaluate(unit)
                if on_progress is not None:
                    on_progress()
        return [results[i] for i in range(len(batch))]

    @property
    def shares(self):
        """bool : Whether some candidates may share a fit."""
        return (
            self.names is not None
            and self.verbose <= 1
            and self.differentiate is None
            and self.prefix is None
            and may_share(self.estimator, self.names, close=self.close)
        )

    def share_keys(self, settings):
        """Tell which candidates may share a fit: those with equal keys.

        Parameters
        ----------
        settings : list of dict of str to object
            Parameters of candidates.

        Returns
        -------
        keys : list of (hashable or None)
            None if one shares with no other; all are where one draws without a seed,
            so that it draws what it would have drawn.
        """
        keys = []
        for params in settings:
            try:
                estimator = self.candidate(params)
            except Exception:
                keys.append(None)  # its fit will raise that again, where it belongs
                continue
            keys.append(group_key(estimator, params, self.names, close=self.close))
            if keys[-1] is None and draws(estimator):
                return [None] * len(settings)
        return keys

    def candidate(self, params):
        """Make the estimator of a candidate, not fitted."""
        # Values may be estimators, which other fits use as well.
        return clone(self.estimator).set_params(**clone(params, safe=False))

    def _candidates(self, batch):
        """Make the estimators of a batch, once for all splits that come in a row.

        Shared fits leave them as they are.
        """
        numbers = [unit.number for unit in batch]
        made = self._made  # by another thread perhaps
        if made[0] != numbers:
            made = self._made = numbers, [self.candidate(u.params) for u in batch]
        return made[1]

    def _evaluate_together(self, batch, on_progress):
        """Evaluate by shared fits; give results by position, as far as that works."""
        estimators = self._candidates(batch)
        if len({get_tags(each).input_tags.pairwise for each in estimators}) > 1:
            return {}
        place, safe = batch[0].place, self.scorer_cannot_write
        alone = all(map(self._leaves_data_alone, estimators, batch))
        share = alone and self.splits.may_share(estimators[0])
        train = self.splits.train(place, estimators[0], share=share)
        if self.return_train_score and may_be_sorted(train.X):
            return {}  # each is scored on what its own fit has made of the order
        answers, fit_time = {}, 0.0
        of_test, for_test, for_train = SharedSteps(), None, None
        if alone and safe:
            for_test, for_train = of_test, SharedSteps()
        views = fitted(
            estimators,
            train.X,
            train.y,
            names=self.names,
            params=train.params,
            close=self.close,
        )
        while True:
            start = time.time()
            try:
                i, estimator = next(views)
            except StopIteration:
                break
            except (Exception, SystemExit) as exception:
                if isinstance(exception, SystemExit) and from_signal(exception):
                    raise
                break  # fits of their own will tell whose failure it is
            fit_time += time.time() - start
            part = train
            if self.return_train_score and not safe:
                # Views look at it again, so that a scorer gets one of its own.
                part = self.splits.train(place, estimator, share=False)
            if not self._scorer_asks_only:
                estimator = own_copy(estimator, [(train.X, part.X), (train.y, part.y)])
            start, before = time.time(), of_test.seconds
            test = self.splits.test(place, estimator, share=share and safe)
            test_scores = self._score_test(estimator, test, batch[i], for_test)
            score_time = time.time() - start - (of_test.seconds - before)
            train_scores = None
            if self.return_train_score:
                part = part._replace(params=self.splits.train_score_params(place))
                train_scores = self._score(estimator, part, batch[i], for_train)
            answers[i] = test_scores, train_scores, score_time
            if on_progress is not None:
                on_progress()
        return {
            i: SplitResult(
                test_scores,
                train_scores,
                fit_time / len(answers),
                score_time + of_test.seconds / len(answers),
                group=batch[0].group,
            )
            for i, (test_scores, train_scores, score_time) in answers.items()
        }

    def repeat(self, unit, result):
        """Report `unit`, whose `result` another fit has given, as if it had been run.

        Called in the main thread, for each split of a candidate that repeats an
        earlier one.
        """
        if self.verbose > 9:
            print(start_line(self, unit))
        if unit.context is not None:
            part = self.splits.train(unit.place, self.estimator, share=False)
            told = dict(
                estimator=self.search,
                X=part.X,
                y=part.y,
                metadata=_callback_metadata(part),
            )
            unit.context.call_on_fit_task_begin(**told)
            unit.context.call_on_fit_task_end(**told)
        if self.verbose > 1:
            print(end_line(self, unit, result))

    def lost(self, unit, cause, seconds, limit=None):
        """Make the result of a unit whose process is gone.

        Parameters
        ----------
        unit : Unit
            What was lost.
        cause : str
            Name of an exception, a colon, and what happened.
        seconds : float
            How long the fit had taken.
        limit : float, default=None
            The ``fit_timeout`` that it was killed for.

        Returns
        -------
        result : SplitResult
            Failed, with ``error_score``.

        Raises
        ------
        RuntimeError or TimeoutError
            If failures are to be raised; it names the candidate.
        """
        if self.error_score == "raise":
            kind = RuntimeError if limit is None else TimeoutError
            what = f"{shortened(unit.params)}, split {unit.split}"
            raise kind(f"{cause.partition(': ')[2]}, in the fit of {what}")
        failed = error_scores(self.scorer, self.error_score)
        train_scores = failed if self.return_train_score else None
        result = SplitResult(failed, train_scores, seconds, 0.0, cause, limit=limit)
        if self.verbose > 1:
            print(end_line(self, unit, result))
        return result

    def repeats_itself(self, params):
        """Tell whether two evaluations of `params` must give the same scores.

        They need not if some ``random_state`` is None.
        """
        estimator = self.candidate(params)
        return not any(
            name.rpartition("__")[2] == "random_state" and value is None
            for name, value in estimator.get_params(deep=True).items()
        )

    def _strip(self, estimator, train, test, unit):
        """Take off leading steps that were fitted before, if that is safe."""
        stripped = None
        if (
            self.prefix is not None
            and unit.context is None
            and self.scorer_cannot_write
            and self._leaves_data_alone(estimator, unit)
        ):
            stripped = self.prefix.strip(unit.split, estimator, train, test)
        if stripped is None:
            return estimator, train, test, ""
        return *stripped, self.prefix.before

    def _go_on(self, unit, estimator, train):
        """Fit by going on from the fit of another unit, or give None."""
        if self.unfinished is None or unit.follows is None:
            return None
        return self.unfinished.go_on(unit, estimator, train)

    def _keep(self, unit, estimator, scores):
        """Keep a fit that another unit may go on from."""
        if (
            self.unfinished is not None
            and unit.may_follow
            and unit.context is None
            and self._scorer_asks_only
        ):
            self.unfinished.keep(unit, estimator, scores)

    def _fit(self, estimator, train, context):
        if context is None:
            if train.y is None:
                estimator.fit(train.X, **train.params)
            else:
                estimator.fit(train.X, train.y, **train.params)
        else:
            with context.propagate_callback_context(estimator):
                context.call_on_fit_task_begin(
                    estimator=self.search,
                    X=train.X,
                    y=train.y,
                    metadata=_callback_metadata(train),
                )
                self._fit(estimator, train, None)

    def _score_test(self, estimator, test, unit, steps=None):
        if not test.shared:
            return self._score(estimator, test, unit, steps)
        try:
            return self._score_behind(estimator, test, unit, steps)
        except Exception:
            # Let it fail once more on data of its own: then the failure, and what
            # scikit-learn makes of it, has nothing to do with sharing.
            test = self.splits.test(unit.place, estimator, share=False)
            return self._score(estimator, test, unit)

    def _score(self, estimator, part, unit, steps=None):
        if steps is not None:
            try:
                return self._score_behind(estimator, part, unit, steps)
            except Exception:
                pass  # then it does so as a whole, unless that was due to sharing
        return real_scores(estimator, part, self.scorer, self.error_score, unit)

    def _score_behind(self, estimator, part, unit, steps):
        """Score behind the steps that it may share; what fails raises."""
        if steps is not None:
            estimator, part = steps.strip(estimator, part)
        return real_scores(estimator, part, self.scorer, "raise", unit)

    def _may_share(self, estimator, unit):
        if unit.context is not None or not self.splits.may_share(estimator):
            return False
        return self._leaves_data_alone(estimator, unit)

    def _leaves_data_alone(self, estimator, unit):
        if all(
            isinstance(value, _SCALARS) and "copy" not in name
            for name, value in unit.params.items()
        ):
            return self._base_cannot_write
        return self._base_cannot_write and cannot_write(estimator)


def _callback_metadata(part):
    weight = part.params.get("sample_weight")
    return None if weight is None else {"sample_weight": weight}
