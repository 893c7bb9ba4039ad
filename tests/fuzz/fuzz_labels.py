"""Fuzz the readers of labels: landmarks, centroids, .lml, mask tables, sidecars, settings."""

from tests.fuzz.fuzzer import main

if __name__ == "__main__":
    main("labels")
