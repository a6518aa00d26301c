"""Tables inside a repo: reading them, and the row diff of two versions of one."""

from datastore.tables.reading import is_table, read_table
from datastore.tables.report import Retyped, RowChange, TableDiff
from datastore.tables.rowdiff import diff_objects, diff_tables

__all__ = ["Retyped", "RowChange", "TableDiff", "diff_objects", "diff_tables", "is_table", "read_table"]
