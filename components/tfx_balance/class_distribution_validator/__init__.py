"""ClassDistributionValidator: stops a pipeline whose classes are not as they should be."""
