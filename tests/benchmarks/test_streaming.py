import pytest

from benchmarks.clients import streaming
from benchmarks.places import StreamPlace


class Listed(streaming.Streaming):
    def __init__(self, rows, batches):
        super().__init__(StreamPlace(store="", source="", home="", kind="table", rows=rows))
        self.given = batches

    def open(self):
        return iter(self.given)

    def batches(self, stream, *, worker=0, workers=1):
        return stream

    def state(self, stream):
        return None

    def reopened(self, state):
        return self.open()


def test_rows_are_counted_in_batches_of_every_form(tmp_path):
    batches = [{"x": [1, 2, 3], "y": [1, 2, 3]}, [{"x": 4}, {"x": 5}], 2]
    assert streaming.one(Listed(7, batches), tmp_path).rows == 7


def test_a_client_that_leaves_rows_out_is_not_measured(tmp_path):
    with pytest.raises(AssertionError, match="6 of 7 rows came"):
        streaming.one(Listed(7, [[1, 2, 3], [4, 5, 6]]), tmp_path)
    with pytest.raises(AssertionError, match="no batch after the state"):
        streaming.resumed(Listed(7, []), tmp_path)
