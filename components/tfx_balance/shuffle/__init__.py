"""From records that were scanned to shuffled output files."""
