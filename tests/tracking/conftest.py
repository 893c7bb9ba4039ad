"""A registry in a fresh store of each kind."""

import pytest

from tests.stores import Store
from tests.tracking.made_up import Registry


@pytest.fixture
def registry(store: Store) -> Registry:
    """Return an empty registry, on SQLite and on PostgreSQL in turn."""
    return Registry(store.uri)
