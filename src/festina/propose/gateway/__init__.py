"""The metered way from a box to models: loopback in the box, rules and accounts in the engine, one endpoint outside.

``Gateway.passage`` gives the door of one run; ``environment`` is what programs in the box find it by.  # E-6
"""

from __future__ import annotations

from festina.propose.gateway.passage import Allowance, Gateway, Passage, Spent
from festina.sandbox.job import GATEWAY

__all__ = ["Allowance", "Gateway", "Passage", "Spent", "environment"]

_KEY = "festina-holds-the-key"  # clients want one; the real one never enters a box  # T-1


def environment(model: str) -> dict[str, str]:
    """Variables by which clients and agents find the gateway. ``model``: the first that may be asked."""
    base = f"http://{GATEWAY[0]}:{GATEWAY[1]}"
    return {
        "OPENAI_BASE_URL": f"{base}/v1", "OPENAI_API_BASE": f"{base}/v1", "OPENAI_API_KEY": _KEY,
        "ANTHROPIC_BASE_URL": base, "ANTHROPIC_API_KEY": _KEY, "FESTINA_MODEL": model,
    }  # fmt: skip
