"""What this package adds to Beam: steps, counters, threads."""
