"""The acceptance benchmark: how often the rule errs, what it costs, and what other rules do on the same draws.

``frame`` is what a part of it is made of, ``laws`` are the draws, ``runs`` plays whole runs of the rule, ``bound`` is
the information bound. Parts: ``validity``, ``symmetric``, ``efficiency``, ``speed``. ``document`` writes the page.
"""
