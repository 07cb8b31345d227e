"""Candidates and agents that ask a model: through the gateway, at a price, and at nobody's cost but their own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from festina.ledger.log import Ledger, Record
from festina.loop.engine import Options, run
from festina.loop.state import State, fold
from festina.sandbox import Level, probe
from festina.system import home as homes
from festina.system.repo import Repo
from tests.loop.commandline import festina
from tests.loop.invariants import check
from tests.modelserver import Bad, serving
from tests.toy import Toy, make_toy

pytestmark = pytest.mark.skipif(probe().level < Level.L2, reason="no box on this host: see `festina doctor`")
# Each item's answer is the model's: the scaffold's "skill" is a word of its prompt.
ANSWER = """\
import json, os, urllib.request
skill = json.load(open("skill.json"))["skill"]
out = open(os.environ["FESTINA_OUT"] + "/predictions.jsonl", "w")
items = [json.loads(line) for line in open(os.environ["FESTINA_IN"] + "/items.jsonl")]
asked = {"model": os.environ["FESTINA_MODEL"], "messages": [{"role": "user", "content": json.dumps(
    [skill, os.environ["FESTINA_SEED"], [item["input"] for item in items]])}]}
request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(asked).encode())
answer = json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"]
for item, output in zip(items, json.loads(answer)):
    out.write(json.dumps({"id": item["id"], "output": output}) + "\\n")
"""
AGENT = """\
import json, os, subprocess, sys, urllib.request
asked = {"model": os.environ["FESTINA_MODEL"], "messages": [{"role": "user", "content": "edit skill.json:"
         + open("skill.json").read()}]}
request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(asked).encode())
open("skill.json", "w").write(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"])
for made in (["git", "init", "-q"], ["sh", "-c", "sleep 300 & exit 0"]):
    subprocess.run(made)  # as agents do: a repository of its own, a process left behind
"""


def model(body: dict[str, Any]) -> str:
    """As good at the items as the prompt says, and an editor that asks for more of it."""
    text = body["messages"][0]["content"]
    if text.startswith("edit skill.json:"):
        skill = json.loads(text.partition(":")[2])["skill"]
        return json.dumps({"skill": round(min(1.0, skill + 0.6), 3)})
    if text == "1+1=":
        return "2"
    import random

    skill, seed, inputs = json.loads(text)
    return json.dumps([x % 7 if random.Random(f"{seed}:{x}").random() < skill else -1 for x in inputs])


def asking_toy(base: Path, url: str, *, caps: str = "", improver: bool = True, candidates: bool = True) -> Toy:
    toy = make_toy(base, skill=0.2)
    path = toy.root / "festina.toml"
    text = path.read_text().replace('use = "own"', 'use = "command"').replace('code = ["improve.py"]\n', "")
    if improver:
        limits = 'limits = { wall = "30s", model_calls = 2, model_tokens = 20_000 }'
        text = text.replace('use = "command"', f'use = "command"\nmodel = true\n{limits}')
        text = text.replace('["python3", "improve.py"]', '["python3", "agent.py"]')
        (toy.root / "agent.py").write_text(AGENT)
    if candidates:
        text = text.replace('run = ["python3", "answer.py"]', 'run = ["python3", "answer.py"]\nmodel = true')
        text = text.replace("cpus = 1 }", "cpus = 1, model_calls = 2, model_tokens = 20_000 }")
        (toy.root / "answer.py").write_text(ANSWER)
    text += f'[model]\nendpoint = "{url}"\nnames = ["m"]\nmax_output = 500\n{caps}'
    path.write_text(text)
    toy.commit("models")
    return toy


def records(toy: Toy) -> list[Record]:
    with Ledger.open(homes.require(Repo.discover(toy.root)).ledger, readonly=True) as ledger:
        return list(ledger.records())


def state_of(toy: Toy) -> State:
    return fold(iter(records(toy)))


def test_E6_P5_an_agent_and_its_candidates_ask_through_the_gateway_and_it_is_in_the_record(tmp_path: Path) -> None:
    with serving(model) as served:
        toy = asking_toy(tmp_path, served.url)
        done = festina("run", "--proposals", "1", toy=toy)
        assert done.returncode == 0, done.stderr
    state = check(toy.root, settled=True)
    assert [p.word for p in state.proposals.values()] == ["accepted"]
    called = state.called
    assert called.count == called.total.calls == len(served.asked)  # here each box asks once
    assert called.proposals[0].calls == 1  # the agent's, charged to what it proposed
    with Ledger.open(homes.require(Repo.discover(toy.root)).ledger, readonly=True) as ledger:
        pairs: dict[str, list[Any]] = {"improver": [], "candidate": []}
        askers, salts = {}, {}
        for record in ledger.records():
            if record.kind == "model-asked":
                askers[record.body.call] = record.body.asker
            elif record.kind == "model-answered":
                lines = ledger.get_blob(record.body.reply).splitlines()
                salts[record.body.call] = ledger.opening(record, "salt")
                pairs[askers[record.body.call]] += [json.loads(line) for line in lines]
        batch = next(r.body for r in ledger.records() if r.kind == "batch-ended")
        sides = [side for unit in json.loads(ledger.get_blob(batch.details))["units"] for side in unit["sides"]]
    (mine,) = pairs["improver"]
    assert json.loads(mine["asked"])["messages"][0]["content"].startswith("edit skill.json")
    assert not any("asked" in row for row in pairs["candidate"])  # hidden items are not told to the record  # L-5
    opened = [bytes.fromhex(salt[1]) for salt in salts.values() if salt is not None]
    bodies = [json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() for body in served.asked]
    proven = {hashlib.sha256(salt + body).hexdigest() for salt in opened for body in bodies}
    assert {row["request"] for row in pairs["candidate"]} <= proven  # whoever has the salts can prove what was asked
    plain = {hashlib.sha256(body).hexdigest() for body in bodies}
    assert not {row["request"] for row in pairs["candidate"]} & plain  # and nobody else can guess it  # L-5
    assert all(askers[call] == "candidate" for side in sides for call in side["calls"])
    assert all(len(side["calls"]) == 1 for side in sides)


def test_E5_the_runs_budget_ends_the_run_before_a_box_and_charges_no_candidate(tmp_path: Path) -> None:
    with serving(model) as served:
        toy = asking_toy(tmp_path, served.url, caps="calls = 12\n")
        done = festina("run", "--proposals", "3", toy=toy)
        assert done.returncode == 5, done.stderr
        assert "budget for models" in done.stderr
        assert len(served.asked) <= 12
        state = state_of(toy)
        assert not state.proposals[0].word  # still open: it goes on with the next run's budget
        kinds = [record.kind for record in records(toy)]
        assert "fault" not in kinds
        assert kinds.count("batch-started") == kinds.count("batch-ended") > 0  # begun only where it could be paid for
        calls = [record.body for record in records(toy) if record.kind == "model-asked"]
        answered = [record.body.call for record in records(toy) if record.kind == "model-answered"]
        assert sorted(answered) == [body.call for body in calls]


@pytest.mark.slow
def test_T6_a_broken_endpoint_is_a_fault_and_a_request_that_breaks_it_is_not(tmp_path: Path) -> None:
    def moody(body: dict[str, Any]) -> Any:
        text = body["messages"][0]["content"]
        bad = text.startswith("[0.8") if "[0.8" in text else False
        return Bad("body", status=501) if bad else model(body)

    with serving(moody) as served:  # only the candidate's requests break it: it is charged with that
        toy = asking_toy(tmp_path / "provoked", served.url)
        run(toy.root, Options(proposals=1, wall_s=200.0))
        assert [p.word for p in state_of(toy).proposals.values()] == ["rejected"]
        assert "fault" not in [record.kind for record in records(toy)]
    with serving(Bad("body", status=501)) as served:
        toy = asking_toy(tmp_path / "broken", served.url, improver=False)
        state = run(toy.root, Options(proposals=1, wall_s=200.0))
        assert state.last_end is not None
        assert state.last_end.reason == "fault"
        faults = [record.body.what for record in records(toy) if record.kind == "fault"]
        assert set(faults) == {"model-endpoint"}
        assert not [record for record in records(toy) if record.kind == "verdict"]


@pytest.mark.slow
def test_bad_input_an_agent_without_its_model_is_classified_and_the_loop_goes_on(tmp_path: Path) -> None:
    with serving(Bad("body", status=501), "no json", model) as served:
        toy = asking_toy(tmp_path, served.url, candidates=False)
        run(toy.root, Options(proposals=3, wall_s=200.0))
    state = state_of(toy)
    reasons = [p.reason for p in state.proposals.values()]
    assert "the model endpoint did not answer (error)" in reasons[0]
    assert [p.word for p in state.proposals.values()] == ["failed", "rejected", "accepted"]


OWN = """\
import urllib.request
asked = {"model": os.environ["FESTINA_MODEL"], "messages": [{"role": "user", "content": "1+1="}]}
url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
urllib.request.urlopen(urllib.request.Request(url, json.dumps(asked).encode())).read()
"""


@pytest.mark.slow
def test_E5_S6_a_test_of_an_improver_that_asks_begins_no_batch_that_its_askers_could_not_end(tmp_path: Path) -> None:
    with serving(model) as served:
        terms = "[improver.productivity]\ndetect = 0.3\nmax_loss = 0.3\nconduct = 0.3\n"
        asks = "model = true\nlimits = { model_calls = 2, model_tokens = 20_000 }\n"
        toy = make_toy(tmp_path, skill=0.2, step="0.1", extra=terms, improver=asks)
        (toy.root / "improve.py").write_text((toy.root / "improve.py").read_text() + OWN)
        table = f'[model]\nendpoint = "{served.url}"\nnames = ["m"]\nmax_output = 500\ncalls = 7\n'
        (toy.root / "festina.toml").write_text((toy.root / "festina.toml").read_text() + table)
        toy.commit("its improver asks")
        text = (toy.root / "improve.py").read_text()
        (toy.root / "improve.py").write_text(text.replace("step = 0.1\n", "step = 0.6\n"))
        (tmp_path / "a.patch").write_text(toy.git("diff") + "\n")
        (tmp_path / "a.json").write_text(json.dumps({"rationale": "better at it", "target": "productivity"}))
        toy.git("checkout", "--", ".")
        done = festina("run", "--with", str(tmp_path / "a.patch"), "--proposals", "1", toy=toy)
        assert done.returncode == 5, done.stderr
        assert "budget for models" in done.stderr
        kinds = [record.kind for record in records(toy)]
        assert "fault" not in kinds
        assert kinds.count("batch-started") == kinds.count("batch-ended") == 2  # a unit holds 4, and uses 2
        assert len(served.asked) == 4
        assert not state_of(toy).proposals[0].word  # still open: it goes on with the next run's budget
