"""A look into a checkpoint file, whether or not a search is writing to it."""

import os

import numpy as np

from skhpo.checkpoint._files import read_file
from skhpo.trial import Candidate, Trial

_MAX_NAMED = 5


def read_checkpoint(path):
    """Read what a search has recorded so far.

    Another process may be writing at the same time. Nothing is run, and no object is
    made but texts and numbers.

    Parameters
    ----------
    path : str or path-like
        The file; ``~`` is the home folder.

    Returns
    -------
    results : dict of str to list or ndarray
        One row for each candidate, in the order in which they were begun, much as
        ``cv_results_``: ``params``, where values other than numbers, texts and None are
        described; ``status``, "complete", "failed" or "timeout" as there, or
        "incomplete" if fits have not ended, whether or not they are under way, or ever
        will be: which candidates were raced is not in the file;
        ``n_splits_done``; ``split0_test_score`` and so on, or
        ``split0_test_<metric>``, NaN where a fit has not ended; ``mean_test_score`` or
        ``mean_test_<metric>``, NaN unless all have; ``mean_fit_time`` and
        ``mean_score_time`` of those that have, in seconds; and ``error``, the traceback
        of the first fit that failed, or None.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is a folder, damaged, or no checkpoint.
    """
    path = os.path.expanduser(os.fsdecode(path))
    if os.path.isdir(path):
        raise _is_folder(path)
    content = read_file(path)
    if content is None:
        return _table([], {}, 0)
    n_splits = content.header["n_splits"]
    if n_splits is None:
        n_splits = 1 + max((split for _, split in content.results), default=-1)
    return _table(content.candidates, content.results, n_splits)


def _is_folder(path):
    names = sorted(name for name in os.listdir(path) if name.endswith(".jsonl"))
    named = ", ".join(f"'{name}'" for name in names[:_MAX_NAMED])
    more = ", ..." if len(names) > _MAX_NAMED else ""
    return ValueError(
        f"'{path}' is a folder; name one of its {len(names)} checkpoints: {named}{more}"
        if names
        else f"'{path}' is a folder without checkpoints; name a file."
    )


def _table(candidates, results, n_splits):
    """Lay out results by candidate and split."""
    rows = [
        {
            split: results[key, split]
            for split in range(n_splits)
            if (key, split) in results
        }
        for key, _ in candidates
    ]
    n_done = np.array([len(row) for row in rows], dtype=int)
    table = {
        "params": [params for _, params in candidates],
        "status": [_status(row, n_splits) for row in rows],
        "n_splits_done": n_done,
    }
    for time in ("fit_time", "score_time"):
        values = [[getattr(result, time) for result in row.values()] for row in rows]
        table[f"mean_{time}"] = _floats(np.mean(v) if v else np.nan for v in values)
    for metric in _metrics(rows):
        columns = [
            _floats(_score(row.get(split), metric) for row in rows)
            for split in range(n_splits)
        ]
        for split, column in enumerate(columns):
            table[f"split{split}_test_{metric}"] = column
        # NaN where one is missing, as of failed fits.
        table[f"mean_test_{metric}"] = np.mean(columns, axis=0) if columns else []
    errors = ([r.error for r in row.values() if r.error is not None] for row in rows)
    table["error"] = [texts[0] if texts else None for texts in errors]
    return table


def _status(row, n_splits):
    if not row or len(row) < n_splits:
        return "incomplete"
    return Trial(0, Candidate({}), tuple(row.values()), 0).status


def _metrics(rows):
    """List the metrics; "score" if they have no names."""
    scores = [result.test_scores for row in rows for result in row.values()]
    named = [name for score in scores if isinstance(score, dict) for name in score]
    return list(dict.fromkeys(named)) or ["score"]


def _score(result, metric):
    if result is None:
        return np.nan
    scores = result.test_scores
    # A failed fit does not know the names of the metrics: its score is for all.
    return scores.get(metric, np.nan) if isinstance(scores, dict) else scores


def _floats(values):
    return np.fromiter(map(float, values), dtype=float)
