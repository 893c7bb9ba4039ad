"""Answers on disk: one table and one document a batch, and files for a viewer, a page, a case.

``FORMATS`` names what there is. Every file is written whole or not at all.
"""

from vertebra_ml.outputs.files import check_folder, replace_bytes, replace_text
from vertebra_ml.outputs.formats import DEFAULT, FORMATS, OVERLAY, Delivery, check_formats
from vertebra_ml.outputs.table import Results, csv_header, csv_text, entry

__all__ = [
    "DEFAULT",
    "FORMATS",
    "OVERLAY",
    "Delivery",
    "Results",
    "check_folder",
    "check_formats",
    "csv_header",
    "csv_text",
    "entry",
    "replace_bytes",
    "replace_text",
]
