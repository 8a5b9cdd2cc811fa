"""Floor 1: how any method runs."""
