"""The JSON documents that components write, and how they are read."""
