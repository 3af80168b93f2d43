"""Writes the rows of a shard as safetensors, piece by piece, and memory-maps them.

It holds two tensors, `rows` (N, F) int16 and `first` (P + 1,) int64, where each of P pieces starts and N. F fields.
The format is https://huggingface.co/docs/safetensors: eight bytes that give the length of a JSON header, the header, the data.
"""

import json
import math
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.arrays import Ints
from analysis.atomic_write import atomic_write
from meloctl.rows.codec import Rows
from meloctl.rows.vocabulary import FIELDS

_HEADER = 504
"""Bytes of the header, padded with spaces: its size must be known before the rows are written."""

_MOST_HEADER = 1 << 16
_TYPES: dict[str, np.dtype] = {"I16": np.dtype("<i2"), "I64": np.dtype("<i8")}


def write_rows(path: Path, pieces: Iterable[Rows]) -> None:
    """Write pieces end to end, each as it comes; atomically, so nothing is left where `pieces` raises.

    Args:
        pieces: (L, F) rows each, one piece or more.
    """
    lengths = []
    with atomic_write(path) as partial, partial.open("wb") as file:
        file.seek(8 + _HEADER)
        for rows in pieces:
            file.write(np.ascontiguousarray(rows, dtype=_TYPES["I16"]).data)
            lengths.append(len(rows))
        first = np.concatenate([[0], np.cumsum(lengths)]).astype(_TYPES["I64"])
        file.write(first.data)
        end = int(first[-1]) * len(FIELDS) * _TYPES["I16"].itemsize
        header = {
            "rows": {"dtype": "I16", "shape": [int(first[-1]), len(FIELDS)], "data_offsets": [0, end]},
            "first": {"dtype": "I64", "shape": [len(first)], "data_offsets": [end, end + first.nbytes]},
        }
        file.seek(0)
        file.write(struct.pack("<Q", _HEADER) + json.dumps(header).encode().ljust(_HEADER))


def map_rows(path: Path) -> tuple[Rows, Ints]:
    """Memory-map (rows (N, F) int16, first (P + 1,) int64), read-only.

    Raises:
        OSError, ValueError, RecursionError: no file, or not one as described above. The values themselves are not checked.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(_MOST_HEADER, size - 8):
            raise ValueError(f"a header of {length} bytes")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("no header")
    rows = _mapped(path, 8 + length, size, header.get("rows"), "I16", columns=(len(FIELDS),))
    first = _mapped(path, 8 + length, size, header.get("first"), "I64", columns=())
    return rows, first


def _mapped(path: Path, start: int, size: int, entry: object, kind: str, *, columns: tuple[int, ...]) -> npt.NDArray:
    """A tensor (any, *columns) whose entry in the header is true of a file of `size` bytes with its data from `start` on."""
    if not isinstance(entry, dict) or entry.get("dtype") != kind:
        raise ValueError(f"no tensor of type {kind}")
    shape, (begin, end) = _sizes(entry.get("shape")), _sizes(entry.get("data_offsets"))
    if len(shape) != 1 + len(columns) or tuple(shape[1:]) != columns:  # so the file bounds shape[0] below
        raise ValueError(f"a shape of {str(shape)[:80]}")
    if start + end > size or end - begin != math.prod(shape) * _TYPES[kind].itemsize:
        raise ValueError("sizes that do not fit the file")
    mapped = np.memmap(path, dtype=_TYPES[kind], mode="r", offset=start + begin, shape=tuple(shape))
    return mapped.view(np.ndarray)  # slices of a plain array cost less, and the map stays open behind it


def _sizes(numbers: object) -> list[int]:
    if not isinstance(numbers, list) or not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError(f"{str(numbers)[:80]} are no sizes")
    return numbers
