"""What ``racing`` means for a search: a rule, and the metric that it looks at."""

import numbers

from skhpo._engine import Race
from skhpo._search.maxima import maximum_of
from skhpo._sklearn import MultimetricScorer, StrOptions
from skhpo.racing import RULES, Bound

RACING = [StrOptions({*RULES}), callable, None]

# Scores may exceed their maximum by rounding.
_SLACK = 1e-9


def make_race(search, scorer, n_splits, strategy):
    """Build what gives candidates up; called before any fit.

    Parameters
    ----------
    search : BaseSearch
        Its ``racing``, if it has that parameter, and what decides in it.
    scorer : callable
        Of the search.
    n_splits : int
        Number of splits.
    strategy : Strategy
        It has the space.

    Returns
    -------
    race : Race or None
        None if every candidate is evaluated on all splits.

    Raises
    ------
    ValueError
        If the rule cannot be used in this search.
    """
    racing = getattr(search, "racing", None)
    if racing is None:
        return None
    metric = search.refit if isinstance(search.refit, str) else None
    if isinstance(scorer, MultimetricScorer):
        if metric is None:
            raise ValueError(
                f"racing = {racing!r} needs to know which of several metrics decides, "
                f"and refit = {search.refit!r} names none. Give the name of one as "
                "refit, or leave racing out."
            )
        scorer = scorer._scorers[metric]
    rule = _rule(racing, search, scorer, strategy)
    least = getattr(rule, "min_splits", 1)
    if isinstance(least, bool) or not isinstance(least, numbers.Integral) or least < 1:
        raise ValueError(
            f"racing = {racing!r} has min_splits = {least!r}, which must be an int of "
            "at least 1."
        )
    if n_splits <= least:
        raise ValueError(
            f"racing = {racing!r} judges candidates after {least} of their splits, and "
            f"cv gives {n_splits}: nothing is left to save. Use at least {least + 1} "
            "splits, or leave racing out."
        )
    return Race(rule, metric)


def _rule(racing, search, scorer, strategy):
    """Find the rule that is meant."""
    if isinstance(racing, type):
        raise ValueError(
            f"racing = {racing.__name__} is a class; give an instance of it: "
            f"{racing.__name__}(...)."
        )
    if not isinstance(racing, str):
        return racing
    if racing != "bound":
        return RULES[racing]()
    names = set().union(*strategy.space.branches)
    maximum = maximum_of(scorer, search.estimator, names)
    if maximum is None:
        raise ValueError(
            f"racing = 'bound' needs the largest score that the metric can give, which "
            f"is not known of scoring = {search.scoring!r} ({scorer!r}). Give it: "
            "racing=skhpo.racing.Bound(maximum=...), or another rule."
        )
    if isinstance(search.error_score, numbers.Real):
        # What fails gets it, and may be the best for it. NaN leaves the maximum.
        maximum = max(maximum, search.error_score)
    if maximum == float("inf"):
        raise ValueError(
            "racing = 'bound' needs scores that have a maximum, and what fails gets "
            "error_score = inf. Give a finite one, or another rule."
        )
    return Bound(maximum + _SLACK)
