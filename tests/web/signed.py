"""The loop on paper, recorded in a real signed ledger: for pages, and for ``benchmarks/web.py`` at size."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey
from festina.loop import next as plan
from festina.review.desk import reviewer_key
from festina.system.home import Home
from festina.system.repo import Repo
from festina.web.feed import Feed
from tests.loop.paper import PaperLoop

PATCH = """\
diff --git a/train.py b/train.py
--- a/train.py
+++ b/train.py
@@ -1,3 +1,3 @@
 def step(rate):
-    return rate * 0.1
+    return rate * 0.2  # proposal {number}
 # end
"""
PLAN = {"rationale": "A larger step learns faster.", "weakness": "Learning is slow.", "predicted": 0.05}
Change = Callable[[int], tuple[bytes, dict[str, Any]]]


def honest(number: int) -> tuple[bytes, dict[str, Any]]:
    return PATCH.format(number=number).encode(), PLAN


@dataclass
class SignedLoop(PaperLoop):
    """``change`` gives each proposal's patch and plan. ``guards`` is 1 unless told otherwise."""

    place: Path = field(default_factory=Path)
    change: Change = honest
    system: str = "toy"
    dull: float = 0.0  # share of proposals that change nothing for the better, beside those that the paper draws

    def __post_init__(self) -> None:
        super().__post_init__()
        repo = self.place / "system"
        repo.mkdir(parents=True)
        git = ["git", "-C", str(repo), "-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "start"], check=True)
        self.repo = Repo.discover(repo)
        self.home = Home(self.place / "toy-00000000")
        self.home.create()
        self.ann = reviewer_key("ann", create=True)
        self.keys = {role: LocalKey.create(self.home.key(role), role) for role in ("engine", "verifier")}
        self.ledger: Ledger | None = None

    def some(self, actions: int) -> None:
        """So many more actions, of another run where one ends."""
        for _ in range(actions):
            self.people()
            action = plan.next_action(self.state, self.facts())
            if isinstance(action, plan.Finish):
                self.end_run(action)
                self.start_run()
                continue
            getattr(self, "_" + type(action).__name__)(action)

    def _Screen(self, action: plan.Screen) -> None:
        super()._Screen(action)
        if self.coins.random() < self.dull:
            self.gains[action.proposal] = 0.0

    def put(self, *bodies: e.Body, commitments: dict[str, str] | None = None) -> None:
        if self.ledger is None:
            first, *bodies_left = bodies
            assert isinstance(first, e.Genesis)
            self.ledger = Ledger.create(self.home.ledger, self._mine(first), signers=self.keys)
            for record in self.ledger.records():
                self.state.apply(record)
            bodies = tuple(bodies_left)
        for record in self.ledger.append([self._draft(body) for body in bodies], durable=False):
            self.state.apply(record)

    def _mine(self, body: e.Body) -> Any:
        public = {role: base64.b64encode(key.public).decode() for role, key in self.keys.items()}
        keys = {"engine_key": public["engine"], "verifier_key": public["verifier"], "system": self.system}
        return body.model_copy(update=keys)

    def _draft(self, body: e.Body) -> Draft:
        if isinstance(body, e.ReviewerEnrolled):
            body = body.model_copy(update={"key": base64.b64encode(self.ann.public).decode()})
        if isinstance(body, e.ReviewDecided):
            return Draft(body, signer=self.ann)
        if isinstance(body, e.ProposalReceived) and body.patch is not None:
            from hashlib import sha256

            patch, plan = self.change(body.proposal)
            words = json.dumps(plan).encode()
            named = {"patch": sha256(patch).hexdigest(), "plan": sha256(words).hexdigest()}
            return Draft(body.model_copy(update=named), blobs=(patch, words))
        return Draft(body)

    def feed(self) -> Feed:
        assert self.ledger is not None
        return Feed(Ledger.open(self.home.ledger, readonly=True), self.repo, self.home)


def made(place: Path, *, seed: int = 3, proposals: int = 8, change: Change = honest, guards: int = 1) -> SignedLoop:
    """A finished run, its ledger still open for more."""
    loop = SignedLoop(seed=seed, proposals=proposals, guards=guards, place=place, change=change)
    loop.begin()
    loop.run()
    return loop
