"""Improvers: what proposes changes, behind one method, ``propose(view, budget)``.

``own`` runs the approved generation's code, ``command`` any program over a copy of the tree, ``search`` needs no
model, ``scripted`` hands out patches that are already written. ``harvest`` reads what an untrusted run left;
``text`` makes hostile text safe to show; ``guess`` serves ``festina run -- COMMAND``. Nothing is imported here, so
that the terminal stays quick.
"""
