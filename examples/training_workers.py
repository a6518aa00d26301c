"""A training script reads objects in forked workers, as a DataLoader does, while the data set goes on changing.

What a worker is handed is a URL of one commit: whoever commits meanwhile does not disturb the epoch. It works the same
with `torch.utils.data.DataLoader(Samples(url), num_workers=4)`, and on lakeFS or S3 instead of the embedded store.

Run it as often as you like: python examples/training_workers.py
"""

import json
import multiprocessing

import fsspec

SAMPLES = 200


class Samples:
    """A data set by index; all that a worker has to be sent is the URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> dict[str, float]:
        with fsspec.open(f"{self.url}/{index:04}.json", "rt") as file:
            return json.load(file)


def make_samples() -> str:
    """Write a version of the samples; return the URL of its commit."""
    import datastore as ds

    branch = ds.create_repo("training", exist_ok=True).branch("main")
    fs = ds.filesystem()
    fs.pipe({branch / f"samples/{index:04}.json": json.dumps({"x": index / 10}).encode() for index in range(SAMPLES)})
    return branch.commit("Samples", empty="skip") / "samples"


def total(samples: Samples) -> float:
    """Let four workers read all samples, in any order, and add them up."""
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    with multiprocessing.get_context(method).Pool(4) as pool:
        found = sum(
            sample["x"] for sample in pool.imap_unordered(samples.__getitem__, range(len(samples)), chunksize=8)
        )
        pool.close()
        pool.join()
    return round(found, 6)


def main() -> None:
    """Read a version, change the branch, read the same version again."""
    import datastore as ds

    url = make_samples()
    before = total(Samples(url))
    branch = ds.repo("training").branch("main")
    ds.filesystem().pipe(branch / "samples/0000.json", b'{"x": 1000000}')
    again = total(Samples(url))
    print(f"{url[:24]}…  {before} before, {again} after main has changed")
    branch.reset()  # what is not committed is taken back


if __name__ == "__main__":
    main()
