"""Great Expectations without a folder, without a word, and without a call home."""

import logging
import os
from typing import Any, Final

TALKATIVE: Final = "great_expectations.data_context.types.base"
"""Tells, unasked, where it keeps files that nobody looks at."""


def ephemeral(table: str) -> tuple[Any, Any]:
    """Return a context that is gone with the process, and its definition of a batch.

    The batch is a whole pandas table, called ``table``, that is given when it is asked for.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger(TALKATIVE).setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("tables").add_dataframe_asset(table)
    return context, asset.add_batch_definition_whole_dataframe("whole")
