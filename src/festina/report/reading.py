"""Files of data that a person may bring along, read strictly."""

from __future__ import annotations

import tomllib
from typing import TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


def read_toml(kind: type[Model], raw: bytes) -> Model:
    """The value that a TOML file holds. Raises ``ValueError`` whose words name the first wrong field."""
    try:
        return kind.model_validate(tomllib.loads(raw.decode("utf-8")))
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{field}: {first['msg'][:200]}") from None
