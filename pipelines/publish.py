"""See to it that the tracking server holds a trained model: its run and a registered version."""

import json
import sys
from pathlib import Path

from pipelines.stage import MODELS, REPORTS, run
from vertebra_ml.config import Params
from vertebra_ml.tracking import publish

SERVED = Path("serving/pyfunc_model.py")
RECEIPTS = REPORTS / "published"


def main(params: Params, kind: str) -> None:
    """Publish ``models/<kind>`` and write ``reports/published/<kind>.json``.

    The receipt names no run and no version: those are another server's business, and the lock
    file stays the same wherever the stage runs.
    """
    section = params.tracking
    published = publish(
        MODELS / kind,
        REPORTS / kind,
        uri=section.uri,
        experiment=section.experiment,
        registered=section.registered[kind],
        code=SERVED,
    )
    print(f"{published.name} version {published.version}, run {published.run}")
    receipt = {"kind": kind, "registered": published.name, "weights_md5": published.weights_md5}
    RECEIPTS.mkdir(parents=True, exist_ok=True)
    part = RECEIPTS / f".{kind}.json.part"
    part.write_text(json.dumps(receipt, indent=1, sort_keys=True) + "\n")
    part.replace(RECEIPTS / f"{kind}.json")


if __name__ == "__main__":
    run(main, *sys.argv[1:])
