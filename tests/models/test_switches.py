"""Switches of TensorFlow's own are set before it is imported, and an operator's are left alone."""

import os
import subprocess
import sys

import pytest

SWITCH = "TF_ENABLE_ONEDNN_OPTS"


@pytest.mark.parametrize("entry", ["vertebra_ml.models", "pipelines.teach_two_stage"])
@pytest.mark.parametrize(("set_before", "found"), [(None, "1"), ("0", "0")])
def test_convolutions_are_fast_on_every_processor(
    entry: str, set_before: str | None, found: str
) -> None:
    script = f"import os, sys, {entry}; print(os.environ[{SWITCH!r}], 'tensorflow' in sys.modules)"
    others = {name: value for name, value in os.environ.items() if name != SWITCH}
    environment = others | ({SWITCH: set_before} if set_before else {})
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == [found, "False"]
