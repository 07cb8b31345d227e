"""Pages for people: the run as it goes, its lineage, what waits for a decision, the record.

Every page is a reading of the ledger (L-1), rendered on the server, and also there as ``.json``. Everything of a
proposer's is hostile (T-5): it is escaped, what cannot be seen is written out, and no markup of its is ever rendered.
The server binds this machine's loopback and asks for a token of its own making; it executes nothing and decides
nothing, except that it passes on what a person signs (R-1) and a halt (G-5).
"""
