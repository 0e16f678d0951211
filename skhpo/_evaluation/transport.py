"""How an evaluator reaches the workers: once, however many tasks there are.

joblib pickles the arguments of every task, but an array above ``max_nbytes`` it puts
into shared memory, or scatters to a cluster, the first time it sees it. So the
evaluator is pickled once, into one array, which is a copy of bytes for each task or
large enough for this. Its own large arrays stay outside, as arguments of their own, so
that X is not copied into it.
"""

import io
import os
import pickle

import numpy as np

try:  # joblib depends on it, and carried it inside before 1.6
    import cloudpickle
except ImportError:
    from joblib.externals import cloudpickle

# joblib's default ``max_nbytes``: above, arrays go through shared memory.
MAX_SENT_BYTES = 2**20
_ALIGNMENT = 64


def pack(value):
    """Pickle `value` into arrays.

    Parameters
    ----------
    value : object
        Anything cloudpickle can handle.

    Returns
    -------
    arrays : list of ndarray
        The first one, of dtype uint8, holds the pickle and, behind it, the arrays of
        up to ``MAX_SENT_BYTES``. The others are the larger arrays inside `value`: the
        same objects, not copies, but for those of files that hold something else.
    """
    arrays, buffers = [], []
    stream = io.BytesIO()
    _Pickler(stream, arrays, buffers).dump(value)
    pieces = [stream.getbuffer(), *(buffer.raw() for buffer in buffers)]
    starts, end = [], 0
    for piece in pieces:
        starts.append(end)
        end += -(-piece.nbytes // _ALIGNMENT) * _ALIGNMENT
    index = pickle.dumps(
        [
            (start, start + piece.nbytes)
            for start, piece in zip(starts, pieces, strict=True)
        ]
    )
    # The index stands at the end, and its length in the last eight bytes.
    payload = np.zeros(end + len(index) + 8, dtype=np.uint8)
    for start, piece in zip(starts, pieces, strict=True):
        payload[start : start + piece.nbytes] = piece
    payload[-8 - len(index) : -8] = np.frombuffer(index, dtype=np.uint8)
    payload[-8:] = np.frombuffer(len(index).to_bytes(8, "little"), dtype=np.uint8)
    return [payload, *arrays]


def unpack(arrays):
    """Give back what was packed; its large arrays are those of `arrays`."""
    payload, *large = arrays
    view = memoryview(payload)
    length = int.from_bytes(view[-8:], "little")
    (start, stop), *rest = pickle.loads(view[-8 - length : -8])
    # Copies, as shared memory is read-only and these arrays may be written to.
    buffers = [bytearray(view[i:j]) for i, j in rest]
    unpickler = _Unpickler(io.BytesIO(view[start:stop]), buffers=buffers)
    unpickler.large = large
    return unpickler.load()


class _Pickler(cloudpickle.Pickler):
    def __init__(self, stream, arrays, buffers):
        super().__init__(stream, protocol=5, buffer_callback=buffers.append)
        self._arrays = arrays
        self._numbers = {}

    def persistent_id(self, value):
        if (
            type(value) not in (np.ndarray, np.memmap)
            or value.nbytes <= MAX_SENT_BYTES
            or value.dtype.hasobject
        ):
            return None
        # The same array is often met twice, and then has to be one again.
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._arrays)
            self._arrays.append(np.array(value) if _differs_from_file(value) else value)
        return self._numbers[id(value)]


def _differs_from_file(array):
    """Tell whether an array is one of a file that need not hold, or be, what it shows.

    Others would map the file: that of a copy on write is as it was, and one that was
    deleted is gone.
    """
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            name = array.filename
            return array.mode == "c" or name is None or not os.path.exists(name)
        array = array.base
    return False


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, number):
        return self.large[number]
