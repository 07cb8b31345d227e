"""How strong an optimiser may get before each safeguard lets it through: ``python benchmarks/oversight``."""
