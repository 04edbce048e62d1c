"""What is large, in Beam: an element is a shard of work, and no record crosses a stage boundary."""
