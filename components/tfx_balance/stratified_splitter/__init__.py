"""StratifiedSplitter: every class at its exact share in every split."""
