"""Shipped probe suites for systems that speak or act: persuasion, deception, tool use, long interaction.  # V-11

Each domain is a set of templates (``templates.toml``) from which items are drawn with a seed that nobody outside the
vault knows: the templates are public, the items are not. ``scorers.py`` is copied into the system's repository, where
it is pinned and protected like any scorer; its rules need no model that judges. They are for characterisation and
guards, never for goals.
"""

from festina.watch.probing.make import DOMAINS, SOAK_ITEMS, Domain, example, items, scorer_source, soak_table, table

__all__ = ["DOMAINS", "SOAK_ITEMS", "Domain", "example", "items", "scorer_source", "soak_table", "table"]
