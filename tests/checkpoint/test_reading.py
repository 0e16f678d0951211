"""A checkpoint can be looked into, whether or not a search writes to it."""

import errno
import threading
from dataclasses import replace

import numpy as np
import pytest
from recorded_fits import (
    ASPECTS,
    nan,
    unit,
    write,
)
from sklearn.svm import SVC

from skhpo.checkpoint import Checkpoint, read_checkpoint
from skhpo.trial import SplitResult


def test_reading_gives_a_row_for_each_candidate(path):
    params = {"C": 0.1, "n": np.int64(2), "f": len, "m": SVC(), "x": nan, "t": (1, 2)}
    params |= {"o": object(), "g": 10**5000, "s": "é", "b": True, "none": None}
    unit = ("k", params)
    ends = [SplitResult(s / 10, None, s, 2 * s) for s in (1, 2)]
    with Checkpoint(path).open(ASPECTS, n_splits=2) as journal:
        journal.end([(*unit, 0), (*unit, 1)], ends)
        journal.end([("l", {}, 0)], [ends[0]])
        failed = replace(ends[0], test_scores=nan, error="Traceback")
        journal.end([("m", {}, 0), ("m", {}, 1)], [failed, failed])
        journal.end([("n", {}, 0), ("n", {}, 1)], [ends[0], failed])
        journal.begin([("o", {}, 0)])
        killed = replace(failed, limit=0.5)
        journal.end([("p", {}, 0), ("p", {}, 1)], [failed, killed])
        table = read_checkpoint(path)
    plain = {"C": 0.1, "n": 2, "f": "len", "m": "SVC()", "x": "nan", "t": "(1, 2)"}
    found = table["params"][0]
    assert {name: found[name] for name in plain} == plain
    assert (found["o"], found["s"], found["b"], found["none"]) == (
        "object",
        "é",
        True,
        None,
    )
    assert found["g"].startswith("0x")
    statuses = "complete incomplete failed complete incomplete timeout"
    assert table["status"] == statuses.split()
    assert table["error"] == [None, None, "Traceback", "Traceback", None, "Traceback"]
    expected = {
        "n_splits_done": [2, 1, 2, 2, 0, 2],
        "split0_test_score": [0.1, 0.1, nan, 0.1, nan, nan],
        "split1_test_score": [0.2, nan, nan, nan, nan, nan],
        "mean_test_score": [0.15, nan, nan, nan, nan, nan],
        "mean_fit_time": [1.5, 1, 1, 1, nan, 1],
        "mean_score_time": [3, 2, 2, 2, nan, 2],
    }
    for name, column in expected.items():
        np.testing.assert_allclose(table[name], column, err_msg=name)
    assert len(table) == 3 + len(expected)


def test_reading_gives_a_column_for_each_metric(path):
    with Checkpoint(path).open(ASPECTS) as journal:
        failed = SplitResult(-1.0, None, 0.0, 0.0, "Traceback")
        named = SplitResult({"acc": 0.5, "f1": 0.25}, None, 0.0, 0.0)
        journal.end([unit(0, 0), unit(0, 1)], [failed, named])
    table = read_checkpoint(path)
    columns = {name: list(table[name]) for name in table if "_test_" in name}
    assert columns == {
        "split0_test_acc": [-1.0],
        "split0_test_f1": [-1.0],
        "split1_test_acc": [0.5],
        "split1_test_f1": [0.25],
        "mean_test_acc": [-0.25],
        "mean_test_f1": [-0.375],
    }


def test_reading_needs_no_lock_and_sees_whole_records_only(written):
    data = written.read_bytes()
    for size in range(len(data) - 300, len(data)):
        written.write_bytes(data[:size])
        table = read_checkpoint(written)
        n_whole = data[: data.rfind(b"\n", 0, size) + 1].count(b'"end"')
        assert sum(table["n_splits_done"]) == n_whole
        assert written.read_bytes() == data[:size]


def test_reading_while_another_thread_writes(path):
    writer = threading.Thread(target=write, args=[path, 60])
    writer.start()
    counts = [0]
    while writer.is_alive():
        if path.exists():
            counts.append(sum(read_checkpoint(path)["n_splits_done"]))
    writer.join()
    assert counts == sorted(counts)
    assert sum(read_checkpoint(path)["n_splits_done"]) == 180


def test_reading_an_empty_file_gives_an_empty_table(path):
    path.touch()
    table = read_checkpoint(path)
    assert all(len(column) == 0 for column in table.values())
    assert {"params", "status", "mean_test_score"} <= table.keys()


def test_reading_says_what_is_missing(tmp_path):
    nowhere = tmp_path / "nowhere"
    match = f"^checkpoint '{nowhere}' does not exist. Give the path"
    with pytest.raises(FileNotFoundError, match=match) as error:
        read_checkpoint(nowhere)
    assert error.value.errno == errno.ENOENT
    with pytest.raises(ValueError, match="folder without checkpoints; name a file"):
        read_checkpoint(tmp_path)
    for i in range(7):
        write(tmp_path / f"{i}.jsonl", n=0)
    with pytest.raises(
        ValueError, match=r"one of its 7 checkpoints: '0.jsonl', .*, \.\."
    ):
        read_checkpoint(tmp_path)


def test_an_estimator_with_a_long_description_is_cut_short(path):
    with Checkpoint(path).open(ASPECTS) as journal:
        journal.begin([("k", {"a": list(range(10**4)), 3: "x"}, 0)])
    (params,) = read_checkpoint(path)["params"]
    assert len(params["a"]) == 200 and params["3"] == "x"
