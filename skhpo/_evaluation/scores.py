"""What a scorer gives: real numbers, or an error that says for which fit it gave none.

What may fail and what becomes of it is scikit-learn's; added are the candidate and the
split in the message, and the values that its searches would trip over at their end.
"""

import reprlib
import signal
import warnings
from traceback import format_exc

from skhpo._sklearn import MultimetricScorer, score
from skhpo.trial import shortened

# How scikit-learn, 1.6 to 1.9, begins when a score is no number.
_NO_NUMBER = "scoring must return a number"


def real_scores(estimator, part, scorer, error_score, unit):
    """Score a fitted estimator on one part of a split.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    part : Part
        Data and score parameters.
    scorer : callable
        As made by scikit-learn's ``check_scoring``, or the user's own.
    error_score : "raise" or float
        Score if the scorer raises, or calls ``sys.exit``.
    unit : Unit
        What was fitted, for messages.

    Returns
    -------
    scores : float or dict of str to float
        A dict where there are several metrics.

    Raises
    ------
    ValueError
        If a score is no real number that a float can hold.
    RuntimeError
        If the scorer calls ``sys.exit`` and `error_score` is "raise".
    """
    try:
        scores = score(estimator, part.X, part.y, scorer, part.params, error_score)
    except SystemExit as error:
        if from_signal(error):
            raise
        if error_score == "raise":
            raise exit_error(error, "scoring", unit) from error
        warnings.warn(
            "Scoring failed. The score on this train-test partition for these "
            f"parameters will be set to {error_score}. Details: \n{format_exc()}",
            UserWarning,
            stacklevel=2,
        )
        return error_scores(scorer, error_score)
    except ValueError as error:
        if str(error).startswith(_NO_NUMBER):
            raise ValueError(f"{error} It scored {_place(unit)}.") from error
        raise
    if not isinstance(scores, dict):
        return _real(scores, scorer, unit)
    if not scores:
        raise ValueError(
            f"scoring returned an empty dict for {_place(unit)}; need a number for "
            "each metric."
        )
    return {name: _real(value, name, unit) for name, value in scores.items()}


def error_scores(scorer, error_score):
    """Give the scores of what failed, by name as far as `scorer` tells the names."""
    if isinstance(scorer, MultimetricScorer):
        return dict.fromkeys(scorer._scorers, error_score)
    return error_score


def exit_error(error, what, unit):
    """Make an error of a SystemExit, which would end the process without a word.

    Parameters
    ----------
    error : SystemExit
        As raised by ``sys.exit``.
    what : str
        What was going on.
    unit : Unit
        What was fitted.

    Returns
    -------
    error : RuntimeError
        It names the candidate.
    """
    # Not its ``code``, which is lost where pickling of exceptions has been replaced.
    code = ", ".join(map(repr, error.args))
    return RuntimeError(f"sys.exit({code}) was called in {what} {_place(unit)}.")


def from_signal(error):
    """Tell whether an exit was asked for by a handler of a signal, not by the fit.

    Programs that end tidily on SIGTERM do it so; they are meant to end.
    """
    handlers = map(signal.getsignal, signal.valid_signals())
    codes = {getattr(handler, "__code__", None) for handler in handlers}
    frame = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code in codes:
            return True
        frame = frame.tb_next
    return False


def _real(value, scorer, unit):
    """Make Fraction, Decimal and their like a float; refuse what is not real."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"{_NO_NUMBER}, got {reprlib.repr(value)} ({type(value)}) instead of a "
            f"real one within float's range. (scorer={scorer}) It scored "
            f"{_place(unit)}."
        ) from None
    return value if isinstance(value, float | int) else number


def _place(unit):
    return f"{shortened(unit.params)}, split {unit.split}"
