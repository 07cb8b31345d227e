"""``HOME/notify.toml``: whom to tell, about what, and where the secrets are.

It lies in the home and not in the repository: addresses are nobody's business there, and changing one changes no rule
of the run. Secrets are named, never written: an environment variable or a file of the owner's alone.

Invariants: a password or a signature's key never travels in the clear, so plain SMTP and plain HTTP are for this
machine alone; every channel says its kind of events, and an unknown key is an error.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from festina.errors import UsageError
from festina.system.toml import lines_of_keys, load, nearest_line

__all__ = ["FILE", "Channel", "Event", "Mail", "Reminders", "Settings", "Webhook", "read", "secret"]

FILE = "notify.toml"
Event = Literal["waiting", "alarm", "halt", "ended", "deadline"]
EVENTS: tuple[Event, ...] = ("waiting", "alarm", "halt", "ended", "deadline")
Ahead = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}(h|d|bd)$")]  # hours, days, business days
LOOPBACK = ("localhost", "127.0.0.1", "::1")
MAX_SECRET = 4096  # bytes of a secret's file
_Line = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
_Address = Annotated[str, Field(max_length=254, pattern=r"^[^\s<>,;:\x00-\x1f\x7f]+@[^\s<>,;:\x00-\x1f\x7f]+$")]
_Model = ConfigDict(frozen=True, strict=True, extra="forbid")


class Webhook(BaseModel):
    """An address that gets each message as JSON by HTTP POST, signed where a secret is named."""

    model_config = _Model
    url: _Line = ""  # or, where the address itself is a secret, one of the next two
    url_env: _Line | None = None
    url_file: _Line | None = None
    secret_env: _Line | None = None  # key of the HMAC-SHA256 in X-Festina-Signature
    secret_file: _Line | None = None
    ca_file: _Line | None = None  # certificates to trust instead of the system's
    events: tuple[Event, ...] = EVENTS

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        given = [value for value in (self.url, self.url_env, self.url_file) if value]
        if len(given) != 1:
            raise ValueError("name one of url, url_env and url_file")
        if self.url:
            check_url(self.url)
        return self


class Mail(BaseModel):
    """A mail server and the people who get each message."""

    model_config = _Model
    host: _Line
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: _Address
    to: tuple[_Address, ...] = Field(min_length=1, max_length=50)
    user: _Line | None = None
    password_env: _Line | None = None
    password_file: _Line | None = None
    ca_file: _Line | None = None
    events: tuple[Event, ...] = EVENTS

    @model_validator(mode="after")
    def _in_private(self) -> Self:
        if self.security == "none" and (self.host not in LOOPBACK or self.user):
            raise ValueError('security = "none" is for a server on this machine, without a password')
        if (self.user is None) != (self.password_env is None and self.password_file is None):
            raise ValueError("user and password_env (or password_file) go together")
        return self


Channel = Webhook | Mail


class Reminders(BaseModel):
    """``[reminders]``: how long before a deadline somebody is told; on its day and when it is over always."""

    model_config = _Model
    before: Annotated[tuple[Ahead, ...], Field(max_length=8)] = ("3bd", "1bd")


class Settings(BaseModel):
    """The whole file. Channels are called by kind and place: ``webhook-0``, ``mail-0``."""

    model_config = _Model
    webhook: tuple[Webhook, ...] = ()
    mail: tuple[Mail, ...] = ()
    reminders: Reminders = Reminders()

    def channels(self) -> dict[str, Channel]:
        named: list[tuple[str, Sequence[Channel]]] = [("webhook", self.webhook), ("mail", self.mail)]
        return {f"{kind}-{i}": each for kind, group in named for i, each in enumerate(group)}


def read(home: Path) -> Settings | None:
    """The settings of a home; None where nobody is to be told. Raises ``UsageError`` notify-settings."""
    path = home / FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError("notify-settings", f"cannot be read: {error.strerror}", where=str(path)) from None
    document, text = load(data, str(path))
    try:
        return Settings.model_validate(_lists_as_tuples(document))
    except ValidationError as error:
        lines = lines_of_keys(text)
        found = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in found["loc"])
        line = nearest_line(lines, found["loc"])
        words = f"{place or 'the file'}: {found['msg']}"
        raise UsageError(
            "notify-settings", words, fix="docs/notify.md has a file to begin with", where=f"{path}:{line}"
        ) from None


def _lists_as_tuples(value: object) -> object:
    """TOML has lists where strict models want tuples."""
    if isinstance(value, dict):
        return {key: _lists_as_tuples(each) for key, each in value.items()}
    return tuple(_lists_as_tuples(each) for each in value) if isinstance(value, list) else value


def check_url(url: str) -> None:
    """``ValueError`` for an address that is none, or would carry a message in the clear to another machine."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address begins with https://")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("plain http is for this machine alone: use https")
    if parts.username or parts.password:
        raise ValueError("no password in an address: use secret_env, or url_env for the whole of it")


def secret(home: Path, env: str | None, file: str | None) -> str | None:
    """The secret that a channel names; None where it names none. ``UsageError``: missing, or open to others."""
    if env is not None:
        value = os.environ.get(env, "")
        if not value:
            raise UsageError("notify-secret", f"the environment has no {env}", fix=f"set {env}, or name a file instead")
        return value
    if file is None:
        return None
    path = home / Path(file).expanduser()  # an absolute one stands for itself
    try:
        found = path.stat()
        if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError("notify-secret", "others can read this secret", fix=f"chmod 600 {path}", where=str(path))
        with path.open("rb") as source:
            value = source.read(MAX_SECRET).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("notify-secret", f"cannot be read: {error}", where=str(path)) from None
    if not value:
        raise UsageError("notify-secret", "this secret's file is empty", where=str(path))
    return value
