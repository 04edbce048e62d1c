"""BalancedInputGen: training records laid out by class, and the plan that says where they are."""
