"""The notebooks and examples that we show run, in the ways that people run them."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run_notebook(notebook: nbformat.NotebookNode, folder: Path, *, times: int) -> nbformat.NotebookNode:
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    with client.setup_kernel():
        for _ in range(times):
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
    return notebook


def texts(notebook: nbformat.NotebookNode) -> str:
    return "\n".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_twice_in_one_kernel_and_again_in_a_fresh_one(path: Path, tmp_path: Path):
    for times in (2, 1):
        notebook = run_notebook(nbformat.read(path, as_version=4), tmp_path, times=times)
        shown = texts(notebook)
        assert "344 rows" in shown
        assert "-11 removed" in shown


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_kept_without_outputs(path: Path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_the_notebook_that_quickstart_writes_is_the_one_in_notebooks():
    shipped = ROOT / "datastore" / "data" / "01_start.ipynb"
    assert shipped.read_bytes() == (ROOT / "notebooks" / "01_start.ipynb").read_bytes()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs_as_often_as_one_likes(path: Path):
    for _ in range(2):
        command = [sys.executable, "-W", "error", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "changed" in done.stdout
