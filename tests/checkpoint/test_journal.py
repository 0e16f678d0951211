"""What was recorded comes back bit for bit, or the file is refused and left alone."""

import errno
import gc
import json
import math
import os
import pickle
import subprocess
import sys
import threading
import time
from copy import deepcopy
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.svm import SVC

from skhpo.checkpoint import Checkpoint, _records, read_checkpoint
from skhpo.checkpoint import journal as journal_module
from skhpo.hypergradients.base import Derivative
from skhpo.trial import SplitResult

ASPECTS = {"X": [1.0, 2.0], "y": [0, 1], "cv": 3}
SEARCH = {"seed": 7, "n_iter": 4, "n_splits": 3}
nan = float("nan")

RESULTS = {
    "plain": SplitResult(0.1, None, 1.5, 0.25),
    "train": SplitResult(1 / 3, 2 / 3, 1e-9, 1e9),
    "metrics": SplitResult({"acc": 0.1, "f1": nan}, {"acc": 0.2, "f1": 1.0}, 1.0, 2.0),
    "not finite": SplitResult(-math.inf, math.inf, nan, 0.0),
    "smallest": SplitResult(5e-324, -0.0, 0.1, 0.2),
    "largest": SplitResult(sys.float_info.max, -sys.float_info.max, 0.1, 0.2),
    "integers": SplitResult(3, -4, 1, 0),
    "long integers": SplitResult(2**200 + 1, -(2**90), 1.0, 0.0),
    "booleans": SplitResult(True, False, 1.0, 0.0),
    "failed": SplitResult(
        nan, None, 0.0, 0.0, "Traceback …\n \x00\ud800 'a': \"b\"\r\n"
    ),
    "killed": SplitResult(nan, nan, 0.5, 0.0, "killed", limit=0.1),
    "slopes": SplitResult(
        0.5, None, 1.0, 2.0, derivative=Derivative(0.1, {"C": nan, "a__b": -0.0})
    ),
    "curve": SplitResult(
        0.5, None, 1.0, 2.0, derivative=Derivative(0.1, {"C": 1.0}, ((1.0, 2.0, nan),))
    ),
    "names": SplitResult({0: 1.0, "": 2.0}, None, 1.0, 2.0),
}


def bits(value):
    """Spell out a value so that what is equal has equal bits, NaN too."""
    if isinstance(value, SplitResult):
        return [bits(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, Derivative):
        return ["Derivative", *map(bits, value)]
    if isinstance(value, (tuple, list)):
        return [type(value), *map(bits, value)]
    if isinstance(value, dict):
        return [(name, bits(v)) for name, v in value.items()]
    return type(value), value.hex() if type(value) is float else value


def unit(i, split=0):
    return f"key{i}", {"C": float(i), "kernel": "rbf"}, split


def write(path, n=4, **options):
    """Record three splits of each of n candidates, and leave the next fit begun."""
    with Checkpoint(path).open(ASPECTS, **SEARCH, **options) as journal:
        for i in range(n):
            for split in range(3):
                journal.begin([unit(i, split)])
                journal.end([unit(i, split)], [SplitResult(i + split / 7, None, 1, 2)])
        journal.begin([unit(n)])


def recorded(path, n=4, **search):
    with Checkpoint(path).open(ASPECTS, **search) as journal:
        found = {
            (i, s): journal.recorded(f"key{i}", s) for i in range(n) for s in range(3)
        }
    return {
        place: bits(result) for place, result in found.items() if result is not None
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.jsonl"


@pytest.fixture
def written(path):
    write(path)
    return path


def refused(path, match, error=ValueError, aspects=ASPECTS):
    """Check that a file is refused by its name, and left as it is."""
    before = path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode
    with pytest.raises(error, match=match) as caught:
        Checkpoint(path).open(aspects)
    assert f"checkpoint '{path}' " in str(caught.value)
    assert before == (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode)
    return str(caught.value)


# A checkpoint is a plain value.


def test_a_checkpoint_is_a_plain_value(path):
    checkpoint = Checkpoint(path, version="1")
    assert repr(checkpoint) == f"Checkpoint(path='{path}', version='1')"
    for other in (
        Checkpoint(str(path), version="1"),
        deepcopy(checkpoint),
        pickle.loads(pickle.dumps(checkpoint)),
        clone(checkpoint, safe=False),
    ):
        assert other == checkpoint and hash(other) == hash(checkpoint)
    assert checkpoint != Checkpoint(path)


@pytest.mark.parametrize(
    "arguments, match",
    [
        ({"path": 3}, "path = 3 must be"),
        ({"path": None}, "path = None must be"),
        ({"path": "a", "version": 1}, "version = 1 must be"),
    ],
)
def test_arguments_of_another_type_are_refused(arguments, match):
    with pytest.raises(TypeError, match=match):
        Checkpoint(**arguments)


def test_an_empty_path_is_refused_by_the_name_of_the_parameter():
    with pytest.raises(ValueError, match=r"path = '' of the checkpoint .*checkpoint=N"):
        Checkpoint("")


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write("~/a.jsonl")
    assert os.listdir(tmp_path) == ["a.jsonl"]
    assert Checkpoint(Path("~") / "a.jsonl") == Checkpoint(tmp_path / "a.jsonl")
    assert len(read_checkpoint("~/a.jsonl")["params"]) == 5


def test_aspects_count_by_their_content(path):
    Checkpoint(path).open({"model": SVC(), "X": np.ones(3)}).close()
    Checkpoint(path).open({"model": SVC(verbose=1), "X": np.ones(3)}).close()
    refused(path, "model differs", aspects={"model": SVC(C=2.0), "X": np.ones(3)})


def test_an_aspect_without_stable_content_needs_a_version_and_leaves_no_file(path):
    aspects = {"model": SVC(C=threading.Lock())}
    with pytest.raises(TypeError, match=r"model\.C \(_thread.lock\)"):
        Checkpoint(path).open(aspects)
    assert not path.exists()
    Checkpoint(path, version="1").open(aspects).close()
    with pytest.raises(ValueError, match="model differs"):
        Checkpoint(path, version="2").open(aspects)


# What was recorded comes back.


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_every_bit_of_a_result_comes_back(path, result):
    with Checkpoint(path).open(ASPECTS, **SEARCH) as journal:
        journal.begin([unit(0)])
        journal.end([unit(0)], [replace(result, stop=True)])
        assert bits(journal.recorded("key0", 0)) == bits(result)
    for line in path.read_text("ascii").splitlines():
        json.loads(line, parse_constant=pytest.fail)
    with Checkpoint(path).open(ASPECTS) as journal:
        assert bits(journal.recorded("key0", 0)) == bits(result)
        assert journal.recorded("key0", 1) is journal.recorded("key1", 0) is None
        assert journal.n_recorded == 1


def test_numbers_of_numpy_come_back_as_those_of_python(path):
    score, derivative = (
        np.float64(0.1),
        Derivative(np.float64(1), {"C": np.float32(0.1)}),
    )
    with Checkpoint(path).open(ASPECTS) as journal:
        result = SplitResult(
            score, np.int64(3), np.float64(1), 0.0, derivative=derivative
        )
        journal.end([unit(0)], [result])
    with Checkpoint(path).open(ASPECTS) as journal:
        found = journal.recorded("key0", 0)
    assert found == result
    assert type(found.test_scores) is float and type(found.train_scores) is int


def test_a_result_that_is_no_number_is_an_error_and_nothing_is_written(path):
    with Checkpoint(path).open(ASPECTS) as journal:
        before = path.read_bytes()
        with pytest.raises((TypeError, ValueError)):
            journal.end([unit(0)], [SplitResult("good", None, 1.0, 1.0)])
        assert path.read_bytes() == before and journal.n_recorded == 0
        journal.end([unit(0)], [RESULTS["plain"]])
    assert len(recorded(path)) == 1


def test_several_fits_may_begin_and_end_together(path):
    units = [unit(0, 0), unit(0, 1), unit(1, 0)]
    results = [RESULTS["plain"], RESULTS["failed"], RESULTS["metrics"]]
    with Checkpoint(path).open(ASPECTS) as journal:
        journal.begin(units)
        journal.end(units, results)
    with Checkpoint(path).open(ASPECTS) as journal:
        found = [journal.recorded(key, split) for key, _, split in units]
    assert bits(found) == bits(results)


def test_the_first_run_says_seed_and_number_of_candidates(written):
    with Checkpoint(written).open(ASPECTS, seed=8, n_iter=9, n_splits=3) as journal:
        assert (journal.seed, journal.n_iter, journal.path) == (7, 4, str(written))


def test_a_search_without_a_seed_has_none(path):
    with Checkpoint(path).open(ASPECTS) as journal:
        assert journal.seed is journal.n_iter is None


def test_begun_counts_earlier_runs_and_starts_anew_at_an_end(path):
    for run in range(3):
        with Checkpoint(path).open(ASPECTS) as journal:
            assert journal.most_begun == run
            journal.begin([unit(0, 1), unit(1, run)])
            assert journal.most_begun == run
    with Checkpoint(path).open(ASPECTS) as journal:
        journal.begin([unit(0, 1)])
        journal.end([unit(0, 1)], [RESULTS["killed"]])
        assert journal.most_begun == 1
    with Checkpoint(path).open(ASPECTS) as journal:
        assert journal.most_begun == 1


def test_what_was_given_up_was_not_begun(path):
    with Checkpoint(path).open(ASPECTS) as journal:
        journal.begin([unit(0, 1), unit(1, 1)])
    with Checkpoint(path).open(ASPECTS) as journal:
        journal.begin([unit(0, 1), unit(1, 1)])
        journal.let_go([unit(0, 1), unit(1, 1)])
    with Checkpoint(path).open(ASPECTS) as journal:
        assert journal.most_begun == 1


def test_the_last_end_of_a_fit_counts(path):
    for name in ("killed", "plain"):
        with Checkpoint(path).open(ASPECTS) as journal:
            journal.end([unit(0)], [RESULTS[name]])
    with Checkpoint(path).open(ASPECTS) as journal:
        assert journal.recorded("key0", 0) == RESULTS["plain"]
        assert journal.n_recorded == 1


def test_fits_may_begin_in_other_threads(path):
    with Checkpoint(path).open(ASPECTS) as journal:

        def run(i):
            for split in range(50):
                journal.begin([unit(i, split)])
                journal.end([unit(i, split)], [RESULTS["plain"]])

        threads = [threading.Thread(target=run, args=[i]) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert journal.n_recorded == 200
    with Checkpoint(path).open(ASPECTS) as journal:
        assert journal.n_recorded == 200


def test_a_closed_journal_writes_no_more(path):
    journal = Checkpoint(path).open(ASPECTS)
    journal.close()
    journal.close()
    with pytest.raises(ValueError, match="is closed"):
        journal.begin([unit(0)])


def test_one_call_writes_one_record(path, monkeypatch):
    with Checkpoint(path).open(ASPECTS) as journal:
        calls = []
        system = os.write
        monkeypatch.setattr(os, "write", lambda *a: calls.append(a) or system(*a))
        journal.begin([unit(0)])
        journal.end([unit(0)], [RESULTS["curve"]])
        assert len(calls) == 2


def test_a_system_that_writes_in_parts_is_asked_again(path, monkeypatch):
    system = os.write
    monkeypatch.setattr(os, "write", lambda file, data: system(file, data[:5]))
    write(path)
    monkeypatch.undo()
    assert len(recorded(path)) == 12


@pytest.mark.skipif(os.name == "nt", reason="modes are those of POSIX")
def test_only_its_owner_may_read_a_new_file(path):
    before = os.umask(0)
    try:
        write(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


# A writer that was killed.


def test_a_file_cut_anywhere_holds_what_was_recorded_before(
    written, tmp_path, monkeypatch
):
    monkeypatch.setattr(os, "fsync", lambda file: None)  # slow, and no matter here
    data = written.read_bytes()
    whole = recorded(written)
    last = data.rindex(b"\n", 0, -1) + 1
    short = tmp_path / "short.jsonl"
    write(short, n=1)
    small = short.read_bytes()
    cases = [(data, size) for size in range(last, len(data) + 1)]
    cases += [(small, size) for size in range(len(small))]
    for content, size in cases:
        path = tmp_path / "cut.jsonl"
        path.write_bytes(content[:size])
        # As many ends as there are whole lines of them.
        n_whole = content[: content.rfind(b"\n", 0, size) + 1].count(b'"end"')
        found = recorded(path, **SEARCH)
        assert found == dict(list(whole.items())[:n_whole])
        # What was repaired is whole, and more can be added.
        lines = path.read_bytes().splitlines()
        assert [json.loads(line)["n"] for line in lines] == list(range(len(lines)))
        path.unlink()


@pytest.mark.parametrize(
    "tail",
    [b"\0", b"\0" * 5000, b"\n", b"{}\n", b'{"n":99', b"\xff\xfe\n\n\0", b"x\ny\nz\n"],
)
def test_a_tail_in_which_nothing_is_valid_is_cut_off(written, tail):
    whole = recorded(written)
    with written.open("ab") as file:
        file.write(tail)
    assert recorded(written) == whole
    assert tail not in written.read_bytes() or tail == b"\n"


@pytest.mark.parametrize("size", [0, 1, 5, 40, 100])
def test_a_torn_header_that_was_filled_with_zeros_starts_anew(written, size):
    head = written.read_bytes()[:size]
    written.write_bytes(head + b"\0" * 100 * (size > 0))
    write(written)
    assert len(recorded(written)) == 12


def test_an_interrupt_inside_a_write_leaves_nothing_behind(path, monkeypatch):
    system = os.write

    def interrupted(file, data):
        system(file, data[: len(data) // 2 or 1] if half else data)
        raise KeyboardInterrupt

    with Checkpoint(path).open(ASPECTS) as journal:
        for half in (True, False):
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(os, "write", interrupted)
                journal.end([unit(1)], [RESULTS["plain"]])
            journal.end([unit(0, int(half))], [RESULTS["plain"]])
    assert set(recorded(path)) == {(0, 0), (0, 1)}


KILLED = """
import os, signal, sys
sys.path.insert(0, {here!r})
import test_journal as t
system, left = os.write, int(sys.argv[2])
def write(file, data):
    global left
    if left < len(data):
        system(file, data[:left])
        os.kill(os.getpid(), signal.SIGKILL)
    left -= len(data)
    return system(file, data)
os.write = write
t.write(sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@pytest.mark.parametrize("size", [0, 1, 100, 400, 600, 1000, 1500, 2000])
def test_a_writer_killed_inside_a_write_leaves_a_prefix_and_no_lock(path, size):
    run(KILLED, path, size, code=-9)
    found = recorded(path, **SEARCH)
    write(path)
    whole = recorded(path)
    assert len(whole) == 12 and found == dict(list(whole.items())[: len(found)])


# Damage.


def test_any_flipped_byte_is_found(written, rng):
    data, whole = written.read_bytes(), recorded(written)
    places = rng.integers(len(data), size=200)
    outcomes = set()
    for place, flip in zip(places, rng.integers(1, 256, size=200), strict=True):
        damaged = bytearray(data)
        damaged[place] ^= flip
        written.write_bytes(damaged)
        try:
            found = recorded(written)
        except ValueError as error:
            assert f"checkpoint '{written}' " in str(error)
            assert written.read_bytes() == damaged
            outcomes.add("refused")
        else:
            # The last record only: it is taken for torn.
            assert place >= data.rindex(b"\n", 0, -1)
            assert found == whole
            outcomes.add("cut")
    assert "refused" in outcomes


@pytest.mark.slow
def test_every_flipped_bit_is_found(path):
    write(path, n=1)
    data = path.read_bytes()
    last = data.rindex(b"\n", 0, -1)
    for place in range(last):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=r"a.jsonl' (is|has)"):
                Checkpoint(path).open(ASPECTS)
            assert path.read_bytes() == damaged


def edited(lines, edit):
    return b"".join(edit(list(lines)))


@pytest.mark.parametrize("place", range(1, 12))
def test_lines_that_are_swapped_doubled_or_missing_are_damage(written, place):
    lines = written.read_bytes().splitlines(keepends=True)
    head, line, other, tail = (
        lines[:place],
        lines[place : place + 1],
        lines[place + 1 : place + 2],
        lines[place + 2 :],
    )
    at = len(b"".join(head))
    for changed, byte in [
        (head + other + line + tail, at),
        (head + line + line + other + tail, at + len(line[0])),
        (head + other + tail, at),
        ([*head, line[0][:-9] + b"\n", *other, *tail], at),
        ([*head, b"\n", *line, *other, *tail], at),
    ]:
        written.write_bytes(b"".join(changed))
        message = refused(written, f"damaged at byte {byte} ")
        n_fits = b"".join(changed)[:byte].count(b'"end"')
        fits = "1 fit before it is" if n_fits == 1 else f"{n_fits} fits before it are"
        assert f"of {len(changed)}). {fits} readable. Restore a copy or" in message


def test_a_doubled_last_line_is_damage(written):
    data = written.read_bytes()
    written.write_bytes(data + data.splitlines(keepends=True)[-1])
    refused(written, f"damaged at byte {len(data)} ")


def test_lines_of_another_checkpoint_are_damage(written, tmp_path):
    write(tmp_path / "b.jsonl")
    lines, others = (
        file.read_bytes().splitlines(keepends=True)
        for file in (written, tmp_path / "b.jsonl")
    )
    written.write_bytes(b"".join([*lines[:4], *others[4:5], *lines[5:]]))
    refused(written, r"damaged at byte \d+ \(record 5 of ")


def hostile(data, record):
    """Add a record that passes the checksum."""
    content = _records.read(data)
    record = {"n": content.n_records, **record}
    return data + _records.seal(record, content.seed)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("executed",)


GOOD = {"test": "0x1p0", "times": ["0x1p0", "0x1p0"]}
RECORDS = [
    {"py/object": "os.mkdir", "py/reduce": [{"py/function": "os.mkdir"}, ["executed"]]},
    {"end": [[0, 0, {**GOOD, "test": {"py/object": "os.mkdir"}}]]},
    {"end": [[0, 0, {**GOOD, "test": "__import__('os').mkdir('executed')"}]]},
    {"end": [[0, 0, {**GOOD, "test": 1.5}]]},
    {"end": [[0, 0, {**GOOD, "test": "0x1p99999"}]]},
    {"end": [[0, 0, {**GOOD, "test": "f" * 9999}]]},
    {"end": [[0, 0, {**GOOD, "times": [1]}]]},
    {"end": [[0, 0, {**GOOD, "error": 3}]]},
    {"end": [[0, 0, {**GOOD, "derivative": []}]]},
    {"end": [[0, 0, {**GOOD, "derivative": {"loss": 1, "slopes": 2, "curve": []}}]]},
    {"end": [[0, 0, {"test": 1}]]},
    {"end": [[0, 0, []]]},
    {"end": [[0, -1, GOOD]]},
    {"end": [[0, True, GOOD]]},
    {"end": [[99, 0, GOOD]]},
    {"end": [[0, 0, GOOD, 0]]},
    {"end": 1},
    {"begin": [[0]]},
    {"begin": "ab"},
    {"begin": {"a": 1}},
    {"candidate": 99, "key": "a", "params": {}},
    {"candidate": 0, "key": "another", "params": {}},
    {"candidate": 5, "key": ["a"], "params": {}},
    {"candidate": 5, "key": "a", "params": []},
    {"open": []},
    {"open": {"process": "1"}},
    {"n": True, "begin": []},
    {"n": 0, "begin": []},
    {"unknown": 1},
]


@pytest.mark.parametrize("record", RECORDS)
def test_a_made_up_record_is_refused_and_nothing_is_executed(
    written, record, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    written.write_bytes(hostile(written.read_bytes(), record))
    refused(written, "damaged at byte")
    with pytest.raises(ValueError, match="damaged at byte"):
        read_checkpoint(written)
    assert os.listdir(tmp_path) == ["a.jsonl"]


def test_texts_in_a_made_up_file_stay_texts(written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evil = {"py/object": "__main__.Bomb", "!!python/object": "os.mkdir", "a": "${HOME}"}
    record = {"candidate": 5, "key": "k", "params": evil}
    written.write_bytes(hostile(written.read_bytes(), record))
    assert read_checkpoint(written)["params"][-1] == evil
    assert os.listdir(tmp_path) == ["a.jsonl"]


@pytest.mark.parametrize("bomb", [b"[" * 200_000, b'{"a":' * 200_000, b"9" * 10**6])
def test_bombs_in_json_are_damage(written, bomb):
    data = written.read_bytes()
    content = _records.read(data)
    body = b'{"n":%d,"begin":' % content.n_records + bomb
    crc = _records.zlib.crc32(body, _records.zlib.crc32(content.seed))
    written.write_bytes(data + body + b',"crc":"%08x"}\n' % crc)
    refused(written, f"damaged at byte {len(data)} ")


# Other files.

CHECKPOINT = b'{"skhpo":"checkpoint","format":'
FOREIGN = {
    "csv": b"a,b\n1,2\n",
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "pickle": pickle.dumps({"a": 1}),
    "bomb": pickle.dumps(Bomb()),
    "json": b'{"a": 1}\n',
    "other json": b'{"skhpo": "checkpoint"}',
    "no json": b"[" * 100_000,
    "zeros": b"\0" * 100,
    "line": b"\n",
    "text": "{é".encode("latin-1"),
    "utf-16": '{"skhpo"'.encode("utf-16"),
}


@pytest.mark.parametrize("data", FOREIGN.values(), ids=FOREIGN)
def test_a_file_of_something_else_is_left_alone(path, data):
    path.write_bytes(data)
    refused(path, "is no checkpoint of skhpo, so that it is left alone")
    with pytest.raises(ValueError, match="is no checkpoint of skhpo"):
        read_checkpoint(path)


@pytest.mark.parametrize("end", [b"", b"\n", b'{"n":1}\n'])
def test_a_newer_format_is_refused(path, end):
    path.write_bytes(CHECKPOINT + b'2,"n":0,"id":"3"}' + end)
    refused(path, "has format 2; this skhpo reads 1. Use the version")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"\n", b"\r"),
        lambda data: data.replace(b"\n", b" "),
        lambda data: data.replace(b"\n", b""),
        lambda data: data.decode().encode("utf-16"),
        lambda data: data.replace(b'"format":1', b'"format": 1'),
        lambda data: data.replace(b'"format":1', b'"format":one'),
        lambda data: data.replace(b'"format":1', b'"format":1' + b"1" * 5000),
        lambda data: data[1:],
        lambda data: data[:200] + b"\xff" + data[200:],
        lambda data: data[:150] + b"\xff",
        lambda data: b"\0" * len(data),
    ],
)
def test_a_file_that_went_through_an_editor_is_refused(written, change):
    written.write_bytes(change(written.read_bytes()))
    refused(written, "is damaged at byte 0|is no checkpoint")


@pytest.mark.parametrize(
    "header",
    [
        {"aspects": []},
        {"aspects": {"X": 1}},
        {"versions": None},
        {"seed": "1"},
        {"n_splits": -1},
        {"n_iter": [1]},
    ],
)
def test_a_made_up_header_is_damage(written, header):
    content = _records.read(written.read_bytes())
    record = {name: v for name, v in content.header.items() if name != "crc"} | header
    written.write_bytes(_records.seal(record, content.seed))
    refused(written, r"damaged at byte 0 \(record 1 of 1\). 0 fits")


@pytest.mark.parametrize(
    "change, names",
    [
        ({"X": "1"}, "X differs"),
        ({"X": "1", "cv": "2"}, "X and cv differ"),
        ({"y": "1", "X": "1", "cv": "2"}, "X, cv and y differ"),
        ({"fit parameters": "1"}, "fit parameters differ"),
        ({"X": "1", "fit parameters": "1"}, "X and fit parameters differ"),
    ],
)
def test_another_search_is_refused_by_what_differs(written, change, names):
    message = f"belongs to another search: {names}. Delete it, or give another path"
    refused(written, message, aspects=ASPECTS | change)
    refused(written, "cv differs", aspects={k: ASPECTS[k] for k in ("X", "y")})
    assert len(recorded(written)) == 12


def test_another_version_of_python_or_a_package_gives_a_warning(written, recwarn):
    content = _records.read(written.read_bytes())
    record = {name: v for name, v in content.header.items() if name != "crc"}
    major, minor, *_ = np.__version__.split(".")
    versions = {"numpy": f"{major}.{minor}.99999", "skhpo": "99.9"}
    for other in (versions, {"python": "2.7.1", "scipy": "0.1"}):
        changed = record | {"versions": record["versions"] | other}
        written.write_bytes(_records.seal(changed, content.seed))
        Checkpoint(written).open(ASPECTS).close()
    assert len(recwarn) == 1
    message = str(recwarn.pop(UserWarning).message)
    assert f"checkpoint '{written}' was begun with python 2.7.1 (now " in message
    assert ", scipy 0.1 (now " in message


# Places.


def test_a_folder_that_does_not_exist_is_named_and_nothing_made(tmp_path):
    path = tmp_path / "b" / "a.jsonl"
    with pytest.raises(FileNotFoundError, match=r"there is no folder '.*b'"):
        Checkpoint(path).open(ASPECTS)
    with pytest.raises(FileNotFoundError, match=r"there is no folder '.*b'"):
        Checkpoint(f"{path}{os.sep}").open(ASPECTS)
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_written_is_named(tmp_path, monkeypatch):
    long = tmp_path / ("a" * 300)
    with pytest.raises(OSError, match=r"aaa' cannot be opened for writing: .*long"):
        Checkpoint(long).open(ASPECTS)

    def denied(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(
        PermissionError, match="cannot be opened for writing: Permission"
    ):
        Checkpoint(tmp_path / "a").open(ASPECTS)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_a_pipe_is_no_place(path):
    os.mkfifo(path)
    with pytest.raises(ValueError, match="is not a regular file"):
        Checkpoint(path).open(ASPECTS)


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_holds_a_file_for_each_search(tmp_path, exists):
    folder = tmp_path / "runs"
    if exists:
        folder.mkdir()
    checkpoint = Checkpoint(folder if exists else f"{folder}{os.sep}")
    others = ASPECTS | {"X": [1.0, 3.0]}
    for aspects, seed in [(ASPECTS, 1), (others, 2), (ASPECTS, 3), (others, 4)]:
        with checkpoint.open(aspects, seed=seed) as journal:
            assert journal.seed == (1 if aspects is ASPECTS else 2)
            assert Path(journal.path).parent == folder
    assert len(list(folder.glob("*.jsonl"))) == len(list(folder.iterdir())) == 2


# Several processes.

HOLDER = """
import sys
from skhpo.checkpoint import Checkpoint
journal = Checkpoint(sys.argv[1]).open({aspects!r})
print("open", flush=True)
sys.stdin.read()
"""
FILLS = """
import resource, sys
sys.path.insert(0, {here!r})
import test_journal as t
resource.setrlimit(resource.RLIMIT_FSIZE, 2 * (int(sys.argv[2]),))
try:
    t.write(sys.argv[1])
except OSError as error:
    print(error.errno, error)
"""


def command(code, *arguments):
    here = str(Path(__file__).parent)
    code = code.replace("{here!r}", repr(here)).replace("{aspects!r}", repr(ASPECTS))
    return [sys.executable, "-c", code, *map(str, arguments)]


def environment():
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def run(source, *arguments, code=0):
    done = subprocess.run(
        command(source, *arguments), env=environment(), capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def test_a_second_process_is_refused_at_once_and_the_first_named(path):
    holder = subprocess.Popen(
        command(HOLDER, path),
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "open\n"
        start = time.monotonic()
        refused(path, f"is in use by process {holder.pid}. Wait for it", RuntimeError)
        assert time.monotonic() - start < 1
        assert read_checkpoint(path)["params"] == []
    finally:
        holder.kill()
        holder.communicate()
    # The lock died with it.
    write(path)


def test_a_second_search_of_this_process_is_refused(path):
    with Checkpoint(path).open(ASPECTS):
        refused(path, "in use by another search of this process", RuntimeError)
        read_checkpoint(path)  # opens and closes it: the lock must hold
        refused(path, "in use by another search of this process", RuntimeError)
    write(path)


def test_a_journal_that_nobody_holds_any_more_holds_no_lock(path):
    journal = Checkpoint(path).open(ASPECTS)
    journal.end([unit(0)], [RESULTS["plain"]])
    del journal
    gc.collect()
    assert len(recorded(path)) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_fork_neither_keeps_the_lock_nor_writes(path):
    receive, send = os.pipe()
    journal = Checkpoint(path).open(ASPECTS)
    child = os.fork()
    if not child:
        try:
            journal.begin([unit(0)])
        except ValueError:
            os.close(send)
            os.read(receive, 1)
        os._exit(0)
    journal.end([unit(0)], [RESULTS["plain"]])
    journal.close()
    assert len(recorded(path)) == 1  # while the fork lives
    os.write(send, b"x")
    os.waitpid(child, 0)
    os.close(receive)
    os.close(send)


@pytest.mark.skipif(os.name == "nt", reason="limits are those of POSIX")
@pytest.mark.parametrize("size", [10, 600, 1500])
def test_a_full_disk_is_an_error_after_which_the_search_goes_on(path, size):
    message = run(FILLS, path, size)
    n_fits = path.read_bytes().count(b'"end"')
    assert f"writing checkpoint '{path}' failed: File too large. " in message
    fits = "1 fit is" if n_fits == 1 else f"{n_fits} fits are"
    assert f"{fits} recorded; free space and fit again." in message
    # Cut back to whole records at once.
    assert path.read_bytes()[-1:] in (b"", b"\n")
    assert path.stat().st_size <= size
    write(path)
    assert len(recorded(path)) == 12


def test_a_journal_goes_on_when_there_is_space_again(path, monkeypatch):
    system = os.write

    def full(file, data):
        if len(data) < 10:
            raise OSError(28, "No space left on device")
        return system(file, data[: len(data) - 5])

    with Checkpoint(path).open(ASPECTS) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(
                OSError, match=r"No space left.* 0 fits are rec"
            ) as caught:
                journal.end([unit(0)], [RESULTS["plain"]])
        assert caught.value.errno == 28 and "free space and fit again" in str(
            caught.value
        )
        assert journal.n_recorded == 0
        journal.end([unit(0)], [RESULTS["plain"]])
    assert len(recorded(path)) == 1


def unsynced(file):
    raise OSError(5, "Input/output error")


def test_a_disk_that_fails_at_the_end_is_an_error_and_the_lock_is_released(
    path, monkeypatch
):
    journal = Checkpoint(path).open(ASPECTS)
    journal.end([unit(0)], [RESULTS["plain"]])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", unsynced)
        with pytest.raises(OSError, match=r"Input/output error. 1 fit is rec") as error:
            journal.close()
    assert str(error.value).startswith(f"writing checkpoint '{path}' failed: ")
    assert error.value.errno == 5
    journal.close()
    assert len(recorded(path)) == 1


@pytest.mark.parametrize("n", [0, 1])
def test_a_disk_that_fails_at_once_is_an_error_and_leaves_the_file_as_it_was(
    path, n, monkeypatch
):
    if n:
        write(path, n)
    before = path.read_bytes() if n else b""
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", unsynced)
        match = f"^writing checkpoint '{path}' failed: Input/output error. {3 * n} fits"
        with pytest.raises(OSError, match=match):
            Checkpoint(path).open(ASPECTS)
    assert path.read_bytes() == before
    assert len(recorded(path)) == 3 * n


def test_a_disk_that_fails_in_between_leaves_a_file_that_can_be_added_to(
    path, monkeypatch
):
    monkeypatch.setattr(journal_module, "_MAX_UNSYNCED", 0.0)
    with Checkpoint(path).open(ASPECTS) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", unsynced)
            with pytest.raises(OSError, match=r"Input/output error. 0 fits"):
                journal.begin([unit(0)])
        journal.end([unit(1)], [RESULTS["plain"]])
    assert set(recorded(path)) == {(1, 0)}


# Reading.


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


@pytest.mark.slow
def test_a_pair_of_records_costs_less_than_a_millisecond(path):
    with Checkpoint(path).open(ASPECTS) as journal:
        start = time.perf_counter()
        for i in range(2000):
            journal.begin([unit(i)])
            journal.end([unit(i)], [RESULTS["plain"]])
        assert time.perf_counter() - start < 2
