"""Characters that deceive a reader or a file system.

Three questions, all pure: which character of an added line is not what it seems (``odd_character``), what
is wrong with a new path (``path_problem``), and under which key two paths would be taken for each other by
a file system or a person (``folded`` and ``skeleton``).

Not covered: look-alikes within one script (``l`` and ``1``), and Unicode's full confusables table; only
letters that pass for ASCII ones in common fonts are mapped. Words that mix scripts are refused anyway.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

__all__ = ["folded", "is_git_dotfile", "is_git_name", "odd_character", "path_problem", "shown", "skeleton"]

MAX_PATH_BYTES = 240  # leaves room for a home directory below the usual limit of 260 elsewhere
MAX_COMPONENT_BYTES = 120

# Drawn as nothing, yet not of category Cf: fillers, joiners and variation selectors (Default_Ignorable_Code_Point).
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\u2800\U000e0000-\U000e0fff]"
)
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_WINDOWS_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_WINDOWS_FORBIDDEN = re.compile(r'[<>:"|?*\\]')
_SHORT_NAME = re.compile(r"git~[0-9]+|gi[0-9a-f]{4}~[0-9]+", re.IGNORECASE)  # NTFS 8.3 names of .git
_SHORT_DOTFILES = re.compile(r"(gitmod|gitatt|gitign|gi7eba|gi7d29|gi250a)~?[0-9a-f]*~[0-9]+", re.IGNORECASE)

# Letters that read as ASCII ones, in lower case: the letters, and below them what each passes for.
_LOOKALIKE = str.maketrans(
    "аеорсухѕіјԁһԛԝѵкмтвнүҽӏαορικντυχγηβωϲϳսոօհցքւգզɡɑıʟꞁ",  # Cyrillic, Greek, Armenian, Latin
    "aeopcyxsijdhqwvkmtbhyelaopikvtuxynbwcjunohgqigqgaill",
)
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "GEORGIAN", "HEBREW", "ARABIC")


def odd_character(line: str) -> str | None:
    """The first character of a line of text that hides or reorders what a reader sees, described; else None.

    Tabs are fine, and so is one carriage return at the end. Private-use characters, lone surrogates and
    every format character (bidirectional controls, zero-width ones, tags) are not.  # P-2
    """
    body = line.removesuffix("\r")
    if body.isascii() and body.isprintable():
        return None
    for character in body:
        if character == "\t" or " " <= character <= "~":
            continue
        kind = _odd_kind(character)
        if kind:
            return f"{kind} U+{ord(character):04X}"
    return None


def _odd_kind(character: str) -> str | None:
    if character in _BIDI:
        return "bidirectional control"
    category = unicodedata.category(character)
    if category == "Cc":
        return "control character"
    if category in ("Cf", "Zl", "Zp") or _INVISIBLE.match(character):
        return "invisible character"
    if category in ("Co", "Cs", "Cn"):
        return "unassigned or private character"
    return None


def shown(path: str) -> str:
    """``path`` with everything that is not plain printable ASCII spelled out: safe to print anywhere.  # T-5"""
    return "".join(c if " " <= c <= "~" and c != "\\" else f"\\u{{{ord(c):x}}}" for c in path)


def folded(path: str) -> str:
    """Equal for two paths that some file system takes for one: case, normalisation, ignored characters."""
    if path.isascii():
        return path.lower()
    text = "".join(c for c in _INVISIBLE.sub("", path) if unicodedata.category(c) != "Cf")  # HFS+ drops most of Cf
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def skeleton(path: str) -> str:
    """Equal for two paths that a reader takes for one: ``folded``, without accents, look-alikes mapped to ASCII."""
    if path.isascii():
        return path.lower()
    bare = "".join(c for c in unicodedata.normalize("NFKD", folded(path)) if not unicodedata.combining(c))
    return bare.translate(_LOOKALIKE)


def is_git_name(name: str) -> bool:
    """Whether some file system takes this path component for ``.git``.

    Covers letter case, HFS+ ignored characters, NTFS short names, streams, and trailing dots and spaces.
    """
    plain = folded(name).split(":", 1)[0].rstrip(". ")
    return plain == ".git" or _SHORT_NAME.fullmatch(plain) is not None


def is_git_dotfile(name: str) -> bool:
    """Whether some file system takes this component for ``.gitattributes``, ``.gitmodules`` or ``.gitignore``."""
    plain = folded(name).split(":", 1)[0].rstrip(". ")
    known = (".gitattributes", ".gitmodules", ".gitignore", ".mailmap", ".lfsconfig")
    return plain in known or _SHORT_DOTFILES.fullmatch(plain) is not None


def _mixed_scripts(word: str) -> bool:
    if word.isascii():
        return False
    scripts = set()
    for character in word:
        if character.isalpha():
            name = unicodedata.name(character, "")
            scripts.add(next((script for script in _SCRIPTS if name.startswith(script)), "OTHER"))
    return len(scripts - {"OTHER"}) > 1


PathReason = Literal[
    "path-encoding", "absolute", "path-length", "traversal", "git-internals", "path-characters", "path-portability"
]


def path_problem(path: str) -> tuple[PathReason, str] | None:
    """What is wrong with the form of a path: (reason class, words), or None. Scope is not judged here.  # P-2"""
    try:
        raw = path.encode("utf-8")
    except UnicodeEncodeError:
        return "path-encoding", "the path is not valid UTF-8"
    if not path or path.startswith("/"):
        return "absolute", "the path is empty or absolute"
    if len(raw) > MAX_PATH_BYTES:
        return "path-length", f"the path is longer than {MAX_PATH_BYTES} bytes"
    for component in path.split("/"):
        found = _component_problem(component)
        if found:
            return found
    return None


def _component_problem(name: str) -> tuple[PathReason, str] | None:
    if name in ("", ".", ".."):
        return "traversal", "empty components, . and .. are refused"
    if is_git_name(name):
        return "git-internals", "the name is, or can be read as, .git"
    odd = odd_character(name + ".")  # the dot keeps a final carriage return from passing as a line end
    if odd or "\t" in name:
        return "path-characters", f"the name holds a {odd or 'tab'}"
    if unicodedata.normalize("NFC", name) != name or unicodedata.normalize("NFKC", name) != name:
        return "path-characters", "the name is not in Unicode normal form NFKC"
    if any(_mixed_scripts(word) for word in re.split(r"[\s._-]+", _without_suffix(name))):
        return "path-characters", "a word of the name mixes scripts that look alike"
    if name != name.strip(" ") or name.endswith("."):
        return "path-portability", "the name starts or ends with a space, or ends with a dot"
    if _WINDOWS_FORBIDDEN.search(name) or _WINDOWS_RESERVED.fullmatch(name):
        return "path-portability", "the name is reserved or not allowed on some systems"
    if len(name.encode()) > MAX_COMPONENT_BYTES:
        return "path-length", f"a component is longer than {MAX_COMPONENT_BYTES} bytes"
    return None


def _without_suffix(name: str) -> str:
    stem, dot, _ = name.rpartition(".")
    return stem if dot else name
