"""What test_workers.py runs in processes of their own: `workers.py fill|fork|spawn URL`.

Every object `small/<n>.bin` under the URL holds `content(n)`; `table.parquet` has the column `n`, 0 to 999.
"""

import multiprocessing
import os
import sys
import threading
import traceback

SMALL = 200


def content(number):
    """What is in a small object."""
    return f"{number}:".encode() * (number + 1)


def fill(url):
    """Put the objects and the table there."""
    import fsspec
    import pandas as pd

    fs, root = fsspec.url_to_fs(url)
    fs.pipe({f"{root}/small/{number}.bin": content(number) for number in range(SMALL)})
    frame = pd.DataFrame({"n": range(1000), "square": [number**2 for number in range(1000)]})
    frame.to_parquet(f"{url}table.parquet", row_group_size=100)


def one(url, number):
    """Read an object as a training set does."""
    import fsspec

    with fsspec.open(f"{url}small/{number}.bin", "rb") as file:
        return file.read() == content(number)


def table(url):
    """Read a column as an evaluation does."""
    import pandas as pd

    return pd.read_parquet(f"{url}table.parquet", columns=["n"])["n"].sum() == 499500


def several(url, first):
    """Read a column, then fifty objects of which the next worker reads twenty-five, too."""
    return table(url) and all(one(url, (first + number) % SMALL) for number in range(50))


def by_os_fork(url):
    """Four children read while the parent reads."""
    children = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            status = 3
            try:
                status = 0 if several(url, 25 * number) else 1
            except Exception:  # noqa: BLE001 - the parent's code must not go on in a child
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        children.append(pid)
    right = several(url, 100)
    ended = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    return right and several(url, 0) and ended == [0] * 4


def report(url, first, queue):
    """Tell the parent how many threads there are, besides whether all was right."""
    right = several(url, first)
    queue.put((right, threading.active_count()))


def by_process(url, method):
    """Four children of multiprocessing, which end as Python does, while the parent reads."""
    context = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    children = [context.Process(target=report, args=(url, 25 * number, queue)) for number in range(4)]
    for child in children:
        child.start()
    right = several(url, 100)
    told = [queue.get() for _ in children]
    for child in children:
        child.join()
    tidy = all(was_right and threads <= 2 for was_right, threads in told)  # the main thread and that of our engine
    return right and tidy and [child.exitcode for child in children] == [0] * 4 and several(url, 0)


class Indexed:
    """A data set as a DataLoader has it: known by a URL, asked for by an index."""

    def __init__(self, url):
        self.url = url

    def __call__(self, number):
        return one(self.url, number)


def by_pool(url, method):
    """Workers that take indices, one after the other, in three epochs."""
    data = Indexed(url)
    with multiprocessing.get_context(method).Pool(4) as pool:
        right = [list(pool.imap(data, range(SMALL), chunksize=4)) for _ in range(3)]
        pool.close()
        pool.join()
    return right == [[True] * SMALL] * 3


def main(way, url):
    """Read here first, so that there is something to inherit: connections, a thread, what is known of the branch."""
    if way == "fill":
        fill(url)
        return
    right = one(url, 0) and table(url)
    if way == "fork":
        right = right and by_os_fork(url) and by_process(url, "fork") and by_pool(url, "fork")
    else:
        right = right and by_process(url, "spawn") and by_pool(url, "spawn")
    ours = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    print(right, multiprocessing.active_children(), len([name for name in ours if name != "datastore-http"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
