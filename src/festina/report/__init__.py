"""Documents for people, each a reading of the ledger: same ledger, same bytes.  # C-1, C-2

``data`` holds what a report needs, ``fold`` reads it from the ledger's entries, ``figures`` draws (the only
place that imports matplotlib), ``html`` writes the page. Nothing here decides anything or writes to the
ledger, and a report is never evidence: the ledger is.
"""
