"""The measures of the Code of Practice, how far a record covers each, and both in OSCAL."""
