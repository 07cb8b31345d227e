"""Path globs of the manifest: ``*`` and ``?`` within one path component, ``**`` across components.

Matching takes time proportional to pattern times path, whatever the pattern: paths come from patches,
which are hostile (T-5), so nothing here backtracks without bound. There are no character classes, braces
or negations; ``problem`` says so, instead of matching them literally by surprise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

__all__ = ["matches", "matches_any", "problem"]

_UNSUPPORTED = "[]{}!\\"


def _wild(pattern: Sequence[str], text: Sequence[str], star: str, same: Callable[[str, str], bool]) -> bool:
    """Greedy wildcard match: on a mismatch only the latest star is widened, which is enough."""
    at = mark = 0
    last_star = -1
    for_text = 0
    while for_text < len(text):
        if at < len(pattern) and pattern[at] == star:
            last_star, mark = at, for_text
            at += 1
        elif at < len(pattern) and same(pattern[at], text[for_text]):
            at += 1
            for_text += 1
        elif last_star >= 0:
            mark += 1
            at, for_text = last_star + 1, mark
        else:
            return False
    return all(part == star for part in pattern[at:])


def _same_character(pattern: str, character: str) -> bool:
    return pattern in ("?", character)


def _same_component(pattern: str, component: str) -> bool:
    return _wild(pattern, component, "*", _same_character)


def matches(pattern: str, path: str) -> bool:
    """Whether ``pattern`` covers ``path``. ``dir/**`` covers everything below ``dir`` but not ``dir`` itself."""
    parts, names = pattern.split("/"), path.split("/")
    if parts[-1] == "**" and len(parts) > 1:
        parts.insert(-1, "*")  # at least one component below the directory
    return _wild(parts, names, "**", _same_component)


def matches_any(patterns: Iterable[str], path: str) -> bool:
    return any(matches(pattern, path) for pattern in patterns)


def problem(pattern: str) -> str | None:
    """What is wrong with a glob, in words, or None."""
    if not pattern:
        return "an empty glob matches nothing"
    if any(character in pattern for character in _UNSUPPORTED):
        return "only *, ? and ** are understood (no [...], {...}, ! or backslash)"
    if pattern.startswith("/"):
        return "globs are relative to the repository's root and do not start with /"
    parts = pattern.split("/")
    if pattern.endswith("/"):
        return f"a directory alone matches nothing; write {pattern}**"
    if "" in parts or "." in parts or ".." in parts:
        return "empty components, . and .. are not allowed"
    if any("**" in part and part != "**" for part in parts):
        return "** must stand alone between slashes"
    if any(ord(character) < 32 or ord(character) == 127 for character in pattern):
        return "control characters are not allowed"
    return None
