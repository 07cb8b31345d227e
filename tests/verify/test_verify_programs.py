"""Scorers that are programs: real ones, in shell and Python, that misbehave in every way a program can."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.errors import Fault, UsageError
from festina.system.scorers import Command, parse
from festina.verify import programs
from tests.verify.home import MARK, Home, answers, guard, right, suite
from tests.waiting import until

HONEST = """\
#!/usr/bin/env python3
import json, sys
for line in sys.stdin:
    row = json.loads(line)
    print(json.dumps({"id": row["id"], "score": 1.0 if row["output"] == row["label"] else 0.0}))
"""
COMMAND = 'command:["./score.py"]'
TERMS = suite(scorer=COMMAND)


@pytest.fixture
def make(tmp_path):
    made = []

    def build(program=HONEST, **options):
        (tmp_path / str(len(made))).mkdir()
        made.append(Home(tmp_path / str(len(made)), **options))
        script = made[-1].evaluator / "score.py"
        script.write_text(program)
        script.chmod(0o755)
        return made[-1]

    yield build
    for home in made:
        home.close()


def after_rows(code):
    """A program that reads honestly, and then does this with ``rows``."""
    head = "#!/usr/bin/env python3\nimport json, os, signal, subprocess, sys, time\n"
    read = "rows = [json.loads(line) for line in sys.stdin]\n"
    return head + read + "say = lambda i, s: print(json.dumps({'id': i, 'score': s}))\n" + code


def test_an_honest_answer_scores_what_it_is_worth_as_goal_and_as_guard(make):
    verifier = make().start(TERMS, [guard("same", COMMAND, 0.0, 1.0, "higher")])
    issued = verifier.draw(1, 40)
    full = verifier.score(issued.batch_id, answers(issued.inputs))
    assert (full.mean, full.guards, full.items, full.failed) == (1.0, (1.0,), 40, 0)
    half = verifier.score(issued.batch_id, b"".join(answers(issued.inputs).splitlines(True)[:20]))
    assert (half.mean, half.failed) == (0.5, 20)
    assert verifier.score(issued.batch_id, None).mean == 0.0


def test_V2_the_controls_judge_a_program_like_a_function(make):
    found = make().start(TERMS).controls(1, 50)
    assert found.ok, found.note
    assert (found.oracle, found.constant < 0.2) == (1.0, True)
    same = make(HONEST.replace("1.0 if", "0.5 if").replace("else 0.0", "else 0.5")).start(TERMS).controls(1, 50)
    assert not same.ok


@pytest.mark.parametrize(
    ("code", "worth"),
    [
        ("for r in rows[:20]: say(r['id'], 1.0)", 0.5),
        ("for r in rows: say(r['id'], 1.0)\nsay(rows[0]['id'], 1.0)", 39 / 40),
        ("for i, r in enumerate(rows): say(r['id'], 7 if i else 1.0)", 1 / 40),
        ("for i, r in enumerate(rows): say(r['id'], True if i else 1.0)", 1 / 40),
        ("for i, r in enumerate(rows): say(r['id'], 'high' if i else 1.0)", 1 / 40),
        ("for i, r in enumerate(rows): say(r['id'], 1e300 if i else 1.0)", 1 / 40),
        ("for i, r in enumerate(rows): say(r['id'], float('nan') if i else 1.0)", 1 / 40),
    ],
    ids=["missing", "twice", "out-of-range", "truth", "text", "huge", "nan"],
)
def test_T6_a_score_that_is_none_costs_its_own_item(make, code, worth):
    verifier = make(after_rows(code)).start(TERMS)
    issued = verifier.draw(1, 40)
    assert verifier.score(issued.batch_id, answers(issued.inputs)).mean == pytest.approx(worth)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("for r in rows: say(r['id'], 1.0)\nsys.exit(3)", "scorer-failed"),
        ("for r in rows[:20]: say(r['id'], 1.0)\nsys.stdout.flush(); os.kill(os.getpid(), 9)", "scorer-failed"),
        ("for r in rows: say(r['id'], 1.0)\nsay('other', 1.0)", "scorer-failed"),
        ("for r in rows: say(r['id'], 1.0)\nprint('done')", "scorer-failed"),
        ("for r in rows: print(json.dumps({'id': r['id'], 'score': 1.0, 'label': r['label']}))", "scorer-failed"),
        ("while True: sys.stdout.write('x' * 65536)", "scorer-failed"),
        ("keep = []\nwhile True: keep.append(bytearray(1 << 24))", "scorer-failed"),
        ("print(rows[0]['label'], file=sys.stderr); raise ValueError(rows[0]['label'])", "scorer-failed"),
        ("time.sleep(60)", "scorer-timeout"),
        ("while True: pass", "scorer-timeout"),
    ],
    ids=["exit", "killed", "unknown-id", "a-word", "more-keys", "endless", "memory", "raises", "sleeps", "spins"],
)
def test_T6_a_program_that_fails_as_a_whole_is_a_fault_and_no_score(make, code, name):
    timeout_s = 2.0 if name == "scorer-timeout" else 60.0
    verifier = make(after_rows(code)).start(TERMS, timeout_s=timeout_s, memory_bytes=256 << 20)
    issued = verifier.draw(1, 40)
    with pytest.raises(Fault) as caught:
        verifier.score(issued.batch_id, answers(issued.inputs))
    assert caught.value.name == name
    assert MARK not in str(caught.value)
    assert verifier.score(issued.batch_id, None).mean == 0.0  # the verifier lives on


def alive(text: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except OSError:
            continue
        if text.encode() in line:
            found.append(entry.parent.name)
    return found


def test_E1_nothing_that_a_program_starts_outlives_its_batch(make, tmp_path):
    mark = f"3000.{os.getpid()}"
    code = f"""
for r in rows: say(r["id"], 1.0)
sys.stdout.flush()
subprocess.Popen(["sleep", "{mark}"])
subprocess.Popen(["setsid", "sh", "-c", "(sleep {mark} &) ; sleep {mark}"], start_new_session=True)
time.sleep(0.3)
"""
    verifier = make(after_rows(code)).start(TERMS)
    issued = verifier.draw(1, 4)
    started = time.monotonic()
    assert verifier.score(issued.batch_id, answers(issued.inputs)).mean == 1.0
    assert time.monotonic() - started < 60  # a child that holds the pipe open is not waited for
    until(lambda: alive(mark) == [])


@pytest.mark.skipif(os.geteuid() != 0, reason="without root only the program itself dies with the verifier")
def test_E1_nothing_that_a_program_starts_outlives_the_verifier(make):
    mark = f"3001.{os.getpid()}"
    code = f'subprocess.Popen(["setsid", "sleep", "{mark}"])\ntime.sleep(60)'
    verifier = make(after_rows(code)).start(TERMS, timeout_s=1.0)
    issued = verifier.draw(1, 4)
    with pytest.raises(Fault):
        verifier.score(issued.batch_id, answers(issued.inputs))
    verifier.close()
    until(lambda: alive(mark) == [])


def test_T1_no_label_is_in_arguments_or_environment_and_standard_error_goes_nowhere(make, capfd):
    code = """
seen = open("/proc/self/environ").read() + open("/proc/self/cmdline").read()
print(rows[0]["label"], file=sys.stderr, flush=True)
bad = any(r["label"] in seen for r in rows) or "FESTINA" in seen or "vault" in seen or "keys" in seen
for r in rows: say(r["id"], 0.0 if bad else 1.0)
"""
    verifier = make(after_rows(code)).start(TERMS)
    issued = verifier.draw(1, 20)
    assert verifier.score(issued.batch_id, answers(issued.inputs)).mean == 1.0
    assert capfd.readouterr() == ("", "")
    shown = after_rows(code).replace("sys.stdin]", "sys.stdin] + [{'id': 'x', 'label': os.environ['PATH']}]")
    other = make(shown).start(TERMS)  # positive control: what is in the environment is found
    issued = other.draw(1, 20)
    with pytest.raises(Fault):
        other.score(issued.batch_id, answers(issued.inputs))


def test_T1_as_root_a_program_has_the_verifiers_view_and_no_network(make):
    if os.geteuid() != 0:
        pytest.skip("without root the separation is nominal, and the verifier's notes say so")
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        home = make()
        code = f"""
import socket
def reached():
    for path in {[str(home.key), str(home.vault.directory)]!r}:
        try:
            open(path).close() if os.path.isfile(path) else os.listdir(path)
            return True
        except OSError: pass
    try: socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), timeout=1); return True
    except OSError: return False
own = "NoNewPrivs:\\t1" in open("/proc/self/status").read() and os.getuid() == 64_778
for r in rows: say(r["id"], 1.0 if own and not reached() else 0.0)
"""
        (home.evaluator / "score.py").write_text(after_rows(code))
        verifier = home.start(TERMS, uid=64_778)
        issued = verifier.draw(1, 3)
        assert verifier.score(issued.batch_id, answers(issued.inputs)).mean == 1.0


def test_a_program_that_is_not_there_is_named(make):
    home = make()
    (home.evaluator / "score.py").chmod(0o644)
    for scorer in (COMMAND, 'command:["no-such-program","score.py"]'):
        with pytest.raises(UsageError) as caught:
            home.start(suite(scorer=scorer))
        assert caught.value.name == "scorer-broken"


def test_a_program_need_not_read_all_that_it_is_given(make):
    program = "#!/bin/sh\nread line\nexit 0\n"
    home = make(program)
    verifier = home.start(TERMS)
    issued = verifier.draw(1, 2000)
    assert verifier.score(issued.batch_id, answers(issued.inputs, lambda x: right(x) + "x" * 2000)).mean == 0.0


def test_E4_nothing_persists_from_one_batch_to_the_next(make):
    """Each batch is a process of its own."""
    verifier = make(after_rows("for r in rows: say(r['id'], os.getpid() % 1000 / 1000)")).start(TERMS)
    issued = verifier.draw(1, 4)
    assert len({verifier.score(issued.batch_id, answers(issued.inputs)).mean for _ in range(3)}) == 3


# -- the strict reader -----------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_T3_any_bytes_are_scores_or_a_fault(data):
    try:
        found = programs.read_scores(data, {"a", "b"}, "x")
    except Fault:
        return
    assert found.keys() <= {"a", "b"}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(allow_nan=False, allow_infinity=False)), max_size=6))
def test_T6_an_id_counts_once_or_not_at_all(rows):
    data = b"".join(json.dumps({"id": i, "score": s}).encode() + b"\n" for i, s in rows)
    found = programs.read_scores(data, set("abc"), "x")
    once = {i for i, _ in rows if [j for j, _ in rows].count(i) == 1}
    assert found.keys() == once


@given(st.text(max_size=40))
def test_a_scorers_text_has_one_form_or_is_refused(text):
    for given_text in (text, "command:" + text, "inspect:" + text):
        try:
            form = parse(given_text)
        except ValueError:
            continue
        if isinstance(form, Command):
            assert form.argv
            assert not form.argv[0].startswith("/")
