import pytest

from tests.project.blocks import Block, BlockError, parse


def test_blocks_keep_order_language_and_line():
    page = "# Title\n\n```python\nx = 1\n```\ntext\n```bash title='a'\nls\n\nls\n```\n```text\nout\n```\n"
    assert parse(page) == [Block("python", "x = 1\n", 4), Block("bash", "ls\n\nls\n", 8), Block("text", "out\n", 13)]
    assert [b.runs for b in parse(page)] == [True, True, False]


def test_the_comment_on_the_line_before_takes_a_block_out():
    page = "<!-- no-run: needs a cluster -->\n```python\nx\n```\n```python\ny\n```\n"
    assert [b.no_run for b in parse(page)] == ["needs a cluster", None]


def test_a_block_in_a_list_loses_its_indent_only():
    page = "1. Do\n\n    ```python\n    if x:\n        y\n\n    z\n    ```\n"
    assert parse(page)[0].code == "if x:\n    y\n\nz\n"


def test_a_longer_fence_shows_a_block_without_running_it():
    page = "````markdown\n```python\nboom\n```\n````\n"
    assert parse(page) == [Block("markdown", "```python\nboom\n```\n", 2)]


@pytest.mark.parametrize("marker", ["# install and run", "# install and test"])
def test_the_set_up_blocks_are_left_to_ci(marker: str):
    assert not parse(f"```bash\n{marker}\npip install .\n```\n")[0].runs
    assert parse(f"```bash\nls\n{marker}\n```\n")[0].runs


def test_inline_code_with_three_ticks_opens_nothing():
    assert parse("```not a block```\n") == []


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("\n```python\nx\n", "line 2: the block is not closed"),
        ("<!-- no-run: -->\n```python\nx\n```\n", "line 1: `no-run` needs a reason"),
        ("<!-- no-run: later -->\n\n```python\nx\n```\n", "line 1: `no-run` stands above no block"),
        ("<!-- no-run: later -->\n", "line 1: `no-run` stands above no block"),
        ("```sh\nls\n```\n", "line 1: language 'sh'"),
        ("```\nls\n```\n", "line 1: language ''"),
    ],
)
def test_what_would_hide_a_block_is_an_error(page: str, message: str):
    with pytest.raises(BlockError, match=message):
        parse(page)
