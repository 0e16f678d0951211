"""Where a search keeps its fits, and the file that it adds them to.

Every record is written by one call and never changed. A process killed inside that
call leaves a torn record at the end, which the next one cuts off; everything else that
is wrong with a file is damage, and then it is refused and stays as it is.
"""

import errno
import math
import os
import platform
import secrets
import sys
import threading
import time
import warnings
import weakref
from dataclasses import KW_ONLY, dataclass, replace
from datetime import UTC, datetime

import numpy as np
import scipy
import sklearn

from skhpo.checkpoint._files import (
    check_place,
    open_locked,
    read_open,
    release,
    write,
)
from skhpo.checkpoint._records import (
    Content,
    encode_result,
    header_record,
    readable,
    seal,
)
from skhpo.checkpoint.fingerprint import fingerprint

# Seconds between the times that records are forced to disk.
_MAX_UNSYNCED = 1.0
_FULL = [getattr(errno, name, None) for name in ("ENOSPC", "EFBIG", "EDQUOT")]


@dataclass(frozen=True)
class Checkpoint:
    """Where a search keeps each fit as soon as it ends.

    The same search, started again after a crash, goes on from there. A file serves one
    search: one with other data, another estimator or another space is refused.

    Parameters
    ----------
    path : str or path-like
        A file, which is made if it does not exist. Or a folder, if there is one of that
        name or the name ends with a separator: it holds one file for each search, so
        that also searches within searches can be kept. ``~`` is the home folder.
    version : str, default=None
        Stands for the content of what cannot be recognised in another run, such as an
        open connection. Change it whenever one of these changes what it does.

    Examples
    --------
    >>> from skhpo.checkpoint import Checkpoint
    >>> Checkpoint("search.jsonl")
    Checkpoint(path='search.jsonl', version=None)
    """

    path: str
    _: KW_ONLY
    version: str | None = None

    def __post_init__(self):
        if not isinstance(self.path, (str, os.PathLike)):
            raise TypeError(f"path = {self.path!r} must be a str or a path.")
        if not os.fspath(self.path):
            raise ValueError(
                f"path = {self.path!r} of the checkpoint is empty. Name a file or a "
                "folder, or give the search checkpoint=None to keep nothing."
            )
        if not isinstance(self.version, (str, type(None))):
            raise TypeError(f"version = {self.version!r} must be a str or None.")
        path = os.path.expanduser(os.fsdecode(self.path))
        object.__setattr__(self, "path", path)

    def open(self, aspects, *, seed=None, n_iter=None, n_splits=None):
        """Open the file of a search to go on with it, or make it.

        Parameters
        ----------
        aspects : dict of str to object
            All that the fits of the search depend on, by what an error calls it.
        seed : int, default=None
            What its random numbers start from.
        n_iter : int, default=None
            Number of candidates asked for.
        n_splits : int, default=None
            Number of splits.

        Returns
        -------
        journal : Journal
            To be closed.

        Raises
        ------
        UnstableError
            If something in an aspect has no content that is stable, and there is no
            version; a TypeError.
        ValueError
            If there is a file that is damaged, belongs to another search, has a newer
            format, or is no checkpoint. It is left as it is.
        RuntimeError
            If another search is writing to it.
        OSError
            If it cannot be opened or written.

        Warns
        -----
        UserWarning
            If it was begun with another minor version of Python, NumPy, SciPy or
            scikit-learn.
        """
        digests = {
            name: fingerprint(aspects[name], version=self.version, name=name)
            for name in sorted(aspects)
        }
        path = self._file_of(digests)
        header = header_record(
            secrets.token_hex(16),
            aspects=digests,
            seed=None if seed is None else int(seed),
            n_iter=None if n_iter is None else int(n_iter),
            n_splits=None if n_splits is None else int(n_splits),
            versions=_versions(),
            time=_now(),
        )
        check_place(path)
        file = open_locked(path)
        try:
            content = read_open(file, path)
            if content is not None:
                _check_aspects(content, digests, aspects, path)
        except BaseException:
            os.close(file)
            raise
        return Journal(path, file, content, header, self.version)

    def _file_of(self, digests):
        separators = tuple(filter(None, (os.sep, os.altsep)))
        if not self.path.endswith(separators) and not os.path.isdir(self.path):
            return self.path
        check_place(self.path.rstrip("".join(separators)) or self.path)
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        return os.path.join(self.path, f"{fingerprint(digests)[:16]}.jsonl")


class Journal:
    """An open checkpoint file. Made by :meth:`Checkpoint.open`.

    Parameters
    ----------
    path : str
        Of the file.
    file : int
        Its descriptor, locked.
    content : Content or None
        What is in it; None if that is nothing.
    header : dict
        Its first record, should there be none yet.
    version : str, default=None
        As in :class:`Checkpoint`.
    """

    def __init__(self, path, file, content, header, version=None):
        self._file = file
        self._version = version
        self.path = path
        # Fits end in the thread of the search, and may begin in another.
        self._lock = threading.RLock()
        self._synced = -math.inf
        records = [{"open": {"process": os.getpid(), "time": _now()}}]
        if content is None:
            content = Content(header, n_records=0)
            records = [header, *records]
        self._header = content.header
        self._seed = content.seed
        self._candidates = {key: i for i, (key, _) in enumerate(content.candidates)}
        self._results = content.results
        self._begun = content.begun
        # Where the last whole record ends, and how many there are.
        self._end = content.size, content.n_records
        # What lies behind it, of a writer that was killed, goes before the next.
        self._torn = True
        try:
            self._append(records)
        except BaseException:
            self._leave()
            raise
        _warn_of_versions(content.header, header, path)
        _journals.add(self)

    @property
    def seed(self):
        """int or None : As given by the search that made the file."""
        return self._header["seed"]

    @property
    def n_iter(self):
        """int or None : As given by the search that made the file."""
        return self._header["n_iter"]

    @property
    def n_recorded(self):
        """int : Number of fits that are recorded."""
        return len(self._results)

    @property
    def most_begun(self):
        """int : How often earlier runs, at most, died in the same fit."""
        return max(self._begun.values(), default=0)

    def key(self, params):
        """Name a candidate by its parameters.

        Parameters
        ----------
        params : dict of str to object
            What ``set_params`` receives.

        Returns
        -------
        key : str
            The same in every process.
        """
        return fingerprint(params, version=self._version, name="candidate")

    def recorded(self, key, split):
        """Look up the result of a fit.

        Parameters
        ----------
        key : str
            Of the candidate.
        split : int
            Number of the split.

        Returns
        -------
        result : SplitResult or None
            None if it has not ended.
        """
        return self._results.get((key, split))

    def begin(self, units):
        """Record that fits begin. May be called from any thread.

        Parameters
        ----------
        units : list of (str, dict, int)
            Key and parameters of the candidate, and number of the split.

        Raises
        ------
        OSError
            If it cannot be written. The file stays as it was.
        """
        self._note("begin", units)

    def let_go(self, units):
        """Record that fits were given up by a search that lives; they do not count.

        Parameters
        ----------
        units : list of (str, dict, int)
            Key and parameters of the candidate, and number of the split; begun before.

        Raises
        ------
        OSError
            If it cannot be written. The file stays as it was.
        """
        self._note("left", units)

    def _note(self, what, units):
        with self._lock:
            new, numbers = self._number(units)
            noted = [[numbers[key], int(split)] for key, _, split in units]
            self._append([*new, {what: noted}])
            self._candidates.update(numbers)

    def end(self, units, results):
        """Record that fits ended.

        Parameters
        ----------
        units : list of (str, dict, int)
            Key and parameters of the candidate, and number of the split.
        results : list of SplitResult
            What they gave; takes the place of what they gave before, if they did.

        Raises
        ------
        OSError
            If it cannot be written. The file stays as it was.
        """
        with self._lock:
            new, numbers = self._number(units)
            end = [
                [numbers[key], int(split), encode_result(result)]
                for (key, _, split), result in zip(units, results, strict=True)
            ]
            self._append([*new, {"end": end}])
            self._candidates.update(numbers)
            for (key, _, split), result in zip(units, results, strict=True):
                # A later run is not asked to stop by what stopped this one.
                self._results[key, int(split)] = replace(result, stop=False)
                self._begun.pop((key, int(split)), None)

    def close(self):
        """Write what is left to disk, and let others open the file.

        Raises
        ------
        OSError
            If it cannot be written. Others can open the file all the same.
        """
        with self._lock:
            file, self._file = self._file, None
            if file is None:
                return
            try:
                os.fsync(file)
            except OSError as error:
                raise self._failed(error) from error
            finally:
                release(file)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def _number(self, units):
        """Give records for candidates that are new, and the numbers of all."""
        records, numbers = [], {}
        for key, params, _ in units:
            if key in numbers:
                continue
            number = self._candidates.get(key)
            if number is None:
                number = len(self._candidates) + len(records)
                params = readable(params)
                records.append({"candidate": number, "key": key, "params": params})
            numbers[key] = number
        return records, numbers

    def _append(self, records):
        """Add records by one call, all or none."""
        if self._file is None:
            raise ValueError(f"checkpoint '{self.path}' is closed.")
        size, n_records = self._end
        numbered = [{"n": n_records + i, **record} for i, record in enumerate(records)]
        if "skhpo" in records[0]:
            numbered[0] = records[0]  # its number stands behind what it begins with
        data = b"".join([seal(record, self._seed) for record in numbered])
        try:
            # Also if the last one was interrupted, whatever it had written.
            if self._torn:
                os.ftruncate(self._file, size)
            self._torn = True
            write(self._file, data)
            if time.monotonic() - self._synced >= _MAX_UNSYNCED:
                os.fsync(self._file)
                self._synced = time.monotonic()
        except OSError as error:
            self._cut()
            raise self._failed(error) from error
        self._end = size + len(data), n_records + len(records)
        self._torn = False

    def _cut(self):
        """Cut off what was written in part, if possible now."""
        try:
            os.ftruncate(self._file, self._end[0])
            self._torn = False
        except OSError:
            self._torn = True

    def _failed(self, error):
        n = self.n_recorded
        failed = OSError(
            f"writing checkpoint '{self.path}' failed: {error.strerror}. "
            f"{n} fit{'s' * (n != 1)} {'is' if n == 1 else 'are'} recorded; "
            f"{'free space and ' if error.errno in _FULL else ''}fit again."
        )
        failed.errno = error.errno
        return failed

    def __del__(self):
        self._leave()

    def _leave(self):
        """Close the file as it is; it stays locked if a parent has it open."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


# A fork shares the lock, and would hold it after its parent's death.
_journals = weakref.WeakSet()


def _leave_all():
    for journal in list(_journals):
        journal._leave()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)


def _check_aspects(content, digests, aspects, path):
    known = content.header["aspects"]
    names = sorted(known.keys() | digests.keys())
    differ = [name for name in names if known.get(name) != digests.get(name)]
    if differ:
        *most, last = differ
        names = f"{', '.join(most)} and {last}" if most else last
        verb = "differ" if most or last.endswith("s") else "differs"
        raise ValueError(
            f"checkpoint '{path}' belongs to another search: {names} {verb}. Delete "
            "it, or give another path; a folder holds one file for each search."
            f"{_hints(differ, aspects)}"
        )


def _hints(differ, aspects):
    """Say what to do about instances that have moved on."""
    hints = ""
    if "cv" in differ:
        hints += (
            " If cv shuffles, give it an int as random_state: with None, or with an "
            "instance, which moves on, it draws other splits each time."
        )
    random_state = aspects.get("random_state")
    if "random_state" in differ and isinstance(random_state, np.random.RandomState):
        hints += (
            " random_state is an instance, which moves on when numbers are drawn from "
            "it: give an int."
        )
    return hints


def _versions():
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        # Of the package that this is a part of, and that has been imported therefore.
        "skhpo": getattr(sys.modules["skhpo"], "__version__", ""),
    }


def _warn_of_versions(then, now, path):
    changed = [
        f"{name} {then['versions'].get(name)} (now {version})"
        for name, version in now["versions"].items()
        if name != "skhpo"
        and then["versions"].get(name, "").split(".")[:2] != version.split(".")[:2]
    ]
    if changed:
        warnings.warn(
            f"checkpoint '{path}' was begun with {', '.join(changed)}. Fits before and "
            "after may differ.",
            UserWarning,
            stacklevel=2,
        )


def _now():
    return datetime.now(UTC).isoformat(timespec="seconds")
