"""Keypoints of a spine as other networks write them: one JSON file a spine, LPS mm.

The layout is ImFusion VID's; ``vertebra_ml.chain.keypoints`` says what an entry holds.
"""

from pathlib import Path

from vertebra_ml.chain.keypoints import Spine, parse
from vertebra_ml.readers.plain import read_json


def read_keypoints(path: Path) -> Spine:
    """Read one spine: candidates in RAS mm, and names where the file gives some.

    Raises DatasetError naming the entry at fault or for what is no JSON or too large, LimitError
    for more keypoints than a spine can have.
    """
    return parse(read_json(path), path)
