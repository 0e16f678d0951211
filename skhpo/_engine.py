"""The loop: ask, evaluate, tell, stop.

One thread asks and tells; units of work wait in a queue that workers' tasks are cut
from. A candidate is proposed from exactly the trials that lie ``max_pending`` back, so
what happens is a function of the strategy and the data, not of the workers' timing.
This module is the only reader of ``n_jobs``, and knows no parameter names.
"""

import threading
import time
from collections import deque
from contextlib import contextmanager, nullcontext
from functools import cache

from joblib import effective_n_jobs, parallel_config
from joblib.parallel import get_active_backend
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import ThreadpoolController  # scikit-learn depends on it

from skhpo._evaluation.fit import Unit
from skhpo._evaluation.transport import pack, unpack
from skhpo.trial import Trial

STOPPED_BY_CALLBACK = "stopped by a callback"

# Where nothing is fed back, a task is cut to last about so long: below, sending it
# costs more than it does; above, workers wait for one another at the end.
TASK_SECONDS = 0.15

# What a worker does when every proposal waits for a result.
NAP_SECONDS = 0.005


def run(
    strategy,
    evaluator,
    *,
    n_splits,
    n_jobs=None,
    pre_dispatch="2*n_jobs",
    new_context=None,
    on_trial=None,
):
    """Ask, evaluate and tell until there is a reason to stop.

    Parameters
    ----------
    strategy : Strategy
        Proposes candidates.
    evaluator : Evaluator
        Fits and scores them.
    n_splits : int
        Number of splits; each candidate is evaluated on all of them.
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
        Called in the main thread with each trial when it is finished, in their order.

    Returns
    -------
    trials : list of Trial
        In the order in which they were proposed.
    reason : str
        Why the search ended.
    """
    n_workers = effective_n_jobs(n_jobs)
    backend, _ = get_active_backend()
    in_process = getattr(backend, "supports_sharedmem", False)
    inline = n_workers == 1 and type(backend).__module__.startswith("joblib._parallel")
    schedule = _Schedule(
        strategy,
        evaluator,
        n_splits=n_splits,
        n_workers=n_workers,
        new_context=new_context,
        on_trial=on_trial,
        lookahead=1 if inline else 64,
        detached=not (inline or in_process),
        one_thread=inline or not in_process,
    )
    if inline:
        _run_inline(schedule, evaluator)
    else:
        if strategy.max_pending is not None or pre_dispatch == "all":
            pre_dispatch = "2*n_jobs"
        _run_parallel(schedule, _task_maker(evaluator, backend), n_jobs, pre_dispatch)
    schedule.finish()
    return schedule.trials, schedule.reason or strategy.exhausted_reason


class _Schedule:
    """What has been proposed, what waits, what is finished.

    For the main thread only, but for :meth:`take`, which joblib may call from another.
    """

    def __init__(
        self,
        strategy,
        evaluator,
        *,
        n_splits,
        n_workers,
        new_context,
        on_trial,
        lookahead,
        detached,
        one_thread,
    ):
        self.trials = []
        self.reason = None
        self.queue = deque()
        self._strategy = strategy
        self._evaluator = evaluator
        self._n_splits = n_splits
        self._n_workers = n_workers
        self._new_context = new_context
        self._on_trial = on_trial
        self._lookahead = lookahead
        self._detached = detached
        self._feeds_back = strategy.max_pending is not None
        self._one_thread = one_thread and self._feeds_back
        self._exhausted = False
        self._n_asked = 0
        self._n_told = 0
        self._open = deque()  # proposed and not finished, in order
        self._pending = {}  # the same by number, if they are evaluated themselves
        self._first = {}  # key -> number of the candidate that had it first
        self._unit_seconds = None
        self._task_size = 1

    @property
    def ended(self):
        """Whether no unit will be added to the queue any more."""
        return self._exhausted or self.reason is not None

    def fill(self):
        """Propose candidates until enough units wait, as far as the lag allows."""
        # Results are read in order, so one long fit may hold up many finished ones:
        # the queue has to last until then.
        n_wanted = self._n_workers * max(self._lookahead, 4 * self._task_size)
        while len(self.queue) < n_wanted and not self.ended:
            n = self._n_allowed(n_wanted)
            if n == 0:
                break
            with _on_its_own(self._one_thread):
                candidates = self._strategy.ask(n)
            self._exhausted = not candidates
            for candidate in candidates:
                self._add(candidate)
            self._close()

    def _n_allowed(self, n_wanted):
        if not self._feeds_back:
            return -(-(n_wanted - len(self.queue)) // self._n_splits)
        n_known = self._n_asked - self._strategy.max_pending + 1
        if n_known > len(self.trials):
            return 0
        if n_known > self._n_told:
            with _on_its_own(self._one_thread):
                self._strategy.tell(self.trials[self._n_told : n_known])
            self._n_told = n_known
        return 1

    def _add(self, candidate):
        number = self._n_asked
        self._n_asked += 1
        group = number
        if candidate.key is not None:
            group = self._first.setdefault(candidate.key, number)
            if group != number and not self._evaluator.repeats_itself(candidate.params):
                group = number
        entry = _Entry(number, candidate, group, [None] * self._n_splits)
        self._open.append(entry)
        if group == number:
            self._pending[number] = entry
            self.queue.extend(
                self._unit(entry, split) for split in range(self._n_splits)
            )

    def _unit(self, entry, split):
        params, context = entry.candidate.params, None
        if self._new_context is not None:
            context = self._new_context(entry.number, params, split, self._detached)
        return Unit(entry.number, params, split, context)

    def take(self):
        """Cut the next task from the queue; an empty one if nothing waits."""
        # Towards the end tasks shrink, so that workers end together.
        size = min(self._task_size, -(-len(self.queue) // (4 * self._n_workers)))
        units = []
        while len(units) < size:
            try:
                units.append(self.queue.popleft())
            except IndexError:  # the search has just been stopped
                break
        return units

    def record(self, unit, result):
        """Take in the result of one unit, and finish what is complete."""
        entry = self._pending.get(unit.number)
        if entry is not None:  # else the search ended before this candidate
            entry.results[unit.split] = result
            entry.n_missing -= 1
            self._close()

    def measure(self, n_units, seconds):
        """Learn from a task how many units the next ones should hold."""
        if self._feeds_back or n_units == 0:
            return
        latest = seconds / n_units
        if self._unit_seconds is not None:
            latest = (latest + self._unit_seconds) / 2
        self._unit_seconds = latest
        self._task_size = max(1, int(TASK_SECONDS / max(latest, 1e-6)))

    def _close(self):
        """Turn complete candidates into trials, in the order of their proposal."""
        while self._open and self.reason is None and self._open[0].n_missing == 0:
            entry = self._open.popleft()
            if entry.group == entry.number:
                del self._pending[entry.number]
                splits = tuple(entry.results)
            else:
                splits = self.trials[entry.group].splits
                for number, result in enumerate(splits):
                    self._evaluator.repeat(self._unit(entry, number), result)
            trial = Trial(entry.number, entry.candidate, splits, entry.group)
            self.trials.append(trial)
            if self._on_trial is not None:
                self._on_trial(trial)
            if any(result.stop for result in splits):
                self.reason = STOPPED_BY_CALLBACK
                self.queue.clear()
                self._pending.clear()

    def finish(self):
        """Tell the strategy what it has not been told."""
        with _on_its_own(self._one_thread):
            self._strategy.tell(self.trials[self._n_told :])


@contextmanager
def _on_its_own(one_thread):
    """Keep what a strategy computes apart from the workers of this search.

    A model may use joblib itself. In the active backend it would share its pool with
    the search, and close it at its end.

    The last bits of a product of BLAS depend on its number of threads, and with them
    which of two equally good candidates comes first; so it gets one. That holds for the
    whole process, and is left alone where fits may run in other threads of it, which
    it would change.
    """
    main = threading.current_thread() is threading.main_thread()
    with (
        parallel_config("sequential", n_jobs=1),
        _blas_threads().limit(limits=1) if one_thread and main else nullcontext(),
    ):
        yield


@cache
def _blas_threads():
    """Look for the libraries with threads once; it takes milliseconds."""
    return ThreadpoolController()


class _Entry:
    """A candidate that has been proposed and is not finished."""

    __slots__ = ("candidate", "group", "n_missing", "number", "results")

    def __init__(self, number, candidate, group, results):
        self.number = number
        self.candidate = candidate
        self.group = group
        self.results = results
        self.n_missing = len(results) if group == number else 0


def _run_inline(schedule, evaluator):
    """Evaluate in this thread, unit by unit."""
    schedule.fill()
    while schedule.queue:
        unit = schedule.queue.popleft()
        schedule.record(unit, evaluator.evaluate(unit))
        schedule.fill()


def _run_parallel(schedule, make_task, n_jobs, pre_dispatch):
    options = dict(
        n_jobs=n_jobs,
        pre_dispatch=pre_dispatch,
        batch_size=1,
    )
    try:
        parallel = Parallel(return_as="generator", **options)
    except ValueError:
        # The backend cannot give results one by one.
        _run_rounds(schedule, make_task, Parallel(**options))
    else:
        _run_stream(schedule, make_task, parallel)


def _run_stream(schedule, make_task, parallel):
    """Feed workers from the queue while results come in."""

    def tasks():
        # joblib asks for tasks in whatever thread a result arrives, holding its lock:
        # this may neither compute nor wait.
        while schedule.queue or not schedule.ended:
            units = schedule.take()
            yield make_task(units) if units else delayed(_nap)()

    schedule.fill()
    for task in parallel(tasks()):
        _record(schedule, *task)
        schedule.fill()


def _run_rounds(schedule, make_task, parallel):
    """Empty the queue, wait for all results, fill it again."""
    with parallel:
        while True:
            schedule.fill()
            if not schedule.queue:
                break
            tasks = []
            while units := schedule.take():
                tasks.append(make_task(units))
            for task in parallel(tasks):
                _record(schedule, *task)


def _record(schedule, units, results, seconds):
    schedule.measure(len(units), seconds)
    for unit, result in zip(units, results, strict=True):
        schedule.record(unit, result)


def _task_maker(evaluator, backend):
    """Choose how `evaluator` travels with the tasks of this backend."""
    if getattr(backend, "supports_sharedmem", False):
        return lambda units: delayed(_evaluate)(units, evaluator)
    arrays = pack(evaluator)
    client = getattr(backend, "client", None)
    if client is not None:
        # dask: one copy on each worker, so that losing a worker loses no data, as
        # joblib's own scattering (one copy in all) would. Plain arrays, since a class
        # that the workers cannot import would hang the scattering.
        arrays = client.scatter(arrays, broadcast=True, hash=False)
    return lambda units: delayed(_evaluate_packed)(units, *arrays)


def _evaluate(units, evaluator):
    start = time.perf_counter()
    results = [evaluator.evaluate(unit) for unit in units]
    return _without_context(units), results, time.perf_counter() - start


def _evaluate_packed(units, *arrays):
    return _evaluate(units, unpack(arrays))


def _without_context(units):
    return [unit._replace(params=None, context=None) for unit in units]


def _nap():
    time.sleep(NAP_SECONDS)
    return (), (), 0.0
