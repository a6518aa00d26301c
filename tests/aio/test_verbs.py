"""The API, awaited, does what the synchronous one does, on both kinds of stores."""

import asyncio

import pandas as pd
import pytest

import datastore as ds
from datastore import aio
from datastore.errors import AlreadyExists, MergeConflict, NotFound


def test_a_story_of_branches_and_commits(name):
    async def story():
        repo = aio.repo(name)
        main = repo.branch("main")
        assert repo.branch() == main
        info = await main.objects.put("a.csv", b"id\n1\n")
        assert (await main.objects.head("a.csv")).size == info.size == 5
        assert (await main.uncommitted()).added == ["a.csv"]
        first = await main.commit("First rows", metadata={"by": "hand"})
        assert isinstance(first, ds.Commit)
        assert await main.head() == first
        assert await repo.commit_of(main) == first
        assert (await main.commit("Nothing", empty="skip")) == first

        exp = await repo.create_branch("exp", main)
        assert exp == repo.branch("exp")
        assert await repo.branches() == [exp, main]
        await exp.objects.put("b.csv", b"id\n2\n")
        second = await exp.commit("Second")
        assert (await repo.diff(main, exp)).added == ["b.csv"]
        merged = await repo.merge(exp, main, message="Take it in")
        assert merged.parents[0] == first.id
        assert [one.message for one in await repo.log(main)][:2] == ["Take it in", "Second"]
        assert await repo.merge_base(main, exp) == second
        tag = await repo.create_tag("v1", main)
        assert [one.name for one in await repo.tags()] == [tag.name] == ["v1"]
        assert await repo.at("v1") == f"ds://{name}@{merged.id}/"
        assert (await aio.resolve(await repo.at(main) / "b.csv")).read_bytes() == b"id\n2\n"
        with pytest.raises(AlreadyExists):
            await repo.create_branch("exp")
        with pytest.raises(NotFound):
            await main.objects.head("gone")
        await main.objects.delete(["a.csv"])
        assert await main.restore("a.csv", exp) == 1
        assert await main.reset() == 0
        await repo.delete_branch("exp")
        assert await repo.branches() == [main]

    asyncio.run(story())


def test_what_gives_one_thing_after_the_other_is_iterated_asynchronously(name):
    async def story():
        main = aio.repo(name).branch("main")
        await asyncio.gather(*(main.objects.put(f"d/{n:02}", b"%d" % n) for n in range(40)))
        pages = [page async for page in main.objects.list("d/")]
        assert [info.key for page in pages for info in page.objects] == [f"d/{n:02}" for n in range(40)]
        async for page in main.objects.list(delimiter="/"):
            assert list(page.prefixes) == ["d/"]
        await main.objects.put("big", bytes(3 << 20))
        async with main.objects.read("big") as reader:
            assert reader.info.size == 3 << 20
            head = await reader.read(10)
            rest = [piece async for piece in reader]
        assert head + b"".join(rest) == bytes(3 << 20)
        assert reader.sync.closed
        with pytest.raises(NotFound):
            async with main.objects.read("gone"):
                pass

    asyncio.run(story())


def test_a_transaction_is_all_or_nothing(name):
    async def story():
        repo = aio.repo(name)
        main = repo.branch("main")
        async with repo.transaction(message="Both") as tx:
            pd.DataFrame({"id": [1]}).to_csv(tx / "a.csv", index=False)  # a synchronous call, in the running loop
            await tx.branch.objects.put("b.csv", b"id\n")
        assert tx.commit == await main.head()
        assert [info.key async for page in main.objects.list() for info in page.objects] == ["a.csv", "b.csv"]
        with pytest.raises(ZeroDivisionError):
            async with repo.transaction(main, message="Never") as tx:
                await tx.branch.objects.put("c.csv", b"id\n")
                1 / 0  # noqa: B018
        assert tx.commit is None
        assert [branch.name for branch in await repo.branches(hidden=True)] == ["main"]
        with pytest.raises(NotFound):
            await main.objects.head("c.csv")

    asyncio.run(story())


def test_an_experiment_keeps_what_was_written(name):
    async def story():
        repo = aio.repo(name)
        await repo.branch("main").objects.put("a.csv", b"1")
        await repo.branch("main").commit("First")
        async with repo.experiment("dedupe", params={"threshold": 0.9}) as exp:
            await exp.branch.objects.put("a.csv", b"2")
            exp.log_metrics(f1=0.5)
            commit = await exp.commit("Less")
            assert exp / "a.csv" == f"ds://{name}@dedupe/a.csv"
        assert (exp.name, exp.params, exp.metrics, exp.repo) == ("dedupe", {"threshold": 0.9}, {"f1": 0.5}, repo)
        assert commit.metadata["experiment"] == "dedupe"
        assert (await exp.diff()).changed == ["a.csv"]
        await repo.branch("main").objects.put("a.csv", b"3")
        await repo.branch("main").commit("Other")
        with pytest.raises(MergeConflict):
            await exp.merge()
        await exp.merge(repo.branch("main"), strategy="source-wins")
        assert await aio.resolve(await repo.at("main") / "a.csv") == ds.resolve(ds.repo(name).at("main") / "a.csv")
        again = await repo.experiment("dedupe", resume="must").start()
        assert isinstance(again, aio.Experiment)

    asyncio.run(story())


def test_functions_of_the_module(place):
    async def story():
        repo = await aio.create_repo("garments")
        assert await aio.repos() == [repo]
        await repo.branch("main").objects.put("img/1.png", b"one")
        commit = await repo.branch("main").commit("First")
        assert (await aio.sync(commit / "img/", "./copy/")).added == ["1.png"]
        assert (await aio.diff("ds://garments@main/img/", "./copy/")).added == []
        path = await aio.resolve(commit / "img/")
        assert [one.name for one in path.iterdir()] == ["1.png"]
        async with aio.resolving(commit / "img/1.png") as file:
            assert file.read_bytes() == b"one"
        assert (await aio.cache.info()).entries > 0
        assert await aio.cache.verify() == []
        assert aio.cache.path == ds.cache.path
        clone = await aio.clone("ds://garments", "copy")
        assert await clone.branch("main").head() == clone.sync.branch("main").head
        assert await clone.remote() == "ds://garments"
        aio.mount("raw", "memory", name="aio-story")
        assert [mount.name for mount in await aio.mounts()] == ["raw"]
        await aio.delete_repo("copy")
        assert await aio.repos() == [repo]
        with pytest.raises(NotFound):
            aio.repo("garment")

    asyncio.run(story())


def test_a_stream_gives_its_batches_to_async_for(place):
    main = ds.create_repo("garments").branch("main")
    pd.DataFrame({"x": range(100)}).to_parquet(main / "train/0.parquet")
    main.commit("Rows")

    async def story():
        stream = await aio.stream(main / "train/", shuffle=17, batch_size=30)
        whole = [batch["x"].tolist() async for batch in stream]
        assert (len(stream), stream.rows, stream.epoch) == (4, 100, 0)
        assert whole == [batch["x"].tolist() for batch in stream.sync]
        first = stream.__aiter__()
        assert (await anext(first))["x"].tolist() == whole[0]
        state = stream.state_dict()
        await first.aclose()
        again = await aio.stream(main / "train/", shuffle=17, batch_size=30)
        again.load_state_dict(state)
        assert [batch["x"].tolist() async for batch in again] == whole[1:]
        parts = [[batch["x"].tolist() async for batch in stream.worker(number, 2)] for number in range(2)]
        assert sorted(map(tuple, parts[0] + parts[1])) == sorted(map(tuple, whole))

    asyncio.run(story())
