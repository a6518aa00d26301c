"""What is shown is one plain table that nothing can break out of, that fits, and that is the same every time."""

import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datastore.notebook.markup import (
    MAX_HTML_BYTES,
    MAX_ROWS,
    Cell,
    Table,
    change_text,
    safe_text,
    short_id,
    short_key,
    shorten,
    size_text,
    time_text,
)
from datastore.notebook.reprs import (
    branch_table,
    commit_table,
    diff_table,
    handle_table,
    log_table,
    repo_table,
    table_diff_headline,
    table_diff_table,
)
from datastore.tables import diff_tables
from datastore.values import BranchInfo, Change, CommitInfo, Digest, ObjectInfo, TagInfo

HOSTILE = [
    "<script>window.PWN=1</script>",
    '<img src=x onerror="window.PWN=1">',
    "'\"><svg onload=alert(1)>",
    "</td></table><h1>out",
    "<!-- ",
    "&lt;b&gt; &amp; &#x202e;",
    "javascript:alert(1)",
    "safe\u202egnp.exe",
    "zero\u200bwidth \u2066isolate",
    "nul\0bell\x07escape\x1b[31m",
    "line\nbreak\r\ttab\u2028separator",
    "lone \ud800 surrogate",
    "k/" * 2048,
    "<" * 4096,
    "\u202e" * 4096,
    "",
    " ",
]
ALLOWED = {
    "table": set(),
    "caption": {"style"},
    "thead": set(),
    "tbody": set(),
    "tfoot": set(),
    "tr": set(),
    "th": {"scope", "style"},
    "td": {"style", "title", "colspan"},
    "code": set(),
}


class Page(HTMLParser):
    """Collects what a browser would make of the HTML, and fails on everything that is not allowed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.titles: list[str] = []
        self.open: list[str] = []
        self.rows = 0
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert tag in ALLOWED
        assert {name for name, _ in attrs} <= ALLOWED[tag]
        values = dict(attrs)
        assert values.get("style") in {None, "text-align:left", "text-align:right"}
        assert values.get("scope") in {None, "col"}
        assert values.get("colspan", "1").isdigit()
        if "title" in values:
            self.titles.append(values["title"])
        self.rows += tag == "tr" and self.open[-1] == "tbody"
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in {"caption", "td", "th"}:
            self.words.append(" ")

    def handle_data(self, data):
        self.words.append(data)

    def handle_comment(self, data):
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def check(table: Table) -> Page:
    """Hold every promise that any table makes."""
    html, text = table.html(), table.text()
    assert len(html.encode()) <= MAX_HTML_BYTES
    page = Page(html)
    assert page.rows <= MAX_ROWS
    assert len(text.splitlines()) <= 25
    assert text.replace("\n", "").isprintable()
    assert html.replace("\n", "").isprintable()
    assert (html, text) == (table.html(), table.text())
    return page


def info(size: int = 1, *, digest: str | None = None) -> ObjectInfo:
    return ObjectInfo(key="k", size=size, modified_us=0, etag="e", identity="i", digest=digest and Digest(digest))


def commit(i: int = 0, **fields) -> CommitInfo:
    values = {
        "id": f"{i:08x}" + "ab" * 28,
        "parents": (f"{i + 1:08x}" + "cd" * 28,),
        "author": "Ada",
        "time_us": 1_794_232_920_000_000,
        "message": "add winter & co",
        "metadata": {},
        "tree": "t",
    }
    return CommitInfo(**values | fields)


def added(*keys: str) -> list[Change]:
    return [Change(key=key, before=None, after=info(10)) for key in keys]


def row_diff(text: str, *, columns: int = 2):
    names = [f"{text[:200]}{i}" for i in range(columns)]
    before = pd.DataFrame({text or "empty": [text, "b"]} | {name: ["a", "x"] for name in names})
    after = pd.DataFrame({text or "empty": [text, "c"]} | {name: [text, "y"] for name in names})
    return table_diff_table(diff_tables(before, after, key=text or "empty", title=text))


SURFACES: dict[str, Callable[[str], Table]] = {
    "repo": lambda text: repo_table(
        text,
        text,
        branches=[BranchInfo(name=text, head=text)] * 30,
        tags=[TagInfo(name=text, commit=text)],
        default_branch=text,
    ),
    "branches": lambda text: branch_table(
        text,
        [BranchInfo(name=text, head=text), BranchInfo(name="x", head="y")] * 15,
        default_branch="main",
        commits={text: commit(author=text, message=text)},
    ),
    "branch": lambda text: handle_table(text, text),
    "log": lambda text: log_table([commit(id=text, author=text, message=text)] * 30, title=text),
    "commit": lambda text: commit_table(
        commit(
            id=text, parents=(text, text), author=text, message=text, metadata={f"{text}{i}": text for i in range(30)}
        ),
        counts={"added": 3},
    ),
    "diff": lambda text: diff_table(text, added(*(f"{text}/{i % 3}/{i}.csv" for i in range(30)))),
    "one change": lambda text: diff_table(text, [Change(key=f"{text}.csv", before=info(1), after=info(2))]),
    "row diff": row_diff,
    "wide row diff": lambda text: row_diff(text, columns=300),
}


STORABLE = {  # pandas cannot hold a lone surrogate
    surface: [text for text in HOSTILE if "\ud800" not in text or not surface.endswith("row diff")]
    for surface in SURFACES
}


@pytest.mark.parametrize(
    ("surface", "text"),
    [
        pytest.param(surface, text, id=f"{surface}-{i}")
        for surface in SURFACES
        for i, text in enumerate(STORABLE[surface])
    ],
)
def test_hostile_text_is_shown_and_does_nothing(surface: str, text: str) -> None:
    page = check(SURFACES[surface](text))
    beginning = " ".join(shorten(text, 10).rstrip("…").split())
    assert beginning in page.text
    assert beginning in " ".join(SURFACES[surface](text).text().split())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=300), st.sampled_from(sorted(set(SURFACES) - {"row diff", "wide row diff"})))
def test_any_text_is_shown_and_does_nothing(text: str, surface: str) -> None:
    check(SURFACES[surface](text))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.text(max_size=3000), min_size=12, max_size=12), max_size=25), st.text())
def test_every_table_of_twelve_columns_fits(rows: list[list[str]], text: str) -> None:
    page = check(Table(caption=[text] * 4, columns=[text] * 12, rows=rows, footer=[text] * 2))
    if len(rows) > page.rows:
        assert f"… {len(rows) - page.rows:,} more row" in page.text


def test_the_largest_table_fits() -> None:
    worst = "'" * 5000
    for kind in ("text", "key", "code", "number"):
        rows = [[Cell(worst, kind, worst)] * 12] * MAX_ROWS
        check(Table(caption=[worst] * 7, columns=[worst] * 12, rows=rows, footer=[worst] * 2))


# ------------------------------------------------------------------------------------------------------------- formats


def test_safe_text_writes_out_what_cannot_be_seen() -> None:
    assert safe_text("a\u202eb\0\n\U000e0041\u00a0é→") == r"a\u202eb\u0000\u000a\U000e0041\u00a0é→"


@given(st.text(), st.integers(3, 40), st.booleans())
def test_shorten_keeps_to_its_limit_and_to_whole_escapes(text: str, limit: int, middle: bool) -> None:
    short = shorten(text, limit, middle=middle)
    assert len(short) <= limit
    safe = safe_text(text)
    if len(safe) <= limit:
        assert short == safe
    else:
        head, _, tail = short.partition("…") if "…" not in safe else (short[:0], "", short[:0])
        assert safe.startswith(head)
        assert safe.endswith(tail)


def test_keys_are_cut_in_the_middle() -> None:
    short = short_key("images/2026/" + "winter/" * 40 + "coat.png")
    assert len(short) == 60
    assert short.startswith("images/2026/")
    assert short.endswith("/coat.png")
    assert short_key("a/b.png") == "a/b.png"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1,023 B"),
        (1024, "1.0 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (1_258_291, "1.2 MiB"),
        (2 * 1024**3, "2.0 GiB"),
        (5 * 1024**6, "5,120.0 PiB"),
        (-2_355, "-2.3 KiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


def test_signed_sizes() -> None:
    assert [size_text(size, signed=True) for size in (10, 0, -10)] == ["+10 B", "0 B", "-10 B"]


def test_times_are_absolute_and_in_utc() -> None:
    rome = timezone(timedelta(hours=1))
    assert time_text(datetime(2026, 1, 1, 0, 30, 59, tzinfo=rome)) == "2025-12-31 23:30 UTC"
    assert time_text(datetime(2026, 11, 9, 14, 2, tzinfo=UTC)) == "2026-11-09 14:02 UTC"


def test_short_ids_have_eight_digits() -> None:
    assert short_id("3f9a2c1d" + "0" * 56) == "3f9a2c1d"


def test_changes_that_would_look_alike_are_literals() -> None:
    assert change_text(0.03, 99.0) == "0.03 → 99.0"
    assert change_text("a b", "a  b") == "'a b' → 'a  b'"
    assert change_text(None, "null") == "None → 'null'"
    assert change_text(datetime(2026, 1, 1, tzinfo=UTC), None) == "2026-01-01 00:00:00+00:00 → null"


# ------------------------------------------------------------------------------------------------------------ surfaces


def test_long_keys_have_the_full_key_in_the_title() -> None:
    keys = [f"images/{'winter/' * 50}{name}.png" for name in "ab"]
    page = check(diff_table("main..exp", added(*keys)))
    assert set(keys) <= set(page.titles)
    assert "…" in page.text


def test_commit_ids_are_short_in_code_and_full_in_the_title() -> None:
    one = commit()
    html = log_table([one]).html()
    assert f"<code>{one.id[:8]}</code>" in html
    assert one.id in check(log_table([one])).titles
    assert f"<code>{one.id[:8]}</code>" in commit_table(one).html()


def test_numbers_stand_on_the_right() -> None:
    html = diff_table("a..b", added("x")).html()
    assert '<td style="text-align:right">+10 B</td>' in html
    assert '<th scope="col" style="text-align:right">size</th>' in html
    assert Table(caption=["t"], columns=["n"], rows=[[1234567]]).text().splitlines()[-1] == "  1,234,567"


def test_diff_says_sign_and_word_for_every_count() -> None:
    changes = [
        *added("new/extra.csv"),
        Change(key="train.parquet", before=info(10), after=info(77_000)),
        Change(key="val.csv", before=info(2_355), after=None),
    ]
    page = check(diff_table("main..exp", changes))
    assert page.text.startswith("Diff main..exp +1 added -1 removed ~1 changed +72.9 KiB")
    for words in ("+ added", "~ changed", "- removed", "+10 B", "+75.2 KiB", "-2.3 KiB"):
        assert words in page.text
    assert page.text.endswith("Next: diff.table('train.parquet', key=…)")


def test_diff_of_attributes_alone_says_so() -> None:
    change = Change(key="a", before=info(digest="sha256:0"), after=info(digest="sha256:0"))
    assert "~ changed attributes" in check(diff_table("a..b", [change])).text


def test_diff_counts_by_prefix_below_what_all_keys_share() -> None:
    changes = added(*sorted(f"data/images/{'abc'[i % 3]}/{i:03}.png" for i in range(100)), "data/images/readme.md")
    lines = diff_table("a..b", changes).text().splitlines()
    assert [line.split() for line in lines[2:5]] == [
        ["+34", "added", "data/images/a/", "+340", "B"],
        ["+33", "added", "data/images/b/", "+330", "B"],
        ["+33", "added", "data/images/c/", "+330", "B"],
    ]
    assert lines[-2] == "  … 84 more rows"


def test_prefixes_that_say_no_more_than_the_keys_are_left_out() -> None:
    assert len(diff_table("a..b", added("a/1", "b/1", "c")).rows) == 3
    assert len(diff_table("a..b", added("a/1", "a/2")).rows) == 2


def test_limits_hold_with_a_hundred_thousand_changes() -> None:
    changes = added(*sorted(f"{i % 1000:03}/{'deep/' * 100}{i}.parquet" for i in range(100_000)))
    page = check(diff_table("main..exp", changes))
    assert "+100,000 added" in page.text
    assert "+100 added" in page.text
    assert f"… {100_000 + 6 - page.rows:,} more rows" in page.text
    assert page.rows == MAX_ROWS


def test_limits_hold_with_a_hundred_thousand_commits() -> None:
    page = check(log_table([commit(i) for i in range(100_000)], title="main"))
    assert page.text.startswith("Log main 100,000 commits")
    assert "… 99,980 more rows" in page.text


def test_diff_whose_end_is_not_fetched_shows_the_totals() -> None:
    page = check(diff_table("a..b", added("x/1", "x/2"), counts={"added": 5000, "removed": 2}))
    assert "+5,000 added -2 removed ~0 changed" in page.text
    assert "… 5,000 more rows" in page.text
    assert page.text.endswith("Next: diff.to_pandas()")


def test_an_empty_diff_says_so() -> None:
    assert check(diff_table("a..b", [])).text == "Diff a..b +0 added -0 removed ~0 changed 0 B No differences"


def test_repo_says_what_is_not_fetched_and_how_to_get_it() -> None:
    page = check(repo_table("garments", "embedded ~/store"))
    assert page.text == (
        "Repo garments embedded ~/store branches and tags: not fetched Next: repo.branches(), repo.tags(), repo.log()"
    )
    half = check(repo_table("garments", "x", branches=[BranchInfo(name="main", head="ab" * 32)], default_branch="main"))
    assert "1 branch; tags: not fetched" in half.text
    assert "abababab default" in half.text


def test_branches_with_and_without_their_commits() -> None:
    one = commit(1)
    branches = [
        BranchInfo(name="main", head=one.id, protected=True),
        BranchInfo(name="exp", head="ff" * 32, hidden=True),
    ]
    bare = check(branch_table("garments", branches, default_branch="main"))
    assert "default, protected" in bare.text
    assert "Ada" not in bare.text
    full = check(branch_table("garments", branches, default_branch="main", commits={one.id: one}))
    assert "2026-11-09 14:02 UTC Ada add winter & co" in full.text
    assert "not fetched" in full.text
    assert full.text.endswith("Next: repo.branch('main'), repo.diff('main', 'exp')")


def test_commit_shows_message_and_metadata() -> None:
    one = commit(message="add winter\n\n" + "word " * 30, metadata={"run": "12", "b": "x"})
    text = commit_table(one, counts={"added": 3, "removed": 1}).text()
    assert text.startswith(
        "Commit  00000000  Ada  2026-11-09 14:02 UTC  parent  00000001  +3 added  -1 removed  ~0 changed"
    )
    assert text.count("word") == 30
    assert re.search(r"\n  b +x\n  run +12\n", text)


def test_long_messages_say_how_much_is_left_out() -> None:
    page = check(commit_table(commit(message="\n".join(f"line {i}" for i in range(50)), parents=())))
    assert "first commit" in page.text
    assert "line 8" in page.text
    assert "line 9" not in page.text
    assert "… 41 more lines: commit.message" in page.text


def test_row_diff_shows_every_kind_of_change_in_its_twenty_rows() -> None:
    before = pd.DataFrame({"id": range(1000), "x": 0})
    after = pd.DataFrame({"id": range(500, 1500), "x": [1] * 30 + [0] * 970})
    diff = diff_tables(before, after, key="id", title="t  a..b")
    page = check(table_diff_table(diff))
    shown = [page.text.count(words) for words in ("+ added", "- removed", "~ changed")]
    assert sum(shown) == MAX_ROWS
    assert min(shown) >= 6
    assert "… 1,010 more rows 470 rows unchanged" in page.text
    assert table_diff_headline(diff) == "TableDiff t  a..b  key=id   +500 added  -500 removed  ~30 changed"


def test_row_diff_counts_the_columns_it_does_not_show() -> None:
    before = pd.DataFrame({"id": [1]} | {f"c{i}": [0] for i in range(50)})
    diff = diff_tables(before, before.assign(**{f"c{i}": [1] for i in range(50)}), key="id")
    page = check(table_diff_table(diff))
    assert page.text.count("0 → 1") == 10
    assert "… 40 more columns" in page.text


def test_row_diff_without_kept_rows_says_how_to_get_them() -> None:
    diff = diff_tables(pd.DataFrame({"id": [1]}), pd.DataFrame({"id": [2]}), key="id", limit=0)
    assert check(table_diff_table(diff)).text.endswith("… 2 more rows 0 rows unchanged Next: pass limit=20")


def test_html_and_text_have_the_same_words() -> None:
    tables = [surface("plain") for name, surface in SURFACES.items() if name != "wide row diff"]
    for table in tables:
        assert " ".join(table.text().split()) == Page(table.html()).text


def test_another_process_gives_the_same_bytes() -> None:
    code = (
        "from datastore.notebook.reprs import *; from datastore.values import *;"
        "c = CommitInfo(id='ab'*32, parents=(), author='Ada', time_us=0, message='m',"
        " metadata={k: 'v' for k in {'a', 'b', 'c', 'd'}}, tree='t');"
        "i = ObjectInfo(key='k', size=1, modified_us=0, etag='e', identity='i');"
        "d = [Change(key=f'{x}/{y}', before=None, after=i) for x in 'abcdefghij' for y in 'ab'];"
        "print(commit_table(c).html(), log_table([c]).text(), diff_table('a..b', d).html())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": seed, "TZ": zone}
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }
    assert len(outputs) == 1


def test_reprs_load_nothing_heavy() -> None:
    heavy = "{'pandas', 'numpy', 'pyarrow', 'IPython'}"
    code = f"import sys, datastore.notebook.reprs; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "[]\n"
