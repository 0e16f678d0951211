"""Open, lock and read the file of a checkpoint.

One process writes to it; the kernel knows which, and when it is dead.
"""

import os

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

from skhpo.checkpoint._records import RefusedError, read

_OPTIONS = os.O_RDWR | os.O_APPEND | os.O_CREAT
_OPTIONS |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# On Windows, where locked bytes cannot be read by others: far behind any content.
_BYTE = 1 << 40


def lock(file):
    """Lock an open file for this process, or raise at once.

    Parameters
    ----------
    file : int
        File descriptor.

    Raises
    ------
    BlockingIOError
        If another one holds the lock.
    """
    if fcntl is not None:
        # Of the open file, not of the process: reading the same file elsewhere in this
        # process would end a lock of the other kind.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    os.lseek(file, _BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    except OSError as error:
        raise BlockingIOError(error.errno, error.strerror) from error


def release(file):
    """Unlock what :func:`lock` locked, and close it, whatever happens."""
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_UN)
        else:
            os.lseek(file, _BYTE, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_UNLCK, 1)
    finally:
        os.close(file)


def write(file, data):
    """Write all; more than one call only if the system takes a part."""
    data = memoryview(data)
    while data:
        data = data[os.write(file, data) :]


def check_place(path):
    """Raise if no file can be at a path, before one is made."""
    folder = os.path.dirname(path) or os.curdir
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"checkpoint '{path}': there is no folder '{folder}'. Make it, or give "
            "another path."
        )
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise ValueError(
            f"checkpoint '{path}' is not a regular file. Give another path."
        )


def open_locked(path):
    while True:
        try:
            file = os.open(path, _OPTIONS, 0o600)
        except OSError as error:
            raise _worded(
                error,
                f"checkpoint '{path}' cannot be opened for writing: {error.strerror}. "
                "Give another path.",
            ) from error
        try:
            lock(file)
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        except BlockingIOError:
            in_use = _in_use(file, path)
            os.close(file)
            raise in_use from None
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(file)
            raise OSError(
                f"checkpoint '{path}' cannot be locked: {error.strerror}. Use a local "
                "disk."
            ) from error
        # Its holder deleted it before we had the lock: the next one is another file.
        os.close(file)


def _worded(error, message):
    """Give an error of the system in our words."""
    worded = type(error)(message)
    worded.errno = error.errno
    return worded


def _in_use(file, path):
    holder = None
    try:
        content = read_open(file, path)
        holder = content and content.process
    except (OSError, ValueError):
        pass  # that is for its holder to see
    who = "another process" if holder is None else f"process {holder}"
    if holder == os.getpid():
        who = "another search of this process"
    return RuntimeError(
        f"checkpoint '{path}' is in use by {who}. Wait for it, or give another path; "
        "a folder holds one file for each search."
    )


def read_file(path):
    """Read a file, as far as it is whole, whoever writes to it.

    Parameters
    ----------
    path : str
        Of the file.

    Returns
    -------
    content : Content or None
        None if it has no whole header.

    Raises
    ------
    OSError
        If it does not exist or cannot be read.
    ValueError
        If it is damaged, or no checkpoint.
    """
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except FileNotFoundError as error:
        said = f"checkpoint '{path}' does not exist. Give the path that a search has."
        raise _worded(error, said) from error
    except OSError as error:
        said = f"checkpoint '{path}' cannot be read: {error.strerror}."
        raise _worded(error, said) from error
    try:
        return read_open(file, path)
    finally:
        os.close(file)


def read_open(file, path):
    os.lseek(file, 0, os.SEEK_SET)
    parts = []
    while part := os.read(file, 1 << 24):
        parts.append(part)
    try:
        return read(b"".join(parts))
    except RefusedError as error:
        raise ValueError(f"checkpoint '{path}' {error}") from error.__cause__
