"""Equal content has an equal digest in every process; other content has another."""

import base64
import json
import os
import pickle
import subprocess
import sys
import threading
import types
from pathlib import Path

import fingerprint_values
import hypothesis.strategies as some
import numpy as np
import pandas as pd
import pytest
from fingerprint_values import TWINS, UNSTABLE, VALUES
from hypothesis import given, settings
from model_oracle import repeatable
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC

from skhpo.checkpoint.fingerprint import UnstableError, fingerprint

HERE = Path(__file__).parent
WORKER = """
import base64, pickle, sys
from skhpo.checkpoint.fingerprint import fingerprint
for line in sys.stdin:
    print(fingerprint(pickle.loads(base64.b64decode(line))), flush=True)
"""


def start(code, seed, **options):
    path = os.pathsep.join([str(HERE), *sys.path])
    env = os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": path}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], env=env, **pipes)


@pytest.fixture(scope="module")
def strangers():
    """Two processes that hash otherwise than each other and this one."""
    processes = [start(WORKER, seed) for seed in (1, 2)]
    yield processes
    for process in processes:
        process.communicate()


def ask(process, value):
    line = base64.b64encode(pickle.dumps(value)).decode()
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_values_have_the_same_digest_in_every_process():
    code = "import json, fingerprint_values as v; print(json.dumps(v.digests()))"
    processes = [start(code, seed) for seed in (1, 2)]
    answers = [json.loads(process.communicate()[0]) for process in processes]
    here = fingerprint_values.digests()
    for there in answers:
        assert [name for name in here if here[name] != there[name]] == []


def test_no_two_values_have_the_same_digest():
    names = {}
    for name, value in VALUES.items():
        names.setdefault(fingerprint(value), []).append(name)
    assert [same for same in names.values() if len(same) > 1] == []


@pytest.mark.parametrize("first, second", TWINS.values(), ids=TWINS)
def test_what_makes_no_difference_does_not_count(first, second):
    assert fingerprint(first) == fingerprint(second)


@pytest.mark.parametrize(
    "kind", ["SVC", "pipeline", "own", "lambda", "frozen", "output"]
)
def test_a_clone_has_the_digest_of_the_original(kind):
    assert fingerprint(clone(VALUES[kind])) == fingerprint(VALUES[kind])


def test_nothing_is_changed_by_looking_at_it():
    before = [pickle.dumps(VALUES[name]) for name in ("Generator", "frame", "csr")]
    fingerprint_values.digests()
    after = [pickle.dumps(VALUES[name]) for name in ("Generator", "frame", "csr")]
    assert before == after


@pytest.mark.parametrize("make", UNSTABLE.values(), ids=UNSTABLE)
def test_what_cannot_be_recognised_is_refused_by_name(make):
    value = make()
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    model = make_pipeline(SVC(), FunctionTransformer(kw_args={"a": [0, value]}))
    path = r"model\.steps\[1\]\[1\]\.kw_args\['a'\]\[1\]"
    with pytest.raises(UnstableError, match=path) as caught:
        fingerprint(model, name="model")
    assert isinstance(caught.value, TypeError)
    if kind != "threading._MainThread":  # it is the lock in it that is named
        assert f" ({kind}) " in str(caught.value)
    assert "version" in str(caught.value)
    if hasattr(value, "close"):
        value.close()


def test_a_version_stands_for_what_cannot_be_recognised_and_for_nothing_else():
    def digest(version, value):
        return fingerprint(value, version=version)

    first, second = ({"a": 1, "lock": threading.Lock()} for _ in range(2))
    assert digest("1", first) == digest("1", second)
    assert digest("1", first) != digest("2", second)
    assert digest("1", first) != digest("1", first | {"a": 2})
    assert digest("1", [threading.Lock()]) != digest("1", [threading.RLock()])
    assert digest("1", {"a": 1}) == digest("2", {"a": 1}) == digest(None, {"a": 1})


def test_values_that_are_nested_too_deeply_are_refused():
    value = []
    for _ in range(10**5):
        value = [value]
    with pytest.raises(UnstableError, match="nested too deeply"):
        fingerprint(value)


def test_many_ways_back_do_not_take_for_ever():
    nodes = [[i] for i in range(12)]
    for node in nodes:
        node += nodes
    with pytest.raises(UnstableError, match="refers to itself in too many ways"):
        fingerprint(nodes[0])


def function(source, **variables):
    """Define the first name of a source text in a module of the user's."""
    module = types.ModuleType("users_module")
    vars(module).update(variables)
    exec(compile(source, "<users_module>", "exec"), vars(module))
    return vars(module)["f"]


SOURCES = [
    "def f(x): return x + 1",
    "def f(x): return x + 2",
    "def f(x): return x - 1",
    "def f(x, y=1): return x + 1",
    "def f(x, y=2): return x + 1",
    "def f(x, *, y=2): return x + 1",
    "def f(y): return y + 1",
    "def f(x): return x.real + 1",
    "def f(x): return x.imag + 1",
    "def f(x): return (lambda: x + 1)()",
    "def f(x): return (lambda: x + 2)()",
    "def f(x): return x + a\na = 1",
    "def f(x): return x + a\na = 2",
    "def f(x): return x + a\na = 1.0",
    "def f(x): return x + a\na = (1, 2)",
    "def f(x): return g(x)\ndef g(x): return 1",
    "def f(x): return g(x)\ndef g(x): return 2",
    "def f(x): return g(x)\ndef g(x): return h\nh = 2",
    "def f(x): return g(x)\ndef g(x): return h\nh = 3",
    "def f(x): return g(x)\ng = len",
    "def f(x): return g(x)\ng = abs",
    "import numpy as g\ndef f(x): return g.e",
    "import scipy as g\ndef f(x): return g.e",
    "class f: pass",
    "class f: a = 1",
    "class f: a = 2",
    "class f:\n def a(self): return 1",
    "class f:\n def a(self): return 2",
    "class f:\n @property\n def a(self): return 1",
    "class f:\n @property\n def a(self): return 2",
    "class f:\n @staticmethod\n def a(): return g()\ndef g(): return 1",
    "class f:\n @staticmethod\n def a(): return g()\ndef g(): return 2",
    "class g: a = 1\nclass f(g): pass",
    "class g: a = 2\nclass f(g): pass",
    "import functools\n@functools.lru_cache\ndef f(x): return 1",
    "import functools\n@functools.lru_cache\ndef f(x): return 2",
    "def wrap(g):\n def f(x): return g(x)\n return f\n@wrap\ndef f(x): return 1",
    "def wrap(g):\n def f(x): return g(x)\n return f\n@wrap\ndef f(x): return 2",
    "import contextlib\n@contextlib.contextmanager\ndef f(x): yield 1",
    "import contextlib\n@contextlib.contextmanager\ndef f(x): yield 2",
]
SAME = [
    ("def f(x): return x + 1", "\n\n# moved\ndef f(x):\n\n    return x + 1"),
    ("def f(x):\n 'Add.'\n return x", "def f(x):\n 'Add one.'\n return x"),
    ("class f:\n 'A.'\n def g(self): 'B.'", "class f:\n 'C.'\n\n def g(self): 'D.'"),
    ("def f(x): return x\na = 1", "def f(x): return x\na = 2"),
    ("def f(x): return a\na = [1]", "def f(x): return a\na = [2]"),
    (
        "a = 1\ndef f(x):\n global a\n a += 1",
        "a = 2\ndef f(x):\n global a\n a += 1",
    ),
    (
        "class f:\n a = 1\n def g(self): f.a += 1",
        "class f:\n a = 2\n def g(self): f.a += 1",
    ),
    ("def f(x): return f(x)", "def f(x): return f(x)"),
    (
        "def f(x): return g(x)\ndef g(x): return f(x)",
        "def g(x): return f(x)\ndef f(x): return g(x)",
    ),
    (
        "class f:\n def a(self): return super().a",
        "class f:\n def a(self): return super().a\n",
    ),
]


def test_functions_and_classes_differ_when_they_do_something_else():
    digests = {}
    for source in SOURCES:
        digests.setdefault(fingerprint(function(source)), []).append(source)
    assert [same for same in digests.values() if len(same) > 1] == []


@pytest.mark.parametrize("first, second", SAME)
def test_where_a_function_stands_and_what_it_does_not_use_make_no_difference(
    first, second
):
    assert fingerprint(function(first)) == fingerprint(function(second))


def test_a_function_that_wraps_one_of_the_library_is_the_users():
    source = "import functools\n@functools.wraps(g)\ndef f(x): return {}"
    one, two = (function(source.format(i), g=np.mean) for i in (1, 2))
    assert one.__module__ == np.mean.__module__
    assert fingerprint(one) != fingerprint(two) != fingerprint(np.mean)


def test_an_estimator_of_the_users_counts_with_its_code():
    source = """
from sklearn.base import BaseEstimator
class f(BaseEstimator):
    def fit(self, X): return {}
"""
    one, two = (function(source.format(i))() for i in (1, 2))
    assert fingerprint(one) != fingerprint(two)


def test_a_bound_method_of_a_generator_counts_by_its_state():
    one, two = (np.random.default_rng(0).normal for _ in range(2))
    assert fingerprint(one) == fingerprint(two)
    two()
    assert fingerprint(one) != fingerprint(two)


def test_an_object_may_say_what_it_consists_of():
    class Cached:
        def __init__(self, a):
            self.a, self.cache = a, threading.Lock()

        def __getstate__(self):
            return {"a": self.a}

    assert fingerprint(Cached(1)) == fingerprint(Cached(1)) != fingerprint(Cached(2))


class Arrow:
    """What PyArrow's arrays and tables answer."""

    def __init__(self, type, values):
        self.type, self.values = type, values

    def to_pylist(self):
        return self.values


Arrow.__module__ = "pyarrow.lib"


class ArrowTable:
    def __init__(self, **columns):
        self.columns, self.schema = columns, None
        self.column_names = list(columns)

    def column(self, i):
        return self.columns[self.column_names[i]]


ArrowTable.__module__ = "pyarrow.lib"


def test_tables_of_pyarrow_count_by_names_types_and_values():
    table = fingerprint(ArrowTable(a=Arrow("int64", [1, None])))
    assert table == fingerprint(ArrowTable(a=Arrow("int64", [1, None])))
    assert table != fingerprint(ArrowTable(b=Arrow("int64", [1, None])))
    assert table != fingerprint(ArrowTable(a=Arrow("int32", [1, None])))
    assert table != fingerprint(ArrowTable(a=Arrow("int64", [1, 2])))


def test_a_memory_map_counts_as_its_content(tmp_path, rng):
    values = rng.normal(size=(50, 7))
    np.save(tmp_path / "a.npy", values)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    assert fingerprint(mapped) == fingerprint(values)
    assert fingerprint(mapped.T) == fingerprint(values.T.copy())


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "c16", "M8[s]", "U3", "?", "O"])
@pytest.mark.parametrize("shape", [(300_000,), (2, 200_000), (200_000, 2)])
def test_every_element_of_a_large_array_counts(dtype, shape):
    values = np.zeros(shape, dtype)
    digest = fingerprint(values)
    assert digest == fingerprint(np.asfortranarray(values))
    for place in (0, values.size // 2, values.size - 1):
        other = values.copy()
        other.flat[place] = 1
        assert fingerprint(other) != digest


@pytest.mark.slow
def test_every_row_cell_and_name_of_a_frame_counts(rng):
    frame = pd.DataFrame({"a": rng.normal(size=40), "b": list("wxyz") * 10})
    frame["c"] = frame["b"].astype("category")
    digests = {fingerprint(frame), fingerprint(frame[::-1])}
    for i in range(len(frame)):
        for column, value in {
            "a": 9.0,
            "b": "v",
            "c": "z" if i % 4 < 3 else "x",
        }.items():
            other = frame.copy()
            other.loc[i, column] = value
            digests.add(fingerprint(other))
    assert len(digests) == 2 + 3 * len(frame)


atoms = some.one_of(
    some.none(),
    some.booleans(),
    some.integers(),
    some.floats(),
    some.text(max_size=3),
    some.binary(max_size=3),
)
values = some.recursive(
    atoms,
    lambda inner: some.one_of(
        some.lists(inner, max_size=3),
        some.tuples(inner, inner),
        some.dictionaries(some.text(max_size=2), inner, max_size=4),
        some.sets(atoms, max_size=5),
    ),
    max_leaves=10,
)


def oracle(value):
    """Spell out a value in a way that is slow and plain."""
    if isinstance(value, (list, tuple)):
        return f"{type(value)}{[oracle(v) for v in value]}"
    if isinstance(value, dict):
        return f"{sorted([oracle(k), oracle(v)] for k, v in value.items())}"
    if isinstance(value, set):
        return f"set{sorted(map(oracle, value))}"
    return f"{type(value)}{value!r}"


@settings(repeatable, max_examples=150)
@given(value=values)
def test_equal_content_has_an_equal_digest_everywhere(strangers, value):
    here = fingerprint(value)
    assert [ask(process, value) for process in strangers] == [here, here]


@settings(repeatable, max_examples=300)
@given(first=values, second=values)
def test_digests_are_equal_if_and_only_if_contents_are(first, second):
    same = oracle(first) == oracle(second)
    assert (fingerprint(first) == fingerprint(second)) == same
