"""The watch room: models of compounding, the growth of this run, and what goes wrong after a release.

- ``takeoff``: published models of a takeoff, as Monte Carlo that reproduces their published figures.
- ``pacing``: a governed loop under several rules of pace, in many simulated worlds.

Pure functions of numbers; numpy only. What reads the ledger is in ``festina.loop``.
"""
