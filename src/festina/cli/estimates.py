"""What asking models is going to cost, said before a run starts.  # E-5"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from festina.cli.say import say

if TYPE_CHECKING:
    from festina.system.manifest import ExperimentLimits, ImproverLimits, Manifest

BYTES_A_TOKEN = 3.5  # of English and code, about; what is held for a call counts one


def tell_models(root: Path) -> None:
    """Say on standard error what asking models will take; nothing where nobody asks one."""
    from festina.errors import UsageError
    from festina.system.manifest import load_manifest

    try:
        manifest = load_manifest(root)
    except UsageError:
        return  # no system here, or one whose mistakes are told elsewhere
    if manifest.improver.use == "model":
        for line in estimate(manifest, root):
            say(line)
    for line in boxes(manifest):
        say(line)
    asks = manifest.improver.use == "model" or manifest.improver.asks or manifest.experiment.model
    if asks and manifest.model is not None and not answers(manifest.model.endpoint):
        say("Nothing answers there now: each proposal waits for it as long as its time lasts.")


def boxes(manifest: Manifest) -> list[str]:
    """What programs that ask through the gateway may use, and how many of their boxes the caps allow at the least."""
    table = manifest.model
    askers: list[tuple[str, ImproverLimits | ExperimentLimits, bool]] = [
        ("a proposing run", manifest.improver.limits, manifest.improver.asks),
        ("each box of a trial", manifest.experiment.limits, manifest.experiment.model),
    ]
    if table is None or not any(asks for _, _, asks in askers):
        return []
    dearest = max((max(float(m.input), float(m.output)) for m in table.each.values()), default=0.0)
    lines = [f"Models are asked in boxes, {', '.join(table.names)} at {table.endpoint}, and nothing else there."]
    for who, limits, asks in askers:
        if not asks:
            continue
        money = limits.model_tokens * dearest / 1e6
        caps = ((table.calls, limits.model_calls), (table.tokens, limits.model_tokens), (table.money, money))
        fits = min((int(cap / one) for cap, one in caps if cap is not None and one), default=None)
        paid = f" ({money:.3g} in money)" if money else ""
        enough = "" if fits is None else f"; the run's caps are enough for {fits:,} of them, or more where less is used"
        lines.append(
            f"At most {limits.model_calls:,} calls and {limits.model_tokens:,} tokens{paid} for {who}{enough}."
        )
    if table.calls is table.tokens is table.money is None:
        lines.append("Nothing but the run's time caps them all: set tokens, money or calls in [model].")
    return lines


def answers(endpoint: str) -> bool:
    """Whether somebody takes a connection there."""
    import socket
    from urllib.parse import urlsplit

    parts = urlsplit(endpoint)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "", port), 3.0):
            return True
    except OSError:
        return False


def estimate(manifest: Manifest, tree: Path) -> list[str]:
    """Tokens and money of one proposal, and how many of them the caps allow at the least."""
    from festina.ledger.canonical import canonical
    from festina.loop.terms import model_settings
    from festina.propose.meter import Cost, Price, prompt_bound
    from festina.propose.prompt import tell
    from festina.propose.types import View

    table = manifest.model
    assert table is not None  # the manifest's own check
    how, scope = model_settings(manifest), manifest.scope_rules()
    view = View(tree, tree, (), 0, scope.allow, scope.max_changed_lines)
    told = tell(view, goal=how.goal, task=how.task, form=how.form, budget=how.prompt, public=how.public)
    size = len((told.system + told.user).encode())
    each = [table.each[name] for name in table.names if name in table.each]
    dear = Price(max((float(m.input) for m in each), default=0.0), max((float(m.output) for m in each), default=0.0))
    likely = Cost.of(dear, round(size / BYTES_A_TOKEN), table.max_output)
    held_to = [canonical(told.schema).decode()] if told.schema is not None else []
    most = Cost.of(dear, prompt_bound([told.system, told.user, *held_to]), table.max_output)
    paid = f" and {likely.money:.3g} in money" if likely.money else ""
    lines = [
        f"Proposals come from {', '.join(table.names)} at {table.endpoint}: about {likely.tokens_in:,} tokens of "
        f"prompt now (more with a history), {table.max_output:,} of answer at most{paid} for each of 1 to {how.tries} "
        "calls."
    ]
    caps = [
        ("calls", table.calls, 1.0, 1.0), ("tokens", table.tokens, float(likely.tokens), float(most.tokens)),
        ("money", table.money, likely.money, most.money),
    ]  # fmt: skip
    named = [
        (name, cap, max(0, int((cap - worst) / one) + 1) if one else None, worst)
        for name, cap, one, worst in caps if cap is not None
    ]  # fmt: skip
    if not named:
        return [*lines, "Nothing but the run's time caps them: set tokens, money or calls in [model]."]
    limits = ", ".join(f"{cap:,.12g} {name if name != 'money' else 'in money'}" for name, cap, _, _ in named)
    fits = min((calls for _, _, calls, _ in named if calls is not None), default=None)
    enough = f", enough for about {fits:,} calls" if fits is not None else ""
    lines.append(f"The run stops before it could use more than {limits}{enough}.")
    short = [name for name, cap, _, worst in named if worst > cap]
    if short:
        lines.append(f"That is too little for a single call: raise {', '.join(short)} in [model], or lower max_output.")
    return lines
