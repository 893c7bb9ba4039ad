"""Synthetic CT with known landmarks: real bones, spine statistics, pose, tissue, scanner."""
