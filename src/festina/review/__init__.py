"""People: what waits for them, what exactly they approve, and how a decision is signed."""
