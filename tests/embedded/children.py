"""Forked processes that tests start, talk to, kill."""

from datastore.testing.store_children import Child

__all__ = ["Child"]
