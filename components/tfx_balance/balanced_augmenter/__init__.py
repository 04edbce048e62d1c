"""BalancedAugmenter: every class at its target, by copies that repeat."""
