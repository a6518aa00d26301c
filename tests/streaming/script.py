"""What test_processes.py runs in processes of their own: `script.py fork|spawn|train|rank …`."""

import json
import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path

import datastore as ds
from tests.streaming import data

OPTIONS = {"shuffle": 3, "batch_size": 16, "epochs": 2, "window": 64 << 10}


def work(stream, worker, queue):
    """Send what one of four workers sees, and how many threads it has at the end."""
    rows = [data.numbers(batch) for batch in stream.worker(worker, 4)]
    queue.put((worker, rows, str(stream.url), threading.active_count()))


def workers(method, url):
    """Four workers read while their parent does; it has a half-read iterator before it forks, which all inherit."""
    stream = ds.stream(url, **OPTIONS)
    running = iter(stream)
    first = [data.numbers(next(running))]
    context = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    children = [context.Process(target=work, args=(stream, worker, queue)) for worker in range(4)]
    for child in children:
        child.start()
    whole = first + [data.numbers(batch) for batch in running]
    told = sorted(queue.get() for _ in children)
    for child in children:
        child.join()
    got = [told[place % 4][1][place // 4] for place in range(len(whole))]
    right = got == whole and sorted(n for batch in whole for n in batch) == sorted(2 * [*range(data.ROWS)])
    urls = {url for _, _, url, _ in told}
    tidy = all(threads <= 2 for _, _, _, threads in told)  # the main thread and that of our engine
    mine = [thread.name for thread in threading.enumerate() if thread.name.startswith("datastore-stream")]
    print(right, urls == {str(stream.url)}, tidy, mine, [child.exitcode for child in children])


def inherited(url):
    """A forked child goes on with the iterator that its parent is using."""
    running = iter(ds.stream(url, **OPTIONS))
    next(running)
    child = os.fork()
    rest = [data.numbers(batch) for batch in running]
    if child == 0:
        os._exit(len(rest) % 251)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == len(rest) % 251)


def abandon(url):
    """Leave an iterator where it is when the interpreter ends."""
    running = iter(ds.stream(url, **OPTIONS))
    next(running)
    globals()["kept"] = running
    print("over")


def train(url, folder, state):
    """Train from a state, if there is one: after each batch write down what was seen, and then the state."""
    folder = Path(folder)
    stream = ds.stream(url, **OPTIONS)
    if Path(state).exists():
        stream.load_state_dict(json.loads(Path(state).read_text()))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("begun", flush=True)
    for place, batch in enumerate(stream):
        (folder / f"{stream.epoch}-{place}").write_text(json.dumps(data.numbers(batch)))
        (folder / "next").write_text(json.dumps(stream.state_dict()))
        (folder / "next").replace(folder / "state")
        print(place, flush=True)


def rank(url):
    """Show the batches of this rank; take the first of them, then wait to be told."""
    running = iter(ds.stream(url, **OPTIONS))
    rows = [data.numbers(next(running))]
    print("begun", flush=True)
    sys.stdin.readline()
    print(json.dumps(rows + [data.numbers(batch) for batch in running]))


if __name__ == "__main__":
    way, *arguments = sys.argv[1:]
    if way == "train":
        train(*arguments)
    elif way in {"inherited", "abandon", "rank"}:
        globals()[way](*arguments)
    else:
        workers(way, *arguments)
