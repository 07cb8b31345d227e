"""The report's data as JSON, for other programs."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

from pydantic import BaseModel

from festina.ledger.canonical import canonical
from festina.report.data import ReportData


def as_json(data: ReportData) -> str:
    """One canonical JSON object: the same ledger gives the same bytes.  # C-2"""
    return canonical(plain(data)).decode("utf-8")


def plain(value: object) -> object:
    """``value`` as JSON can write it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value
