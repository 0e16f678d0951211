"""The loop: ask, evaluate, tell, stop.

One thread asks and tells; units of work wait in a queue that workers' tasks are cut
from. A candidate is proposed from exactly the trials that lie ``max_pending`` back, so
what happens is a function of the strategy and the data, not of the workers' timing.
This module is the only reader of ``n_jobs``, and knows no parameter names.
"""

import threading
import time
import warnings
from collections import Counter, deque
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from typing import NamedTuple

from joblib import effective_n_jobs, parallel_config
from joblib.externals.loky.process_executor import BrokenProcessPool
from joblib.parallel import get_active_backend
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import ThreadpoolController  # scikit-learn depends on it

from skhpo._evaluation.fit import Unit
from skhpo._evaluation.isolate import Workers, die_with_parent
from skhpo._evaluation.transport import pack, unpack
from skhpo.trial import Trial

STOPPED_BY_CALLBACK = "stopped by a callback"
TIMED_OUT = "timeout reached"
INTERRUPTED = "interrupted"

# A fit that was begun so often, and never ended, may be what kills the process.
MAX_BEGUN = 3

# Where nothing is fed back, a task is cut to last about so long: below, sending it
# costs more than it does; above, workers wait for one another at the end.
TASK_SECONDS = 0.15

# Units of a task where each finished task is recorded.
MAX_RECORDED_SIZE = 2

# What a worker does when every proposal waits for a result.
NAP_SECONDS = 0.005


class Outcome(NamedTuple):
    """What a search has found.

    Parameters
    ----------
    trials : list of Trial
        In the order in which they were proposed. Those that were cut off by a limit
        are among them, if there are limits.
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
        ``on_trial(trial, recalled)`` is called in the main thread with each complete
        trial, in their order, with those behind one that was cut off at the end;
        recalled if no fit was made for it now.
    timeout, fit_timeout : float or None, default=None
        Seconds for the search and for one fit. With either, fits run in processes that
        can be killed.
    journal : Journal, default=None
        Has the results of fits that were made before, and records those made now.

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
    limited = timeout is not None or fit_timeout is not None
    if limited and not ours:
        name, limit = ("fit_timeout", fit_timeout)
        if timeout is not None:
            name, limit = "timeout", timeout
        raise ValueError(
            f"{name} = {limit!r} cannot be kept on the joblib backend "
            f"{type(backend).__name__}, whose workers are not ours to kill. Leave it "
            "out, or use one of joblib's own backends."
        )
    in_process = getattr(backend, "supports_sharedmem", False) and not limited
    inline = n_workers == 1 and ours and not limited
    deadline = None if timeout is None else start + timeout
    schedule = _Schedule(
        strategy,
        evaluator,
        n_splits=n_splits,
        n_workers=n_workers,
        new_context=new_context,
        on_trial=on_trial,
        journal=journal,
        fit_timeout=fit_timeout,
        watched=limited,
        deadline=deadline,
        lookahead=1 if n_workers == 1 and ours else 64,
        detached=not (inline or in_process),
        one_thread=inline or not in_process,
    )
    interruption = None
    try:
        if limited:
            _run_isolated(schedule, evaluator, n_workers, fit_timeout)
        elif inline:
            _run_inline(schedule, evaluator)
        else:
            if strategy.max_pending is not None or pre_dispatch == "all":
                pre_dispatch = "2*n_jobs"
            try:
                make_task = _task_maker(evaluator, backend)
                _run_parallel(schedule, make_task, n_jobs, pre_dispatch)
            except BrokenProcessPool as error:
                _report_broken_pool(error)
                schedule.put_back()
                _run_isolated(schedule, evaluator, n_workers)
    except (KeyboardInterrupt, SystemExit) as exception:
        interruption = exception
        schedule.end(INTERRUPTED)
    finally:
        schedule.close()
    trials = schedule.finish(keep_parts=schedule.reason == TIMED_OUT)
    return Outcome(trials, schedule.reason or strategy.exhausted_reason, interruption)


def _report_broken_pool(error):
    warnings.warn(
        "A worker process of joblib died. The fits that were under way are made again, "
        "and the rest with them, in processes of which each is watched; one that dies "
        f"again fails alone. joblib says: {str(error).strip()}",
        UserWarning,
        stacklevel=2,
    )


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
        journal,
        fit_timeout,
        watched,
        deadline,
        lookahead,
        detached,
        one_thread,
    ):
        self.trials = []
        self.reason = None
        self.queue = deque()
        self.deadline = deadline
        self._strategy = strategy
        self._evaluator = evaluator
        self._n_splits = n_splits
        self._n_workers = n_workers
        self._new_context = new_context
        self._on_trial = on_trial
        self._journal = journal
        self._fit_timeout = fit_timeout
        self._watched = watched
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
        self._n_met = Counter()  # candidates by name in the journal
        self._in_flight = {}  # units by number and split
        self._suspects = deque()  # units that may kill the process
        self._isolated = None
        self._failure = None  # of writing to the journal
        self._unit_seconds = None
        self._task_size = 1

    @property
    def ended(self):
        """Whether no unit will be added to the queue any more."""
        return self._exhausted or self.reason is not None

    @property
    def late(self):
        """Whether the time of the search is over."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    @property
    def complete(self):
        """Whether there is nothing left to do, as far as is known."""
        return not self._open and (
            self.ended or self._n_asked == self._strategy.n_candidates
        )

    def fill(self):
        """Propose candidates until enough units wait, as far as the lag allows."""
        self._propose()
        if self._failure is not None:
            raise self._failure
        while self._suspects:
            unit = self._suspects.popleft()
            self._note_begin([unit])
            self.record([unit], [self._evaluate_alone(unit)])
            self._propose()

    def _propose(self):
        # Where results are read in order, one long fit may hold up many finished ones:
        # the queue has to last until then.
        n_wanted = self._n_workers * max(self._lookahead, 4 * self._task_size)
        # Many results of an earlier run may be taken in here, one after another.
        while len(self.queue) < n_wanted and not self.ended and not self.late:
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
        if group != number:
            return
        if self._journal is not None:
            # Two candidates may be the same and yet give other scores.
            name = self._journal.key(candidate.params)
            self._n_met[name] += 1
            n_met = self._n_met[name]
            entry.key = name if n_met == 1 else f"{name}-{n_met}"
        self._pending[number] = entry
        for split in range(self._n_splits):
            if self._journal is None:
                self.queue.append(self._unit(entry, split))
            else:
                self._look_up(entry, split)

    def _look_up(self, entry, split):
        """Take what is recorded of a unit, or queue it."""
        result = self._journal.recorded(entry.key, split)
        if result is not None and result.limit is not None:
            # It was killed; now it may have more time.
            limit = self._fit_timeout
            result = result if limit is not None and limit <= result.limit else None
        if result is not None:
            unit = self._unit(entry, split)
            self._evaluator.repeat(unit, result)
            self._take_in(unit, result)
            entry.n_fits -= 1
        elif not self._watched and self._journal.n_begun(entry.key, split) >= MAX_BEGUN:
            # It may be what killed earlier runs, and could kill this one.
            self._suspects.append(self._unit(entry, split, detached=True))
        else:
            self.queue.append(self._unit(entry, split))

    def _unit(self, entry, split, detached=False):
        params, context = entry.candidate.params, None
        if self._new_context is not None:
            detached = detached or self._detached
            context = self._new_context(entry.number, params, split, detached)
        return Unit(entry.number, params, split, context, entry.key)

    def _note_begin(self, units):
        if self._journal is not None and units:
            self._journal.begin([(u.key, u.params, u.split) for u in units])

    def _let_go(self, units):
        """Say that units were begun and given up, and have not killed the search."""
        named = []
        for unit in units:
            if self._in_flight.pop((unit.number, unit.split), None) is not None:
                named.append((unit.key, unit.params, unit.split))
        if self._journal is not None and named:
            self._journal.let_go(named)

    def _evaluate_alone(self, unit):
        """Evaluate a unit in a process of its own, as it may be one that kills."""
        if self._isolated is None:
            self._isolated = Workers(self._evaluator, 1)
        return self._isolated.evaluate(unit)

    def take(self):
        """Cut the next task from the queue; an empty one if nothing waits."""
        # Towards the end tasks shrink, so that workers end together.
        size = min(self._task_size, -(-len(self.queue) // (4 * self._n_workers)))
        if self._journal is not None:
            # What is lost with a worker is what has not been recorded.
            size = min(size, MAX_RECORDED_SIZE)
        units = []
        while len(units) < size:
            try:
                units.append(self.queue.popleft())
            except IndexError:  # the search has just been stopped
                break
        self._in_flight.update(((u.number, u.split), u) for u in units)
        try:
            self._note_begin(units)
        except OSError as error:
            # In a thread of joblib's nobody would hear of it.
            self._failure = error
            return []
        return units

    def put_back(self, units=None):
        """Queue units again that were taken and not evaluated; None for all."""
        if units is None:
            units = [*self._in_flight.values()]
        self._let_go(units)
        if self.reason is None:
            self.queue.extendleft(reversed(units))

    def record(self, units, results):
        """Take in the results of units, and finish what is complete."""
        units = [self._in_flight.pop((u.number, u.split), u) for u in units]
        if self._journal is not None and units:
            named = [(u.key, u.params, u.split) for u in units]
            self._journal.end(named, results)
        for unit, result in zip(units, results, strict=True):
            self._take_in(unit, result)
        self._close()

    def _take_in(self, unit, result):
        entry = self._pending.get(unit.number)
        if entry is not None:  # else the search ended before this candidate
            entry.results[unit.split] = result
            entry.n_missing -= 1

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
                self._on_trial(trial, entry.n_fits == 0)
            if any(result.stop for result in splits):
                self.end(STOPPED_BY_CALLBACK)
                self._open.clear()

    def end(self, reason):
        """Take no more units."""
        self.reason = reason
        self.queue.clear()
        self._suspects.clear()

    def close(self):
        """Let go of a process that was needed, and of fits that have not ended."""
        if self._isolated is not None:
            self._isolated.kill()
        # Where the disk is full, something else says so.
        with suppress(OSError):
            self._let_go([*self._in_flight.values()])

    def finish(self, *, keep_parts):
        """Collect what a clock or a signal has left, and tell the strategy the rest.

        Parameters
        ----------
        keep_parts : bool
            Whether candidates count that lack some splits.

        Returns
        -------
        trials : list of Trial
            All of them; their numbers are rows.
        """
        rows = {trial.number: trial.number for trial in self.trials}
        for entry in self._open:
            splits = tuple(entry.results)
            if entry.group != entry.number:
                if entry.group not in rows:
                    continue
                splits = self.trials[rows[entry.group]].splits
            n_done = sum(result is not None for result in splits)
            if n_done == len(splits) or (keep_parts and n_done):
                row = rows[entry.number] = len(self.trials)
                trial = Trial(row, entry.candidate, splits, rows[entry.group])
                self.trials.append(trial)
                if self._on_trial is not None and not trial.cut_off:
                    self._on_trial(trial, entry.n_fits == 0)
        with _on_its_own(self._one_thread):
            self._strategy.tell(
                [trial for trial in self.trials[self._n_told :] if not trial.cut_off]
            )
        return self.trials


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

    __slots__ = (
        "candidate",
        "group",
        "key",
        "n_fits",
        "n_missing",
        "number",
        "results",
    )

    def __init__(self, number, candidate, group, results):
        self.number = number
        self.candidate = candidate
        self.group = group
        self.results = results
        self.key = None
        self.n_missing = self.n_fits = len(results) if group == number else 0


def _run_inline(schedule, evaluator):
    """Evaluate in this thread, unit by unit."""
    schedule.fill()
    while schedule.queue:
        for unit in schedule.take():
            schedule.record([unit], [evaluator.evaluate(unit)])
        schedule.fill()


def _run_isolated(schedule, evaluator, n_workers, fit_timeout=None):
    """Evaluate in processes that can be killed."""
    workers = Workers(evaluator, n_workers, fit_timeout)
    try:
        while True:
            if not schedule.late:
                schedule.fill()
            if schedule.late and not schedule.complete:
                schedule.end(TIMED_OUT)
            if schedule.reason is not None:
                break
            workers.feed(schedule.take)
            if not workers.busy:
                break
            done, returned = workers.collect(schedule.deadline)
            schedule.put_back(returned)
            for unit, result in done:
                schedule.measure(1, result.fit_time + result.score_time)
                schedule.record([unit], [result])
    except BaseException:
        workers.kill()
        raise
    if workers.busy:
        workers.kill()
    else:
        workers.close()


def _run_parallel(schedule, make_task, n_jobs, pre_dispatch):
    options = dict(
        n_jobs=n_jobs,
        pre_dispatch=pre_dispatch,
        batch_size=1,
    )
    for order in ("generator_unordered", "generator"):
        try:
            parallel = Parallel(return_as=order, **options)
        except ValueError:
            # joblib before 1.4 gives results in order only, and some backends cannot
            # give them one by one.
            continue
        _run_stream(schedule, make_task, parallel)
        return
    _run_rounds(schedule, make_task, Parallel(**options))


def _run_stream(schedule, make_task, parallel):
    """Feed workers from the queue while results come in."""
    over = False

    def tasks():
        # joblib asks for tasks in whatever thread a result arrives, holding its lock:
        # this may neither compute nor wait.
        while not over and (schedule.queue or not schedule.ended):
            units = schedule.take()
            yield make_task(units) if units else delayed(_nap)()

    schedule.fill()
    results = parallel(tasks())
    try:
        for task in results:
            _record(schedule, *task)
            schedule.fill()
    finally:
        over = True
        with warnings.catch_warnings():
            # joblib finds it worth saying that tasks are cancelled.
            warnings.simplefilter("ignore")
            results.close()


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
    schedule.record(units, results)


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
    die_with_parent()
    return _evaluate(units, unpack(arrays))


def _without_context(units):
    return [unit._replace(params=None, context=None) for unit in units]


def _nap():
    time.sleep(NAP_SECONDS)
    return (), (), 0.0
