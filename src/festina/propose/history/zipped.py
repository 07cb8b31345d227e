"""One part of a zip that a stranger made, never longer than a limit.  # T-3

Inspect packs its logs with Zstandard (method 93), which Python's zipfile reads from 3.14 on only; the package
``zstandard`` does, and comes with Inspect. Other methods than those of real logs are refused: a part packed with LZMA
says itself how much memory unpacking it takes. Sizes in the directory are believed for refusing alone.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from importlib.util import find_spec

ZSTANDARD = 93
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, ZSTANDARD)
WINDOW = 27  # log2: 128 MiB; more is what a bomb asks for
_LOCAL = struct.Struct("<4s5H3I2H")


class CannotUnpack(Exception):
    """This Python lacks what unpacks it."""


def unpack(data: bytes, file: zipfile.ZipFile, name: str, most: int) -> bytes | None:
    """The bytes of one part; None where its directory says more than ``most``. Raises what ``zipfile`` raises for bad
    ones, one that unpacks to more than it says among them."""
    info = file.getinfo(name)
    if info.file_size > most:
        return None
    if info.compress_type not in METHODS:
        raise zipfile.BadZipFile(f"{name!a} is packed in a way that no log is")
    if info.compress_type != ZSTANDARD or find_spec("zstandard") is None:
        try:
            with file.open(info) as part:
                return part.read(info.file_size + 1)  # without a number zipfile unpacks up to 2 GiB at once
        except NotImplementedError:
            raise CannotUnpack from None
    found = _zstandard(_raw(data, info), info.file_size + 1)
    if len(found) != info.file_size or zlib.crc32(found) != info.CRC:
        raise zipfile.BadZipFile(f"{name!a} is not what the directory says")
    return found


def _raw(data: bytes, info: zipfile.ZipInfo) -> bytes:
    """The packed bytes, behind the part's own header."""
    try:
        head = _LOCAL.unpack_from(data, info.header_offset)
    except struct.error:
        raise zipfile.BadZipFile("a part that lies beyond the file") from None
    if head[0] != b"PK\x03\x04":
        raise zipfile.BadZipFile("a part without a header")
    start = info.header_offset + _LOCAL.size + head[9] + head[10]
    raw = data[start : start + info.compress_size]
    if len(raw) != info.compress_size:
        raise zipfile.BadZipFile("a part that lies beyond the file")
    return raw


def _zstandard(raw: bytes, most: int) -> bytes:
    import zstandard

    reader = zstandard.ZstdDecompressor(max_window_size=1 << WINDOW).stream_reader(io.BytesIO(raw))
    try:
        return bytes(reader.read(most))
    except zstandard.ZstdError:
        raise zipfile.BadZipFile("bytes that are no Zstandard") from None
