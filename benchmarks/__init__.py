"""How fast the house is, as ratios to baselines timed in the same run."""
