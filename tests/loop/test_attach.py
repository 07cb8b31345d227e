"""Loops that others run: read as told, doctored in every way that we could think of, run again, put before the gate."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from festina.cli import cli
from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.audit import verify
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey
from festina.loop.foreign import reading
from festina.loop.foreign.examining import Before, examine
from festina.loop.foreign.folding import tell
from festina.loop.foreign.reading import Brought, Source, _signed, bring, gather, signature_of
from festina.loop.foreign.words import stages
from festina.loop.recount import recount
from festina.loop.state import fold
from festina.notify.messages import notice
from festina.propose.history import Told
from festina.report.fold import fold as report_of
from festina.report.html import page
from festina.select.reproduced import LEAST_RUNS, reproduced
from festina.system import commits
from festina.system import home as homes
from festina.system.repo import Repo
from festina.web.run_view import notes
from tests.report.made_ledger import made_run

TRAIN = """import os, random
RATE = 0.1
random.seed(int(os.environ.get("FESTINA_SEED", "0")))
print(f"val_bpb: {1 + (RATE - 0.3) ** 2 + random.gauss(0, 0.001):.6f}")
"""
MANIFEST = 'run = ["python3", "train.py"]\nmetric = "val_bpb:lower"\nallow = ["train.py"]\n'
HEAD = "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"


def git(root: Path, *words: str) -> str:
    who = ["-c", "user.name=loop", "-c", "user.email=loop@localhost", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *who, *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def festina(*argv: str) -> Result:
    """The command line in this process; ``return_value`` is the exit code."""
    return CliRunner().invoke(cli, argv, standalone_mode=False, catch_exceptions=False)


class Autoresearch:
    """A loop as autoresearch's program.md runs it, by hand."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        git(root, "init", "-q", "-b", "main")
        (root / "train.py").write_text(TRAIN)
        (root / "prepare.py").write_text("# the evaluation\n")
        (root / ".gitignore").write_text("results.tsv\n")
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", "baseline")
        (root / "results.tsv").write_text(HEAD)
        self.log("1.040000", "keep", "baseline")

    def log(self, score: str, status: str, words: str) -> None:
        commit = git(self.root, "rev-parse", "--short=7", "HEAD")
        with (self.root / "results.tsv").open("a") as file:
            file.write(f"{commit}\t{score}\t0.1\t{status}\t{words}\n")

    def commit(self, rate: str, file: str = "train.py") -> None:
        path = self.root / file
        path.write_text(re.sub("RATE = .*", f"RATE = {rate}", path.read_text()) + f"# {rate}\n")
        git(self.root, "commit", "-q", "-a", "-m", f"rate {rate}")

    def read(self) -> Brought:
        return bring(self.root, Source("autoresearch", self.root))

    @property
    def ledger(self) -> Path:
        return homes.require(Repo.discover(self.root)).ledger


def kinds(brought: Brought) -> set[str]:
    return {each.kind for each in brought.findings}


@pytest.fixture
def loop(tmp_path: Path) -> Autoresearch:
    return Autoresearch(tmp_path / "ar")


def told_lines(folder: Path, *rows: dict[str, object]) -> Source:
    (folder / "told.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Source("jsonl", folder / "told.jsonl", metric="gain:higher")


def test_reading_twice_records_once_and_what_is_new_later(loop: Autoresearch) -> None:
    first = loop.read()
    assert (first.seq, [row.score for row in first.fresh]) == (1, [1.04])
    assert loop.read().seq is None
    loop.commit("0.2")
    loop.log("1.010000", "keep", "rate 0.2")
    second = loop.read()
    assert [row.score for row in second.fresh] == [1.01]
    assert not second.findings
    assert verify(loop.ledger).ok
    assert recount(loop.ledger).ok
    with Ledger.open(loop.ledger, readonly=True) as ledger:
        state = fold(ledger.records())
        story = tell(state.foreign.loops["autoresearch"], ledger.get_blob)
    assert [row.score for row in story.kept] == [1.04, 1.01]
    assert {each.mark for each in stages(story, {})} == {"unobserved"}


def test_a_deleted_losing_evaluation_is_a_finding(loop: Autoresearch) -> None:
    loop.commit("0.9")
    loop.log("1.360000", "discard", "rate 0.9")
    git(loop.root, "reset", "-q", "--hard", "HEAD^")
    assert not loop.read().findings
    text = (loop.root / "results.tsv").read_text().splitlines(keepends=True)
    (loop.root / "results.tsv").write_text("".join(line for line in text if "discard" not in line))
    gone = loop.read()
    assert kinds(gone) == {"withdrawn"}
    assert "1.36" in gone.findings[0].words
    assert loop.read().seq is None  # said once


def test_a_commit_without_a_score_and_a_score_without_a_commit_are_findings(loop: Autoresearch) -> None:
    loop.commit("0.2")
    assert kinds(loop.read()) == {"in-flight"}  # it may be under evaluation
    loop.commit("0.25")
    loop.log("1.002500", "keep", "rate 0.25")
    with (loop.root / "results.tsv").open("a") as file:
        file.write("abcdef0\t0.900000\t0.1\tkeep\tout of nowhere\n")
    found = loop.read()
    assert kinds(found) == {"no-score", "no-generation"}


def test_a_branch_whose_history_was_rewritten_is_a_finding(loop: Autoresearch) -> None:
    loop.commit("0.2")
    source = Source("git", loop.root, metric="val_bpb:lower")
    assert [row.status for row in bring(loop.root, source).fresh] == ["accepted"] * 2
    git(loop.root, "commit", "-q", "--amend", "-m", "val_bpb: 0.9\n\nanother story")
    found = bring(loop.root, source)
    assert kinds(found) == {"withdrawn"}


def test_a_branch_longer_than_what_is_read_is_never_cut_in_silence(
    loop: Autoresearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rate in ("0.2", "0.25", "0.3"):
        loop.commit(rate)
        loop.log(f"{1 + (float(rate) - 0.3) ** 2:.6f}", "keep", rate)
    monkeypatch.setattr(commits, "MOST", 3)
    source = Source("git", loop.root, metric="val_bpb:lower")
    for since in ("", git(loop.root, "rev-parse", "HEAD~3")):
        with pytest.raises(UsageError, match="newest 3 commits") as caught:
            bring(loop.root, replace(source, since=since))
        assert caught.value.name == "branch-too-long"
    newer = bring(loop.root, replace(source, since=git(loop.root, "rev-parse", "HEAD~2")))
    assert len(newer.fresh) == 3
    assert not newer.findings
    told = loop.read()  # its log goes further back than what is read of the branch
    assert [(each.kind, each.words) for each in told.findings] == [
        ("too-large", "results.tsv line 2: kept, and its commit is not among the newest 3 of the branch, which are all "
         "that is read"),
    ]  # fmt: skip
    monkeypatch.setattr(commits, "MOST", 4)
    assert len(bring(loop.root, replace(source, name="whole")).fresh) == 4


def test_what_git_throws_away_after_a_reset_changes_nothing_that_was_told(loop: Autoresearch) -> None:
    loop.commit("0.9")
    loop.log("1.360000", "discard", "rate 0.9")
    git(loop.root, "reset", "-q", "--hard", "HEAD^")
    loop.read()
    git(loop.root, "reflog", "expire", "--expire=now", "--all")
    git(loop.root, "gc", "-q", "--prune=now")
    assert loop.read().seq is None


def test_a_changed_score_and_a_worse_one_that_was_kept_are_findings(loop: Autoresearch) -> None:
    loop.commit("0.5")
    loop.log("1.080000", "keep", "worse")
    assert kinds(loop.read()) == {"kept-worse"}
    path = loop.root / "results.tsv"
    path.write_text(path.read_text().replace("1.080000", "1.000000"))
    assert kinds(loop.read()) == {"contradiction"}


def test_log_and_branch_may_not_contradict_each_other(loop: Autoresearch) -> None:
    for rate, status in (("0.2", "keep"), ("0.9", "discard"), ("0.25", "keep"), ("0.3", "keep")):
        loop.commit(rate)
        loop.log(f"{1 + (float(rate) - 0.3) ** 2:.6f}", status, rate)
    git(loop.root, "reset", "-q", "--hard", "HEAD^")
    found = loop.read()
    assert kinds(found) == {"contradiction"}
    assert sorted(each.words.partition(": ")[2] for each in found.findings) == [
        "kept, and its commit is not on the branch", "rejected, and its commit is on the branch",
    ]  # fmt: skip


def test_an_origin_that_is_not_what_was_said_is_a_finding(loop: Autoresearch, tmp_path: Path) -> None:
    source = told_lines(tmp_path, {"id": "g1", "score": 1, "origin": "lab X"})
    assert kinds(bring(loop.root, replace(source, name="y", origin="lab Y"))) == {"wrong-origin"}
    with Ledger.open(loop.ledger, readonly=True) as ledger:
        ours = ledger.origin
    mine = told_lines(tmp_path, {"id": "g1", "score": 1, "origin": ours})
    assert kinds(bring(loop.root, replace(mine, name="mine"))) == {"wrong-origin"}


def test_clock_skew_and_back_dating_are_findings(loop: Autoresearch, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    rows = [{"id": f"g{n}", "number": n, "at": (now + timedelta(hours=h)).isoformat(), "score": n}
            for n, h in ((1, -2), (2, -3), (3, 5))]  # fmt: skip
    first = bring(loop.root, told_lines(tmp_path, *rows))
    assert {(f.kind, f.key) for f in first.findings} == {("back-dated", "g2"), ("clock-skew", "g3")}
    late = {"id": "g0", "at": (now - timedelta(days=3)).isoformat(), "score": 9}
    second = bring(loop.root, told_lines(tmp_path, *rows, late))
    assert {(f.kind, f.key) for f in second.findings} == {("back-dated", "g0")}
    assert recount(loop.ledger).ok


def test_T3_times_at_the_calendars_ends_are_read_like_others(loop: Autoresearch, tmp_path: Path) -> None:
    ends = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:30Z")
    rows = [{"id": f"g{n}", "number": n, "at": at, "score": n} for n, at in enumerate(ends)]
    brought = bring(loop.root, told_lines(tmp_path, *rows))
    assert {(f.kind, f.key) for f in brought.findings} == {("clock-skew", "g1"), ("back-dated", "g2")}
    assert recount(loop.ledger).ok


def test_an_import_that_lies_about_its_origin_is_a_finding(loop: Autoresearch, tmp_path: Path) -> None:
    source = told_lines(tmp_path, {"id": "g1", "score": 1, "origin": "lab X"})
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    signed = replace(source, key=public, signature=key.sign(source.path.read_bytes()))
    assert not bring(loop.root, replace(signed, name="honest")).findings
    lie = bring(loop.root, replace(signed, name="lie", signature=key.sign(b"something else")))
    assert kinds(lie) == {"wrong-origin"}
    with Ledger.open(loop.ledger, readonly=True) as ledger:
        bodies = [r.body for r in ledger.records() if isinstance(r.body, e.HistoryRead)]
    assert [(b.chain, b.attester, b.claimed_origin) for b in bodies] == [
        ("signature", base64.b64encode(public).decode(), "lab X"), ("none", "", "lab X"),
    ]  # fmt: skip


def test_T6_a_signature_is_held_against_the_bytes_that_were_read(loop: Autoresearch, tmp_path: Path) -> None:
    key, source = Ed25519PrivateKey.generate(), told_lines(tmp_path, {"id": "g1", "score": 99})
    bad = source.path.read_bytes()
    source.path.write_bytes(good := b'{"id": "g1", "score": 1}\n')
    signed = replace(source, key=key.public_key().public_bytes_raw(), signature=key.sign(good))
    repo = Repo.discover(loop.root)
    honest = gather(signed, repo, None)
    source.path.write_bytes(bad)
    swapped = gather(signed, repo, None)
    source.path.write_bytes(good)  # while it is looked at
    _signed(honest, signed)
    _signed(swapped, signed)
    assert (honest.chain, {f.kind for f in honest.findings}) == ("signature", set())
    assert (swapped.chain, {f.kind for f in swapped.findings}) == ("none", {"wrong-origin"})


@pytest.mark.parametrize(
    "words", [["--every", "5s"], ["--runs", "5"], ["--budget", "1h"], ["--weak-sandbox", "x"], ["--signature", "x"]]
)
def test_no_option_of_attach_is_passed_over_in_silence(loop: Autoresearch, words: list[str]) -> None:
    loop.read()
    assert festina("attach", "-C", str(loop.root)).return_value == 0  # control
    with pytest.raises(click.UsageError):
        festina("attach", "-C", str(loop.root), *words)


def test_a_signature_over_one_file_covers_no_others(loop: Autoresearch, tmp_path: Path) -> None:
    key, checkpoint = Ed25519PrivateKey.generate(), tmp_path / "checkpoint_1"
    (checkpoint / "programs").mkdir(parents=True)
    (checkpoint / "metadata.json").write_text("{}")
    (checkpoint / "programs" / "a.json").write_text('{"id": "a", "metrics": {"combined_score": 1}}')
    source = Source("openevolve", checkpoint / "metadata.json", key=key.public_key().public_bytes_raw(),
                    signature=key.sign(b"{}"))  # fmt: skip
    found = bring(loop.root, source)
    assert [row.key for row in found.fresh] == ["a"]
    assert (kinds(found), found.story.loop.last.body.chain) == ({"wrong-origin"}, "none")


def test_a_wrong_folder_leaves_no_loop_in_the_record(loop: Autoresearch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd.jsonl").write_text("no JSON\n")
    for tool, place in (("openevolve", "empty"), ("inspect", "empty"), ("jsonl", "odd.jsonl")):
        with pytest.raises(UsageError) as refused:
            bring(loop.root, Source(tool, tmp_path / place, name="wrong", metric="gain:higher"))
        assert refused.value.name == "nothing-to-read"
    loop.read()
    with Ledger.open(loop.ledger, readonly=True) as ledger:
        assert set(fold(ledger.records()).foreign.loops) == {"autoresearch"}


def test_T3_of_a_signatures_file_no_more_is_read_than_one_can_have(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    (tmp_path / "sig").write_bytes(base64.b64encode(key.sign(b"x")) + b"\n")
    assert len(signature_of(tmp_path / "sig")) == 64
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 34)  # a hole: it takes no place
    with pytest.raises(UsageError, match="no-signature"):
        signature_of(tmp_path / "huge")


def test_T3_what_could_not_be_read_back_is_not_recorded(
    loop: Autoresearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop.read()
    monkeypatch.setattr(reading, "DETAILS_BYTES", 2_000)
    with pytest.raises(UsageError, match="history-too-large"):
        bring(loop.root, told_lines(tmp_path, *({"id": f"g{n}", "score": n} for n in range(100))))
    with Ledger.open(loop.ledger, readonly=True) as ledger:
        assert set(fold(ledger.records()).foreign.loops) == {"autoresearch"}
    assert bring(loop.root, told_lines(tmp_path, {"id": "g1", "score": 1})).seq is not None


def test_one_name_is_one_loop(loop: Autoresearch, tmp_path: Path) -> None:
    loop.read()
    with pytest.raises(UsageError, match="was read as autoresearch"):
        bring(loop.root, replace(told_lines(tmp_path, {"id": "a"}), name="autoresearch"))
    with pytest.raises(UsageError, match="no name"):
        bring(loop.root, replace(told_lines(tmp_path, {"id": "a"}), name="../x"))


def test_T5_hostile_text_is_shown_written_out(loop: Autoresearch, tmp_path: Path) -> None:
    evil = "g1\u202e<script>alert(1)</script>\x1b[2J"
    bring(loop.root, told_lines(tmp_path, {"id": evil, "score": 1, "status": "keep", "hint\u202e": 1}))
    with Ledger.open(loop.ledger, readonly=True) as ledger:
        shown = page(report_of(ledger.records(), ledger.get_blob), plots=False)
    assert "<script>" not in shown
    assert not set(shown) & {"\u202e", "\x1b"}


@pytest.fixture
def elsewhere(tmp_path: Path) -> tuple[Path, bytes]:
    """Another organisation's ledger, and its engine's key."""
    keys = {role: LocalKey.create(tmp_path / f"{role}.pem", role) for role in ("engine", "verifier")}
    encoded = {role: base64.b64encode(key.public).decode() for role, key in keys.items()}
    log = made_run()
    genesis = log.records[0].body.model_copy(
        update={"engine_key": encoded["engine"], "verifier_key": encoded["verifier"], "origin": "lab.example/theirs"}
    )
    path = tmp_path / "theirs.db"
    with Ledger.create(path, genesis, signers=keys) as ledger:
        ledger.append([
            Draft(made.body, blobs=tuple(log.blobs.values())) for made in log.records[1:]
            if made.body.role != "reviewer" and not isinstance(made.body, e.ReviewerEnrolled)
        ])  # fmt: skip
    return path, keys["engine"].public


def test_L6_another_ledger_is_history_with_its_key_and_no_evidence(
    loop: Autoresearch, elsewhere: tuple[Path, bytes]
) -> None:
    path, key = elsewhere
    done = festina("ledger", "-C", str(loop.root), "import", str(path), "--name", "theirs", "--key", key.hex())
    assert "told, not verified" in done.stderr
    with Ledger.open(loop.ledger, readonly=True) as ledger:
        state = fold(ledger.records())
        story = tell(state.foreign.loops["theirs"], ledger.get_blob)
    last = story.loop.last.body
    assert (last.tool, last.chain, last.claimed_origin) == ("festina", "ledger", "lab.example/theirs")
    assert last.attester == base64.b64encode(key).decode()
    assert {row.status for row in story.newest} >= {"accepted", "rejected"}
    assert state.line == []  # nothing of theirs stands on our line
    judged = json.loads(festina("trust", "-C", str(loop.root), "--quick", "--json").stdout)
    assert all(g["answer"] != "yes" for s in judged["stages"] for g in s["grounds"] if "outside" in g["name"])
    assert recount(loop.ledger).ok


def test_a_ledger_that_does_not_hold_or_is_anothers_is_named(
    loop: Autoresearch, elsewhere: tuple[Path, bytes], tmp_path: Path
) -> None:
    path, _ = elsewhere
    wrong = bring(loop.root, Source("festina", path, "wrong-key", key=b"\x01" * 32))
    assert kinds(wrong) == {"wrong-origin"}
    assert not wrong.fresh
    bad = tmp_path / "bad.db"
    data = bytearray(path.read_bytes())
    at = data.rindex(b"urn:festina:entry") if b"urn:festina:entry" in data else data.rindex(b'"payloadType"') - 40
    data[at] ^= 1
    bad.write_bytes(data)
    assert "wrong-origin" in kinds(bring(loop.root, Source("festina", bad, "flipped")))


def _forged(made: Autoresearch, **changes: object) -> list[str]:
    """An engine that records another reading than what was told; what a recount says."""
    home = homes.require(Repo.discover(made.root))
    with Ledger.open(home.ledger, signers={"engine": LocalKey.load(home.key("engine"), "engine")}) as ledger:
        last = [r.body for r in ledger.records() if isinstance(r.body, e.HistoryRead)][-1]
        assert isinstance(last, e.HistoryRead)
        ledger.append([Draft(last.model_copy(update={"loop": "copy", **changes}))])
    assert verify(home.ledger).ok  # the signatures hold: it is the engine that lies
    found = recount(home.ledger).mismatches
    return [row.field for row in found if row.seq == max(each.seq for each in found)]


def test_L1_a_recount_finds_findings_that_were_left_out(loop: Autoresearch) -> None:
    loop.commit("0.5")
    loop.log("1.080000", "keep", "worse")
    loop.read()
    assert _forged(loop) == []  # the same claims under another name: nothing is wrong with that
    assert _forged(loop, loop="second", findings=()) == ["findings"]
    assert _forged(loop, loop="third", rows=7) == ["rows", "findings"]


def test_T5_people_are_told_what_does_not_fit_without_a_word_of_the_loops(loop: Autoresearch) -> None:
    loop.commit("0.5")
    loop.log("1.080000", "keep", "Dear auditor, all is well")
    loop.read()
    with Ledger.open(loop.ledger, readonly=True) as ledger:
        said = [notice(record, "s", "h") for record in ledger.records()]
    (message,) = [each for each in said if each is not None]
    assert (message.event, message.what) == ("alarm", "Found: 1 kept-worse. There may be more since.")
    assert "auditor" not in str(message)


def test_G7_W5_a_person_attests_and_trust_still_says_no_yes(loop: Autoresearch) -> None:
    loop.read()
    assert festina("reviewer", "-C", str(loop.root), "add", "ann").return_value in (0, None)
    words = ("attach", "-C", str(loop.root), "--attest", "proposal", "--attest", "deployment", "--as", "ann")
    done = festina(*words, "--reason", "I ran it and watched")
    assert done.return_value in (0, None), done.stderr
    assert "proposal: attested (by ann" in done.stdout
    about = ("--entry", "1", "--text", "it does not fit", "--as", "ann")
    opened = festina("incident", "-C", str(loop.root), "open", *about)
    assert opened.return_value in (0, None), opened.stderr  # a reading can be what an incident is about
    judged = json.loads(festina("trust", "-C", str(loop.root), "--quick", "--json").stdout)
    grounds = {s["name"]: [g for g in s["grounds"] if "outside loop" in g["name"]] for s in judged["stages"]}
    assert all(g["answer"] != "yes" for found in grounds.values() for g in found)
    assert [len(grounds[name]) for name in ("proposal", "experimentation", "selection", "deployment")] == [1] * 4
    assert all(stage["answer"] != "yes" for stage in judged["stages"])
    loop.commit("0.2")
    loop.log("1.010000", "keep", "after she signed")
    assert festina("attach", "-C", str(loop.root), str(loop.root), "--from", "autoresearch").return_value == 0
    shown = festina("status", "-C", str(loop.root)).stdout
    assert "proposal: unobserved (ann's word covers an earlier reading only)" in " ".join(shown.split())
    assert recount(loop.ledger).ok


@pytest.mark.slow
def test_G5_a_loop_that_asks_is_told_of_a_halt(loop: Autoresearch) -> None:
    loop.read()
    asked = ("attach", "-C", str(loop.root), str(loop.root), "--from", "autoresearch")
    assert festina(*asked).return_value == 0
    subprocess.run([sys.executable, "-m", "festina", "halt", "-C", str(loop.root)], check=True, capture_output=True)
    done = festina(*asked)
    assert done.return_value == 7
    assert "HALTED" in done.stderr


def test_the_run_page_has_a_sentence_about_it(loop: Autoresearch) -> None:
    loop.commit("0.5")
    loop.log("1.080000", "keep", "worse")
    loop.read()
    with Ledger.open(loop.ledger, readonly=True) as ledger:
        said = notes(fold(ledger.records()))
    assert said[-1] == (
        "The outside loop autoresearch (autoresearch) told of 2 generations, as told. Findings: 1 kept although worse."
    )


def test_G3_a_loop_that_runs_ahead_is_told_to_wait(loop: Autoresearch, tmp_path: Path) -> None:
    rows = [{"id": f"g{n}", "number": n, "score": n, "status": "keep"} for n in range(1, 12)]
    told_lines(tmp_path, *rows[:10])
    asked = ("attach", "-C", str(loop.root), str(tmp_path / "told.jsonl"), "--from", "jsonl", "--metric", "x:higher")
    assert festina(*asked).return_value == 0
    told_lines(tmp_path, *rows)
    done = festina(*asked)
    assert done.return_value == 3
    assert "TOO FAST: 11 kept since the last that was checked here; the policy allows 10" in done.stdout


@pytest.mark.slow
def test_G7_claims_are_run_again_and_an_invented_one_is_found(loop: Autoresearch) -> None:
    loop.commit("0.2")
    loop.log("0.800000", "keep", "invented")
    git(loop.root, "branch", "loop")
    (loop.root / "train.py").write_text(TRAIN)
    (loop.root / "festina.toml").write_text(MANIFEST)
    git(loop.root, "add", "-A")
    git(loop.root, "commit", "-q", "-m", "the system")
    asked = ("attach", "-C", str(loop.root), str(loop.root), "--from", "autoresearch", "--branch", "loop")
    done = festina(*asked, "--check", "5")
    assert done.return_value in (0, None), done.stderr
    assert "1 not reproduced, 1 reproduced" in done.stdout
    assert recount(loop.ledger).ok
    with Ledger.open(loop.ledger, readonly=True) as ledger:
        checks = [r.body for r in ledger.records() if isinstance(r.body, e.HistoryChecked)]
    assert {(c.claimed, c.word, len(c.values)) for c in checks} == {
        (0.8, "not-reproduced", 8), (1.04, "reproduced", 8),
    }  # fmt: skip
    judged = json.loads(festina("trust", "-C", str(loop.root), "--quick", "--json").stdout)
    (ground,) = [g for s in judged["stages"][2:3] for g in s["grounds"] if "outside" in g["name"]]
    assert ground["answer"] == "no"


@pytest.mark.slow
def test_G7_kept_generations_go_before_our_own_gate(loop: Autoresearch) -> None:
    loop.commit("0.25")
    loop.log("1.002500", "keep", "better")
    loop.commit("0.9")
    git(loop.root, "commit", "-q", "--amend", "-m", "a lucky one")
    loop.log("1.001000", "keep", "told better, and worse")
    (loop.root / "prepare.py").write_text("# another evaluation\n")
    loop.commit("0.26")
    loop.log("0.900000", "keep", "it changed what judges it")
    git(loop.root, "branch", "loop")
    git(loop.root, "reset", "-q", "--hard", git(loop.root, "rev-list", "--max-parents=0", "HEAD"))
    (loop.root / "festina.toml").write_text(MANIFEST)
    git(loop.root, "add", "-A")
    git(loop.root, "commit", "-q", "-m", "the system")
    asked = ("attach", "-C", str(loop.root))
    assert festina(*asked, str(loop.root), "--from", "autoresearch", "--branch", "loop").return_value == 0
    done = festina(*asked, "--gate", "--budget", "120s")
    assert done.return_value in (0, None), done.stderr
    assert "selection: observed" in done.stdout
    assert "Our gate: 1 accepted, 1 refused, 1 rejected." in done.stdout
    assert festina(*asked, "--gate", "--budget", "60s").return_value == 0  # nothing is left, nothing is tried twice
    assert recount(loop.ledger).ok
    judged = json.loads(festina("trust", "-C", str(loop.root), "--quick", "--json").stdout)
    (ground,) = [g for s in judged["stages"][2:3] for g in s["grounds"] if "outside" in g["name"]]
    assert ground["answer"] == "no"
    assert "did not accept 2 generations" in ground["words"]


# -- the pure parts


@given(st.floats(-1e6, 1e6), st.integers(0, 12), st.integers(LEAST_RUNS, 20))
def test_a_claim_that_every_run_gives_is_reproduced_however_it_was_rounded(value: float, places: int, n: int) -> None:
    assert reproduced(round(value, places), places, [value] * n) == "reproduced"


@given(st.floats(-1e3, 1e3), st.integers(0, 6), st.integers(LEAST_RUNS, 20))
def test_a_claim_beyond_its_rounding_is_not_reproduced(value: float, places: int, n: int) -> None:
    assert reproduced(round(value, places) + max(1.1 * 10.0**-places, 1e-5), places, [value] * n) == "not-reproduced"


def test_runs_that_fail_speak_against_the_claim() -> None:
    assert reproduced(1.0, 2, [None] * 5) == "not-reproduced"
    assert reproduced(1.0, 2, [1.0, None, None, 1.0]) == "cannot-tell"
    assert reproduced(1.0, 2, [1.0, 1.0, 1.0, None]) == "reproduced"


names = st.sampled_from(["a", "b", "c", "d"])
rows = st.builds(
    Told, key=names, parent=st.just(""), number=st.none() | st.integers(0, 9),
    at=st.sampled_from(["", "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z", "2030-01-01T00:00:00.000Z"]),
    score=st.none() | st.floats(0, 1), status=st.sampled_from(["accepted", "rejected", "unknown"]),
)  # fmt: skip


@given(st.lists(rows, max_size=8))
def test_what_was_told_is_not_new_again(told: list[Told]) -> None:
    fresh, _ = examine(told, Before({}), "2026-02-01T00:00:00.000Z", "higher")
    by_name = {key: tuple(row for row in fresh if row.key == key) for key in {row.key for row in fresh}}
    again, found = examine(told, Before(by_name, "2026-02-01T00:00:00.000Z"), "2026-02-01T00:01:00.000Z", "higher")
    assert not again
    assert not found


@given(st.lists(rows, min_size=1, max_size=8), st.data())
def test_no_row_is_taken_away_unnoticed(told: list[Told], data: st.DataObject) -> None:
    fresh, _ = examine(told, Before({}), "2026-02-01T00:00:00.000Z", "higher")
    by_name = {key: tuple(row for row in fresh if row.key == key) for key in {row.key for row in fresh}}
    lost = data.draw(st.sampled_from(sorted(by_name)))
    _, found = examine([row for row in told if row.key != lost], Before(by_name), "2026-02-01T00:01:00.000Z", "higher")
    assert [(each.kind, each.key) for each in found] == [("withdrawn", lost)]
