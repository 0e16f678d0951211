"""Values of every kind, made anew in each process that imports this.

No two of ``VALUES`` are the same; those of ``TWINS`` are, two by two. ``UNSTABLE``
cannot be recognised in another process.
"""

import collections
import datetime
import decimal
import enum
import fractions
import functools
import importlib.util
import io
import operator
import pathlib
import pickle
import re
import socket
import sys
import threading
import types
import uuid

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
import scipy.stats as st
import sklearn
from sklearn.base import BaseEstimator
from sklearn.ensemble import VotingClassifier
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import KFold, ShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

X = np.arange(12.0).reshape(4, 3)
y = np.array([0, 1, 0, 1])
SCALE = 3.0


class Color(enum.Enum):
    RED = 1
    BLUE = 2


Point = collections.namedtuple("Point", "x y")


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a):
        self.a = a


class Plain:
    def __init__(self, **attributes):
        vars(self).update(attributes)


class Own(BaseEstimator):
    """An estimator of the user's."""

    def __init__(self, a=1, n_jobs=None):
        self.a = a
        self.n_jobs = n_jobs

    def fit(self, X, y=None):
        return helped(self, X)


def helped(estimator, X):
    return estimator if X is not None else Own(SCALE)


def adder(n, by=1):
    return lambda x, *, to=0: x + n + by + to


def long_of(module):
    """Take names of the library's, and constants of ours."""
    return [name for name in dir(module) if len(name) > SCALE and name in {"a", "b"}]


def ring(n):
    first = [n]
    first.append({"back": first, "also": [first]})
    return first


def frame(**columns):
    return pd.DataFrame(columns)


def fitted(estimator, X=X):
    return estimator.fit(X, y)


def requesting(weights):
    with sklearn.config_context(enable_metadata_routing=True):
        return Ridge().set_fit_request(sample_weight=weights)


class Fields(tuple):
    pass


padded = np.dtype([("a", "i1"), ("b", "f8")], align=True)
csr = sp.csr_matrix(X)

VALUES = {
    # scalars
    "None": None,
    "Ellipsis": ...,
    "1": 1,
    "-1": -1,
    "1.0": 1.0,
    "True": True,
    "1j": 1j,
    "'1'": "1",
    "b'1'": b"1",
    "bytearray": bytearray(b"1"),
    "int64 1": np.int64(1),
    "int32 1": np.int32(1),
    "float64 1": np.float64(1),
    "float32 1": np.float32(1),
    "bool_": np.bool_(True),
    "str_": np.str_("1"),
    "longdouble": np.longdouble(1) / 3,
    "0.1": 0.1,
    "next to 0.1": np.nextafter(0.1, 1).item(),
    "0.0": 0.0,
    "-0.0": -0.0,
    "nan": float("nan"),
    "inf": float("inf"),
    "huge": 10**5000,
    "surrogate": "\ud800",
    "enum": Color.RED,
    "other enum": Color.BLUE,
    "path": pathlib.Path("a"),
    "date": datetime.date(2020, 1, 2),
    "datetime": datetime.datetime(2020, 1, 2),
    "timezone": datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc),  # noqa: UP017
    "timedelta": datetime.timedelta(1),
    "decimal": decimal.Decimal("1.10"),
    "other decimal": decimal.Decimal("1.1"),
    "fraction": fractions.Fraction(1, 3),
    "uuid": uuid.UUID(int=1),
    "pattern": re.compile("a"),
    "other flags": re.compile("a", re.I),
    "bytes pattern": re.compile(b"a"),
    # containers
    "list": [1, 2],
    "tuple": (1, 2),
    "other order": [2, 1],
    "nested": [[1], 2],
    "other nesting": [[1, 2]],
    "texts": ["ab", "c"],
    "other texts": ["a", "bc"],
    "set": {1, 2},
    "frozenset": frozenset([1, 2]),
    "dict": {"a": 1, "b": 2},
    "other keys": {"a": 2, "b": 1},
    "ordered": collections.OrderedDict(a=1, b=2),
    "otherwise ordered": collections.OrderedDict(b=2, a=1),
    "defaultdict": collections.defaultdict(int, a=1),
    "deque": collections.deque([1, 2]),
    "namedtuple": Point(1, 2),
    "tuple subclass": Fields((1, 2)),
    "range": range(3),
    "other range": range(1, 3),
    "slice": slice(3),
    "namespace": types.SimpleNamespace(a=1),
    "ring": ring(1),
    "other ring": ring(2),
    "empty list": [],
    "empty dict": {},
    "empty tuple": (),
    # arrays
    "array": X,
    "array of another shape": X.reshape(3, 4),
    "array of three": X.reshape(2, 2, 3),
    "array of float32": X.astype(np.float32),
    "array of big ends": X.astype(">f8"),
    "array of one other": np.where(X == 5, 6, X),
    "array of nan": np.where(X == 5, np.nan, X),
    "array of int": X.astype(int),
    "no rows": np.empty((0, 3)),
    "no columns": np.empty((3, 0)),
    "array of no dimension": np.array(1.0),
    "array of texts": np.array(["ab", "c"]),
    "array of dates": np.array(["2020-01-02"], dtype="M8[D]"),
    "array of ns": np.array(["2020-01-02"], dtype="M8[ns]"),
    "array of objects": np.array(["a", 1, None, np.nan], dtype=object),
    "array of other objects": np.array(["a", 1.0, None, np.nan], dtype=object),
    "array of complex": X + 1j,
    "array of long": X.astype(np.longdouble),
    "array of fields": np.array([(1, 2.0)], dtype=padded),
    "array of other fields": np.array([(1, 3.0)], dtype=padded),
    "masked": np.ma.masked_array(X, X > 5),
    "masked elsewhere": np.ma.masked_array(X, X > 6),
    "records": np.array([(1, 2.0)], dtype=padded).view(np.recarray),
    "dtype": np.dtype("f8"),
    "dtype of fields": padded,
    "memoryview": memoryview(b"abc"),
    "csr": csr,
    "csr array": sp.csr_array(X),
    "csc": csr.tocsc(),
    "coo": csr.tocoo(),
    "lil": csr.tolil(),
    "dia": csr.todia(),
    "csr of others": csr * 2,
    "csr wider": sp.csr_matrix((csr.data, csr.indices, csr.indptr), shape=(4, 5)),
    # frames
    "frame": frame(a=[1, 2], b=["x", None]),
    "frame of other names": frame(a=[1, 2], c=["x", None]),
    "frame of other order": frame(b=["x", None], a=[1, 2]),
    "frame of other values": frame(a=[1, 3], b=["x", None]),
    "frame of other type": frame(a=[1.0, 2.0], b=["x", None]),
    "frame of other index": frame(a=[1, 2], b=["x", None]).set_axis([1, 2]),
    "categories": frame(a=pd.Categorical(["x", "y"])),
    "more categories": frame(a=pd.Categorical(["x", "y"], ["x", "y", "z"])),
    "ordered categories": frame(a=pd.Categorical(["x", "y"], ordered=True)),
    "masked ints": frame(a=pd.array([1, None], dtype="Int64")),
    "zone": frame(a=pd.to_datetime(["2020"]).tz_localize("UTC")),
    "other zone": frame(a=pd.to_datetime(["2020"]).tz_localize("Europe/Paris")),
    "periods": frame(a=pd.period_range("2020", periods=2, freq="D")),
    "intervals": frame(a=pd.interval_range(0, 2)),
    "levels": frame(a=[1, 2]).set_index(pd.MultiIndex.from_tuples([(0, 1), (0, 2)])),
    "sparse column": frame(a=pd.arrays.SparseArray([0, 0, 1])),
    "series": pd.Series([1, 2]),
    "named series": pd.Series([1, 2], name="a"),
    "series of texts": pd.Series(["a", None]),
    "index": pd.Index([0, 1]),
    "range index": pd.RangeIndex(2),
    "NA": pd.NA,
    "timestamp": pd.Timestamp("2020"),
    "polars": pl.DataFrame({"a": [1, 2], "b": ["x", None]}),
    "polars of others": pl.DataFrame({"a": [1, 3], "b": ["x", None]}),
    "polars of other names": pl.DataFrame({"c": [1, 2], "b": ["x", None]}),
    "polars of floats": pl.DataFrame({"a": [1.0, 2.0], "b": ["x", None]}),
    "polars series": pl.Series([1, 2]),
    "polars null": pl.Series([1, None]),
    "polars categories": pl.Series(["a", "b"], dtype=pl.Categorical),
    # estimators
    "SVC": SVC(),
    "SVC(2)": SVC(C=2),
    "SVC('1')": SVC(C="1"),
    "Ridge": Ridge(),
    "SVC class": SVC,
    "pipeline": make_pipeline(StandardScaler(), SVC()),
    "other pipeline": make_pipeline(StandardScaler(), SVC(C=2)),
    "output": StandardScaler().set_output(transform="pandas"),
    "scaler": StandardScaler(),
    "requests": requesting(True),
    "other requests": requesting(False),
    "frozen": FrozenEstimator(fitted(LogisticRegression())),
    "otherwise frozen": FrozenEstimator(fitted(LogisticRegression(), X**2)),
    "frozen tree": FrozenEstimator(fitted(DecisionTreeClassifier(random_state=0))),
    "frozen pipeline": FrozenEstimator(
        make_pipeline(StandardScaler(), SVC()).fit(X, y)
    ),
    "own": Own(),
    "own other": Own(a=[1]),
    "own class": Own,
    "k best": SelectKBest(f_classif),
    "log": FunctionTransformer(np.log1p),
    "exp": FunctionTransformer(np.expm1),
    "lambda": FunctionTransformer(lambda X: X + 1),
    "other lambda": FunctionTransformer(lambda X: X + 2),
    "scorer": make_scorer(f1_score),
    "other scorer": make_scorer(f1_score, average="micro"),
    "KFold": KFold(3),
    "ShuffleSplit": ShuffleSplit(3, random_state=0),
    "ShuffleSplit by state": ShuffleSplit(3, random_state=np.random.RandomState(0)),
    "ShuffleSplit by other": ShuffleSplit(3, random_state=np.random.RandomState(1)),
    # distributions and generators
    "norm": st.norm,
    "norm(0, 1)": st.norm(0, 1),
    "norm(0, 2)": st.norm(0, 2),
    "norm(scale=2)": st.norm(scale=2),
    "loguniform": st.loguniform(1, 2),
    "reciprocal": st.reciprocal(1, 2),
    "randint": st.randint(0, 3),
    "rv_discrete": st.rv_discrete(values=([1, 2], [0.5, 0.5])),
    "other rv_discrete": st.rv_discrete(values=([1, 2], [0.4, 0.6])),
    "rv_histogram": st.rv_histogram(np.histogram([1, 2, 3.0])),
    "RandomState": np.random.RandomState(0),
    "other RandomState": np.random.RandomState(1),
    "Generator": np.random.default_rng(0),
    "other Generator": np.random.default_rng(1),
    "Philox": np.random.Generator(np.random.Philox(0)),
    "bits": np.random.PCG64(0),
    # functions, classes and modules
    "len": len,
    "str.lower": str.lower,
    "np.exp": np.exp,
    "np.mean": np.mean,
    "np.random.rand": np.random.rand,
    "bound": "a".join,
    "otherwise bound": "b".join,
    "method": Own().fit,
    "other method": Own(2).fit,
    "partial": functools.partial(helped, 1),
    "other partial": functools.partial(helped, 2),
    "itemgetter": operator.itemgetter(1),
    "other itemgetter": operator.itemgetter(2),
    "function": helped,
    "long_of": long_of,
    "closure": adder(1),
    "other closure": adder(2),
    "default": adder(1, 2),
    "cached": functools.lru_cache(helped),
    "module": np,
    "class": Plain,
    "int": int,
    "list[int]": list[int],
    "union": int | None,
    # objects
    "object": Plain(a=1),
    "other object": Plain(a=2),
    "renamed": Plain(b=1),
    "slots": Slotted(1),
    "other slots": Slotted(2),
    "exception": ValueError("a"),
    "sentinel": object(),
}

tree = DecisionTreeClassifier(random_state=0)
long_fields = np.frombuffer(b"\x01" + b"\xff" * 7 + bytes(8), padded)
nan_bits = np.array([0x7FF8000000000001], dtype=np.uint64).view(float)
unsorted = csr.copy()
unsorted.indices = unsorted.indices.astype(np.int64)
twice = sp.csr_matrix(([1.0, 2.0, 4.0], [2, 0, 0], [0, 3]), shape=(1, 3))
drawn = st.norm(0, 1)
drawn.random_state = 3
drawn.rvs()
shared = [1]
ensemble = fitted(VotingClassifier([("a", LogisticRegression())]))
neighbors, asked = (
    fitted(KNeighborsClassifier(1, algorithm="kd_tree")) for _ in range(2)
)
asked.predict(X)

TWINS = {
    "dicts": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "sets": (set("abcdef"), set("fedcba")),
    "nan": (float("nan"), -float("nan")),
    "shared": ([shared, shared], [[1], [1]]),
    "rings": (ring(1), ring(1)),
    "Fortran": (X, np.asfortranarray(X)),
    "strided": (X, np.repeat(X, 2, axis=1)[:, ::2]),
    "nan in arrays": (np.array([np.nan]), nan_bits),
    "padding": (np.array([(1, 0.0)], dtype=padded), long_fields),
    "wide indices": (csr, unsorted),
    "duplicates": (twice, sp.csr_matrix([[6.0, 0, 1]])),
    "distributions": (st.norm(0, 1), drawn),
    "n_jobs": (Own(n_jobs=1), Own(n_jobs=2)),
    "memory and verbose": (
        make_pipeline(SVC(), memory="a", verbose=True),
        make_pipeline(SVC(verbose=True)),
    ),
    "fitted": (tree, fitted(DecisionTreeClassifier(random_state=0))),
    "frozen": (
        FrozenEstimator(fitted(LinearRegression(n_jobs=1))),
        FrozenEstimator(fitted(LinearRegression(n_jobs=2))),
    ),
    "frozen ensembles": (
        FrozenEstimator(ensemble),
        FrozenEstimator(pickle.loads(pickle.dumps(ensemble))),
    ),
    "frozen neighbours": (FrozenEstimator(neighbors), FrozenEstimator(asked)),
    "slices of frames": (
        frame(a=[2, 3]),
        frame(a=[1, 2, 3])[1:].reset_index(drop=True),
    ),
    "chunks": (pl.Series([1, 2]), pl.concat([pl.Series([1]), pl.Series([2])])),
    "closures": (adder(1), adder(1)),
}

if importlib.util.find_spec("torch"):
    import torch

    VALUES |= {
        "tensor": torch.ones(2),
        "tensor of others": torch.zeros(2),
        "tensor of doubles": torch.ones(2).double(),
        "bfloat16": torch.ones(2, dtype=torch.bfloat16),
        "float16": torch.ones(2, dtype=torch.float16),
        "sparse tensor": torch.ones(2).to_sparse(),
        "parameter": torch.nn.Linear(1, 1).load_state_dict,
        "torch type": torch.float32,
        "device": torch.device("cpu"),
        "layer": torch.nn.ReLU(),
    }
    del VALUES["parameter"]  # its weights are random
    TWINS["requires_grad"] = (torch.ones(2), torch.ones(2, requires_grad=True))
    TWINS["transposed"] = (torch.ones(2, 3), torch.ones(3, 2).T)


def lazily():
    yield 1


UNSTABLE = {
    "generator": lazily,
    "lock": threading.Lock,
    "thread": threading.current_thread,
    "file": lambda: open(__file__),  # noqa: SIM115
    "socket": socket.socket,
    "text stream": lambda: io.TextIOWrapper(io.BytesIO()),
    "vectorized": lambda: np.frompyfunc(len, 1, 1),
    "frame of a call": sys._getframe,
}


def digests():
    """Compute those of all VALUES and TWINS."""
    from skhpo.checkpoint.fingerprint import fingerprint

    found = {name: fingerprint(value, name=name) for name, value in VALUES.items()}
    for name, twins in TWINS.items():
        found |= {f"{name}, {i}": fingerprint(twin) for i, twin in enumerate(twins)}
    return found
