"""What to do about a value that scikit-learn refuses."""

import difflib
import reprlib
from contextlib import contextmanager

from sklearn.metrics import get_scorer_names


@contextmanager
def hint_at_scorers(scoring):
    """Add to an error within the block which scorers misspelt names mean.

    Parameters
    ----------
    scoring : object
        As the user gave it: a name, or names in a list, tuple, set or dict.
    """
    try:
        yield
    except ValueError as error:
        if hint := _scoring_hint(scoring):
            error.args = (f"{error}{hint}",)
        raise


@contextmanager
def hint_at_parameters(hints):
    """Add to scikit-learn's error about a parameter within the block what to do.

    Parameters
    ----------
    hints : dict of str to str
        A sentence for each parameter.
    """
    try:
        yield
    except ValueError as error:
        for name, hint in hints.items():
            if str(error).startswith(f"The {name!r} parameter of "):
                error.args = (f"{error} {hint}",)
        raise


def _scoring_hint(scoring):
    """Write two sentences for each name that is nearly a scorer, with a space before.

    Examples
    --------
    >>> _scoring_hint("acuracy")
    " 'acuracy' is no scorer. Did you mean 'accuracy'?"
    >>> _scoring_hint(["accuracy", "r2"])
    ''
    """
    if isinstance(scoring, dict):
        scoring = scoring.values()
    elif not isinstance(scoring, list | tuple | set):
        scoring = [scoring]
    known = get_scorer_names()
    hint = ""
    for name in scoring:
        if not isinstance(name, str) or name in known:
            continue
        if closest := _closest(name.lower().replace(" ", "_"), known):
            shown = reprlib.repr(name)
            hint += f" {shown} is no scorer. Did you mean {closest!r}?"
    return hint


def _closest(name, known):
    # An error or loss has the same name elsewhere, without the sign.
    for candidate in (name, f"neg_{name}"):
        if candidate in known:
            return candidate
    return next(iter(difflib.get_close_matches(name, known, n=1)), None)
