"""Witnesses: others who keep the newest checkpoint of a record, and sign nothing that contradicts it."""
