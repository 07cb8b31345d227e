"""Loops that are not ours: their history read, held against itself and against what runs here, and gated.  # G-7

``folding`` is what the record holds of them, ``examining`` what does not fit in what was told, ``reading`` brings
history in, ``checking`` runs generations again, ``gating`` puts them before our own gate, ``words`` says it all.
"""
