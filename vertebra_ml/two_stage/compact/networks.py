"""Both networks of the two stages, by the names under which one file holds their weights."""

from typing import Final

from vertebra_ml.two_stage.compact import detection, identification

NETWORKS: Final = {"detection": detection.network, "identification": identification.network}
"""What builds each."""
