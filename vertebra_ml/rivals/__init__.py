"""Rival columns: the whole column a level up or down, or built otherwise, weighed by a network."""

from vertebra_ml.rivals.labelling import label

__all__ = ["label"]
