import ast
import re
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "datastore").rglob("*.py"))
TEST_ID = re.compile(r"`([\w./-]+\.py(?:::\w+)+)`")


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_modules_stay_small():
    sizes = {path.relative_to(ROOT).as_posix(): lines_of(path) for path in MODULES}
    assert {name: size for name, size in sizes.items() if size > 600} == {}
    assert statistics.median(sizes.values()) <= 220


def test_functions_stay_small():
    long = [
        f"{path.relative_to(ROOT).as_posix()}:{node.lineno} {node.name}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert long == []


def table_rows(page: str) -> list[str]:
    """The rows of a page's Markdown tables, without their headings."""
    lines = page.splitlines()
    rules = {i for i, line in enumerate(lines) if re.fullmatch(r"\|[\s|:-]+\|", line)}
    return [line for i, line in enumerate(lines) if line.startswith("|") and not {i, i + 1} & rules]


def defined(test_id: str) -> bool:
    """Whether the file, and the class or function in it, exist."""
    name, *parts = test_id.split("::")
    path = ROOT / name
    if not path.is_file():
        return False
    body: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
    for part in parts:
        found = [n for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == part]
        if not found:
            return False
        body = found[0].body
    return True


def unproved(page: str) -> list[str]:
    """The rows that name no test, or one that is not there."""
    rows = [(row, TEST_ID.findall(row)) for row in table_rows(page)]
    return [row for row, ids in rows if not ids or not all(map(defined, ids))]


def test_each_guarantee_names_a_test_that_exists():
    page = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    assert table_rows(page)
    assert unproved(page) == []


def test_each_scenario_is_held_by_tests_with_its_number_and_none_is_left_out():
    page = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    rows = [row for row in table_rows(page) if re.match(r"\| \d+ \|", row)]
    named = {(int(row.split("|")[1]), test_id) for row in rows for test_id in TEST_ID.findall(row)}
    assert len(rows) > 20
    assert [(number, test_id) for number, test_id in named if f"_s{number:02}_" not in test_id] == []
    numbers = {number for number, _ in named}
    for path in (ROOT / "tests").rglob("test_*.py"):
        found = re.findall(r"^def test_(s\d\d_(?:s\d\d_)*)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert {int(number) for text in found for number in re.findall(r"\d\d", text)} <= numbers, path


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "`tests/project/test_architecture.py`",
        "`tests/project/gone.py::test_modules_stay_small`",
        "`tests/project/test_architecture.py::test_gone`",
        "`tests/project/test_architecture.py::test_modules_stay_small` `tests/gone.py::test_x`",
    ],
)
def test_a_guarantee_without_a_test_is_noticed(cell: str):
    good = "| a | `tests/project/test_architecture.py::test_modules_stay_small` |"
    assert unproved(f"| what | test |\n|---|---|\n{good}\n| b | {cell} |\n") == [f"| b | {cell} |"]


def test_the_index_of_decisions_links_to_each():
    folder = ROOT / "docs" / "decisions"
    linked = re.findall(r"\]\((\d{3}-[\w-]+\.md)\)", (folder / "index.md").read_text(encoding="utf-8"))
    assert linked == sorted(path.name for path in folder.glob("[0-9]*.md"))
