import doctest
from pathlib import Path

import pytest

from benchmarks import page as page_module
from benchmarks import showing
from benchmarks.page import replaced, table

SECTIONS = ("embedded", "folders", "lakefs", "local", "reading", "resolve", "s3", "stream")
PAGE = """# Benchmarks

Words.

<!-- measured: s3 -->
<!-- end -->

More words.

<!-- measured: embedded -->
<!-- end -->

### Not a table of a run

The last words.
"""


def test_a_run_writes_between_the_marks_of_its_section_and_nowhere_else():
    page = replaced(PAGE, "embedded", {"add": table(["client", "s"], [["git", "1"]])})
    before, _, rest = page.partition("<!-- measured: embedded -->\n")
    inside, _, after = rest.partition("<!-- end -->")
    assert before + "<!-- measured: embedded -->\n<!-- end -->" + after == PAGE
    assert inside == "\n### add\n\n| client | s |\n|---|---:|\n| git | 1 |\n\n"


def test_a_table_takes_the_place_of_the_one_with_its_title_and_the_others_stay():
    page = replaced(PAGE, "s3", {"add": "| 1 |\n\nold", "get": "| 2 |", "list, 20 ms": "| 3 |"})
    page = replaced(page, "s3", {"get": "| new |\n\ntoday, 2 cores", "more": "| 4 |"})
    expected = {"add": "| 1 |\n\nold", "get": "| new |\n\ntoday, 2 cores", "list, 20 ms": "| 3 |", "more": "| 4 |"}
    assert page == replaced(PAGE, "s3", expected)
    assert page.count("### ") == 5


def test_the_same_run_again_changes_nothing():
    page = replaced(PAGE, "s3", {"add": "| 1 |"})
    assert replaced(page, "s3", {"add": "| 1 |"}) == page
    assert replaced(page, "s3", {}) == page
    assert replaced(PAGE, "s3", {}) == PAGE


def test_a_section_that_the_page_does_not_have_is_named():
    with pytest.raises(ValueError, match="measured: lakefs"):
        replaced(PAGE, "lakefs", {"add": ""})
    with pytest.raises(ValueError, match="<!-- end -->"):
        replaced("<!-- measured: s3 -->\n", "s3", {"add": ""})


@pytest.mark.parametrize("section", SECTIONS)
def test_our_page_takes_the_tables_of_every_section(section):
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    written = replaced(page, section, {"a table of this test": "| x |"})
    assert "### a table of this test\n\n| x |\n" in written
    assert written.count("<!-- measured: ") == written.count("<!-- end -->") == len(SECTIONS)


@pytest.mark.parametrize("module", [page_module, showing])
def test_the_examples_are_true(module):
    done = doctest.testmod(module)
    assert done.attempted
    assert not done.failed
