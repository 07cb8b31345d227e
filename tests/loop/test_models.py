"""A model as improver, over real HTTP, in the whole loop: paid once, whatever dies, and never over the budget."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from festina.cli.estimates import estimate
from festina.ledger.log import Ledger, Record
from festina.loop.engine import Options, run
from festina.loop.state import State, fold
from festina.system import home as homes
from festina.system.manifest import parse_manifest
from festina.system.repo import Repo
from tests import preloaded
from tests.loop.commandline import festina
from tests.modelserver import Bad, Served, edit, serving
from tests.toy import Toy, make_toy

TABLE = """\
[improver]
use = "model"
task = "the answers come from skill.json"

[model]
endpoint = "{url}"
names = ["tiny/one"]
max_output = 200
wall = "20s"
money = 1.0
{caps}
[model.each."tiny/one"]
input = 10.0
output = 10.0
"""


def toy_with(base: Path, url: str, caps: str = "", skill: float = 0.2) -> Toy:
    toy = make_toy(base, skill=skill)
    path = toy.root / "festina.toml"
    text = re.sub(r"\[improver\].*?\n\n", TABLE.format(url=url, caps=caps) + "\n", path.read_text(), flags=re.DOTALL)
    path.write_text(text)
    toy.commit("a model proposes")
    return toy


def better(body: dict[str, Any]) -> str:
    """What a good model would say: more skill than the prompt shows."""
    prompt = body["messages"][1]["content"]
    skill = float(re.findall(r'"skill": ([\d.]+)', prompt)[0])
    return edit("skill.json", f'{{"skill": {skill:g}}}', f'{{"skill": {min(1.0, skill + 0.6):g}}}')


def records(toy: Toy) -> list[Record]:
    with Ledger.open(homes.require(Repo.discover(toy.root)).ledger, readonly=True) as ledger:
        return list(ledger.records())


def state_of(toy: Toy) -> State:
    return fold(iter(records(toy)))


def settled(toy: Toy, server: Served) -> None:
    """Every request has its intent, every answer one end, and the bytes are what the server saw."""
    with Ledger.open(homes.require(Repo.discover(toy.root)).ledger, readonly=True) as ledger:
        asked = [r.body for r in ledger.records() if r.kind == "model-asked"]
        for body in asked:
            sent = json.loads(ledger.get_blob(body.request))
            assert sent in server.asked or not server.asked
        answered = [r.body for r in ledger.records() if r.kind == "model-answered"]
        for body in answered:
            assert body.reply is None or ledger.get_blob(body.reply)
    assert len({body.call for body in answered}) == len(answered) <= len(asked)


def test_P5_E5_a_model_proposes_is_gated_and_everything_is_in_the_record(tmp_path: Path) -> None:
    broken = edit("skill.json", "no such line", "x")
    with serving(broken, better, "I would rather not.", "No.", "No.") as server:
        toy = toy_with(tmp_path, server.url)
        done = festina("run", "--proposals", "2", "--yes", toy=toy)
        assert done.returncode == 0, done.stderr
        assert "about 4" in done.stderr.split("tokens of prompt")[0]  # the estimate comes first
        assert "stops before it could use more than 1 in money" in done.stderr
        settled(toy, server)
    state = state_of(toy)
    assert [p.word for p in state.proposals.values()] == ["accepted", "failed"]
    first = state.proposals[0]
    assert first.author == "model:tiny-one"
    assert state.called.proposals[0].calls == 2  # the broken answer was said back
    assert "does not stand in skill.json" in server.asked[1]["messages"][-1]["content"]
    assert state.called.total.calls == 5
    assert state.called.total.money == pytest.approx(5 * 15 * 10 / 1e6)
    reply = next(r.body.reply for r in records(toy) if r.kind == "model-answered")
    assert "no such line" in festina("ledger", "content", reply, toy=toy).stdout
    shown = festina("status", toy=toy).stdout
    assert "5 calls" in shown
    plan = next(r.body for r in records(toy) if r.kind == "proposal-received")
    assert plan.predicted == 0.1
    assert state.proposals[1].reason == "the model's answer cannot be used: nothing"


@pytest.mark.slow
def test_P4_a_model_sees_its_history_in_one_word_each_and_nothing_hidden(tmp_path: Path) -> None:
    worse = edit("skill.json", '{"skill": 0.2}', '{"skill": 0.0}')
    with serving(worse, better) as server:
        toy = toy_with(tmp_path, server.url)
        run(toy.root, Options(proposals=2, wall_s=220.0))
    prompt = server.asked[1]["messages"][1]["content"]
    assert "proposal 0: rejected" in prompt
    assert '+{"skill": 0.0}' in prompt
    assert "the answers come from skill.json" in prompt
    state = state_of(toy)
    verdict = next(r.body for r in records(toy) if r.kind == "verdict")
    assert state.proposals[1].word == "accepted"
    for secret in (f"{verdict.estimate:.3f}", str(verdict.units), "e-value", "hidden"):
        assert secret not in prompt.split("# Files")[0] + prompt.split("# Your earlier")[1]


@pytest.mark.slow
def test_E5_G6_a_spent_budget_ends_the_run_and_the_next_goes_on(tmp_path: Path) -> None:
    worse = edit("skill.json", '{"skill": 0.2}', '{"skill": 0.0}')
    with serving("hm", "hm", "hm", worse, "never asked in the first run", better) as server:
        toy = toy_with(tmp_path, server.url, caps="calls = 5\n")
        first = festina("run", "--yes", toy=toy)
        assert first.returncode == 5, first.stderr
        assert "budget for models" in first.stderr
        assert len(server.asked) == 5
        again = festina("run", "--proposals", "1", "--yes", toy=toy)
        assert again.returncode == 0, again.stderr
    assert len(server.asked) == 6
    assert [p.word for p in state_of(toy).proposals.values()][-1] == "accepted"


def test_E5_a_server_that_is_not_there_is_recorded_and_the_run_ends_by_itself(tmp_path: Path) -> None:
    with serving(Bad("body", status=401)) as server:
        toy = toy_with(tmp_path, server.url)
        done = festina("run", "--yes", toy=toy)
    assert done.returncode == 0, done.stderr
    assert "does not accept the key" in done.stderr
    assert "handed in nothing new to test 5 times in a row" in done.stderr
    assert "0 accepted of 5 proposals, 5 came to nothing," in done.stderr
    assert "Nothing answers there" not in done.stderr
    assert state_of(toy).called.ends == {"auth": 5}


def killed(toy: Toy, label: str, *extra: str) -> None:
    environment = os.environ | toy.environment | {"FESTINA_CRASH_AT": label}
    argv = ["run", "-C", str(toy.root), "--proposals", "1", "--yes", *extra]
    done = preloaded.command(argv, environment=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("label", "asked"),
    [
        ("model-asked", 1),  # killed before anything was sent: asked once, charged for one more
        ("model-unrecorded", 2),  # killed with a reply that no record has: it must be asked for again
        ("model-answered", 1),  # killed with a recorded reply: it is used, and never paid again
    ],
)
def test_L3_E5_a_kill_around_a_call_loses_and_doubles_nothing(tmp_path: Path, label: str, asked: int) -> None:
    with serving(better) as server:
        toy = toy_with(tmp_path, server.url)
        killed(toy, label)
        before = state_of(toy).called
        done = festina("run", "--proposals", "1", "--yes", toy=toy)
        assert done.returncode == 0, done.stderr
        prompts = [body["messages"][1]["content"] for body in server.asked]
        assert sum('```\n{"skill": 0.2}' in prompt for prompt in prompts) == asked
        settled(toy, server)
    state = state_of(toy)
    assert state.proposals[0].word == "accepted"
    assert state.proposals[0].attempt == 2
    cost = state.called.proposals[0]
    if label == "model-answered":
        assert cost == before.total
    else:
        assert cost.tokens > 500  # what was cut off counts in full
        assert cost.calls == 2
    assert state.called.account.spent == state.called.total  # the killed run's budget goes on
    assert festina("ledger", "verify", toy=toy).returncode == 0


@pytest.mark.slow
def test_E5_kills_buy_nobody_another_budget(tmp_path: Path) -> None:
    with serving(better) as server:
        toy = toy_with(tmp_path, server.url, caps="calls = 2\n")
        killed(toy, "model-unrecorded")
        killed(toy, "model-unrecorded")
        done = festina("run", "--yes", toy=toy)
        assert done.returncode == 5, done.stderr
    assert len(server.asked) == 2


@pytest.mark.slow
def test_E5_several_at_once_keep_one_account(tmp_path: Path) -> None:
    """The book writes beside the loop while tests run."""
    with serving(better, edit("skill.json", "nothing", "x"), better) as server:
        toy = toy_with(tmp_path, server.url, skill=0.1)
        done = festina("run", "--proposals", "3", "--at-once", "2", "--yes", toy=toy)
        assert done.returncode == 0, done.stderr
        settled(toy, server)
    state = state_of(toy)
    assert len(state.proposals) == 3
    assert "accepted" in [p.word for p in state.proposals.values()]
    assert festina("ledger", "verify", toy=toy).returncode == 0


def test_E5_the_estimate_counts_the_form_that_an_answer_is_held_to(tmp_path: Path) -> None:
    settings = {f"k{n}": n for n in range(60)}  # 300 bytes of file, some 2,000 of schema
    (tmp_path / "s.json").write_text(json.dumps(settings))
    text = 'run = ["python3", "a.py"]\nmetric = "x:lower"\nallow = ["s.json"]\n[improver]\nuse = "model"\n'
    text += 'format = "knobs"\n[model]\nendpoint = "http://127.0.0.1:1/v1"\nnames = ["m"]\nmax_output = 100\ntokens = '
    few, enough = (" ".join(estimate(parse_manifest(f"{text}{n}".encode()), tmp_path)) for n in (2_500, 4_000))
    assert "too little for a single call" in few
    assert "too little" not in enough
