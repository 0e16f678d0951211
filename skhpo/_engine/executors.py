"""Ways to evaluate what a schedule holds: in this thread, by joblib, watched."""

import time
import warnings
from contextlib import suppress

import joblib
from joblib.externals.loky.process_executor import BrokenProcessPool
from joblib.parallel import get_active_backend
from sklearn import config_context, get_config
from sklearn.utils import parallel as threads

from skhpo._evaluation.fit import batches
from skhpo._evaluation.isolate import Workers
from skhpo._evaluation.orphans import die_with_parent
from skhpo._evaluation.transport import pack, unpack
from skhpo.trial import TIMED_OUT

# What a worker does when every proposal waits for a result.
NAP_SECONDS = 0.005


def run_inline(schedule, evaluator):
    """Evaluate in this thread, unit by unit."""
    schedule.fill()
    while schedule.queue:
        for batch in batches(schedule.take()):
            start = time.perf_counter()
            results = evaluator.evaluate_batch(batch)
            schedule.measure(len(batch), time.perf_counter() - start)
            schedule.record(batch, results)
        schedule.fill()


def run_watched(schedule, evaluator, n_workers, fit_timeout=None):
    """Evaluate in processes that can be killed, and may die."""
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
            done, returned, error = workers.collect(schedule.deadline)
            schedule.put_back(returned)
            for unit, result in done:
                schedule.measure(1, result.fit_time + result.score_time)
                schedule.record([unit], [result])
            if error is not None:
                raise error
    except BaseException:
        workers.kill()
        raise
    if workers.busy:
        workers.kill()
    else:
        workers.close()


def run_parallel(schedule, evaluator, n_workers, pre_dispatch):
    """Evaluate in the active backend of joblib; watched, once a worker has died."""
    Parallel, make_task = _way_to_workers(evaluator)
    options = dict(n_jobs=n_workers, pre_dispatch=pre_dispatch, batch_size=1)
    try:
        for order in ("generator_unordered", "generator"):
            try:
                parallel = Parallel(return_as=order, **options)
            except ValueError:
                # joblib before 1.4 gives results in order only, and some backends
                # cannot give them one by one.
                continue
            _run_stream(schedule, make_task, parallel)
            return
        _run_rounds(schedule, make_task, Parallel(**options))
    except BrokenProcessPool as error:
        warnings.warn(
            "A worker process of joblib died. The fits that were under way are made "
            "again, and the rest with them, in processes of which each is watched; one "
            f"that dies again fails alone. joblib says: {str(error).strip()}",
            UserWarning,
            stacklevel=2,
        )
        schedule.put_back(schedule.in_flight)
        run_watched(schedule, evaluator, n_workers)


def _run_stream(schedule, make_task, parallel):
    """Feed workers from the queue while results come in."""
    over = False

    def tasks():
        # joblib asks for tasks in whatever thread a result arrives, holding its lock:
        # this may neither compute nor wait.
        while not over and (schedule.queue or not schedule.ended):
            yield make_task(schedule.take())

    schedule.fill()
    results = parallel(tasks())
    try:
        for task in results:
            _record(schedule, *task)
            schedule.fill()
    finally:
        over = True
        with warnings.catch_warnings(), suppress(UserWarning):
            # joblib finds it worth saying that tasks are cancelled. Where warnings are
            # errors it may get through, as filters are those of all threads.
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


def _way_to_workers(evaluator):
    """Choose how `evaluator` travels with the tasks of the active backend.

    Parameters
    ----------
    evaluator : Evaluator
        What tasks need.

    Returns
    -------
    Parallel : type
        Runs the tasks.
    make_task : callable
        ``make_task(units)`` makes one.
    """
    backend, _ = get_active_backend()
    if getattr(backend, "supports_sharedmem", False):
        return threads.Parallel, lambda units: threads.delayed(_evaluate)(
            units, evaluator
        )
    # scikit-learn's Parallel would pickle configuration and filters with every task.
    arrays = pack((evaluator, get_config(), [*warnings.filters]))
    client = getattr(backend, "client", None)
    if client is not None:
        # dask: one copy on each worker, so that losing a worker loses no data, as
        # joblib's own scattering (one copy in all) would. Plain arrays, since a class
        # that the workers cannot import would hang the scattering.
        arrays = client.scatter(arrays, broadcast=True, hash=False)
    return joblib.Parallel, lambda units: joblib.delayed(_evaluate_packed)(
        units, *arrays
    )


def _evaluate(units, evaluator):
    start = time.perf_counter()
    if not units:
        time.sleep(NAP_SECONDS)
    results = evaluator.evaluate_all(units)
    return _without_context(units), results, time.perf_counter() - start


def _evaluate_packed(units, *arrays):
    die_with_parent()
    evaluator, config, filters = unpack(arrays)
    with config_context(**config), warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.filters.extend(filters)
        return _evaluate(units, evaluator)


def _without_context(units):
    return [unit._replace(params=None, context=None) for unit in units]
