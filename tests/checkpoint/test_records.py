"""Any damage is found: torn, edited, foreign or made-up records are never used."""

import json
import os
import pickle

import pytest
from recorded_fits import ASPECTS, RESULTS, SEARCH, recorded, refused, unit, write

from skhpo.checkpoint import Checkpoint, _records, read_checkpoint

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
SLOPES = {"loss": 1, "slopes": [["C", 1]]}
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
    {"end": [[0, 0, {**GOOD, "derivative": {"loss": 1, "slopes": 2}}]]},
    {"end": [[0, 0, {**GOOD, "derivative": {**SLOPES, "solution": "AAAA"}}]]},
    {"end": [[0, 0, {**GOOD, "derivative": {**SLOPES, "solution": "?"}}]]},
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
