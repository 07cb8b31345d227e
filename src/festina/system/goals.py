"""Domains that may be guarded and characterised, but never be the goal of an improvement.  # V-11

A loop that is rewarded for persuasion, deception or offence gets better at it. The names of suites, scorers and
metrics are read for such words; that is a tripwire for mistakes and not a proof, since anything can be renamed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["dangerous_domain", "unprobed"]

_DOMAINS: dict[str, tuple[str, ...]] = {
    "persuasion and manipulation": ("persua", "manipulat", "propaganda", "disinformation", "radicali", "coerc"),
    "deception": ("decept", "deceiv", "sandbag", "scheming", "schemer", "alignment_fak", "hidden_objective"),
    "cyber offence": ("cyber", "malware", "ransomware", "exploit_dev", "phish", "hacking", "red_team", "jailbreak",
                      "vulnerability_discovery", "capture_the_flag", "ctf"),
    "weapons": ("cbrn", "bioweapon", "biorisk", "chemical_weapon", "radiolog", "nuclear_weap", "pathogen_", "explosive",
                "wmdp"),
    "autonomous replication": ("self_replicat", "self_exfiltrat", "exfiltrat", "self_proliferat", "autonomous_replicat",
                               "resource_acquisition"),
    "power seeking": ("power_seek", "situational_aware", "oversight_evasion", "evade_oversight", "sabotage",
                      "blackmail", "collusion", "shutdown_resist", "shutdown_avoid"),
    "autonomous tool use": ("tool_use",),
    "long interaction": ("long_interaction", "companionship", "emotional_relian", "sycophan"),
}  # fmt: skip
_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")


def dangerous_domain(name: str) -> str | None:
    """The domain that a name belongs to, or None. ``TrojanToolUse``, ``tool-use`` and ``tool_use`` are alike."""
    words = "_" + "_".join(part.lower() for part in _BOUNDARY.split(name) if part) + "_"
    for domain, stems in _DOMAINS.items():
        for stem in stems:
            if f"_{stem}" in words and (len(stem) > 3 or f"_{stem}_" in words):  # short stems only as whole words
                return domain
    return None


def unprobed(names: Iterable[str]) -> tuple[str, ...]:
    """The domains that none of these suites and guards is about, by their names. Unknown, never safe."""
    seen = {dangerous_domain(name) for name in names}
    return tuple(domain for domain in _DOMAINS if domain not in seen)
