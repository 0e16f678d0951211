"""What travels to the workers arrives, and large arrays are not copied on the way."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from skhpo._evaluation.transport import MAX_SENT_BYTES, pack, unpack

SMALL = np.arange(10.0)
N_LARGE = MAX_SENT_BYTES + 8
LARGE = np.arange(N_LARGE, dtype=np.uint8)
VALUES = {
    "nothing": None,
    "small": SMALL,
    "large": LARGE,
    "fortran": np.asfortranarray(np.ones((3, N_LARGE))),
    "strided": np.arange(3 * N_LARGE, dtype=np.uint8)[::2],
    "objects": np.array([{"a": 1}, None, "b"], dtype=object),
    "empty": np.empty((0, 3)),
    "many": [np.full(i, i) for i in range(40)],
    "twice": [LARGE, SMALL, LARGE],
    "function": lambda x: x + 1,
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_is_unpacked_is_what_was_packed(value):
    found = unpack(pack({"value": value}))["value"]
    if callable(value):
        assert found(1) == value(1)
    else:
        np.testing.assert_equal(found, value)


@pytest.mark.parametrize("n_bytes", [0, 2**17, 2**20, 2**22])
def test_the_payload_is_as_large_as_what_it_holds(n_bytes):
    (payload,) = pack(b"a" * n_bytes)
    assert n_bytes < payload.nbytes < n_bytes + 500
    assert unpack([payload]) == b"a" * n_bytes


def test_large_arrays_stay_the_same_objects_and_small_ones_can_be_written_to():
    _, *arrays = packed = pack([LARGE, SMALL, LARGE])
    assert len(arrays) == 1 and arrays[0] is LARGE
    first, small, second = unpack(packed)
    assert first is second is LARGE
    small += 1
    np.testing.assert_array_equal(unpack(packed)[1], SMALL)


def test_arrays_inside_frames_and_sparse_matrices_are_not_copied():
    frame = pd.DataFrame({"a": np.zeros(N_LARGE // 8), "b": 1.0})
    matrix = sp.csr_array(np.ones((2, N_LARGE // 8)))
    payload, *arrays = packed = pack([frame, matrix])
    assert payload.nbytes < 2 * N_LARGE
    assert sum(array.nbytes for array in arrays) > 3 * N_LARGE
    found_frame, found_matrix = unpack(packed)
    pd.testing.assert_frame_equal(found_frame, frame)
    assert (found_matrix != matrix).nnz == 0
