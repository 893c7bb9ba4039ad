"""The tables of rules: what a raw scan, a MIP archive, a split and a model's quality may be."""

from typing import Final

from vertebra_ml.limits.rules import Rule

_DROP = "correct the file or drop the scan"
_LABEL = "correct the label file"

_FRAME = "correct the label file or its frame"

BONE_SHARE_MIN, BONE_SHARE_MAX = 0.002, 0.9
"""Share of body pixels of a MIP beyond ``facts.BONE_HU``: none is no spine, nearly all is no HU."""
BODY_SHARE_MIN = 0.02
TISSUE_SHARE_MIN = 0.05
"""Of 25 scans, real and drawn, none had less than 0.19; with an intercept counted twice 0.007."""
GAP_RATIO_MAX = 1.6
"""Of 15,582 gaps of 1,946 real spines (ImFusion VID) seven have more, 1.8 and up, each over an
unnamed vertebra; the next has 1.55. Of levels passed over on purpose, from C3 down, 98 % have."""

RAW_RULES: Final = (
    Rule("fault", "empty", "The scan can be read", _DROP),
    Rule("case", "unique", "No two scans share an id", "rename one of them", show="source"),
    Rule("patient", "present", "Each scan has a patient", "name the patient in the layout"),
    Rule(
        "content", "unique", "No scan is there twice", "drop one: copies leak between parts",
        show="source",
    ),
    Rule("voxels", "range", "The scan fits in memory", "crop it", high="voxels_max"),
    Rule(
        "spacing_least_mm", "range", "Voxels are not smaller than CT makes them (mm)", _DROP,
        low="spacing_min_mm", show="spacing",
    ),
    Rule(
        "spacing_largest_mm", "range", "Slices are thin enough (mm)", _DROP,
        high="spacing_max_mm", show="spacing",
    ),
    Rule(
        "height_mm", "range", "The scan is high enough to hold a vertebra (mm)", _DROP,
        low="height_min_mm",
    ),
    Rule(
        "width_mm", "range", "The scan is wide enough to hold a spine (mm)", _DROP,
        low="width_min_mm",
    ),
    Rule(
        "hu_least", "range", "There is air or fat: the values are Hounsfield units",
        "check slope and intercept", high="hu_low_max",
    ),
    Rule(
        "hu_largest", "range", "There is bone: the values are Hounsfield units",
        "check slope and intercept", low="hu_high_min",
    ),
    Rule(
        "tissue_share", "range", "There is soft tissue: the values are Hounsfield units",
        "check slope and intercept", low=TISSUE_SHARE_MIN,
    ),
    Rule(
        "body_share", "range", "A MIP crosses a body", "project the scan again",
        low=BODY_SHARE_MIN,
    ),
    Rule(
        "bone_share", "range", "Bone covers a plausible share of the body of a MIP",
        "project the scan again", low=BONE_SHARE_MIN, high=BONE_SHARE_MAX,
    ),
    Rule(
        "frame", "empty", "Labels lie in the frame that their layout asks for",
        "convert them, see docs/data.md",
    ),
    Rule(
        "out_of_order", "range", "Labelled levels follow each other from head to foot", _LABEL,
        high=0, show="out_of_order_levels",
    ),
    Rule(
        "gap_sigmas", "range", "Neighbouring levels lie as far apart as in people (SD)", _LABEL,
        high="gap_sigmas", show="gap_worst",
    ),
    Rule(
        "gap_ratio", "range", "No gap is much wider than those beside it: no level is passed over",
        _LABEL, high=GAP_RATIO_MAX, show="gap_jump",
    ),
    Rule(
        "outside", "range", "Labelled levels lie inside the scan", _FRAME,
        high=0, show="outside_levels",
    ),
    Rule(
        "in_air", "range", "Labelled levels do not lie in air", _FRAME,
        high=0, show="in_air_levels",
    ),
    Rule(
        "not_bone", "range", "Labelled levels lie in bone, not in fat or lung",
        "look at the scan and its labels", high=0, severity="warning", show="not_bone_levels",
    ),
    Rule(
        "skipped", "range", "No level is left out between those seen", _LABEL,
        high=0, severity="warning", show="skipped_levels",
    ),
)  # fmt: skip
"""A raw scan. Settings: the section ``limits`` of the parameters."""

MIP_RULES: Final = (
    Rule("fault", "empty", "The archive can be read", "project the scan again"),
    Rule("case", "unique", "No two archives share an id", "rename one of the cases"),
    Rule(
        "spacing_off_mm", "range", "Pixels have the spacing of the parameters (mm off)",
        "project the scan again", high=1e-6,
    ),
    Rule("hu_least", "range", "Nothing lies below air (HU)", "project again", low=-1024),
    Rule("hu_largest", "range", "There is bone (HU)", "check the body mask", low=200, high=32767),
    Rule(
        "body_share", "range", "A body was crossed", "check the body mask", low=BODY_SHARE_MIN
    ),
    Rule(
        "bone_share", "range", "Bone covers a plausible share of the body", "check the body mask",
        low=BONE_SHARE_MIN, high=BONE_SHARE_MAX,
    ),
    Rule(
        "outside", "range", "Labelled levels lie on rows of the MIP", "check the mm mapping",
        high=0, show="outside_levels",
    ),
    Rule(
        "out_of_order", "range", "Labelled levels follow each other from head to foot", _LABEL,
        high=0, show="out_of_order_levels",
    ),
    Rule(
        "gap_sigmas", "range", "Neighbouring levels lie as far apart as in people (SD)", _LABEL,
        high="gap_sigmas", show="gap_worst",
    ),
)  # fmt: skip
"""A MIP archive. Settings: the section ``limits`` of the parameters."""

PHANTOM_RULES: Final = (
    *MIP_RULES,
    Rule("labelled", "range", "The phantom holds a trunk of levels", "check the phantom", low=17),
)
"""A phantom's MIP archive; phantoms differ from scans in that every level is known."""

SPLIT_RULES: Final = (
    Rule("case", "unique", "No scan is in the split twice", "drop one row"),
    Rule("patient", "present", "Each scan has a patient", "name the patient"),
    Rule(
        "part", "one_of", "Each scan is in a part", "split again",
        values=("train", "validation", "test"),
    ),
    Rule(
        "parts_of_patient", "range", "No patient is in two parts",
        "keep a patient's scans together", low=1, high=1, show="patient",
    ),
)  # fmt: skip
"""A split, a row a scan."""

SHARE_OFF_MAX = 0.2
"""How far a share of patients may be from the one asked for: a dozen patients split coarsely."""

PART_RULES: Final = (
    Rule("case", "rows", "There are three parts", "split again", low=3, high=3),
    Rule("patients", "range", "No part is empty", "add patients", low=1),
    Rule(
        "share_off", "range", "Parts have about the shares asked for", "change the split section",
        low=-SHARE_OFF_MAX, high=SHARE_OFF_MAX, show="share",
    ),
    Rule(
        "levels_missing", "range", "Each part shows each level asked for",
        "add scans of that level or ask for fewer", high=0, show="missing",
    ),
)  # fmt: skip
"""A split, a row a part."""

_AGAIN = "run `dvc repro`, which makes it again"

INPUT_RULES: Final = (
    Rule("fault", "empty", "The archive is there and can be read", _AGAIN),
    Rule("case", "unique", "No archive is learnt from twice", "rename one of them", show="file"),
    Rule("part", "one_of", "Each archive is in a part", _AGAIN, values=("train", "validation")),
    Rule("other", "empty", "The archive is the one that its table names", _AGAIN),
    Rule(
        "parts_of_patient", "range", "No patient is learnt from and tuned on",
        "keep a patient's scans together", low=1, high=1, show="patient",
    ),
    Rule(
        "spacing_off_mm", "range", "Pixels have the spacing of the parameters (mm off)", _AGAIN,
        high=1e-6,
    ),
)  # fmt: skip
"""What a model is about to be trained on, a row an archive."""

INPUT_PART_RULES: Final = (
    Rule(
        "archives", "range", "No part is empty", "add scans, or phantoms in params.yaml", low=1
    ),
    Rule(
        "levels_missing", "range", "Each level that the model is to answer for is labelled",
        "add scans or phantoms that show it, or do not ask for it", high=0, show="missing",
    ),
)  # fmt: skip
"""What a model is about to be trained on, a row a part."""

METRIC_RULES: Final = (
    Rule("failed", "range", "Every scan was answered", "see the stage's output", high=0),
    Rule("median_mm", "range", "Median error (mm)", "do not publish", high="median_mm_max"),
    Rule("gross_rate", "range", "Share of gross errors", "do not publish", high="gross_rate_max"),
    Rule(
        "presence_right", "range", "Share of presence told right", "do not publish",
        low="presence_min",
    ),
)  # fmt: skip
"""Measured quality, a row a level and one overall. Settings: the section ``gate``."""

STRETCH_MIN, STRETCH_MAX = 0.5, 1.05
"""Rows from the first landmark to the last against the truth, in mm: a spine may lean or bend."""

SAMPLE_RULES: Final = (
    Rule("fault", "empty", "The sample is there and holds its arrays", _AGAIN),
    Rule("case", "unique", "No case has two samples", "rename one of the cases"),
    Rule("part", "one_of", "Each sample is in a part", _AGAIN, values=("train", "validation")),
    Rule(
        "parts_of_patient", "range", "No patient is learnt from and tuned on",
        "keep a patient's scans together", low=1, high=1, show="patient",
    ),
    Rule(
        "not_finite", "range", "Every number is finite", "check the scan", high=0,
        show="not_finite_names",
    ),
    Rule("unknown", "range", "Levels are known", _LABEL, high=0, show="unknown_names"),
    Rule("repeated", "range", "Each level is there once", _LABEL, high=0, show="repeated_names"),
    Rule("unplaced", "range", "Each level has its place", _AGAIN, high=0),
    Rule(
        "outside", "range", "Landmarks lie on rows of the grid", "check the mm mapping", high=0,
        show="outside_names",
    ),
    Rule(
        "not_shown", "range", "The picture shows a body at each landmark", "check the scan",
        high=0, show="not_shown_names",
    ),
    Rule("taught", "range", "The pictures hold something to find", "check the scan", low=1),
    Rule(
        "stretch", "range", "Landmarks lie as far apart as in the scan, and head first (share)",
        "check spacing and axes", low=STRETCH_MIN, high=STRETCH_MAX,
    ),
)  # fmt: skip
"""A sample of either stage of a two-stage model."""

COLUMN_RULES: Final = (
    Rule("id_rate", "range", "Share of vertebrae named right", "do not publish", low="id_rate_min"),
    Rule("mean_mm", "range", "Mean distance of those named right (mm)", "do not publish",
         high="mean_mm_max"),
    Rule("off_by_one_rate", "range", "Share of vertebrae named one level off", "do not publish",
         high="off_by_one_max"),
    Rule("all_right_rate", "range", "Share of scans named right throughout", "do not publish",
         low="all_right_min"),
)  # fmt: skip
"""How well whole columns are named. Settings: the section ``gate.two_stage``."""
