"""What a name that scikit-learn does not know most likely means."""

import difflib
import reprlib
from contextlib import contextmanager

from sklearn.metrics import get_scorer_names


@contextmanager
def hint_at_scorers(scoring, what="scoring"):
    """Add to an error within the block which scorers misspelt names mean.

    Parameters
    ----------
    scoring : object
        As the user gave it: a name, or names in a list, tuple, set or dict.
    what : str, default="scoring"
        What messages call the parameter that held it.
    """
    try:
        yield
    except ValueError as error:
        error.args = (f"{error}{_scoring_hint(scoring, what)}",)
        raise


def _scoring_hint(scoring, what="scoring"):
    """Write a sentence or two for each name that is no scorer, with a space before.

    Examples
    --------
    >>> _scoring_hint("acuracy")
    " scoring = 'acuracy' is no scorer. Did you mean 'accuracy'?"
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
        if isinstance(name, str) and name not in known:
            hint += f" {what} = {reprlib.repr(name)} is no scorer."
            if closest := _closest(name.lower().replace(" ", "_"), known):
                hint += f" Did you mean {closest!r}?"
    return hint


def _closest(name, known):
    # An error or loss has the same name elsewhere, without the sign.
    for candidate in (name, f"neg_{name}"):
        if candidate in known:
            return candidate
    return next(iter(difflib.get_close_matches(name, known, n=1)), None)
