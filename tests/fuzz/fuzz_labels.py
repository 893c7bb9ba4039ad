"""Fuzz the readers of labels: landmarks, .lml, centroids, keypoints, tables, settings."""

from tests.fuzz.fuzzer import main

if __name__ == "__main__":
    main("labels")
