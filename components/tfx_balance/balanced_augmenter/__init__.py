"""BalancedAugmenter: every class at its target, by reproducible copies."""
