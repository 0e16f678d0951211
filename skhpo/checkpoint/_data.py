"""The canonical forms of data: arrays, sparse matrices, frames, tensors, generators.

A form is a tag and a list of parts, each with the step that leads to it. Frames and
tensors are understood by their attributes, never imported.
"""

import hashlib

import numpy as np

from skhpo.checkpoint._forms import NoFormError, packages

# Elements that are looked at together; nothing larger is ever copied.
_CHUNK = 1 << 17


def array_form(array):
    """Give the form of an array: dtype, shape and content in C order.

    Where an array lies, in memory or in a file, and in what order, does not count.

    Parameters
    ----------
    array : ndarray
        Also a memory map, a masked array or another subclass.

    Returns
    -------
    tag : str
        The kind of form.
    parts : list of (step, object)
        What it is made of.
    """
    if isinstance(array, np.ma.MaskedArray):
        parts = [(".dtype", array.dtype), (".data", np.asarray(array.data))]
        parts += [(".mask", np.ma.getmaskarray(array))]
        return "masked array", [*parts, (".fill_value", np.asarray(array.fill_value))]
    parts = [("", array.dtype), ("", array.shape), *_content(np.asarray(array))]
    if type(array) in (np.ndarray, np.memmap):
        return "array", parts
    parts += [("", type(array)), ("", getattr(array, "__dict__", None))]
    return "array of a subclass", parts


def scalar_form(scalar):
    """Give the form of a scalar of NumPy: like an array of no dimension."""
    return "scalar", [("", scalar.dtype), *_content(np.asarray(scalar))]


def _content(array):
    """List what tells the elements of an array."""
    dtype = array.dtype
    if dtype.names is not None:
        # Field by field: what lies between the fields is arbitrary.
        return [(f"[{name!r}]", array[name]) for name in dtype.names]
    if dtype.hasobject or dtype.kind == "T":
        return list(enumerate(array.ravel().tolist()))
    if dtype.kind == "c":
        return [("", _float_content(array.real)), ("", _float_content(array.imag))]
    if dtype.kind == "f":
        return [("", _float_content(array))]
    return [("", _digest(array, lambda chunk: chunk))]


def _float_content(array):
    if array.dtype.itemsize <= 8:
        return _digest(array, _same_nan)
    return _digest(array, _long_to_double)


def _same_nan(chunk):
    """Give all NaN, which differ in bits that mean nothing, the same bits."""
    nan = np.isnan(chunk)
    return np.where(nan, chunk.dtype.type(np.nan), chunk) if nan.any() else chunk


def _long_to_double(chunk):
    """Split long doubles, which have bytes that mean nothing, into plain numbers."""
    mantissa, exponent = np.frexp(chunk)
    high = mantissa.astype(np.float64)
    with np.errstate(invalid="ignore"):
        low = (mantissa - high).astype(np.float64)
    return np.stack([_same_nan(high), _same_nan(low), exponent.astype(np.float64)])


def _digest(array, normalize):
    """Hash the elements in C order, a chunk at a time, without a copy of the whole."""
    digest = hashlib.blake2b(digest_size=16)
    if array.size:
        # A type without a buffer of its own, such as a date, is hashed as bytes.
        flags = ["external_loop", "buffered", "zerosize_ok"]
        for chunk in np.nditer(array, flags, order="C", buffersize=_CHUNK):
            for start in range(0, len(chunk), _CHUNK):
                part = np.ascontiguousarray(normalize(chunk[start : start + _CHUNK]))
                digest.update(part.view(np.uint8) if part.dtype.itemsize else b"")
    return digest.digest()


def dtype_form(dtype):
    """Give the form of a dtype of NumPy: its name, fields and shape."""
    if dtype.names is not None:
        fields = [(name, dtype[name]) for name in dtype.names]
        return "dtype", [("", fields)]
    if dtype.subdtype is not None:
        return "dtype", [("", dtype.subdtype)]
    missing = getattr(dtype, "na_object", None)
    return "dtype", [("", dtype.str), ("", dtype.name), (".na_object", missing)]


def sparse_form(matrix):
    """Give the form of a sparse matrix: format, shape, and sorted content."""
    parts = [("", type(matrix).__name__), ("", matrix.format), ("", matrix.shape)]
    if matrix.ndim != 2:
        coo = matrix.tocoo(copy=True)
        coo.sum_duplicates()
        arrays = [coo.data, *coo.coords]
    else:
        csr = matrix.tocsr()
        if not csr.has_canonical_format:
            csr = csr.copy()
            csr.sum_duplicates()
        arrays = [csr.data, csr.indices, csr.indptr]
    # Indices are 32 or 64 bits wide for reasons of memory only.
    arrays[1:] = [array.astype(np.int64, copy=False) for array in arrays[1:]]
    return "sparse", parts + [("", array) for array in arrays]


def random_form(random):
    """Give the form of a generator of random numbers: its state."""
    if isinstance(random, np.random.RandomState):
        return "random", [("", type(random).__name__), ("", random.get_state(False))]
    bits = getattr(random, "bit_generator", random)
    return "random", [("", type(random).__name__), ("", bits.state)]


def frame_form(value):
    """Give the form of what pandas, polars, PyArrow and torch offer, or None.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    tag, parts : str and list of (step, object), or None
        As in :func:`array_form`; None if it is no frame, series, index or tensor.
    """
    origin = packages(value)
    for package, form in _FRAMES.items():
        if package in origin:
            return form(value)
    return None


def _pandas_form(value):
    kind = type(value).__name__
    if hasattr(value, "items") and hasattr(value, "columns"):
        columns = [(f"[{name!r}]", _values(col)) for name, col in value.items()]
        parts = [(".columns", value.columns), (".index", value.index), *columns]
        return f"pandas {kind}", parts
    if hasattr(value, "levels") and hasattr(value, "get_level_values"):
        levels = [value.get_level_values(i) for i in range(value.nlevels)]
        return "pandas index of levels", list(enumerate(levels))
    if not hasattr(value, "dtype") or not hasattr(value, "to_numpy"):
        return None
    if not hasattr(value, "array"):
        return "pandas array", _values(value)
    if not hasattr(value, "index"):
        parts = [("", list(value.names)), ("", str(value.dtype))]
        if all(hasattr(value, name) for name in ("start", "stop", "step")):
            return "pandas range", [*parts, ("", (value.start, value.stop, value.step))]
        return "pandas index", [*parts, ("", _values(value.array))]
    parts = [(".name", value.name), (".index", value.index), ("", _values(value.array))]
    return f"pandas {kind}", parts


def _values(column):
    """Give what tells the values of a series or array of pandas."""
    array = getattr(column, "array", column)
    dtype = array.dtype
    if hasattr(array, "codes") and hasattr(array, "categories"):
        values = (array.categories, np.asarray(array.codes), bool(array.ordered))
    elif isinstance(dtype, np.dtype):
        values = np.asarray(array)
    elif hasattr(array, "asi8"):
        values = array.asi8
    else:
        values = array.to_numpy(dtype=object)
    return [("", str(dtype)), ("", values)]


def _polars_form(value):
    if hasattr(value, "get_columns"):
        return "polars frame", list(enumerate(value.get_columns()))
    if not hasattr(value, "to_list") or not hasattr(value, "null_count"):
        return None
    plain = not value.null_count() and value.dtype.is_numeric()
    values = value.to_numpy() if plain else value.to_list()
    return "polars series", [("", value.name), ("", str(value.dtype)), ("", values)]


def _arrow_form(value):
    if hasattr(value, "column_names") and hasattr(value, "schema"):
        columns = [(name, value.column(i)) for i, name in enumerate(value.column_names)]
        return "arrow table", [(f"[{name!r}]", (name, col)) for name, col in columns]
    if not hasattr(value, "to_pylist"):
        return None
    return "arrow array", [("", str(value.type)), ("", value.to_pylist())]


def _torch_form(value):
    if not (hasattr(value, "detach") and hasattr(value, "numpy")):
        return None
    tensor = value.detach().cpu()
    parts = [
        ("", str(tensor.dtype)),
        ("", str(tensor.layout)),
        ("", tuple(value.shape)),
    ]
    try:
        tensor = tensor.to_dense() if str(tensor.layout) != "torch.strided" else tensor
        if str(tensor.dtype) == "torch.bfloat16":
            tensor = tensor.float()
        array = tensor.resolve_conj().resolve_neg().numpy()
    except (RuntimeError, TypeError) as error:
        raise NoFormError(f"cannot be read as an array ({error})") from error
    return "tensor", [*parts, ("", array)]


_FRAMES = {
    "pandas": _pandas_form,
    "polars": _polars_form,
    "pyarrow": _arrow_form,
    "torch": _torch_form,
}
