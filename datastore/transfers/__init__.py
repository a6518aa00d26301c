"""Folders from one place to another: `ds.upload`, `ds.download`, `ds.sync`. Decided first, as a `Plan`, then done."""
