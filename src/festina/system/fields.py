"""What may stand in a manifest's tables: durations, sizes, paths, names, ranges, each checked where it is read."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from festina.system.globs import problem as glob_problem
from festina.system.scorers import normal

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d)")
_SIZE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(B|KiB|MiB|GiB|TiB)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def seconds(value: object) -> float:
    """A duration such as "90s" or "8h" in seconds. Raises ``ValueError``."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or float(match[1]) <= 0:
        raise ValueError('a duration is a string such as "60s", "5m" or "8h"')
    return float(match[1]) * _SECONDS[match[2]]


def _pause(value: object) -> float:
    """As ``seconds``, and "0s" is one, too."""
    return 0.0 if value == "0s" else seconds(value)


def _bytes(value: object) -> object:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None or float(match[1]) <= 0:
        raise ValueError('a size is a string such as "512MiB" or "2GiB"')
    return int(float(match[1]) * _BYTES[match[2]])


def as_tuple(value: object) -> object:
    if not isinstance(value, list):
        raise ValueError('a list such as ["a", "b"] is needed')
    return tuple(value)


def _glob(value: str) -> str:
    words = glob_problem(value)
    if words:
        raise ValueError(words)
    return value


def _repository_path(value: str) -> str:
    parts = value.split("/")
    if not value.isprintable() or "\\" in value or any(part in ("", ".", "..") for part in parts):
        raise ValueError("a path relative to the repository's root is needed, without . and ..")
    return value


def _argument(value: str) -> str:
    if "\0" in value:
        raise ValueError("a command's words cannot hold a zero byte")
    return value


def an_endpoint(value: str) -> str:
    """A base URL that holds no secret: the key comes from the environment, and only its name stands here.  # T-1"""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("this is no address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError('a base URL such as "http://127.0.0.1:11434/v1" is needed')
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("no user, password, query or fragment; name the key's variable in key_env")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("plain ASCII without blanks is needed")
    return value.rstrip("/")


def a_witness_key(value: str) -> str:
    """A C2SP verifier key of a witness (Ed25519 cosignatures): NAME+8 HEX DIGITS+BASE64."""
    name, _, rest = value.partition("+")
    hashed, _, text = rest.partition("+")
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raw = b""
    right = name and name.isprintable() and not any(char.isspace() for char in name)
    kind = raw[:1]
    if not right or len(raw) != 33 or kind != b"\x04" or base64.b64encode(raw).decode() != text:
        raise ValueError("a witness's key is needed, as `festina witness init` prints it")
    if hashlib.sha256(name.encode() + b"\n" + raw).hexdigest()[:8] != hashed:
        raise ValueError("the key's name and its hash do not fit: was it copied in full?")
    return value


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if not value[0] < value[1]:
        raise ValueError("the first number must be lower than the second")
    return value


Duration = Annotated[float, BeforeValidator(seconds)]
Pause = Annotated[float, BeforeValidator(_pause)]
Size = Annotated[int, BeforeValidator(_bytes)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$")]
GuardName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Glob = Annotated[str, AfterValidator(_glob)]
Globs = Annotated[tuple[Glob, ...], BeforeValidator(as_tuple)]
RepositoryPath = Annotated[str, AfterValidator(_repository_path)]
Paths = Annotated[tuple[RepositoryPath, ...], BeforeValidator(as_tuple)]
Word = Annotated[str, AfterValidator(_argument)]
Command = Annotated[tuple[Word, ...], Field(min_length=1), BeforeValidator(as_tuple)]
ModuleName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$", max_length=200)]
ScorerName = Annotated[str, BeforeValidator(normal)]  # a command becomes one text: ``system.scorers``
Metric = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}:(higher|lower)$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
Range = Annotated[tuple[Number, Number], BeforeValidator(as_tuple), AfterValidator(_ordered)]
Direction = Literal["higher", "lower"]
Positive = Annotated[int, Field(ge=1, le=10**9)]


class Table(BaseModel):
    """A table of the manifest: exact keys, exact types, never changed after reading."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
