"""What somebody meets in the first five minutes: messages that name their own folders, and a next step that works."""

from __future__ import annotations

import io
import re
import subprocess
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from rich.console import Console

from festina.cli import words as wording
from festina.cli.calibrate import command as calibrate
from festina.cli.common import own_ledger
from festina.cli.doctor import command as doctor
from festina.cli.drill import command as drill
from festina.cli.ledger import group as ledger_group
from festina.cli.run import Teller
from festina.cli.run import command as run
from festina.cli.simulate import command as simulate
from festina.cli.status import command as status
from festina.cli.status import page, runs_of
from festina.cli.words import Leads
from festina.drill import render
from festina.drill.model import KINDS, Finding, Report, Verdict
from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.log import Ledger
from festina.loop import plain, searching
from festina.loop.opening import name_of
from festina.loop.rows import Generation
from festina.loop.state import State
from festina.report.trust.forms import as_text
from festina.system import home as homes
from festina.system.manifest import parse_manifest
from festina.system.policy import Policy
from festina.system.repo import Repo
from tests.ledger.support import genesis, make_keys
from tests.loop.paper import PaperLoop, Searching
from tests.report.made_ledger import made_run
from tests.report.test_trust import ground, trust


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of a script that prints a metric; nothing was run on it."""
    monkeypatch.setenv("FESTINA_HOME", str(tmp_path / "homes"))
    root = tmp_path / "mine"
    root.mkdir()
    (root / "train.py").write_text("print('loss: 1')\n")
    git = ["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@localhost"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "start"]):
        subprocess.run([*git, *words], check=True)
    return root


def refusal(command: object, *words: str) -> UsageError:
    done = CliRunner().invoke(command, list(words), standalone_mode=False)  # type: ignore[arg-type]
    assert isinstance(done.exception, UsageError)
    return done.exception


def test_before_a_run_status_says_how_to_begin(project: Path) -> None:
    error = refusal(status, "-C", str(project))
    assert error.name == "no-ledger"
    assert "festina run -- COMMAND" in error.fix
    assert "ledger" not in error.what  # a word that somebody who knows only the five commands never met


def test_L1_a_record_of_another_system_in_this_ones_home_is_told(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, keys = homes.ensure(Repo.discover(project), project.name), make_keys(tmp_path)
    for origin, told in ((made.origin, False), ("festina.local/other-1a2b3c4d", True)):
        made.ledger.unlink(missing_ok=True)
        Ledger.create(made.ledger, genesis(keys, origin), signers={"engine": keys.engine}).close()
        assert own_ledger(project) == made.ledger
        assert ("festina.local/other-1a2b3c4d" in capsys.readouterr().err) is told


def test_doctor_and_the_check_of_a_record_break_their_lines_between_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, saying = make_keys(tmp_path), import_module("festina.cli.say")
    Ledger.create(tmp_path / "ledger.db", genesis(keys), signers={"engine": keys.engine}).close()
    for command, words in ((doctor, []), (ledger_group, ["verify", str(tmp_path / "ledger.db")])):
        monkeypatch.setattr(saying, "columns", lambda *, err=True: None)
        told = CliRunner().invoke(command, words).output
        monkeypatch.setattr(saying, "columns", lambda *, err=True: 60)
        shown = CliRunner().invoke(command, words).output
        assert max(map(len, told.splitlines())) > 100
        assert told.split() == shown.split()
        assert not [row for row in shown.splitlines() if len(row) > 60 and len(row.split()) > 2]


@pytest.mark.parametrize(("folder", "slug", "name"), [
    ("Ähren", "ahren", "Ahren"), ("Straße 7", "strasse-7", "Strasse-7"), ("系统", "system", "system"),
    ("my_loop", "my-loop", "my-loop"),
])  # fmt: skip
def test_a_folders_name_keeps_its_first_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, slug: str, name: str
) -> None:
    monkeypatch.setenv("FESTINA_HOME", str(tmp_path / "homes"))
    (tmp_path / folder).mkdir()
    subprocess.run(["git", "-C", str(tmp_path / folder), "init", "-q"], check=True)
    repo = Repo.discover(tmp_path / folder)
    assert homes.ensure(repo, folder).id.rpartition("-")[0] == slug
    assert name_of(repo, None) == name


def test_a_drill_without_a_manifest_names_the_folder_and_the_other_way_to_drill(project: Path) -> None:
    error = refusal(drill, "-C", str(project))
    assert error.name == "no-manifest"
    assert str(project) in error.what  # not the scratch copy
    assert "{candidate}" in error.fix


def test_a_manifest_that_is_not_committed_is_to_be_committed_not_written_again(project: Path) -> None:
    (project / "festina.toml").write_text('run = ["python3", "train.py"]\n')
    error = refusal(run, "-C", str(project))
    assert error.name == "no-manifest"
    assert error.fix.startswith("git add festina.toml")
    assert refusal(drill, "-C", str(project)).fix == error.fix


def test_files_that_are_not_there_are_named_before_anything_runs(project: Path) -> None:
    error = refusal(run, "-C", str(project), "--allow", "trian.py", "--yes", "--", "python3", "train.py")
    assert error.name == "allow-matches-nothing"
    assert "trian.py" in error.what


def test_commands_that_messages_and_pages_name_are_whole() -> None:
    """``--new-epoch`` takes a reason: without it, a command that somebody copies is refused."""
    bare = re.compile(r"festina run --new-epoch(?! [\"'“A-Z])")
    root = Path(__file__).resolve().parents[2]
    places = [*(root / "src").rglob("*.py"), *(root / "docs").rglob("*.md"), *(root / "examples").rglob("*.md")]
    assert len(places) > 300
    assert [str(p) for p in places if bare.search(p.read_text(encoding="utf-8").replace("\\", ""))] == []


def test_settings_that_messages_and_pages_name_exist() -> None:
    named = re.compile(r"(?<![\w.])(?:\[policy\] |policy\.)`?([a-z_]+)\b(?!\()")
    root = Path(__file__).resolve().parents[2]
    places = [*(root / "src").rglob("*.py"), *(root / "docs").rglob("*.md"), root / "README.md"]
    texts = {p: p.read_text(encoding="utf-8") for p in places if p.name != "governor.py"}  # has a variable of that name
    found = {(p.name, name) for p, text in texts.items() for name in named.findall(text)}
    assert len(found) > 20
    assert {(where, name) for where, name in found if name not in Policy.model_fields} == set()


def test_status_tells_what_limits_a_verdict_once_for_all_generations() -> None:
    loop = PaperLoop(3, proposals=8, mode="metric")
    loop.begin()
    loop.run()
    assert len(loop.state.line) > 2
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(page(loop.state, running=False))
    assert console.export_text().count("nothing is proven") == 1


def test_generations_are_listed_in_runs() -> None:
    assert runs_of([1, 2, 3, 5]) == "1 to 3, 5"
    assert runs_of([4]) == "4"


def test_what_the_terminal_shows_fits_80_columns() -> None:
    holes = [Finding(f"{kind}/a", kind, "title", Verdict.HOLE, "why " * 40, runs=3) for kind in KINDS]
    texts = [
        render.text(Report("target", ("a long sentence " * 12,), tuple(holes), ())),
        as_text(trust(made_run())),
        CliRunner().invoke(simulate, ["--worlds", "100"], catch_exceptions=False, standalone_mode=False).stdout,
    ]
    for text in texts:
        assert [line for line in text.splitlines() if len(line) > 80] == []


def test_W5_a_scorer_without_any_control_was_not_checked() -> None:
    log = made_run()
    assert ground(trust(log), "selection", "the scorer").answer == "yes"
    log.add(e.ControlsChecked(
        run="run-1", constant=None, random=None, oracle=None, incumbent=None, ok=True, note="the metric is printed",
    ))  # fmt: skip
    assert ground(trust(log), "selection", "the scorer").answer == "cannot tell yet"


def test_status_says_once_what_the_error_level_is() -> None:
    loop = PaperLoop(3, proposals=6)
    loop.begin()
    loop.run()
    assert len(loop.state.line) > 1
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(page(loop.state, running=False))
    text = console.export_text()
    assert text.count("wrong stays below") == 1
    assert text.count("Accepted: better by") == len(loop.state.line) - 1


def test_what_a_sandbox_lacks_is_not_said_the_other_way_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """"Without no system-call filter" and "without trials share one uid" were both said once."""
    monkeypatch.setattr(wording, "out_of_reach", lambda _: "")
    weak = ".  Missing or weak there: no filter; trials share one uid."
    for lacks, words in (((), "."), (("no filter", "trials share one uid"), weak)):
        begun = e.RunStarted.model_construct(sandbox_missing=lacks, sandbox_level=3)
        assert wording._run_started(begun, State()) == f"Code runs confined at level L3{words}"


def test_what_limits_a_verdict_is_told_once_and_every_sentence_ends_once() -> None:
    teller = Teller()
    told = [teller._once(line) for line in ("A: better.", "B: better.", "C: better. It is self-reported.",
                                            "D: better. It is self-reported.")]  # fmt: skip
    assert told == ["A: better.", "B: better.", "C: better. It is self-reported.", "D: better."]


def test_only_leads_above_those_that_were_told_are_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """Luck of few runs makes the lead change hands every few tries; after an acceptance leads count anew."""
    told = e.TryEnded.model_construct(number=1, result="scored", guard_change=False)
    s = State()
    s.line, s.generations = [0], {0: Generation(0, "c", None), 1: Generation(1, "d", 0)}
    leads = Leads()

    def news(lead: float) -> bool:
        for name in ("leading", "ahead"):
            monkeypatch.setattr(wording, name, lambda _b, _s: lead)
        return leads.news(told, s)

    assert [news(lead) for lead in (0.2, 0.1, 0.2, 0.205, 0.3)] == [True, False, False, False, True]
    s.line = [0, 1]
    assert [news(0.1), news(0.1)] == [True, False]
    refused = told.model_copy(update={"guard_change": True})
    assert leads.news(refused, s)  # an attempt on what judges it is always told


def test_what_a_try_is_ahead_by_is_what_the_archive_says() -> None:
    compared = 0
    for seed in range(3):
        loop = Searching(seed=seed, proposals=3)
        loop.begin()
        loop.run()
        state = State()
        for record in loop.records:
            state.apply(record)
            if record.kind != "try-ended" or record.body.result != "scored" or record.body.tree is None:
                continue
            known, number = searching.archive(state), state.search.by_tree.get(record.body.tree)
            if known is not None and number is not None and known.nodes[number].works:
                assert wording.ahead(record.body, state) == pytest.approx(known.lead(number))
                compared += 1
    assert compared >= 10


def test_a_run_that_ends_before_a_test_says_what_it_tried() -> None:
    running = import_module("festina.cli.run")
    loop = Searching(seed=0, proposals=3)
    loop.begin()
    state, told = State(), []
    loop.run()
    for record in loop.records:
        state.apply(record)
        if state.search.since and not state.proposals:
            state.last_end = e.RunEnded.model_construct(run=0, reason="budget", detail="", wall_s=60.0)
            told.append(running._farewell(state))
    assert told
    assert all("tried" in each and "goes on from there" in each for each in told)
    assert "tried" not in running._farewell(loop.state)  # something was proposed: that is told instead


@pytest.mark.parametrize("cost", [0.001, 3.0])
def test_the_line_of_progress_takes_a_fiftieth_of_a_run_at_most(monkeypatch: pytest.MonkeyPatch, cost: float) -> None:
    """Where much was tried, a look at all of it takes long: it comes as seldom as that asks for, and it does come."""
    now, spent, running = [0.0], [0.0], import_module("festina.cli.run")

    def dear(state: State) -> str:
        now[0] += cost
        spent[0] += cost
        return "here"

    monkeypatch.setattr(running, "progress", dear)
    monkeypatch.setattr(running, "told", lambda record, state: None, raising=False)
    teller = running.Teller(clock=lambda: now[0])
    record = SimpleNamespace(kind="batch-ended", body=e.BatchEnded.model_construct())
    while now[0] < 1000.0:
        teller(record, State())
        now[0] += 0.01
    assert cost <= spent[0] <= running.SHARE * 1000.0 + 2 * cost


def test_options_that_would_change_a_run_that_has_begun_are_refused() -> None:
    """They were passed over once: somebody got another metric, or other files, than was asked for."""
    manifest = parse_manifest(b'run = ["a"]\nmetric = "loss:lower"\nallow = ["a.py", "b.py"]\n', "here")
    plain.require_same(manifest, None, ())
    plain.require_same(manifest, "loss", ("b.py", "a.py"))
    plain.require_same(manifest, "loss:lower", ())
    for metric in ("acc", "loss:higher"):
        with pytest.raises(UsageError, match=metric) as caught:
            plain.require_same(manifest, metric, ())
        assert (caught.value.name, caught.value.where) == ("other-rules", "--metric")
    with pytest.raises(UsageError, match=r"a\.py") as caught:
        plain.require_same(manifest, None, ("a.py",))
    assert (caught.value.name, caught.value.where) == ("other-rules", "--allow")


def test_a_script_that_is_not_committed_is_to_be_committed(project: Path) -> None:
    (project / "new.py").write_text("print('loss: 1')\n")
    error = refusal(run, "-C", str(project), "--yes", "--", "python3", "./new.py")
    assert error.name == "not-committed"
    assert error.fix.startswith("git add new.py")


def test_calibrate_without_a_manifest_names_the_folder_and_itself(project: Path) -> None:
    error = refusal(calibrate, "-C", str(project))
    assert error.name == "no-manifest"
    assert str(project) in error.what  # not the scratch copy
    assert error.fix.startswith("festina calibrate -- COMMAND")


def test_a_run_that_goes_on_does_not_ask_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from festina.cli import run as module

    manifest = parse_manifest(b'run = ["python3", "train.py"]\nmetric = "loss:lower"\nallow = ["train.py"]\n', "here")
    monkeypatch.setattr(plain, "_resumed", lambda *_: plain.Plain(manifest, b"", None, None))

    def asked(*_: object, **__: object) -> bool:
        raise AssertionError("it was agreed to at the first start")

    monkeypatch.setattr(module.click, "confirm", asked)
    options = {"metric": None, "allow": (), "workers": 1}
    assert module._plain(project, ("python3", "train.py"), options, 60.0, ask=True) == (manifest, b"")
