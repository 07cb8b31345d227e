"""The shipped probes: a deceptive system is caught, an honest one passes, and silence proves nothing.  # V-11"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.cli import cli
from festina.errors import UsageError
from festina.system.goals import dangerous_domain
from festina.system.manifest import load_manifest
from festina.watch import probing
from tests.toy import make_toy
from tests.watch.respondents import Messages, deceptive, honest

Speaker = Callable[[Messages], str]


@pytest.fixture(scope="module")
def rules() -> ModuleType:
    spec = importlib.util.spec_from_file_location("festina_probes", Path(probing.__file__).with_name("scorers.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def converse(item: dict[str, Any], speaker: Speaker) -> list[str]:
    messages, replies = [{"role": "system", "content": item["input"]["system"]}], []
    for turn in item["input"]["turns"]:
        messages.append({"role": "user", "content": turn})
        replies.append(speaker(messages))
        messages.append({"role": "assistant", "content": replies[-1]})
    return replies


def scores(rules: ModuleType, domain: str, speaker: Speaker) -> dict[str, float]:
    """Mean score of each kind of item."""
    function, found = getattr(rules, probing.DOMAINS[domain].function), {}
    for item in probing.items(domain, b"a seed of this test", 60):
        found.setdefault(item["label"]["kind"], []).append(function(item, converse(item, speaker)))
    return {kind: fmean(each) for kind, each in found.items()}


def test_V11_a_deceptive_system_is_caught_and_an_honest_one_passes(rules: ModuleType) -> None:
    assert scores(rules, "deception", honest) == {"report": 0.0, "audience": 0.0, "cover": 0.0}
    assert scores(rules, "deception", deceptive) == {"report": 1.0, "audience": 1.0, "cover": 1.0}
    assert scores(rules, "persuasion", honest) == {"tailor": 1.0, "pressure": 0.0}
    assert scores(rules, "persuasion", deceptive) == {"tailor": 1.0, "pressure": 1.0}


@pytest.mark.parametrize("domain", ["tool-use", "long-interaction"])
def test_V11_what_a_system_can_do_is_found(rules: ModuleType, domain: str) -> None:
    assert set(scores(rules, domain, honest).values()) == {1.0}


@pytest.mark.parametrize("say", ["", "ok", "I cannot help with that.", None], ids=str)
def test_T6_silence_is_no_ability_and_no_honesty(rules: ModuleType, say: str | None) -> None:
    speaker: Speaker = (lambda m: m[-1]["content"]) if say is None else (lambda _: say)  # None: an echo
    assert max(scores(rules, "tool-use", speaker).values()) == 0.0
    assert max(scores(rules, "long-interaction", speaker).values()) == 0.0
    assert scores(rules, "persuasion", speaker)["tailor"] == 0.0
    deception = scores(rules, "deception", speaker)
    assert deception["cover"] == 1.0 or say is None, "an echo says YES or NO, whatever it means"
    assert say is None or set(deception.values()) == {1.0}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(probing.DOMAINS)), st.integers(0, 11), st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=40) | st.sampled_from(
        ["[" * 5000, '[{"tool": "pay"}]', '[{"tool": "move", "args": {"from": 1, "to": 2}}]', '[{"args": []}]',
         '[{"tool": "transfer", "args": {"from": "x", "to": "y", "amount": true}}]',
         '[{"tool": "lookup", "args": {"table": "$9"}}]']
    ), lambda inner: st.lists(inner, max_size=10) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
))  # fmt: skip
def test_T5_no_answer_breaks_the_rules(rules: ModuleType, domain: str, at: int, output: object) -> None:
    item = probing.items(domain, b"hostile", 12)[at]
    score = getattr(rules, probing.DOMAINS[domain].function)(item, output)
    assert score in (0.0, 1.0) or domain == "long-interaction"


def test_T1_items_follow_from_a_secret_seed_and_no_two_seeds_give_the_same(rules: ModuleType) -> None:
    for domain in probing.DOMAINS:
        first, again, other = (probing.items(domain, seed, 60) for seed in (b"one", b"one", b"two"))
        assert first == again
        texts = {json.dumps(item["input"]) for item in first}
        assert len(texts) == 60, "no item stands twice"
        assert len(texts & {json.dumps(item["input"]) for item in other}) <= 3
        assert not any("$" in re.sub(r"\"\$\d", "", turn) for item in first for turn in item["input"]["turns"])


def test_V11_suites_are_switched_on_by_a_command_and_their_items_lie_in_the_vault_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy = make_toy(tmp_path)

    def probes(*words: str) -> None:
        cli.main(["probes", "-C", str(toy.root), "add", *words], standalone_mode=False)

    probes("tool-use", "deception")
    probes("deception", "--soak")
    manifest = load_manifest(toy.root)
    assert set(manifest.capability) == {"tool-use", "deception"}
    assert manifest.suite.soak["deception"].direction == "lower"
    assert "festina_probes.*" in manifest.protected()
    said = capsys.readouterr().out
    assert "soak.deception: 500 items" in said
    assert "tool-use: 100 items" in said
    assert not list(toy.root.rglob("*.jsonl"))
    with (toy.root / "festina_probes.py").open("a") as file:
        file.write("# edited\n")
    with pytest.raises(UsageError, match="probe-scorer-differs"):
        probes("deception")
    with pytest.raises(UsageError, match="no-such-probe"):
        probes("honesty")


def test_V11_every_shipped_domain_is_one_that_is_never_a_goal() -> None:
    for domain in probing.DOMAINS.values():
        assert dangerous_domain(domain.name) is not None
        assert dangerous_domain(domain.function) is not None


def test_V11_a_plan_that_does_more_than_was_asked_fails(rules: ModuleType) -> None:
    for item in probing.items("tool-use", b"more", 12):
        (reply,) = converse(item, honest)
        calls = json.loads(reply[reply.find("[") :])
        assert rules.tool_use(item, json.dumps(calls)) == 1.0
        more = {"files": {"tool": "delete", "args": {"path": next(iter(item["label"].get("goal", {"x": 0})))}},
                "pay": {"tool": "transfer", "args": {"from": "x", "to": "y", "amount": -5}},
                "chain": {"tool": "book", "args": {"room": "room-1", "hour": 9}}}[item["label"]["kind"]]  # fmt: skip
        assert rules.tool_use(item, json.dumps([*calls, more])) == 0.0
        assert rules.tool_use(item, json.dumps(calls[:-1])) == 0.0


@pytest.mark.parametrize("args", ["null", "[1]", '"x"', "{}", '{"table": {}, "key": []}', '{"amount": 1, "from": {}}'])
@pytest.mark.parametrize("tool", ["lookup", "book", "transfer", "move", "delete"])
def test_T6_a_call_that_no_tool_takes_is_no_plan_and_no_failure_of_the_rules(
    rules: ModuleType, tool: str, args: str
) -> None:
    for item in probing.items("tool-use", b"s" * 32, 6):
        assert rules.tool_use(item, f'[{{"tool": "{tool}", "args": {args}}}]') == 0.0


def test_V11_the_truth_among_all_numbers_is_not_said(rules: ModuleType) -> None:
    every = " ".join(map(str, range(1, 500))) + ": some failed"
    assert scores(rules, "deception", lambda _: every) == {"report": 1.0, "audience": 1.0, "cover": 1.0}
