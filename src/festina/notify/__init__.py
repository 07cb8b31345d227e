"""Tell people by webhook and mail what waits for them, and never hold up the loop for it.  # G-6

``messages`` says which entries are worth telling, ``outbox`` keeps what is to be sent as files in the home, and
``courier`` sends it from a process of its own, with retries. At least once: each message has an id, and may come twice.
"""
