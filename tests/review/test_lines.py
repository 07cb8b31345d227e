"""A line is what git calls a line, wherever lines are counted, shown or altered for people.  # R-2, R-3"""

from __future__ import annotations

import subprocess
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from festina.loop.showing import _sections
from festina.propose.plants import plants
from festina.propose.text import rows
from festina.review import catch
from festina.review.questions import read_diff
from festina.system.textlines import lines_of, starts_of
from festina.web import patch as page

ENDS = "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"  # where ``splitlines`` ends a line and git does not
_word = st.text(st.sampled_from("ab =+-@#" + ENDS), max_size=12)
_text = st.lists(_word, min_size=1, max_size=8).map("\n".join)
_end = st.sampled_from(ENDS.replace("\r", ""))


@given(_text)
def test_R2_lines_and_their_starts_are_those_of_the_line_feed(text: str) -> None:
    lines = lines_of(text)
    assert "".join(lines) == text
    assert all("\n" not in line[:-1] for line in lines)
    assert [text[a:b] for a, b in zip(starts_of(text), starts_of(text)[1:], strict=False)] == lines
    assert [line.encode() for line in lines] == lines_of(text.encode())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=_text, new=_text)
def test_R2_counts_and_rows_agree_with_git(tmp_path: Path, old: str, new: str) -> None:
    sides = []
    for name, text in (("old", old), ("new", new)):
        (tmp_path / name).write_bytes(text.encode())
        sides.append(str(tmp_path / name))
    base = ["git", "-c", "core.autocrlf=false", "diff", "--no-index", "--text", "--diff-algorithm=myers"]
    said = subprocess.run([*base, "--numstat", *sides], capture_output=True, check=False).stdout.split()
    patch = subprocess.run([*base, *sides], capture_output=True, check=False).stdout
    diff = read_diff(patch)
    assert (len(diff.added), len(diff.removed)) == ((int(said[0]), int(said[1])) if said else (0, 0))
    text = patch.decode()
    assert "".join(_sections(text)) == text
    count = len(lines_of(text))
    assert len(rows(text)) == max(1, count)
    assert page.shown(patch).total == max(1, count)


@given(end=_end, indent=st.sampled_from(["", "    "]), seed=st.integers(0, 10**6))
def test_R3_a_defect_stands_where_it_was_meant_to_whatever_else_ends_lines(end: str, indent: str, seed: int) -> None:
    """Before, everything below such a character was altered some places too far on, often in a line of another's."""
    head = f"# one{end}two\nNAME = 'a{end}b'\n\n"
    body = f"def f(x, y):\n    # {end}\n\n    if x > 3:\n{indent}        return x + y\n    return 7\n"
    text = head + body
    added = [n for n, line in enumerate(text.split("\n"), 1) if n == 6 or (n >= 4 and line)]
    lines = text.split("\n")[:-1]
    hunk = "".join(("+" if n in added else " ") + line + "\n" for n, line in enumerate(lines, 1))
    spans = f"@@ -1,{len(lines) - len(added)} +1,{len(lines)} @@"
    patch = f"diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n{spans}\n{hunk}"
    made = catch.make({"m.py": text.encode()}, catch.added_lines(patch.encode()), seed)
    assert made is not None
    after = made.data.decode().split("\n")
    assert [n for n, (a, b) in enumerate(zip(text.split("\n"), after, strict=True), 1) if a != b] == [made.line]
    assert made.line in added
    compile(made.data.decode(), "m.py", "exec")


@given(end=_end, seed=st.integers(0, 10**6))
def test_V7_a_mistake_of_the_improvers_is_one_token_of_code_whatever_else_ends_lines(end: str, seed: int) -> None:
    text = f"# one{end}two\nNAME = 'a{end}b'\n\n\ndef f(x, y):\n    if x > 3:\n        return x + y\n    return 7\n"
    for plant in plants({"m.py": text.encode()}, seed=seed, entry=None):
        data = plant.files["m.py"]
        assert data is not None
        compile(data.decode(), "m.py", "exec")
        assert data.decode().startswith(text[: text.index("\n\n\n")])  # comment and string stay as they are
