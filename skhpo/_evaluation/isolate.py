"""Fits in processes that can be killed, whatever they are doing.

A worker is a fresh interpreter that reads the evaluator once, from files that all
workers map into memory, and then units from a pipe. It leads a session of its own, so
that killing its process group takes along what a fit has started. It learns that the
search is over when the pipe closes; where it is deep in a fit and cannot listen, a
guard, which does nothing but wait for the death of the process of the search, kills it.

The standard ``multiprocessing`` is not used, as its workers import the user's script
again, and cannot be started from workers of their own kind.
"""

import contextlib
import mmap
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from itertools import chain
from multiprocessing import Pipe, current_process
from multiprocessing.connection import Connection, wait

import numpy as np
from joblib import cpu_count, parallel_config
from sklearn import get_config, set_config

from skhpo._evaluation.fit import batches
from skhpo._evaluation.guard import Guard
from skhpo._evaluation.transport import cloudpickle, pack, unpack

# What the libraries read that start threads of their own.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)

_SHARED_MEMORY = "/dev/shm"

# Seconds that an idle worker has for its own cleaning up, and seconds that a dying one
# has to end, so that what killed it can be told.
_GRACE = 2.0
_LAST_BREATH = 0.2

# Longest wait in one call: systems count its milliseconds in 32 bits.
_MAX_PATIENCE = 86400.0

# Workers that may die before they have done anything.
_MAX_FALSE_STARTS = 3

# What a worker says after each of several units that it evaluates together.
_PROGRESS = b"progress"

_IS_POSIX = os.name == "posix"


class Workers:
    """Processes that evaluate units, and can be killed at any moment.

    Parameters
    ----------
    evaluator : Evaluator
        What evaluates a unit.
    n_workers : int
        How many processes.
    fit_timeout : float or None
        Seconds that one unit may take.
    """

    def __init__(self, evaluator, n_workers, fit_timeout=None):
        self._evaluator = evaluator
        self._n_workers = n_workers
        self._fit_timeout = fit_timeout
        self._n_false_starts = 0
        self._workers = []
        arrays = _pack((evaluator, get_config(), [*warnings.filters], n_workers > 1))
        self._guard = Guard()
        self._folder = None
        try:
            self._folder = _make_folder(sum(array.nbytes for array in arrays))
            self._guard.tell("guard", "folder", self._folder)
            self._sources = _write(arrays, self._folder)
            self._workers += [self._start() for _ in range(n_workers)]
        except BaseException:
            self.kill()
            raise

    def _start(self):
        # joblib in a fit leaves its files there when it is killed.
        scratch = tempfile.mkdtemp(dir=self._folder)
        return _Worker(self._sources, self._guard, self._n_workers, scratch)

    @property
    def busy(self):
        """Whether units are under way."""
        return any(worker.units for worker in self._workers)

    def feed(self, take):
        """Give units to workers that have none.

        Parameters
        ----------
        take : callable
            Returns a list of units, empty if there are none.
        """
        for worker in self._workers:
            if not worker.units:
                units = take()
                if not units:
                    return
                worker.submit(units)

    def collect(self, deadline=None):
        """Wait for something to happen.

        Parameters
        ----------
        deadline : float, default=None
            When to stop waiting, by ``time.monotonic``.

        Returns
        -------
        done : list of (Unit, SplitResult)
            What has been evaluated, or lost with its process.
        returned : list of Unit
            Units that were waiting behind a fit whose process is gone.
        error : Exception or None
            What a fit has raised, to be raised when what has been done is safe.
        """
        done, returned, error = [], [], None
        for unit, judge, *report in self._events(returned, deadline):
            try:
                done.append((unit, judge(unit, *report)))
            except Exception as exception:
                error = error or exception
        return done, returned, error

    def _events(self, returned, deadline):
        """Give each unit that is over, with what makes a result of its report."""
        readable = {worker.connection: worker for worker in self._workers}
        for connection in wait([*readable], self._patience(deadline)):
            worker = readable[connection]
            try:
                for unit, message in worker.read():
                    yield unit, self._judge, message
            except EOFError:
                worker.expire()
                lost = self._replace(worker, returned)
                if lost is not None:
                    cause = f"RuntimeError: the process of the fit {worker.cause}"
                    yield lost, self._evaluator.lost, cause, worker.age
        limit = self._fit_timeout
        for worker in self._workers:
            if limit is not None and worker.overruns(limit):
                lost = self._replace(worker, returned)
                if lost is not None:
                    cause = "TimeoutError: the fit took longer than fit_timeout = "
                    cause += f"{limit:g} s"
                    yield lost, self._evaluator.lost, cause, worker.age, limit

    def _patience(self, deadline):
        """Tell how long nothing needs to be done unless somebody reports."""
        ends = [] if deadline is None else [deadline]
        if self._fit_timeout is not None:
            ends += [
                worker.since + self._fit_timeout
                for worker in self._workers
                if worker.units and worker.ready
            ]
        if not ends:
            return None
        return min(max(0.0, min(ends) - time.monotonic()), _MAX_PATIENCE)

    def _judge(self, unit, message):
        """Make of what a worker has sent a result; raise the error that it is."""
        try:
            worked, value = pickle.loads(message)
        except Exception as exception:
            cause = f"RuntimeError: the result of the fit cannot be read: {exception!r}"
            return self._evaluator.lost(unit, cause, 0.0)
        if not worked:
            raise value
        return value

    def _replace(self, worker, returned):
        """Put a new worker in the place of one; tell which unit was under way.

        Not of units that were evaluated together: each gets another chance alone.
        """
        units = list(worker.units) if worker.ready else []
        worker.kill()
        if not worker.ready:
            returned += worker.units
            self._n_false_starts += 1
            if self._n_false_starts > _MAX_FALSE_STARTS:
                raise RuntimeError(
                    f"A process for fits {worker.cause} before its first fit, "
                    f"{self._n_false_starts} times. Is there too little memory?"
                )
        self._workers[self._workers.index(worker)] = self._start()
        under_way, *rest = batches(units) if units else [[]]
        returned += chain.from_iterable(rest)
        if len(under_way) > 1:
            returned += [unit._replace(group=None) for unit in under_way]
            return None
        return under_way[0] if under_way else None

    def close(self):
        """End idle workers, and let them clean up behind themselves."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.connection.close()
        deadline = time.monotonic() + _GRACE
        for worker in workers:
            worker.end(deadline)
        self._clean()

    def kill(self):
        """End all workers, and what they have started, now."""
        for worker in self._workers:
            worker.kill()
        self._clean()

    def _clean(self):
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._guard.close()


class _Worker:
    """One process, as the search sees it.

    Attributes
    ----------
    units : list of Unit
        What it has to do, the one under way first.
    ready : bool
        Whether it has read the evaluator.
    since : float
        When it began its first unit, or the last sign of life before.
    """

    def __init__(self, sources, guard, n_workers, scratch):
        self._guard = guard
        self._scratch = scratch
        self._over = False
        self.units = []
        self.ready = False
        self.since = time.monotonic()
        self.connection, theirs = Pipe()
        handle = theirs.fileno() if _IS_POSIX else theirs._handle
        # Import ignores other entries, whose repr may not be read back.
        paths = [path for path in sys.path if isinstance(path, str)]
        code = (
            f"import sys; sys.path[:] = {paths!r}; "
            "from skhpo._evaluation.isolate import serve; "
            f"serve({handle})"
        )
        options = dict(pass_fds=[handle], start_new_session=True)
        if not _IS_POSIX:
            os.set_handle_inheritable(handle, True)
            options = dict(close_fds=False)
        self.process = subprocess.Popen(
            [sys.executable, *subprocess._args_from_interpreter_flags(), "-c", code],
            stdin=subprocess.DEVNULL,
            env=_environment(n_workers, scratch),
            **options,
        )
        theirs.close()
        # It waits for the first message, and ends if none comes: nothing can happen
        # to it that the guard does not hear of.
        guard.tell("guard", "group", self.process.pid)
        # One that is dead already is found out when it is read from.
        with contextlib.suppress(OSError):
            self.connection.send((sources, bytes(current_process().authkey)))

    def submit(self, units):
        """Send units, to be evaluated one after the other."""
        self.units = list(units)
        self.since = time.monotonic()
        # A worker that has just died is found out when it is read from.
        with contextlib.suppress(OSError):
            self.connection.send_bytes(cloudpickle.dumps(self.units))

    def read(self):
        """Take in what the worker has to say, without waiting.

        Returns
        -------
        reports : list of (Unit, bytes)
            What it has sent about its units.

        Raises
        ------
        EOFError
            If it is dead, and has said everything.
        """
        reports = []
        try:
            while self.connection.poll():
                message = self.connection.recv_bytes()
                self.since = time.monotonic()
                if message == _PROGRESS:
                    continue
                if self.ready:
                    reports.append((self.units.pop(0), message))
                else:
                    self._check_start(pickle.loads(message))
        except (EOFError, OSError):
            if not reports:
                raise EOFError from None
        return reports

    def _check_start(self, error):
        if error is not None:
            raise RuntimeError(
                "A process for fits could not read the estimator, the scorer or the "
                f"data:\n{error}"
            )
        self.ready = True

    @property
    def age(self):
        """Seconds since the unit under way began."""
        return time.monotonic() - self.since

    def overruns(self, seconds):
        """Tell whether the unit under way has taken longer than that."""
        under_way = self.ready and self.units
        return under_way and self.age >= seconds and not self.connection.poll()

    @property
    def cause(self):
        """How the process ended."""
        code = self.process.returncode
        if code >= 0:
            return f"exited with code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:  # those for real time have no names
            name = f"signal {-code}"
        why = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"was killed by {name}{why}"

    def expire(self):
        """Give a process that is dying the time to do so, and so to tell of what."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=_LAST_BREATH)

    def end(self, deadline):
        """Wait for an idle process to end by itself; kill it when it is late.

        One that is still starting has nothing to clean up.
        """
        if self.ready:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        self.kill()

    def kill(self):
        """Kill the process, and everything in its session."""
        if self._over:
            return
        self._over = True
        if _IS_POSIX:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)
        self.connection.close()
        self._guard.tell("forget", "group", self.process.pid)


def serve(handle):
    """Evaluate units until the connection closes; the life of a worker."""
    connection = Connection(handle) if _IS_POSIX else _windows_connection(handle)
    try:
        sources, current_process().authkey = connection.recv()
        try:
            arrays = [read(*arguments) for read, arguments in sources]
            evaluator, config, filters, several = unpack(arrays)
            set_config(**config)
            warnings.resetwarnings()
            warnings.filters.extend(filters)
        except Exception:
            connection.send(traceback.format_exc())
            return
        # joblib inside a fit does what it does in joblib's own workers.
        inside = parallel_config("threading") if several else contextlib.nullcontext()
        connection.send(None)
        with inside:
            while True:
                for batch in batches(pickle.loads(connection.recv_bytes())):
                    for answer in _evaluate(evaluator, batch, connection):
                        connection.send_bytes(answer)
                    sys.stdout.flush()
    except (EOFError, OSError):
        return


def _evaluate(evaluator, batch, connection):
    """Evaluate units; give back for each, pickled, what :func:`_dump` does."""
    try:
        results = evaluator.evaluate_batch(
            batch, on_progress=lambda: connection.send_bytes(_PROGRESS)
        )
    except BaseException as exception:
        return [_failure(exception)] * len(batch)
    return [_dump((True, result)) for result in results]


def _failure(exception):
    text = traceback.format_exc()
    try:
        exception.add_note(f"In a process of its own:\n{text}")
        exception = cloudpickle.loads(cloudpickle.dumps(exception))
    except Exception:
        exception = RuntimeError(text)
    return _dump((False, exception))


def _dump(answer):
    """Pickle whether an evaluation worked, and result or error."""
    try:
        return cloudpickle.dumps(answer)
    except Exception as exception:
        message = f"{type(exception).__name__}: {exception}"
        return pickle.dumps(
            (False, RuntimeError(f"The scores cannot be pickled: {message}"))
        )


def _windows_connection(handle):
    from multiprocessing.connection import PipeConnection

    return PipeConnection(handle)


def _pack(value):
    try:
        return pack(value)
    except Exception as exception:
        raise TypeError(
            "The estimator, the scorer or the data cannot be pickled, and so not be "
            "sent to the processes that limits, and a search that has died three times "
            f"in the same fit, need: {type(exception).__name__}: {exception}"
        ) from exception


def _make_folder(n_bytes):
    """Make a folder for files that all workers map, in shared memory if it fits."""
    folder = os.environ.get("JOBLIB_TEMP_FOLDER")
    if (
        folder is None
        and os.access(_SHARED_MEMORY, os.W_OK)
        and shutil.disk_usage(_SHARED_MEMORY).free > 2 * n_bytes
    ):
        folder = _SHARED_MEMORY
    elif folder is not None:
        os.makedirs(folder, exist_ok=True)
    return tempfile.mkdtemp(prefix="skhpo-", dir=folder)


def _write(arrays, folder):
    """Write arrays to files; tell for each how it is read."""
    sources = []
    for number, array in enumerate(arrays):
        if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap):
            order = "C" if array.flags.c_contiguous else "F"
            layout = array.dtype, "r", array.offset, array.shape, order
            sources.append((np.memmap, (array.filename, *layout)))
        else:
            name = os.path.join(folder, f"{number}.npy")
            np.save(name, array)
            sources.append((np.load, (name, "r")))
    return sources


def _environment(n_workers, scratch):
    """Share the processors out, where the user has not; say where joblib may write."""
    environment = dict(os.environ, JOBLIB_TEMP_FOLDER=scratch)
    if n_workers > 1:
        share = str(max(cpu_count() // n_workers, 1))
        for name in _THREAD_VARIABLES:
            environment.setdefault(name, share)
    return environment
