"""The system's own improver: code of an approved generation proposes the next change.  # P-5

The improver in force is bound at ``/improver`` (its working directory) and its view at ``/view``
(``$FESTINA_VIEW``, with the incumbent under ``/view/tree``), both read-only; ``$FESTINA_SEED`` differs
for every proposal. It runs in the box like any candidate, without network but for the gateway where it may ask
models. What it leaves in ``$FESTINA_OUT`` is hostile input for ``harvest``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from festina.errors import UsageError
from festina.propose.asking import Asking
from festina.propose.harvest import harvest
from festina.propose.text import visible
from festina.propose.types import Budget, NoProposal, Proposal, View
from festina.propose.viewdir import limits_of, view_directory
from festina.sandbox.job import Bind, Job, Level, Sandbox

__all__ = ["OwnImprover"]

STDERR_SHOWN = 4000  # characters


class OwnImprover:
    """Runs ``run`` from the improver in force. ``last_error`` is the tail of its stderr, safe to show."""

    author = "own"

    def __init__(self, sandbox: Sandbox, run: Sequence[str], *, models: Asking | None = None) -> None:
        if not run:
            raise UsageError("improver-without-command", "[improver] run is empty", fix='run = ["python", "x.py"]')
        self._sandbox = sandbox
        self._argv = tuple(run)
        self.models = models or Asking()
        self.last_error = ""

    def propose(self, view: View, budget: Budget) -> Proposal | NoProposal:
        """One run of the improver in force. Raises ``Fault`` only for the sandbox's own failure."""
        nested = self._sandbox.level >= Level.L2
        with view_directory(view, budget, copy_tree=not nested) as folder:
            shown = [Bind(view.improver_tree, "/improver"), Bind(folder, "/view")]
            job = Job(
                argv=self._argv,
                cwd="/improver",
                env={"FESTINA_VIEW": "/view", "FESTINA_SEED": str(view.seed)},
                binds=(*shown, Bind(view.tree, "/view/tree")) if nested else tuple(shown),
                outputs=None,
            )
            outcome, more = self.models.run(self._sandbox, job, limits_of(budget), self.author, view.proposal)
        if isinstance(outcome, NoProposal):
            return outcome
        self.last_error = visible(outcome.stderr[-STDERR_SHOWN:].decode("utf-8", "replace"))
        made = harvest(outcome, self.author)
        return replace(made, reason=made.reason + more) if isinstance(made, NoProposal) else made
