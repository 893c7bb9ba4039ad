"""What 3D Slicer asks of a markups file, written down as a JSON schema from its own, 1.0.3.

Read in Slicer/Slicer, Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json (commit
15671043). Only the keys that we write are ruled here, and unlike there no other key is let through,
so that a key misspelt is seen. Two keys of ours that its rules leave free: the list's description,
and lastUsedControlPointNumber, which Slicer writes itself. The file itself stays out: its licence
asks for its whole text wherever a copy goes.
"""

NUMBER, TEXT, SWITCH = {"type": "number"}, {"type": "string"}, {"type": "boolean"}
COLOUR = {
    "type": "array", "minItems": 3, "maxItems": 3,
    "items": {"type": "number", "minimum": 0, "maximum": 1},
}  # fmt: skip


def _object(properties: dict, required: list[str]) -> dict:
    return {
        "type": "object", "properties": properties, "required": required,
        "additionalProperties": False,
    }  # fmt: skip


POINT = _object(
    {
        "id": TEXT, "label": TEXT, "description": TEXT,
        "position": {"type": "array", "items": NUMBER, "minItems": 3, "maxItems": 3},
        "selected": SWITCH, "locked": SWITCH, "visibility": SWITCH,
        "positionStatus": {"enum": ["undefined", "preview", "defined"]},
    },
    ["position"],
)  # fmt: skip
DISPLAY = _object(
    {"visibility": SWITCH, "pointLabelsVisibility": SWITCH, "selectedColor": COLOUR}, []
)
MARKUP = _object(
    {
        "type": {"enum": ["Fiducial", "Line", "Angle", "Curve", "ClosedCurve", "Plane", "ROI"]},
        "name": TEXT, "description": TEXT, "labelFormat": TEXT,
        "coordinateSystem": {"enum": ["LPS", "RAS"]},
        "coordinateUnits": {"enum": ["mm", "um"]},
        "locked": SWITCH, "fixedNumberOfControlPoints": SWITCH,
        "lastUsedControlPointNumber": {"type": "integer"},
        "controlPoints": {"type": "array", "items": POINT}, "display": DISPLAY,
    },
    ["type", "coordinateSystem"],
)  # fmt: skip
SCHEMA_NAME = (
    r"^https://raw\.githubusercontent\.com/slicer/slicer/master/Modules/Loadable/Markups/"
    r"Resources/Schema/markups-schema-v1\.0\.3\.json#?$"
)
RULES = _object(
    {
        "@schema": {"type": "string", "pattern": SCHEMA_NAME},
        "markups": {"type": "array", "items": MARKUP, "minItems": 1},
    },
    ["@schema", "markups"],
)
