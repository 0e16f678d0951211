"""Losses and slopes between candidates, by solves of our own on the same data."""

import time

from skhpo._evaluation.prefix import n_bytes_of
from skhpo._evaluation.trust import cannot_write

# Data of all splits that looks may keep in the main process.
MAX_LOOKED_BYTES = 2**29


def look_from(evaluator, params, derivatives, *, is_short=False, deadline=None):
    """Begin to look at other values of parameters, by solves instead of fits.

    Called in the main thread, between candidates.

    Parameters
    ----------
    evaluator : Evaluator
        Has the data, and what differentiates.
    params : dict of str to object
        Of a candidate.
    derivatives : sequence of (Derivative or None)
        What `differentiate` has given for its splits.
    is_short : bool, default=False
        Whether so few rows are to come that only looks which cost little are worth it.
    deadline : float, default=None
        When to stop, by ``time.monotonic``.

    Returns
    -------
    look : callable or None
        ``look(values, n_splits=None)`` gives a derivative for each of the first splits
        at other values of some parameters that can be differentiated; None where there
        is no solution to be found, and none of them after the deadline. None if it
        would take fits.
    """
    if any(d is None or d.solution is None for d in derivatives):
        return None
    if not cannot_write(evaluator.candidate(params)):
        return None  # its fits may see other data than it is given here
    paths, n_bytes = [], 0
    for split, derivative in enumerate(derivatives):
        model, train, test, before = _parts(evaluator, params, split)
        n_bytes += n_bytes_of(train.X) + n_bytes_of(test.X)
        if n_bytes > MAX_LOOKED_BYTES:
            return None
        path = evaluator.differentiate.path(
            model, train, test, before, derivative.solution
        )
        if path is None or (is_short and path.costly):
            return None
        n_bytes += path.n_bytes
        if n_bytes > MAX_LOOKED_BYTES:
            return None
        if paths:
            path.guide = paths[0][1]
        paths.append((before, path))

    def look(values, n_splits=None):
        found = []
        for before, path in paths[:n_splits]:
            if deadline is not None and time.monotonic() >= deadline:
                return []
            own = {name.removeprefix(before): v for name, v in values.items()}
            derivative = path.at(own)
            if derivative is None:
                return None
            slopes = {before + n: s for n, s in derivative.slopes.items()}
            found.append(derivative._replace(slopes=slopes))
        return found

    return look


def complete(evaluator, params, derivatives, *, deadline=None):
    """Find the slopes of a candidate whose derivatives have none, without a fit.

    Parameters
    ----------
    evaluator : Evaluator
        Has the data, and what differentiates.
    params : dict of str to object
        Of the candidate.
    derivatives : sequence of (Derivative or None)
        What `differentiate` has given for its splits.
    deadline : float, default=None
        When to stop, by ``time.monotonic``.

    Returns
    -------
    derivatives : list of (Derivative or None), or None
        As `differentiate` gives them where slopes are needed; None after the deadline.
    """
    found = []
    for split, derivative in enumerate(derivatives):
        if deadline is not None and time.monotonic() >= deadline:
            return None
        if derivative is not None and derivative.solution and not derivative.slopes:
            model, train, test, before = _parts(evaluator, params, split)
            derivative = evaluator.differentiate.at_solution(
                model, train, test, before, derivative.solution
            )
        found.append(derivative)
    return found


def _parts(evaluator, params, split):
    """Give a model, not fitted, the parts of a split, and what stands before it."""
    candidate = evaluator.candidate(params)  # steps in front of it may be fitted
    share = evaluator.splits.may_share(candidate) and evaluator.scorer_cannot_write
    train = evaluator.splits.train((split, 1.0), candidate, share=share)
    test = evaluator.splits.test((split, 1.0), candidate, share=share)
    if evaluator.prefix is None:
        return candidate, train, test, ""
    stripped = evaluator.prefix.features(split, candidate, train, test)
    if stripped is None:
        return candidate, train, test, ""
    return *stripped, evaluator.prefix.before
