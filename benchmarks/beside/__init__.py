"""Real loops beside one another: one scripted model endpoint serves the same stream of proposals to each of them."""
