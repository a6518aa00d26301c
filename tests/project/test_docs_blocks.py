import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.blocks import parse

ROOT = Path(__file__).parents[2]
RUN_PAGE = Path(__file__).with_name("run_page.py")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def run_page(page: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    home = folder / "home"
    work = folder / "work"
    home.mkdir()
    work.mkdir()
    # A reader's own configuration and stores must not be seen, let alone written to.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DATASTORE", "XDG_"))}
    env |= {"DATASTORE_STORE": str(folder / "store"), "HOME": str(home)}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    command = [sys.executable, "-W", "error", str(RUN_PAGE), str(page)]
    return subprocess.run(
        command, cwd=work, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_each_block_of_the_page_runs(page: Path, tmp_path: Path):
    done = run_page(page, tmp_path)
    assert done.returncode == 0, f"{page_id(page)}\n{done.stdout}\n{done.stderr}"


def test_a_page_is_one_program_in_which_python_and_bash_alternate(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nfrom pathlib import Path\nn = 1\n```\n```bash\necho from-bash > note\n```\n"
        "```python\nprint(Path('note').read_text(), n, __name__)\n```\n",
    )
    done = run_page(page, tmp_path)
    assert done.stdout.split() == ["from-bash", "1", "__main__"], done.stderr


@pytest.mark.parametrize(
    ("block", "place"),
    [
        ("```python\nx = 1\nx / 0\n```\n", r'page\.md", line 5'),
        ("```python\nimport warnings\nwarnings.warn('old')\n```\n", r'page\.md", line 5'),
        ("```bash\ntrue\nfalse | true\n```\n", r"page\.md:4: the bash block ended with 1"),
    ],
)
def test_a_failure_names_page_and_line(block: str, place: str, tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n{block}")
    done = run_page(page, tmp_path)
    assert done.returncode == 1
    assert re.search(place, done.stderr)


def test_the_readme_shows_both_set_up_commands_and_ci_can_find_the_second():
    code = [block.code.splitlines() for block in parse((ROOT / "README.md").read_text(encoding="utf-8"))]
    assert sum(lines[:1] == ["# install and run"] for lines in code) == 1
    assert sum(lines[:1] == ["# install and test"] and len(lines) == 2 for lines in code) == 1
