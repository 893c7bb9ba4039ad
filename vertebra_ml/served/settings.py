"""What the operator of a server sets, all by environment; see ``serving/README.md``."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from vertebra_ml.bounds import OUTSIDE as WAYS
from vertebra_ml.errors import LimitError
from vertebra_ml.readers.scans import VOXELS_MAX

MB: Final = 1 << 20
ROOT: Final = "VERTEBRA_ML_ROOT"
CONTENT: Final = "VERTEBRA_ML_CONTENT_MAX_MB"
VOXELS: Final = "VERTEBRA_ML_VOXELS_MAX"
BODY: Final = "VERTEBRA_ML_BODY_MAX_MB"
BODIES: Final = "VERTEBRA_ML_BODIES_MAX_MB"
REQUESTS: Final = "VERTEBRA_ML_REQUESTS_MAX"
AT_ONCE: Final = "VERTEBRA_ML_AT_ONCE"
OUTSIDE: Final = "VERTEBRA_ML_OUTSIDE"
TIMEOUT: Final = "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT"

DEFAULTS: Final = {
    CONTENT: 1024,
    VOXELS: VOXELS_MAX,
    BODY: 1536,  # base64 of the largest scan, and a little
    BODIES: 4096,
    REQUESTS: 64,
    AT_ONCE: max(1, os.cpu_count() or 1),
    TIMEOUT: 60,
}


@dataclass(frozen=True)
class Settings:
    """Limits of one process of a server.

    Parameters
    ----------
    root : folder below which ``path`` may read, links resolved; None: nowhere.
    content_max, body_max, bodies_max : most bytes of a scan, of a request, of all requests held.
    voxels_max : most voxels that a header may claim.
    requests_max, at_once : most requests held, and most worked on at a time.
    timeout_s : after which nobody waits for an answer any more.
    outside : whether a scan outside the model's limits is answered with a warning, or refused.
    """

    root: Path | None
    content_max: int
    voxels_max: int
    body_max: int
    bodies_max: int
    requests_max: int
    at_once: int
    timeout_s: int
    outside: str = WAYS[0]

    @classmethod
    def of_environment(cls) -> Self:
        """Read the environment. Raises LimitError naming what cannot be meant."""
        return cls(
            root=_root(os.environ.get(ROOT)),
            content_max=_number(CONTENT) * MB,
            voxels_max=_number(VOXELS),
            body_max=_number(BODY) * MB,
            bodies_max=_number(BODIES) * MB,
            requests_max=_number(REQUESTS),
            at_once=_number(AT_ONCE),
            timeout_s=_number(TIMEOUT),
            outside=_way(),
        )


def _root(given: str | None) -> Path | None:
    if not given:
        return None
    try:
        return Path(given).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise LimitError(
            ROOT, found=f"{given!r}, which is not there", expected="a folder that scans lie below",
            fix="correct it, or unset it to read no files",
        ) from error  # fmt: skip


def _way() -> str:
    given = os.environ.get(OUTSIDE) or WAYS[0]
    if given not in WAYS:
        raise LimitError(
            OUTSIDE, found=repr(given[:80]), expected=" or ".join(WAYS),
            fix=f"correct it, or unset it for {WAYS[0]}",
        )  # fmt: skip
    return given


def _number(name: str) -> int:
    given = os.environ.get(name) or str(DEFAULTS[name])
    if not given.isdecimal() or int(given) < 1:
        raise LimitError(
            name, found=repr(given[:80]), expected="a whole number, at least 1",
            fix=f"correct it, or unset it for {DEFAULTS[name]}",
        )  # fmt: skip
    return int(given)
