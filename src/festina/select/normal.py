"""Quantiles of the normal law, each under a name that says which. Standard errors."""

TWO_SIDED = 1.959963984540054  # 95 % lie within so many on both sides
TWO_SIDED_2 = 1.96  # the same to two decimals: gaps, tiers and sentences that records hold were made with it
ONE_SIDED = 1.6448536269514722  # 95 % lie below so many
