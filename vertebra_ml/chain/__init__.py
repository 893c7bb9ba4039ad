"""Chain labelling: from unnamed candidates along a spine to the most probable consistent names."""

from vertebra_ml.chain.candidates import Candidates
from vertebra_ml.chain.labelling import Labelling, label
from vertebra_ml.chain.statistics import Statistics, shipped

__all__ = ["Candidates", "Labelling", "Statistics", "label", "shipped"]
