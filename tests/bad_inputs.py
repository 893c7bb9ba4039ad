"""Every kind of bad input there is, in one table: name -> how to make it, what its line must say.

Groups lie in ``tests/bad``. The table is run on the command line (tests/cli/test_bad_input.py) and
over REST (tests/serving/test_bad_input.py); kinds that only make sense in one of them say so. Those
of ``label`` are run in tests/cli/test_bad_keypoints.py.
"""

import re
from pathlib import Path
from typing import Final

from tests.bad.archives import OURS, THESIS
from tests.bad.dicom import COMPRESSED, DICOM
from tests.bad.enhanced import ENHANCED
from tests.bad.keypoints import KEYPOINTS
from tests.bad.kind import Bad
from tests.bad.nifti import GZIP, NIFTI
from tests.bad.paths import PATHS
from tests.bad.raw import RAW
from tests.bad.zips import ZIPS

GROUPS: Final[dict[str, dict[str, Bad]]] = {
    "NIfTI": NIFTI,
    "gzip": GZIP,
    "DICOM folder": DICOM,
    "compressed DICOM": COMPRESSED,
    "enhanced DICOM": ENHANCED,
    "DICOM zip": ZIPS,
    "MIP archive": OURS,
    "published MIP archive": THESIS,
    "path": PATHS,
    "raw": RAW,
    "keypoints": KEYPOINTS,
}
BAD: Final = {name: kind for group in GROUPS.values() for name, kind in group.items()}
assert len(BAD) == sum(map(len, GROUPS.values())), "two kinds of one name"

LINE: Final = re.compile(r"[^\n]+: found [^\n]+; expected [^\n]+; [^\n]+")
"""The form of every refusal: where, what was found, what was expected, what to do."""


def make_all(root: Path, face: str) -> dict[str, Path]:
    """Make every kind that ``face`` can be given below ``root``; return the paths by name."""
    return {
        name: make(root, name) for name, kind in BAD.items() if face in kind.faces
    }  # fmt: skip


def make(root: Path, name: str) -> Path:
    """Make one kind in a folder of its own below ``root``; return what is to be handed over."""
    folder = root / re.sub(r"\W+", "-", name)
    folder.mkdir(parents=True)
    return BAD[name].make(folder)
