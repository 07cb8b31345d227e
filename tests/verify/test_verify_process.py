"""The verifier's process: real ones, with scorers that misbehave in every way a scorer can."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from festina.errors import Fault, IntegrityError, UsageError
from festina.ledger import entries
from festina.ledger.signing import pae
from festina.verify.worker import SIGNED_KINDS
from tests.verify.home import GENERATOR, SCORING, Home, answers, guard, suite
from tests.waiting import until

PAYLOAD = "application/vnd.in-toto+json"


@pytest.fixture
def make(tmp_path):
    made = []

    def build(scoring=SCORING, **options):
        (tmp_path / str(len(made))).mkdir()
        made.append(Home(tmp_path / str(len(made)), scoring, **options))
        return made[-1]

    yield build
    for home in made:
        home.close()


def test_an_honest_answer_scores_what_it_is_worth(make):
    verifier = make().start(guards=[guard()])
    issued = verifier.draw(1, 40)
    full = verifier.score(issued.batch_id, answers(issued.inputs))
    assert (full.mean, full.items, full.failed) == (1.0, 40, 0)
    assert 6.0 < full.guards[0] < 9.0  # in the guard's own unit: the length of "label:NN"
    half = verifier.score(issued.batch_id, b"".join(answers(issued.inputs).splitlines(True)[:20]))
    assert (half.mean, half.items, half.failed) == (0.5, 40, 20)


def test_V1_a_trial_that_did_not_end_ok_has_the_worst_score_everywhere(make):
    verifier = make().start(suite(low=0.0, high=8.0, direction="lower"), guards=[guard()])
    found = verifier.score(verifier.draw(1, 40).batch_id, None)
    assert (found.mean, found.guards, found.failed) == (8.0, (100.0,), 40)


def test_controls_and_public_items_use_the_same_scorer(make):
    verifier = make().start()
    controls = verifier.controls(1, 60)
    assert controls.ok, controls.note
    assert controls.oracle == 1.0
    items = b'{"id":"a","input":1,"label":"x"}\n{"id":"b","input":2,"label":"y"}\n'
    found = verifier.public(items, b'{"id":"a","output":"x"}\n')
    assert (found.mean, found.items, found.failed) == (0.5, 2, 1)
    with pytest.raises(UsageError):
        verifier.public(b"not items", b"")


# -- scorers that misbehave ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError(item['label'])",
        "raise SystemExit(0)",
        "raise KeyboardInterrupt",
        "raise type('Odd', (BaseException,), {})(item['label'])",
        "return float('nan')",
        "return None",
        "return str(item)",
        "return right(item, output)",
    ],
)
def test_T6_a_scorer_that_raises_or_returns_no_score_gives_the_worst_and_lives_on(make, body):
    verifier = make(f"def right(item, output):\n    {body}\n").start()
    issued = verifier.draw(1, 40)
    for _ in range(2):
        found = verifier.score(issued.batch_id, answers(issued.inputs))
        assert (found.mean, found.failed) == (0.0, 40)


@pytest.mark.parametrize(
    "body", ["print(item['label'], flush=True)", "import os; os.write(1, b'x'); os.write(2, b'x')"]
)
def test_a_scorer_that_prints_breaks_nothing_and_leaks_nothing(make, body, capfd):
    verifier = make(f"def right(item, output):\n    {body}\n    return float(output == item['label'])\n").start()
    issued = verifier.draw(1, 40)
    assert verifier.score(issued.batch_id, answers(issued.inputs)).mean == 1.0
    assert capfd.readouterr() == ("", "")


HANG = """\
import time
def right(item, output):
    while output == "hang": pass
    return float(output == item["label"])
"""


def test_T6_a_scorer_that_hangs_is_a_fault_and_the_next_request_finds_a_new_process(make):
    verifier = make(HANG).start(timeout_s=1.5)
    issued = verifier.draw(1, 40)
    first = verifier.pid
    started = time.monotonic()
    with pytest.raises(Fault) as caught:
        verifier.score(issued.batch_id, answers(issued.inputs, lambda _: "hang"))
    assert caught.value.name == "scorer-timeout"
    assert time.monotonic() - started < 30  # it hangs for ever
    until(lambda: not Path(f"/proc/{first}").exists())  # killed; the kernel takes its time
    assert verifier.score(issued.batch_id, answers(issued.inputs)).mean == 1.0  # the batch outlived the process
    assert verifier.score(issued.batch_id, None).mean == 0.0


def test_T6_a_generator_that_hangs_is_a_fault(make):
    home = make()
    home.generator("def generate(seed, n):\n    while True: pass\n")
    with pytest.raises(Fault) as caught:
        home.start(timeout_s=1.5).draw(1, 40)
    assert caught.value.name == "generator-timeout"


@pytest.mark.parametrize("body", ["os._exit(0)", "os.kill(os.getpid(), 11)", "os.abort()"])
def test_T6_a_scorer_that_ends_the_process_is_a_fault_and_no_score(make, body):
    verifier = make(f"import os\ndef right(item, output):\n    {body}\n").start()
    issued = verifier.draw(1, 40)
    for _ in range(2):
        with pytest.raises(Fault) as caught:
            verifier.score(issued.batch_id, answers(issued.inputs))
        assert caught.value.name == "scorer-died"
    assert verifier.draw(1, 40) == issued


@pytest.mark.parametrize(
    ("scoring", "where"),
    [
        ("def right(item, output:\n", "scoring.py:1"),
        ("import no_such_module\n", "scoring.py:1"),
        ("\nraise SystemExit\n", "scoring.py:2"),
        ("def other(item, output): return 1.0\n", "scoring.py"),
        ("right = 3\n", "scoring.py"),
    ],
)
def test_a_scorer_that_cannot_be_loaded_is_named_with_its_line(make, scoring, where):
    with pytest.raises(UsageError) as caught:
        make(scoring).start()
    assert (caught.value.name, caught.value.where) == ("scorer-broken", where)


def test_a_missing_scorer_file_is_named(make):
    home = make()
    (home.evaluator / "scoring.py").unlink()
    with pytest.raises(UsageError) as caught:
        home.start()
    assert (caught.value.name, caught.value.where) == ("scorer-broken", "scoring.py")


def test_V2_a_scorer_that_fails_on_every_control_is_broken_with_its_line(make):
    verifier = make("def right(item, output):\n    return item['nothing']\n").start()
    with pytest.raises(UsageError) as caught:
        verifier.controls(1, 20)
    assert (caught.value.name, caught.value.where) == ("scorer-broken", "scoring.py:2")


def test_a_scorer_may_import_its_siblings_and_packages_of_the_repository(make):
    home = make(
        "from helper import same\nfrom evals.deep.more import one\n"
        "def right(item, output): return one() * same(item, output)\n"
    )
    (home.evaluator / "helper.py").write_text("def same(item, output): return float(output == item['label'])\n")
    (home.evaluator / "evals" / "deep").mkdir(parents=True)
    (home.evaluator / "evals" / "deep" / "more.py").write_text("def one(): return 1.0\n")
    verifier = home.start()
    issued = verifier.draw(1, 40)
    assert verifier.score(issued.batch_id, answers(issued.inputs)).mean == 1.0


def test_T4_a_planted_pyc_never_stands_in_for_a_source(make):
    import importlib.util
    import py_compile

    home = make("import helper\nright = helper.same\n")
    helper = home.evaluator / "helper.py"
    helper.write_text("def same(item, output): return 1.0\n")
    planted = Path(importlib.util.cache_from_source(str(helper)))
    py_compile.compile(str(helper), str(planted), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    helper.write_text("def same(item, output): return float(output == item['label'])\n")
    plain = subprocess.run(
        [sys.executable, "-c", "import helper; print(helper.same({'label': 1}, 0))"], cwd=home.evaluator, text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    assert plain.stdout == "1.0\n"  # positive control: the interpreter's own import takes the planted file
    verifier = home.start()
    issued = verifier.draw(1, 40)
    assert verifier.score(issued.batch_id, answers(issued.inputs, lambda _: "wrong")).mean == 0.0


def test_T4_a_file_of_the_repository_shadows_no_library(make):
    home = make("import json, numpy\ndef right(item, output): return numpy.float64(json.loads('1'))\n")
    for name in ("json", "numpy", "random", "festina"):
        (home.evaluator / f"{name}.py").write_text("raise SystemExit\n")
    verifier = home.start()
    issued = verifier.draw(1, 40)
    assert verifier.score(issued.batch_id, answers(issued.inputs)).mean == 1.0


def test_a_scorer_module_called_like_one_of_pythons_is_refused(make):
    home = make()
    (home.evaluator / "statistics.py").write_text(SCORING)
    with pytest.raises(UsageError) as caught:
        home.start(suite(scorer="statistics:right"))
    assert caught.value.name == "scorer-name-taken"


# -- terms and vault -------------------------------------------------------------------------------------


def test_V10_a_self_reported_suite_has_a_verifier_that_only_signs(make):
    home = make(generator=None)
    verifier = home.start(suite(scorer="stdout:loss", low=None, high=None, assurance="self-reported"))
    assert verifier.signer.keyid == home.local.keyid
    for ask in (lambda: verifier.draw(1, 2), lambda: verifier.controls(1, 2), lambda: verifier.public(b"", b"")):
        with pytest.raises(UsageError) as caught:
            ask()
        assert caught.value.name in {"self-reported", "suite-empty"}


def test_S7_a_scorer_without_a_range_is_refused(make):
    with pytest.raises(UsageError) as caught:
        make().start(suite(low=None, high=None))
    assert caught.value.name == "range-missing"


def test_T4_items_other_than_the_epochs_are_refused(make):
    with pytest.raises(UsageError) as caught:
        make().start(suite(source="0" * 64))
    assert caught.value.name == "vault-changed"


def test_a_suite_without_items_is_named(make):
    with pytest.raises(UsageError) as caught:
        make(generator=None).start()
    assert caught.value.name == "suite-not-in-vault"


def test_V3_finite_items_are_used_once_across_runs_or_not_at_all(make):
    home = make(generator=None)
    home.items(100)
    first = home.start(used=0)
    seen = [json.loads(line)["input"] for seed in (1, 2) for line in first.draw(seed, 30).inputs.splitlines()]
    resumed = home.start(used=60)
    seen += [json.loads(line)["input"] for line in resumed.draw(3, 40).inputs.splitlines()]
    assert sorted(seen) == list(range(100))
    with pytest.raises(UsageError) as caught:
        resumed.draw(4, 1)
    assert caught.value.name == "suite-spent"
    with pytest.raises(UsageError) as caught:
        home.start().draw(1, 30)
    assert caught.value.name == "looks-not-counted"


def test_V3_single_scores_are_told_of_fresh_draws_alone_and_only_on_request(make):
    home = make()
    told, silent = home.start(itemwise=True), home.start()
    issued, usual = told.draw(1, 5), silent.draw(1, 5)
    assert told.score(issued.batch_id, answers(issued.inputs)).each == (1.0,) * 5
    assert silent.score(usual.batch_id, answers(usual.inputs)).each == ()
    finite = make(generator=None)
    finite.items(20)
    for terms, where in ((suite(mode="sealed"), home), (suite(mode="ledger"), home), (suite(), finite)):
        with pytest.raises(UsageError) as caught:
            where.start(terms, itemwise=True)
        assert caught.value.name == "items-are-secret"


def test_T4_an_evaluator_that_changes_under_a_run_is_found_at_the_restart(make):
    home = make(HANG)
    verifier = home.start(timeout_s=1.5)
    issued = verifier.draw(1, 2)
    (home.evaluator / "scoring.py").write_text("def right(item, output): return 1.0\n")
    with pytest.raises(Fault):
        verifier.score(issued.batch_id, answers(issued.inputs, lambda _: "hang"))
    with pytest.raises(IntegrityError) as caught:
        verifier.score(issued.batch_id, answers(issued.inputs))
    assert caught.value.name == "verifier-changed"


# -- signing ---------------------------------------------------------------------------------------------


def statement(kind: str) -> bytes:
    return pae(PAYLOAD, json.dumps({"predicateType": f"urn:festina:entry:{kind}:1"}).encode())


def test_T1_the_verifier_signs_its_own_kinds_of_entry_through_the_process(make):
    """What it signs of these kinds: ``test_verify_notary.py``."""
    home = make()
    signer = home.start().signer
    assert (signer.role, signer.keyid, signer.public) == ("verifier", home.local.keyid, home.local.public)
    assert {kind for kind, body in entries.KINDS.items() if body.role == "verifier"} == SIGNED_KINDS
    for kind in sorted(SIGNED_KINDS):
        with pytest.raises(IntegrityError):  # it got as far as the notary, which wants a whole statement
            signer.sign(statement(kind))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"anything", statement("released"), statement("review-decided"), statement("verdict:1 "),
        statement("verdict") + b" ",
        b"DSSEv1 2 {} 2 {}", b"DSSEv1 28 application/vnd.in-toto+json 9 {}", b"DSSEv1 x y z w",
        b"DSSEv1 28 application/vnd.in-toto+json 2 {}",
    ],
)  # fmt: skip
def test_T1_the_verifier_signs_nothing_else(make, data):
    signer = make().start().signer
    with pytest.raises(UsageError) as caught:
        signer.sign(data)
    assert caught.value.name == "not-the-verifiers"


# -- life and death --------------------------------------------------------------------------------------

ENGINE = """
import sys, threading, time
from pathlib import Path
from tests.verify.home import Home, answers, suite
from festina.verify import Verifier
base, mode = Path(sys.argv[1]), sys.argv[2]
home = base / "0"
def start():
    global verifier
    key = home / "state/keys/verifier.pem"
    verifier = Verifier.start(vault=home / "state/vault", evaluator=home / "evaluator", key=key, suite=suite())
thread = threading.Thread(target=start); thread.start(); thread.join()
time.sleep(0.2)
issued = verifier.draw(1, 2)  # the process outlived the thread that started it
print(verifier.pid, flush=True)
if mode == "busy":
    verifier.score(issued.batch_id, answers(issued.inputs, lambda _: "hang"))
time.sleep(60)
"""


@pytest.mark.parametrize("mode", ["idle", "busy"])
def test_the_verifier_dies_with_an_engine_that_is_killed(make, tmp_path, mode):
    make(HANG)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", textwrap.dedent(ENGINE), str(tmp_path), mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as engine:
        pid = int(engine.stdout.readline())
        time.sleep(0.1)
        assert Path(f"/proc/{pid}").exists()
        engine.kill()
    until(lambda: not Path(f"/proc/{pid}").exists())


def test_a_process_that_died_between_requests_is_replaced_unnoticed(make):
    verifier = make().start()
    issued = verifier.draw(1, 40)
    os.kill(verifier.pid, signal.SIGKILL)
    time.sleep(0.05)
    assert verifier.score(issued.batch_id, answers(issued.inputs)).mean == 1.0


def test_an_interrupted_request_leaves_no_reply_for_the_next_one(make, monkeypatch):
    from festina.verify import wire

    verifier = make().start()
    one, other = verifier.draw(1, 10), verifier.draw(2, 20)

    def interrupted(sock, *, deadline=None):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(wire, "receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            verifier.score(one.batch_id, answers(one.inputs))
    assert verifier.score(other.batch_id, b"").items == 20


def test_T1_a_uid_that_belongs_to_an_account_is_refused(make):
    if os.geteuid() != 0:
        pytest.skip("only root can give the verifier a uid of its own")
    with pytest.raises(UsageError) as caught:
        make().start(uid=0)
    assert caught.value.name == "uid-in-use"


def test_close_ends_the_process_and_may_be_repeated(make):
    verifier = make().start()
    pid = verifier.pid
    verifier.close()
    verifier.close()
    until(lambda: not Path(f"/proc/{pid}").exists())
    with pytest.raises(UsageError) as caught:
        verifier.draw(1, 2)
    assert caught.value.name == "verifier-closed"


def test_many_threads_may_ask_at_once(make):
    verifier = make().start()
    wrong = []

    def work(seed):
        for k in range(5):
            issued = verifier.draw(seed * 10 + k, 20)
            share = seed / 10
            lines = answers(issued.inputs).splitlines(True)
            if verifier.score(issued.batch_id, b"".join(lines[: 2 * seed])).mean != share:
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_scoring_40_items_takes_less_than_two_milliseconds(make):
    verifier = make().start()
    issued = verifier.draw(1, 40)
    output = answers(issued.inputs)

    def taken():
        started = time.perf_counter()
        verifier.score(issued.batch_id, output)
        return time.perf_counter() - started

    assert any(taken() < 0.002 for _ in range(1000))  # what else the machine does is not this room's time


def test_T1_the_process_has_an_empty_environment_and_no_paths_in_its_arguments(make):
    home = make()
    pid = home.start().pid
    if os.geteuid() == 0:  # nobody else may read them at all
        assert Path(f"/proc/{pid}/environ").read_bytes() in {b"", b"LC_CTYPE=C.UTF-8\0"}
    assert str(home.base).encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_T1_as_root_the_verifier_has_a_uid_of_its_own_even_below_a_closed_folder(make):
    if os.geteuid() != 0:
        pytest.skip("only root can give the verifier a uid of its own")
    home = make()
    home.evaluator.chmod(0o700)
    home.base.chmod(0o700)
    verifier = home.start(uid=64_777)
    status = Path(f"/proc/{verifier.pid}/status").read_text()
    assert "Uid:\t64777\t64777\t64777\t64777" in status
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert (verifier.separated, verifier.notes) == (True, ())
    issued = verifier.draw(1, 40)
    assert verifier.score(issued.batch_id, answers(issued.inputs)).mean == 1.0


SPY = """\
import os, socket
def right(item, output):
    try:
        if item["input"] and output == "net":
            socket.create_connection(("127.0.0.1", PORT), timeout=1).close()
        else:
            with open("KEY") as key:
                key.read()
    except OSError:
        return 0.0
    return 1.0
"""


def test_T1_as_root_a_scorer_reaches_neither_key_nor_vault_nor_network(make):
    if os.geteuid() != 0:
        pytest.skip("without root the separation is nominal, and the verifier's notes say so")
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        home = make()
        text = SPY.replace("KEY", str(home.key)).replace("PORT", str(server.getsockname()[1]))
        (home.evaluator / "scoring.py").write_text(text)
        scope: dict = {}
        exec(text, scope)
        assert scope["right"]({"input": 1}, "net") == 1.0  # positive controls: both work out here
        assert scope["right"]({"input": 1}, "key") == 1.0
        verifier = home.start()
        issued = verifier.draw(1, 3)
        for way in ("net", "key"):
            found = verifier.score(issued.batch_id, answers(issued.inputs, lambda _, way=way: way))
            assert (found.mean, found.failed) == (0.0, 0)


def test_without_root_the_separation_is_nominal_and_said_so(make, tmp_path):
    """The same worker under one plain uid for everything: it runs, and says what it is worth."""
    if os.geteuid() != 0:
        assert not make().start().separated
        return
    from festina.verify import confine

    pid = os.fork()
    if pid == 0:
        os.setresuid(12_345, 12_345, 12_345)
        found = confine.separate(64_101, ())
        os._exit(0 if not found.separated and "nominal" in found.notes[0] else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_the_generator_text_is_the_one_that_the_tests_assume():
    assert "label" not in GENERATOR.replace('"label": "lab"', "")
