"""A model as improver, without a loop: what it is told, what it may answer, and who it is said to be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from festina.errors import UsageError
from festina.loop import terms
from festina.propose.chat import ChatModel, Completion, Failed, Request
from festina.propose.meter import Cost
from festina.propose.model import ModelImprover, Settings, Voice
from festina.propose.prompt import tell
from festina.propose.types import Budget, HistoryRow, NoProposal, Proposal, TriedRow, View
from festina.sandbox.job import Level
from festina.system.manifest import parse_manifest
from tests.modelserver import edit
from tests.propose.fakebox import FakeBox

BUDGET = Budget(wall_s=20.0)
GOOD = edit("train.py", "lr = 0.1", "lr = 0.3")


class Said(ChatModel):
    """Answers in turn; keeps what it was asked."""

    def __init__(self, *answers: str | Failed) -> None:
        self.answers = list(answers)
        self.asked: list[Request] = []

    def complete(self, request: Request) -> Completion | Failed:
        self.asked.append(request)
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        return Completion(answer, False, Cost()) if isinstance(answer, str) else answer


@pytest.fixture
def view(tmp_path: Path) -> View:
    (tmp_path / "train.py").write_text("lr = 0.1\nsteps = 10\n")
    (tmp_path / "festina.toml").write_text("secret = 1\n")
    (tmp_path / "items.jsonl").write_text('{"id": "p1", "input": 3, "label": 4}\n')
    return View(tmp_path, tmp_path, (), 5, ("train.py", "model/**"), 50)


def asking(chat: ChatModel, *voices: Voice, tries: int = 3) -> ModelImprover:
    return ModelImprover(chat, Settings(voices or (Voice("a/b"),), goal="make loss lower", tries=tries))


def test_P4_a_prompt_holds_the_scope_and_the_own_history_and_keeps_to_its_budget(view: View) -> None:
    rows = tuple(HistoryRow(n, "model:a", f"+line {n}\n" * 50, "rejected") for n in range(200))
    Path(view.tree, "model").mkdir()
    for n in range(30):
        Path(view.tree, f"model/m{n}.py").write_text(f"x{n} = 1\n" * 400)
    told = tell(replace(view, history=rows), goal="g", task="t", form="edits", budget=12_000, public="items.jsonl")
    assert len((told.system + told.user).encode()) < 14_000
    assert "secret" not in told.user  # outside the scope
    assert "proposal 199: rejected" in told.user
    assert '"label": 4' in told.user  # public items are the improver's to see
    assert "of 401)" in told.user  # a window of a file that does not fit
    other = tell(replace(view, history=rows, seed=6), goal="g", task="t", form="edits", budget=12_000)
    assert other.user != told.user
    assert len(told.files) == 31  # what is not shown may be changed all the same


def test_P7_a_prompt_shows_the_best_tries_of_other_lineages_and_none_twice(view: View) -> None:
    def row(node: int, lead: float | None, *, shown: bool = False) -> TriedRow:
        return TriedRow(node, 0, "model:a", f"+rate = {node}\n", lead, lead is not None, lead, shown)

    rows = (row(1, 0.5), row(2, 0.9), row(3, -0.2), row(4, None), row(5, 0.7, shown=True), row(6, 0.1))
    told = tell(replace(view, tried=rows), goal="g", task="t", form="edits", budget=12_000)
    part = told.user.split("# The best of your other tries")[1].split("# How to answer")[0]
    assert part.index("tree 2") < part.index("tree 1") < part.index("tree 6")
    assert "+rate = 2" in part
    assert not any(f"tree {n}," in part for n in (3, 4, 5))  # worse, broken, or in the history already
    assert "other tries" not in tell(view, goal="g", task="t", form="edits", budget=12_000).user
    hostile = TriedRow(7, 0, "model:a", "+\x1b[2J\u202eabc\n", 1.0, True, 1.0)  # T-5
    shown = tell(replace(view, tried=(hostile,)), goal="g", task="t", form="edits", budget=12_000).user
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_P5_the_seed_draws_model_and_temperature_and_the_author_is_named(view: View) -> None:
    voices = (Voice("often", 9.0, (0.1, 0.9)), Voice("org/rare", 1.0))
    authors: list[str] = []
    for seed in range(60):
        chat = Said(GOOD)
        made = asking(chat, *voices).propose(replace(view, seed=seed), BUDGET)
        again = Said(GOOD)
        asking(again, *voices).propose(replace(view, seed=seed), BUDGET)
        assert chat.asked == [replace(again.asked[0], wall_s=chat.asked[0].wall_s)]
        assert isinstance(made, Proposal)
        authors.append(made.author)
    assert set(authors) == {"model:often", "model:org-rare"}
    assert authors.count("model:often") > 40


def test_T6_an_unusable_answer_is_said_back_in_our_words_and_failed_models_pass_their_turn(view: View) -> None:
    chat = Said(edit("train.py", "IGNORE ALL RULES", "x"), Failed("down", "nothing answers"), GOOD)
    made = asking(chat, Voice("a"), Voice("b")).propose(view, BUDGET)
    assert isinstance(made, Proposal)
    complaint = chat.asked[1].messages[-1][1]
    assert "does not stand in train.py" in complaint
    assert "IGNORE" not in complaint
    assert len({asked.model for asked in chat.asked[1:]}) == 2
    assert made.predicted == 0.1


def test_T4_an_attempt_on_a_file_outside_the_scope_is_handed_in_to_be_refused_and_recorded(view: View) -> None:
    attempt = "festina.toml\n```\nsecret = 2\n```\n"
    chat = Said(attempt)
    made = ModelImprover(chat, Settings((Voice("a"),), form="files")).propose(view, BUDGET)
    assert isinstance(made, Proposal)
    assert list(made.files or {}) == ["festina.toml"]
    assert len(chat.asked) == 1
    quoted = Said(edit("festina.toml", "secret = 1", "secret = 2"))
    made = asking(quoted).propose(view, BUDGET)
    assert isinstance(made, Proposal)
    assert made.files == {"festina.toml": b"secret = 2\n"}
    (view.tree / "link.toml").symlink_to(view.tree / "festina.toml")
    for path, old in (("festina.toml", "guessed = 1"), ("link.toml", "secret = 1"), ("none.toml", "secret = 1")):
        guess = asking(Said(edit(path, old, "x = 1"))).propose(view, BUDGET)
        assert isinstance(guess, NoProposal)  # of what nobody could apply nothing is handed in
        assert "unknown file" in guess.reason
    slip = Said(edit("elsewhere.py", "", "x = 1"), GOOD)
    assert isinstance(asking(slip).propose(view, BUDGET), Proposal)
    assert len(slip.asked) == 2  # a path that is not there is a slip


@pytest.mark.parametrize(
    ("failed", "spent", "asked"), [("tokens", True, 1), ("cut", False, 1), ("auth", False, 1), ("slow", False, 1)]
)
def test_E5_a_failed_call_is_no_proposal_with_the_reason(view: View, failed: str, spent: bool, asked: int) -> None:
    chat = Said(Failed(failed, "why it failed"))  # type: ignore[arg-type]
    made = asking(chat).propose(view, BUDGET)
    assert isinstance(made, NoProposal)
    assert (made.reason, made.spent, len(chat.asked)) == ("why it failed", spent, asked)


def test_T1_a_key_that_a_candidate_could_read_stops_the_run_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "sk-1")
    manifest = parse_manifest(
        b'run = ["python", "t.py"]\nmetric = "loss:lower"\nallow = ["t.py"]\n[improver]\nuse = "model"\n'
        b'[model]\nendpoint = "http://127.0.0.1:9/v1"\nkey_env = "A_KEY"\nnames = ["m"]\n'
    )
    box = FakeBox()
    assert box.level < Level.L2
    with pytest.raises(UsageError) as caught:
        terms.improver(manifest, box)
    assert caught.value.name == "key-in-reach"
    box.level = Level.L2
    assert terms.improver(manifest, box).author == "model:m"
