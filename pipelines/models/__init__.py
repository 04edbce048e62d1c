"""Models of the sample pipeline, which Transform and Trainer import by dotted name."""
