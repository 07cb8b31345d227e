"""Festina: a self-improvement loop that goes no faster than the evidence for its improvements."""

from __future__ import annotations

TYPE_CHECKING = False  # not typing's: loading that would hold up a halt on a busy machine  # G-5
if TYPE_CHECKING:
    from festina.loop.api import improve as improve

__version__ = "0.1.0"
__all__ = ["__version__", "improve"]


def __getattr__(name: str) -> object:
    """``festina.improve`` is loaded when it is asked for: the command line must start fast."""
    if name == "improve":
        from festina.loop.api import improve

        return improve
    raise AttributeError(f"module 'festina' has no attribute {name!r}")
