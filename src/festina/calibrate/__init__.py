"""Before a run: how the incumbent's results vary, and what that makes of a night's budget.

``subject`` opens what is measured, ``measure`` runs it, ``forecast`` reads what was found. No trial here is evidence
for or against any proposal, and no hidden item of any test is looked at.
"""
