"""What a row diff found: counts, columns and the first rows, as frozen values."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from datastore.notebook.markup import change_text
from datastore.values import ChangeKind

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Retyped", "RowChange", "TableDiff"]


class RowChange(Struct, frozen=True, kw_only=True):
    """One row that differs between two versions of a table.

    Attributes:
        kind: `added`, `removed` or `changed`.
        key: Values of the key columns.
        before: The other cells on the left side, None for an added row; of a changed row only the cells that differ.
        after: The same for the right side, None for a removed row.
    """

    kind: ChangeKind
    key: Mapping[str, object]
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None


class Retyped(Struct, frozen=True):
    """A column that has another type on the right side, as pandas names types."""

    name: str
    old: str
    new: str


class TableDiff(Struct, frozen=True, kw_only=True):
    """How the rows of a table differ between two versions.

    Attributes:
        title: Names the table and its versions.
        key: Columns by which rows are matched.
        added, removed, unchanged: Numbers of rows.
        changed: Number of rows in which a cell differs, in the columns that both sides have.
        columns_added, columns_removed: Names of columns that only one side has; a renamed column is one of each.
        columns_retyped: Columns whose type differs.
        columns: All columns but the key, in the order of the right side, then those that it does not have.
        rows: The first rows of each kind, by key.
    """

    title: str
    key: tuple[str, ...]
    added: int
    removed: int
    changed: int
    unchanged: int
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    columns_retyped: tuple[Retyped, ...]
    columns: tuple[str, ...]
    rows: tuple[RowChange, ...]

    @property
    def counts(self) -> dict[ChangeKind, int]:
        """Rows of each kind of change."""
        return {"added": self.added, "removed": self.removed, "changed": self.changed}

    def to_pandas(self) -> "pd.DataFrame":
        """Return `rows` as a frame: a column `change`, the key, and each column in which one of these rows differs.

        Added and removed rows hold their values; changed rows hold the text `old → new`, blank where nothing changed.
        Where the table has a column `change`, ours is called `change_`.
        """
        import pandas as pd

        records: list[dict[str, object]] = []
        for row in self.rows:
            if row.before is not None and row.after is not None:
                cells = dict.fromkeys(self.columns, "") | {
                    name: change_text(old, row.after[name]) for name, old in row.before.items()
                }
            else:
                cells = dict.fromkeys(self.columns) | dict(row.before or row.after or {})
            records.append(dict(row.key) | cells)
        used = {name for row in self.rows for cells in (row.before, row.after) for name in cells or ()}
        names = [*self.key, *(name for name in self.columns if name in used)]
        frame = pd.DataFrame({name: pd.Series([record[name] for record in records], dtype=object) for name in names})
        label = "change"
        while label in frame.columns:
            label += "_"
        frame.insert(0, label, [row.kind for row in self.rows])
        return frame

    def __repr__(self) -> str:
        from datastore.notebook.reprs import table_diff_headline

        return table_diff_headline(self)

    def __str__(self) -> str:
        from datastore.notebook.reprs import table_diff_table

        return table_diff_table(self).text()

    def _repr_html_(self) -> str:
        from datastore.notebook.reprs import table_diff_table

        return table_diff_table(self).html()
