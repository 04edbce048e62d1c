"""Which remedy for unequal classes helps, if any."""
