"""Finds vertebrae in CT: the axial slice of L3 and T12, and every vertebra's named centroid."""
