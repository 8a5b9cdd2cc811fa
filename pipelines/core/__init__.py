"""Floor 0: plain data and pure functions. Imports nothing of ours from above."""
