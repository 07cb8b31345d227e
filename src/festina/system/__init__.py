"""What is improved: ``festina.toml``, the git repository, and what a patch may change.

``manifest`` reads the description of a system, ``repo`` reads and writes git objects without ever
running anything that a repository configures, ``scope`` judges a patch by its effect (P-1, P-2).
"""
