"""What was recorded comes back bit for bit, or the file is refused and left alone."""

import gc
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recorded_fits import ASPECTS, RESULTS, SEARCH, bits, recorded, refused, unit, write
from sklearn.base import clone
from sklearn.svm import SVC

from skhpo.checkpoint import Checkpoint, _records, read_checkpoint
from skhpo.checkpoint import journal as journal_module
from skhpo.hypergradients.base import Derivative
from skhpo.trial import SplitResult

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
        journal.end([unit(0)], [RESULTS["solution"]])
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


KILLED = """
import os, signal, sys
sys.path.insert(0, {here!r})
import recorded_fits as t
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
import recorded_fits as t
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
        refused = False
        try:
            journal.begin([unit(0)])
        except ValueError:
            refused = True
            os.close(send)
            os.read(receive, 1)
        finally:
            os._exit(not refused)
    journal.end([unit(0)], [RESULTS["plain"]])
    journal.close()
    assert len(recorded(path)) == 1  # while the fork lives
    os.write(send, b"x")
    _, status = os.waitpid(child, 0)
    os.close(receive)
    os.close(send)
    assert status == 0


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


@pytest.mark.slow
def test_a_pair_of_records_costs_less_than_a_millisecond(path):
    with Checkpoint(path).open(ASPECTS) as journal:
        start = time.perf_counter()
        for i in range(2000):
            journal.begin([unit(i)])
            journal.end([unit(i)], [RESULTS["plain"]])
        assert time.perf_counter() - start < 2
