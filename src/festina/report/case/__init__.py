"""A safety case as data, checked against the record: why a release is acceptable, and what speaks against it."""
