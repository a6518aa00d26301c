"""In a notebook, where a loop runs: what is awaited, and what is not."""

import textwrap

import nbformat
from nbclient import NotebookClient

CELLS = [
    """
    import asyncio, warnings
    import pandas as pd
    import datastore as ds
    from datastore import aio
    warnings.simplefilter("error")
    repo = await aio.create_repo("garments")
    main = repo.branch("main")
    async with repo.transaction(message="First rows") as tx:
        pd.DataFrame({"id": [1, 2]}).to_parquet(tx / "train.parquet")
    """,
    """
    paths = await asyncio.gather(*(aio.resolve("ds://garments@main/train.parquet") for _ in range(50)))
    print(len(set(paths)), len(pd.read_parquet(paths[0])), len(pd.read_parquet("ds://garments@main/train.parquet")))
    """,
    """
    asyncio.get_running_loop()  # there is one, and everything synchronous works in it
    branch = ds.repo("garments").branch("main")
    branch.objects.put("a.csv", b"id")
    commit = branch.commit("By hand")
    batches = [len(batch["id"]) async for batch in await aio.stream("ds://garments@main/train.parquet", batch_size=1)]
    print(ds.resolve(commit / "a.csv").read_text(), len(list(ds.stream(commit / "train.parquet"))), batches)
    """,
    "main",
]


def test_a_notebook_awaits_and_calls(place):
    cells = [nbformat.v4.new_code_cell(textwrap.dedent(cell).strip()) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(place)}}).execute()
    outputs = [output for cell in cells for output in cell.outputs]
    assert [output["text"] for output in outputs if output["output_type"] == "stream"] == ["1 2 2\n", "id 1 [1, 1]\n"]
    assert outputs[-1]["data"]["text/plain"] == "aio.Branch('garments', 'main')"
    assert "garments" in outputs[-1]["data"]["text/html"]
