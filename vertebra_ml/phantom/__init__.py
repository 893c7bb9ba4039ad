"""Synthetic CT with known landmarks: real bones, spine statistics, pose, tissue, scanner."""

from vertebra_ml.phantom.cohort import Phantom, cohort, draw, phantom_seed, trunk

__all__ = ["Phantom", "cohort", "draw", "phantom_seed", "trunk"]
