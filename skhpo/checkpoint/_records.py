"""The records of a checkpoint file: how they are written, checked and read.

A file is lines of strict JSON in ASCII. Each holds one record, its number ``n``, and
last the CRC-32 of all before it, which starts from the random id of the file, so that
a line of another file is as wrong as a damaged one. It is no signature: a record that
passes is still data that somebody may have made up, and is only ever read as such.

=============  ==========================================================
record         members
=============  ==========================================================
header         skhpo, format, id, aspects, seed, n_iter, n_splits, versions
open           process and time, each time that a search begins to write
candidate      number in the file, key, and parameters to be read by people
begin          list of [candidate, split]
left           list of [candidate, split], begun and given up by a search that lived
end            list of [candidate, split, result]
=============  ==========================================================

Numbers of results are hexadecimal, so that no bit of them is lost.
"""

import json
import re
import zlib
from base64 import b64decode, b64encode
from collections import Counter
from dataclasses import dataclass, field
from numbers import Integral

import numpy as np

from skhpo.trial import SplitResult

FORMAT = 1
_MAGIC = b'{"skhpo":"checkpoint","format":'
_HEADER = re.compile(re.escape(_MAGIC) + rb'(\d{1,9}),"n":0,"id":"([0-9a-f]{32})",')
_FORMAT = re.compile(re.escape(_MAGIC) + rb"(\d{1,9}),")
_CRC = b',"crc":"'
_TAIL = re.compile(re.escape(_CRC) + rb'([0-9a-f]{8})"\}')
_TAIL_LENGTH = len(_CRC) + 10
# Longer than any header; what is longer and has no end is something else.
_MAX_HEADER = 1 << 20
# What reading made-up JSON and taking it apart may raise.
_MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
_MAX_TEXT = 200


class RefusedError(ValueError):
    """Say why a file cannot be used, after its name."""


@dataclass
class Content:
    """What a file holds.

    Parameters
    ----------
    header : dict
        The first record.
    n_records : int
        Number of whole records, the header among them.
    size : int
        Bytes up to the end of the last whole record.
    candidates : list of (str, dict)
        Key and readable parameters, by number.
    results : dict of (str, int) to SplitResult
        By key and split.
    begun : Counter of (str, int)
        How often a fit was begun, and neither ended nor was given up.
    process : int or None
        The last one that opened the file to write.
    """

    header: dict
    n_records: int = 1
    size: int = 0
    candidates: list = field(default_factory=list)
    results: dict = field(default_factory=dict)
    begun: Counter = field(default_factory=Counter)
    process: int | None = None

    @property
    def seed(self):
        """bytes : What the checksums of this file start from."""
        return self.header["id"].encode()


def header_record(identity, **members):
    """Give the first record of a file.

    Parameters
    ----------
    identity : str
        32 random hexadecimal digits.
    **members : object
        What else to say of the search.

    Returns
    -------
    record : dict
        To be sealed.
    """
    return {"skhpo": "checkpoint", "format": FORMAT, "n": 0, "id": identity, **members}


def seal(record, seed):
    """Write a record as a line that says whether it is whole.

    Parameters
    ----------
    record : dict
        What JSON can hold.
    seed : bytes
        The id of the file.

    Returns
    -------
    line : bytes
        With its end.
    """
    text = json.dumps(record, separators=(",", ":"), allow_nan=False)
    body = text[:-1].encode("ascii")
    return b'%b%b%08x"}\n' % (body, _CRC, zlib.crc32(body, zlib.crc32(seed)))


def _is_whole(line, seed):
    tail = _TAIL.fullmatch(line[-_TAIL_LENGTH:])
    crc = zlib.crc32(line[:-_TAIL_LENGTH], zlib.crc32(seed))
    return tail is not None and int(tail[1], 16) == crc


def read(data):
    """Read a file forward, up to where its writer was killed.

    Parameters
    ----------
    data : bytes
        All of the file.

    Returns
    -------
    content : Content or None
        None if the file was killed before its header was whole.

    Raises
    ------
    RefusedError
        If it is no file of this kind, of a newer format, or damaged.
    """
    *lines, rest = data.split(b"\n")
    if not lines and _is_torn_header(rest):
        return None
    content = _read_header(lines, data)
    for number, line in enumerate(lines):
        if not _is_whole(line, content.seed):
            later = [*lines[number + 1 :], rest]
            if number == 0 or any(_is_whole(other, content.seed) for other in later):
                raise _damage(content, number, len(lines))
            break
        if number:
            try:
                _take(content, json.loads(line), number)
            except _MALFORMED as error:
                raise _damage(content, number, len(lines)) from error
        content.n_records = number + 1
        content.size += len(line) + 1
    return content


def _is_torn_header(data):
    """Tell whether this is nothing but the beginning of a header."""
    # Some file systems fill with zeros what was not yet written at a loss of power.
    text = data.rstrip(b"\0") if data.startswith(_MAGIC[:1]) else data
    if _MAGIC.startswith(text):
        return True
    _, _, end = text.partition(_CRC)
    found = _FORMAT.match(text)
    return (
        text.startswith(_MAGIC + b"%d" % FORMAT)
        and (found is None or int(found[1]) == FORMAT)
        and len(text) <= _MAX_HEADER
        and len(end) <= _TAIL_LENGTH - len(_CRC)
        and all(32 <= byte < 127 for byte in text)
    )


def _read_header(lines, data):
    if not data.startswith(_MAGIC):
        raise RefusedError(
            "is no checkpoint of skhpo, so that it is left alone. Give another path."
        )
    found = _FORMAT.match(data)
    if found is not None and int(found[1]) != FORMAT:
        raise RefusedError(
            f"has format {int(found[1])}; this skhpo reads {FORMAT}. Use the version "
            "of skhpo that wrote it, or give another path."
        )
    content = Content({"id": ""})
    found = _HEADER.match(data)
    try:
        if found is None or not lines or not _is_whole(lines[0], found[2]):
            raise ValueError("header")
        header = json.loads(lines[0])
        _check_header(header)
    except _MALFORMED as error:
        raise _damage(content, 0, max(len(lines), 1)) from error
    content.header = header
    return content


def _check_header(header):
    aspects, versions = header["aspects"], header["versions"]
    for texts in (aspects, versions):
        if not all(isinstance(text, str) for text in [*texts, *texts.values()]):
            raise ValueError("not a text")
    for name in ("seed", "n_iter", "n_splits"):
        if header[name] is not None and not _is_count(header[name]):
            raise ValueError(name)


def _damage(content, number, n_records):
    n_fits = len(content.results)
    return RefusedError(
        f"is damaged at byte {content.size} (record {number + 1} of {n_records}). "
        f"{n_fits} fit{'s' * (n_fits != 1)} before it {'is' if n_fits == 1 else 'are'} "
        "readable. Restore a copy or delete it."
    )


def _take(content, record, number):
    """Add a record to what is known."""
    if record["n"] != number or isinstance(record["n"], bool):
        raise ValueError("out of sequence")
    if "open" in record:
        content.process = _count(record["open"]["process"])
    elif "candidate" in record:
        _take_candidate(content, record)
    elif "begin" in record:
        content.begun.update([_unit(content, *unit) for unit in record["begin"]])
    elif "left" in record:
        content.begun.subtract([_unit(content, *unit) for unit in record["left"]])
    elif "end" in record:
        for *unit, result in record["end"]:
            unit = _unit(content, *unit)
            content.results[unit] = decode_result(result)
            content.begun.pop(unit, None)
    else:
        raise ValueError("unknown record")


def _take_candidate(content, record):
    known, key = content.candidates, record["key"]
    if not isinstance(key, str) or not isinstance(record["params"], dict):
        raise TypeError("candidate")
    number = _count(record["candidate"])
    if number > len(known) or (number < len(known) and known[number][0] != key):
        raise ValueError("candidate")
    if number == len(known):
        known.append((key, record["params"]))


def _unit(content, candidate, split):
    return content.candidates[_count(candidate)][0], _count(split)


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _count(value):
    if not _is_count(value):
        raise ValueError("not a count")
    return value


def encode_result(result):
    """Write a result, but for ``stop``, as what JSON can hold.

    Parameters
    ----------
    result : SplitResult
        Of one fit.

    Returns
    -------
    members : dict
        Without those that are None.
    """
    members = {
        "test": _encode_scores(result.test_scores),
        "train": _encode_scores(result.train_scores),
        "times": [_encode_number(result.fit_time), _encode_number(result.score_time)],
        "error": result.error,
        "limit": None if result.limit is None else _encode_number(result.limit),
        "derivative": _encode_derivative(result.derivative),
        "group": result.group,
    }
    return {name: value for name, value in members.items() if value is not None}


def decode_result(members):
    """Give back what :func:`encode_result` wrote.

    Parameters
    ----------
    members : dict
        As read from a file.

    Returns
    -------
    result : SplitResult
        Equal to the first, NaN and signs of zeros included.
    """
    fit_time, score_time = map(_decode_number, members["times"])
    error, limit = members.get("error"), members.get("limit")
    if not isinstance(error, (str, type(None))):
        raise TypeError("error")
    group = members.get("group")
    if not isinstance(group, (int, type(None))):
        raise TypeError("group")
    return SplitResult(
        test_scores=_decode_scores(members["test"]),
        train_scores=_decode_scores(members.get("train")),
        fit_time=fit_time,
        score_time=score_time,
        error=error,
        derivative=_decode_derivative(members.get("derivative")),
        limit=None if limit is None else _decode_number(limit),
        group=group,
    )


def _encode_number(value):
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, Integral):
        # JSON readers, this one too, are not obliged to read long integers.
        float(value)  # there must be one: scores are averaged
        return int(value) if abs(value) < 2**53 else hex(value)
    return float(value).hex()


def _decode_number(value):
    if isinstance(value, (bool, int)):
        return value
    if not isinstance(value, str):
        raise TypeError("number")
    # The name of the exponent tells one from the other; NaN and infinity are names.
    if "p" in value or value.lstrip("-") in ("nan", "inf"):
        return float.fromhex(value)
    number = int(value, 16)
    float(number)
    return number


def _encode_scores(scores):
    if isinstance(scores, dict):
        # As pairs: not all names of metrics need to be texts.
        return [[name, _encode_number(score)] for name, score in scores.items()]
    return None if scores is None else _encode_number(scores)


def _decode_scores(scores):
    if isinstance(scores, list):
        return {name: _decode_number(score) for name, score in scores}
    return None if scores is None else _decode_number(scores)


def _encode_derivative(derivative):
    if derivative is None:
        return None
    members = {
        "loss": _encode_number(derivative.loss),
        "slopes": _encode_scores(derivative.slopes),
    }
    if derivative.solution is not None:
        members["solution"] = b64encode(derivative.solution).decode("ascii")
    return members


def _decode_derivative(members):
    if members is None:
        return None
    # It brings all the models that can be differentiated.
    from skhpo.hypergradients.base import Derivative

    if not isinstance(members["slopes"], list):
        raise TypeError("derivative")
    slopes = _decode_scores(members["slopes"])
    solution = members.get("solution")
    if solution is not None:
        solution = b64decode(solution, validate=True)
        if len(solution) % 8:
            raise TypeError("solution")
    return Derivative(_decode_number(members["loss"]), slopes, solution)


def readable(params):
    """Give parameters as what JSON can hold, for people only.

    Parameters
    ----------
    params : dict of str to object
        What ``set_params`` receives.

    Returns
    -------
    params : dict of str to scalar
        Others than numbers, texts and None are described.
    """
    return {str(name): _readable_value(value) for name, value in params.items()}


def _readable_value(value):
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < 2**53 else hex(value)
    if isinstance(value, float):
        return float(value) if np.isfinite(value) else str(value)
    try:
        text = " ".join(repr(value).split())
    except Exception:  # the words of others; nothing depends on them
        text = "<"
    if text.startswith("<"):
        text = getattr(value, "__qualname__", None) or type(value).__qualname__
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 3] + "..."
