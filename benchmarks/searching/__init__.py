"""What search before the gate is worth: systems with a known true score, loops that search, and others' loops."""
