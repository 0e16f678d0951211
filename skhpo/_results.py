"""Trials -> ``cv_results_``, and the report of fits that failed."""

import reprlib
import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
from sklearn.exceptions import FitFailedWarning

# Failed candidates that a message names; the others are in ``trials_``.
MAX_NAMED = 10


def name_error_scores(trials, error_score):
    """Give what failed a score for each metric, where metrics turn out to have names.

    Which metrics a callable of the user's returns, only a fit that succeeds can tell.

    Parameters
    ----------
    trials : list of Trial
        As evaluated; where a fit or its scoring failed, `error_score` may be the only
        score.
    error_score : "raise" or float
        Score of a fit that failed.

    Returns
    -------
    trials : list of Trial
        The same, with a dict of scores also for what failed.

    Raises
    ------
    ValueError
        If scoring gave names of metrics for some fits only, without having failed.
    """
    given = (
        scores
        for trial in trials
        for result in trial.splits
        for scores in (result.test_scores, result.train_scores)
    )
    named = next((scores for scores in given if isinstance(scores, dict)), None)
    if named is None:
        return trials

    def rename(scores, trial, split):
        if scores is None or isinstance(scores, dict):
            return scores
        if not _equal(scores, error_score):
            raise ValueError(
                f"scoring returned {scores!r} for {_short.repr(trial.params)}, split "
                f"{split}, but a dict with {list(named)} elsewhere; it must return the "
                "same metrics for every fit."
            )
        return dict.fromkeys(named, error_score)

    return [
        replace(
            trial,
            splits=tuple(
                replace(
                    result,
                    test_scores=rename(result.test_scores, trial, split),
                    train_scores=rename(result.train_scores, trial, split),
                )
                for split, result in enumerate(trial.splits)
            ),
        )
        for trial in trials
    ]


def _equal(a, b):
    return a == b or (a != a and b != b)


def tabulate(trials, n_splits, format_results):
    """Lay out the trials as scikit-learn's ``cv_results_``.

    Parameters
    ----------
    trials : list of Trial
        At least one, each with all its splits.
    n_splits : int
        Number of splits.
    format_results : callable
        scikit-learn's own ``_format_results``.

    Returns
    -------
    results : dict of str to (masked) array or list
        One row for each trial.
    """
    out = [_as_dict(result) for trial in trials for result in trial.splits]
    results = format_results([trial.params for trial in trials], n_splits, out)
    for key in results:
        if key.startswith("mean_test_"):
            _warn_of_useless_means(key, results)
    return results


def _warn_of_useless_means(key, results):
    """Say which candidates rank first, or all the same, without being better."""
    means = results[key]
    if np.isnan(means).all():
        warnings.warn(
            f"{key} is nan for all {len(means)} candidates, so none is better than "
            "another and the first counts as the best; see trials_ and the "
            "split*_test_* of cv_results_ for where the nan come from.",
            UserWarning,
            stacklevel=2,
        )
    if np.isposinf(means).any():
        infinite = [
            results["params"][row] for row in np.flatnonzero(np.isposinf(means))
        ]
        more = f" and {len(infinite) - MAX_NAMED} more" * (len(infinite) > MAX_NAMED)
        warnings.warn(
            f"{key} is inf for {', '.join(map(_short.repr, infinite[:MAX_NAMED]))}"
            f"{more}, which ranks before every finite score; scores should be finite.",
            UserWarning,
            stacklevel=2,
        )


def _as_dict(result):
    """Give a result in scikit-learn's form."""
    row = {
        "fit_error": result.error,
        "test_scores": result.test_scores,
        "fit_time": result.fit_time,
        "score_time": result.score_time,
    }
    if result.train_scores is not None:
        row["train_scores"] = result.train_scores
    return row


def report_failures(trials, error_score):
    """Warn about fits that failed; if all did, raise.

    Parameters
    ----------
    trials : list of Trial
        All of them.
    error_score : float
        The score that failed fits were given.

    Raises
    ------
    ValueError
        If every fit failed.
    """
    errors = [error for trial in trials for error in trial.errors.values()]
    if not errors:
        return
    n_fits = sum(trial.n_splits_done for trial in trials)
    details = _candidates_text(trials) + "\n".join(
        f"{'-' * 80}\n{n} fits failed with the following error:\n{error}"
        for error, n in Counter(errors).items()
    )
    if len(errors) == n_fits:
        raise ValueError(
            f"\nAll the {n_fits} fits failed.\n"
            "It is very likely that your model is misconfigured.\n"
            "You can try to debug the error by setting error_score='raise'.\n\n"
            f"Below are more details about the failures:\n{details}"
        )
    warnings.warn(
        f"\n{len(errors)} fits failed out of a total of {n_fits}.\n"
        "The score on these train-test partitions for these parameters"
        f" will be set to {error_score}.\n"
        "If these failures are not expected, you can try to debug them "
        "by setting error_score='raise'.\n\n"
        f"Below are more details about the failures:\n{details}",
        FitFailedWarning,
        stacklevel=2,
    )


def _candidates_text(trials):
    """Name each failed candidate, its splits and the last line of the cause."""
    failed = [trial for trial in trials if trial.errors]
    lines = []
    for trial in failed[:MAX_NAMED]:
        causes = {}
        for split, error in trial.errors.items():
            causes.setdefault(_cause(error), []).append(str(split))
        for cause, splits in causes.items():
            lines.append(
                f"{_short.repr(trial.params)}, split{'s' * (len(splits) > 1)} "
                f"{', '.join(splits)}: {cause}\n"
            )
    if len(failed) > MAX_NAMED:
        lines.append(f"and {len(failed) - MAX_NAMED} more candidates, see trials_\n")
    return "".join(lines)


def _cause(error):
    """Find the first line of the message that ends a traceback."""
    lines = error.rpartition("Traceback (most recent call last):\n")[2].splitlines()
    return next((line for line in lines if not line.startswith(" ")), error)


_short = reprlib.Repr()
_short.maxdict = 10
_short.maxstring = _short.maxother = 60
