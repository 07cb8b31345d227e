"""What is known of a loop that is not ours, in words and as data: the same in attach, status, report and trust.

Nothing that was only told is ever called shown.  # V-10, S-4
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from festina.ledger.outside import HistoryChecked, StageWord
from festina.loop.foreign.folding import STAGES, Loop, Mark, Story
from festina.loop.foreign.gating import DIGITS
from festina.loop.state import State
from festina.propose.history.types import shown
from festina.select.reproduced import LEAST_RUNS, allowance
from festina.system.policy import Policy

Judged = Mapping[str, tuple[int, str]]  # by the first digits of a claim: our proposal, and our gate's word

_WORDS = {
    "contradiction": "told in two ways", "gap": "numbers left out", "no-score": "kept without a score",
    "no-generation": "scored and not there", "withdrawn": "told before and gone now", "back-dated": "back-dated",
    "clock-skew": "dated in the future", "wrong-hash": "another hash than claimed",
    "wrong-origin": "an origin that does not hold", "wrong-sum": "a score that its own samples do not give",
    "wrong-name": "filed under another's name", "kept-worse": "kept although worse", "not-finite": "with no number",
    "unreadable": "unreadable", "too-large": "too large to read", "not-reproduced": "not reproduced here",
    "unknown-field": "with unknown fields", "odd-name": "with odd names", "no-trace": "without a trace",
    "no-parent": "from unknown parents", "same-content": "same program, other score", "not-kept": "kept by hash alone",
    "link": "links, not followed", "not-told": "not told", "half-line": "still being written",
    "in-flight": "not evaluated yet", "off-branch": "on another branch",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage's mark, and on what it rests."""

    name: StageWord
    mark: Mark
    words: str


def stages(story: Story, judged: Judged) -> tuple[Stage, ...]:
    """The four stages as this record has them; *observed* only where everything that was kept was run or judged here.

    What was proposed, and from what, cannot be seen afterwards: a branch holds what somebody left on it.
    """
    kept = story.kept
    rerun = sum(row.digest in story.loop.checks for row in kept)
    changes = story.changes
    gated = sum(judged.get(row.digest[:DIGITS], (0, "under way"))[1] != "under way" for row in changes)
    seen = {
        "experimentation": (rerun, len(kept), "of what was kept run again here"),
        "selection": (gated, len(changes), "of what was kept judged by our gate"),
    }
    return tuple(_stage(story.loop, name, *seen.get(name, (0, 0, ""))) for name in STAGES)


def _stage(loop: Loop, name: StageWord, done: int, all_: int, what: str) -> Stage:
    mark, who = loop.mark(name)
    part = f"{done} of {all_} {what}" if what else ""
    if all_ and done == all_:
        return Stage(name, "observed", part)
    by = f"by {who}" if mark == "attested" else who
    return Stage(name, mark, "; ".join(each for each in (by, part) if each))


def pace(story: Story, judged: Judged) -> int:
    """Kept generations since the last that came out again here, or that our gate accepted."""
    ahead = 0
    for row in reversed(story.kept):
        check = story.loop.checks.get(row.digest)
        again = check is not None and check[1].word == "reproduced"
        if again or judged.get(row.digest[:DIGITS], (0, ""))[1] == "accepted":
            break
        ahead += 1
    return ahead


def allowed(state: State) -> int:
    """How many of them the policy allows: the understanding debt.  # G-3"""
    return state.epoch.debt_generations if state.epoch is not None else Policy().debt.generations


def excess(story: Story) -> tuple[int, float] | None:
    """Of generations that were run again: how many, and by how much their claims lie above what came out, median.

    In the goal's direction, in the metric's own unit: lucky draws that were kept show here.
    """
    sign = -1.0 if story.loop.last.body.metric.endswith(":lower") else 1.0
    found = []
    for _, body in story.loop.checks.values():
        values = [value for value in body.values if value is not None]
        if values:
            found.append(sign * (body.claimed - sum(values) / len(values)))
    return (len(found), median(found)) if found else None


def finding_words(findings: Mapping[str, int]) -> str:
    """Each kind with its count: the kinds' names stand in docs/attach.md."""
    return ", ".join(f"{count} {_WORDS.get(kind, kind)}" for kind, count in findings.items())


def lines(story: Story, judged: Judged, most: int) -> list[str]:
    """The loop in a few lines."""
    loop, last = story.loop, story.loop.last
    kept = story.kept
    said = [
        f"Outside loop {loop.name} ({last.body.tool}): {len(story.rows):,} generations told of, {len(kept):,} kept by "
        f"its own word; read {len(loop.readings)} times, last {last.at[:16]}Z."
    ]
    claims = [row for row in kept if row.score is not None]
    if claims and last.body.metric:
        said.append(
            f"  {last.body.metric.rpartition(':')[0]} by its own word: {claims[0].score:g} at first, "
            f"{claims[-1].score:g} now. Told, not shown."
        )
    said += [f"  {s.name}: {s.mark}{f' ({s.words})' if s.words else ''}" for s in stages(story, judged)]
    if loop.checks:
        said.append(f"  {_checks(story)}")
    if words := _judged(judged):
        said.append(f"  Our gate: {words}.")
    if last.body.chain != "none":
        what = "a signature over the file" if last.body.chain == "signature" else "its own record's chain"
        said.append(f"  Source unchanged since {last.body.attester[:12]}... signed it ({what}); not that it is true.")
    if loop.findings:
        said.append(f"  Findings: {finding_words(loop.findings)}.")
    ahead = pace(story, judged)
    if ahead > most:
        said.append(f"  TOO FAST: {ahead} kept since the last that was checked here; the policy allows {most}.")
    return said


def brief(loop: Loop) -> str:
    """The loop in a sentence, from its entries alone."""
    body = loop.last.body
    found = f" Findings: {finding_words(loop.findings)}." if loop.findings else ""
    again = f" Run again here: {_words_of(loop)}." if loop.checks else ""
    return f"The outside loop {loop.name} ({body.tool}) told of {body.known:,} generations, as told.{again}{found}"


def _words_of(loop: Loop) -> str:
    words: dict[str, int] = {}
    for _, body in loop.checks.values():
        words[body.word] = words.get(body.word, 0) + 1
    return ", ".join(f"{count} {word.replace('-', ' ')}" for word, count in sorted(words.items()))


def _checks(story: Story) -> str:
    told = _words_of(story.loop)
    over = excess(story)
    by = f"; claims lie {over[1]:+.3g} above what came out (median of {over[0]})" if over is not None else ""
    self_reported = any(body.assurance == "self-reported" for _, body in story.loop.checks.values())
    return f"Run again here: {told}{by}.{' Their runs print their own scores.' if self_reported else ''}"


def _judged(judged: Judged) -> str:
    words: dict[str, int] = {}
    for _, word in judged.values():
        words[word] = words.get(word, 0) + 1
    return ", ".join(f"{count} {word}" for word, count in sorted(words.items()))


def summary(story: Story, judged: Judged, most: int) -> dict[str, Any]:
    """As data, for --json."""
    ahead = pace(story, judged)
    over = excess(story)
    last = story.loop.last.body
    return {
        "loop": story.loop.name, "tool": last.tool, "readings": len(story.loop.readings), "known": last.known,
        "kept": len(story.kept), "metric": last.metric, "claimed_origin": last.claimed_origin, "chain": last.chain,
        "attester": last.attester, "findings": story.loop.findings, "grave": story.loop.grave,
        "stages": {s.name: {"mark": s.mark, "words": s.words} for s in stages(story, judged)},
        "checks": [
            {"generation": body.generation, "claimed": body.claimed, "values": list(body.values), "word": body.word,
             "assurance": body.assurance, "entry": seq}
            for seq, body in story.loop.checks.values()
        ],
        "gate": [{"claim": claim, "proposal": number, "word": word} for claim, (number, word) in judged.items()],
        "claims_above_runs": None if over is None else {"checked": over[0], "median": over[1]},
        "unchecked": ahead, "unchecked_at_most": most,
    }  # fmt: skip


def growth(story: Story, judged: Judged) -> dict[str, Any] | None:
    """Gain from the first kept generation to the newest, by the loop's own word and by runs here; None without scores.

    In the goal's direction. What a gate of ours accepted of it stands with its own numbers in the line's growth.
    """
    kept = [row for row in story.kept if row.score is not None]
    metric, _, way = story.loop.last.body.metric.rpartition(":")
    if len(kept) < 2 or not way:
        return None
    sign = -1.0 if way == "lower" else 1.0
    told = sign * ((kept[-1].score or 0.0) - (kept[0].score or 0.0))
    runs = [_mean(story.loop, row.digest) for row in (kept[0], kept[-1])]
    here = None if runs[0] is None or runs[1] is None else sign * (runs[1] - runs[0])
    accepted = sum(word == "accepted" for _, word in judged.values())
    again = "neither end was run again here" if here is None else f"{here:+.4g} between runs of both ends here"
    return {
        "loop": story.loop.name, "metric": metric, "kept": len(kept), "told": told, "here": here,
        "accepted_here": accepted,
        "sentence": f"Outside loop {story.loop.name}: {told:+.4g} {shown(metric, 60)} by its own word over {len(kept)} "
        f"kept generations, {again}; our gate accepted {accepted}. What it tells forecasts nothing here.",
    }  # fmt: skip


def _mean(loop: Loop, digest: str) -> float | None:
    check = loop.checks.get(digest)
    values = [] if check is None else [value for value in check[1].values if value is not None]
    return sum(values) / len(values) if values else None


def check_words(body: HistoryChecked) -> str:
    """One check: what was claimed, what came out, and how far off a claim may lie before it is doubted."""
    values = ", ".join("none" if value is None else f"{value:g}" for value in body.values[:10])
    found = [value for value in body.values if value is not None]
    word = body.word.replace("-", " ")
    shown_word = word.upper() if body.word == "not-reproduced" else word
    if len(found) < LEAST_RUNS:
        return f"claimed {body.claimed:g}, here {values}: {shown_word}"
    far = allowance(body.claimed, body.decimals, found)
    return f"claimed {body.claimed:g}, here {values}: {shown_word} (up to {far:.2g} off could be chance)"


def row_line(key: str, score: float | None, status: str) -> str:
    """One generation, for the list of what is new."""
    return f"{shown(key, 60)}: {'no score' if score is None else f'{score:g}'}, {status}"
