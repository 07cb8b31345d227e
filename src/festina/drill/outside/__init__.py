"""The stand-alone drill: executed exploits against an evaluator that is not ours, on a copy of its folder.

Order of a drill: copy the evaluator (``copies``), see how it treats an honest candidate (``recon``), measure the honest
score, its noise and what a candidate without work earns (``bench``), carry out each attack beside its control
(``attacks``, ``payloads/``), carry out the same attacks on undefended evaluators (``undefended/``), decide (``judge``).

``warden.py`` and ``harness.py`` are programs of their own and import nothing of ours. The files under ``payloads/`` are
hostile on purpose and data to us: they are never imported here, only written into candidates.

Not covered: evaluators on other machines, and files that an evaluator names by an absolute path outside its folder.
"""
