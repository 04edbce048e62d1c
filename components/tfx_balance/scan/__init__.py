"""One reading of the input files: labels, strata, counts, an index of the records."""
