"""Ask, evaluate and tell until there is a reason to stop."""

import threading
import time
from contextlib import nullcontext
from typing import NamedTuple

from joblib import Parallel, effective_n_jobs
from joblib.parallel import get_active_backend

from skhpo._engine.executors import run_inline, run_parallel, run_watched
from skhpo._engine.schedule import INTERRUPTED, Place, Schedule
from skhpo._engine.threads import one_thread
from skhpo.trial import TIMED_OUT

# A fit that was begun so often, and never ended, may be what kills the process.
MAX_BEGUN = 3


class Outcome(NamedTuple):
    """What a search has found.

    Parameters
    ----------
    trials : list of Trial
        In the order in which they were proposed; after a timeout with those that were
        cut off.
    reason : str
        Why the search ended.
    interruption : KeyboardInterrupt, SystemExit or None
        What ended it, to be raised again.
    """

    trials: list
    reason: str
    interruption: BaseException | None = None


def run(
    strategy,
    evaluator,
    *,
    n_splits,
    n_jobs=None,
    pre_dispatch="2*n_jobs",
    new_context=None,
    on_trial=None,
    timeout=None,
    fit_timeout=None,
    journal=None,
    race=None,
):
    """Ask, evaluate and tell until there is a reason to stop.

    Parameters
    ----------
    strategy : Strategy
        Proposes candidates.
    evaluator : Evaluator
        Fits and scores them.
    n_splits : int
        Number of splits; each candidate is evaluated on all of them, unless it is
        raced.
    n_jobs : int or None
        As in scikit-learn. Results do not depend on it.
    pre_dispatch : int or str
        As in joblib. "all" is taken as "2*n_jobs", as tasks are cut while others run;
        so is everything where candidates depend on trials.
    new_context : callable, default=None
        ``new_context(number, params, split, detached)`` gives the place where
        callbacks are told about a fit, or None. Detached ones can be pickled while
        others are being made.
    on_trial : callable, default=None
        ``on_trial(trial, recalled)`` is called in the main thread with each complete
        or raced trial, in their order, with those behind one that was cut off at the
        end; recalled if no fit was made for it now.
    timeout, fit_timeout : float or None, default=None
        Seconds for the search and for one fit. With either, fits run in processes that
        can be killed.
    journal : Journal, default=None
        Has the results of fits that were made before, and records those made now.
    race : Race, default=None
        Gives candidates up before all their splits.

    Returns
    -------
    outcome : Outcome
        Trials, and why there are no more.

    Raises
    ------
    ValueError
        If a limit is set and the workers of the active backend cannot be killed.
    """
    start = time.monotonic()
    n_workers = effective_n_jobs(n_jobs)
    backend, _ = get_active_backend()
    ours = type(backend).__module__.startswith("joblib._parallel")
    watched = timeout is not None or fit_timeout is not None
    if watched and not ours:
        name, limit = ("fit_timeout", fit_timeout)
        if timeout is not None:
            name, limit = "timeout", timeout
        raise ValueError(
            f"{name} = {limit!r} cannot be kept on the joblib backend "
            f"{type(backend).__name__}, whose workers are not ours to kill. Leave it "
            "out, or use one of joblib's own backends."
        )
    # Something has killed earlier runs; it shall not kill this one.
    watched |= ours and journal is not None and journal.most_begun >= MAX_BEGUN
    place = Place.PROCESSES
    if not watched:
        if ours and n_workers == 1:
            place = Place.INLINE
        elif getattr(backend, "supports_sharedmem", False):
            place = Place.THREADS
    schedule = Schedule(
        strategy,
        evaluator,
        place=place,
        n_splits=n_splits,
        n_workers=n_workers,
        new_context=new_context,
        on_trial=on_trial,
        journal=journal,
        fit_timeout=fit_timeout,
        deadline=None if timeout is None else start + timeout,
        race=race,
    )
    feeds_back = strategy.max_pending is not None
    main = threading.current_thread() is threading.main_thread()
    # Fits in other threads would have one while the strategy computes, and more while
    # it does not: the last bits of their scores would be a matter of chance.
    throughout = feeds_back and (place is Place.THREADS or not main)
    with one_thread() if throughout else nullcontext():
        interruption = None
        try:
            if watched:
                run_watched(schedule, evaluator, n_workers, fit_timeout)
            elif place is Place.INLINE:
                run_inline(schedule, evaluator)
            else:
                if feeds_back or race is not None or pre_dispatch == "all":
                    # It is not used, but joblib says if it is nonsense.
                    Parallel(2, backend="threading", pre_dispatch=pre_dispatch)(())
                    pre_dispatch = "2*n_jobs"
                run_parallel(schedule, evaluator, n_workers, pre_dispatch)
        except (KeyboardInterrupt, SystemExit) as exception:
            interruption = exception
            schedule.end(INTERRUPTED)
        finally:
            schedule.let_go(schedule.in_flight)
        trials = schedule.finish(keep_parts=schedule.reason == TIMED_OUT)
    return Outcome(trials, schedule.reason or strategy.exhausted_reason, interruption)
