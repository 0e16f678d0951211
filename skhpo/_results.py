"""Trials -> ``cv_results_``, and the report of fits that failed."""

import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
from scipy.stats import rankdata
from sklearn.exceptions import FitFailedWarning

from skhpo.trial import shortened

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
        for result in trial.done.values()
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
                f"scoring returned {scores!r} for {shortened(trial.params)}, split "
                f"{split}, but a dict with {list(named)} elsewhere; it must return the "
                "same metrics for every fit."
            )
        return dict.fromkeys(named, error_score)

    return [
        replace(
            trial,
            splits=tuple(
                result
                and replace(
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


def tabulate(trials, n_splits, format_results, *, limited=False):
    """Lay out the trials as scikit-learn's ``cv_results_``.

    Parameters
    ----------
    trials : list of Trial
        At least one with all its splits.
    n_splits : int
        Number of splits.
    format_results : callable
        scikit-learn's own ``_format_results``.
    limited : bool, default=False
        Whether a limit was set: then there are the columns ``status`` and
        ``n_splits_done``, and trials may be cut off. They stand behind the others.

    Returns
    -------
    results : dict of str to (masked) array or list
        One row for each trial.
    """
    complete = [trial for trial in trials if not trial.cut_off]
    results = _format(complete, n_splits, format_results)
    if limited:
        if len(complete) < len(trials):
            results = _with_parts(results, trials, n_splits, format_results)
        results["status"] = np.array([trial.status for trial in trials])
        results["n_splits_done"] = np.array([trial.n_splits_done for trial in trials])
    rungs = [trial.candidate.rung for trial in trials]
    if None not in rungs:
        results["iter"] = np.array([rung.iteration for rung in rungs])
        results["n_resources"] = np.array([rung.n_resources for rung in rungs])
        if any(rung.bracket for rung in rungs):
            results["bracket"] = np.array([rung.bracket for rung in rungs])
        _rank_by_resources(results, rows_with_all_splits(trials))
        _warn_of_useless_top(results, rows_of_complete(trials))
    return results


def _rank_by_resources(results, rows):
    """Let those with more of the resource rank first: their scores do not compare."""
    n_resources = results["n_resources"][rows]
    for name, ranks in results.items():
        if not name.startswith("rank_test_"):
            continue
        of_rows, n_before = ranks[rows], 0
        new = np.empty_like(of_rows)
        for level in np.unique(n_resources)[::-1]:
            there = n_resources == level
            new[there] = n_before + rankdata(of_rows[there], method="min")
            n_before += there.sum()
        ranks[rows] = new


def _warn_of_useless_top(results, rows):
    """Say where only scores with less of the resource are known."""
    for name, means in results.items():
        if not name.startswith("mean_test_") or np.isnan(means).all():
            continue
        if np.isnan(means[rows]).all():
            warnings.warn(
                f"{name} is nan for all {len(rows)} candidates with the most of the "
                f"resource, {results['n_resources'][rows[0]]}, so none is better than "
                "another, though with less there are scores; see trials_ and the "
                "split*_test_* of cv_results_ for where the nan come from.",
                UserWarning,
                stacklevel=2,
            )


def rows_with_all_splits(trials):
    """Tell which rows of the table hold candidates with all their splits."""
    return [row for row, trial in enumerate(trials) if not trial.cut_off]


def rows_of_complete(trials):
    """Tell which rows of the table hold candidates that may be the best.

    Parameters
    ----------
    trials : list of Trial
        All of them.

    Returns
    -------
    rows : list of int
        Of those with all splits; of these, with the most of a resource.
    """
    rows = rows_with_all_splits(trials)
    rungs = {row: trials[row].candidate.rung for row in rows}
    if None in rungs.values() or not rows:
        return rows
    most = max(rung.n_resources for rung in rungs.values())
    return [row for row in rows if rungs[row].n_resources == most]


def complete_rows(results, trials):
    """Leave the rows out that lack splits, or have less of a resource than others.

    Parameters
    ----------
    results : dict of str to (masked) array or list
        As tabulated.
    trials : list of Trial
        The same ones.

    Returns
    -------
    results : dict of str to (masked) array or list
        Ranks are as before: those without all splits come last.
    """
    rows = rows_of_complete(trials)
    return {
        name: [column[row] for row in rows]
        if isinstance(column, list)
        else column[np.array(rows, dtype=int)]
        for name, column in results.items()
    }


def _format(trials, n_splits, format_results):
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
            f"{key} is inf for {', '.join(map(shortened, infinite[:MAX_NAMED]))}"
            f"{more}, which ranks before every finite score; scores should be finite.",
            UserWarning,
            stacklevel=2,
        )


# Columns that no candidate has which was cut off; a metric may be called "a_time".
_OF_SCORES = ("mean_test_", "std_test_", "mean_train_", "std_train_")


def _with_parts(results, trials, n_splits, format_results):
    """Add rows for the trials that lack some splits.

    Their scores have no mean, as those of the others are means over other splits, and
    they rank last. Their times are those of the splits that they have.
    """
    rows = rows_with_all_splits(trials)
    filled = [_fill(trial) for trial in trials]
    with warnings.catch_warnings():
        # What is to be said of the complete ones has been said.
        warnings.simplefilter("ignore")
        every = _format(filled, n_splits, format_results)
    for name, column in every.items():
        if name == "params" or name.startswith("param_"):
            continue
        if name.startswith("rank_"):
            column[:] = len(rows) + 1
        elif name.startswith(_OF_SCORES):
            column[:] = np.nan
        elif name.startswith("split"):
            number = int(name.removeprefix("split").partition("_")[0])
            missing = [trial.splits[number] is None for trial in trials]
            column[missing] = np.nan
        column[rows] = results[name]
    for row, trial in enumerate(trials):
        if trial.cut_off:
            for name in ("fit_time", "score_time"):
                times = [getattr(result, name) for result in trial.done.values()]
                every[f"mean_{name}"][row] = np.mean(times)
                every[f"std_{name}"][row] = np.std(times)
    return every


def _fill(trial):
    """Put one of its results in the place of those that a trial lacks."""
    if not trial.cut_off:
        return trial
    one = next(iter(trial.done.values()))
    return replace(trial, splits=tuple(split or one for split in trial.splits))


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
    if errors and all(r.limit is not None for t in trials for r in t.done.values()):
        raise ValueError(
            f"\nAll the {n_fits} fits failed: every one took longer than fit_timeout. "
            f"Give them more time.\n{details}"
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
                f"{shortened(trial.params)}, split{'s' * (len(splits) > 1)} "
                f"{', '.join(splits)}: {cause}\n"
            )
    if len(failed) > MAX_NAMED:
        lines.append(f"and {len(failed) - MAX_NAMED} more candidates, see trials_\n")
    return "".join(lines)


def _cause(error):
    """Find the first line of the message that ends a traceback."""
    lines = error.rpartition("Traceback (most recent call last):\n")[2].splitlines()
    return next((line for line in lines if not line.startswith(" ")), error)
