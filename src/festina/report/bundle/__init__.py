"""The record with its documents for somebody who has neither Festina nor a network: one folder that checks itself."""
