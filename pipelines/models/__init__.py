"""The sample's models: what Transform and Trainer import by dotted name."""
