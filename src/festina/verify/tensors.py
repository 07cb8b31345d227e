"""Tensors of a candidate's files, read strictly: safetensors alone, nothing that runs code.  # V-9, T-5

The format: eight bytes (little endian) that say how long the header is, a JSON header (name -> dtype, shape and place),
then the bytes. Here tensors must lie without gap or overlap; sizes are checked before anything is made of them.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
HEADER_BYTES = 8 << 20
MOST_TENSORS = 20_000
MOST_DIMENSIONS = 8
LARGEST = float(np.finfo(np.float32).max)  # of a number in size: squares of squares of these are still numbers
_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U8": "u1", "BOOL": "u1",
}  # fmt: skip


def read(data: bytes) -> dict[str, Array]:
    """Every tensor by name, as float64. ``ValueError`` for what is not a safetensors file to the last byte."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(HEADER_BYTES, len(data) - 8):
        raise ValueError("no safetensors header")
    try:
        header: Any = json.loads(data[8 : 8 + length].decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise ValueError("the safetensors header is not JSON") from None
    if not isinstance(header, dict) or len(header) > MOST_TENSORS:
        raise ValueError("the safetensors header is not a table of tensors")
    header.pop("__metadata__", None)
    body = memoryview(data)[8 + length :]
    rows = sorted((_place(row), name) for name, row in header.items())
    found, at = {}, 0
    for (start, end), name in rows:
        if start != at:
            raise ValueError("tensors overlap, or leave a gap")
        found[name], at = _tensor(header[name], body[start:end]), end
    if at != len(body):
        raise ValueError("bytes behind the last tensor")
    return found


def _place(row: Any) -> tuple[int, int]:  # noqa: ANN401 - JSON
    if not isinstance(row, dict) or set(row) != {"dtype", "shape", "data_offsets"}:
        raise ValueError("a tensor has dtype, shape and data_offsets")
    offsets = row["data_offsets"]
    if not (isinstance(offsets, list) and len(offsets) == 2 and all(type(x) is int for x in offsets)):
        raise ValueError("a tensor's place is two numbers")
    start, end = offsets
    if not 0 <= start <= end:
        raise ValueError("a tensor ends before it begins")
    return start, end


def _tensor(row: dict[str, Any], data: memoryview) -> Array:
    kind, shape = row["dtype"], row["shape"]
    if not isinstance(kind, str) or kind not in _TYPES:
        raise ValueError("a tensor of an unknown type")
    if not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS or not all(type(x) is int and x >= 0 for x in shape):
        raise ValueError("a tensor's shape is a few whole numbers")
    dtype, count = np.dtype(_TYPES[kind]), 1
    for x in shape:
        count *= x
    if count * dtype.itemsize != len(data):
        raise ValueError("a tensor's bytes are not as many as its shape says")
    values = np.frombuffer(data, dtype)
    if kind == "BF16":
        values = (values.astype("<u4") << 16).view("<f4")
    found = values.astype(np.float64).reshape(shape)
    if found.size and not (found.min() >= -LARGEST and found.max() <= LARGEST):  # false for NaN, too; needs no copy
        raise ValueError("a tensor holds a number that is not finite, or beyond single precision")
    return np.asarray(found)
