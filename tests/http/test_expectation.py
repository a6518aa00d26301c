import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datastore.http.expectation import Wanted, expectation, parse_content_range, wanted_of
from tests.http.requests import get

SIZE = 100
positions = st.integers(0, 150)
ranges = st.none() | st.tuples(st.integers(-150, -1), st.none()) | st.tuples(positions, st.none() | positions)
etags = st.sampled_from([None, '"a"', '"b"', 'W/"a"'])


def honest(wanted: Wanted, *, size: int = SIZE, etag: str | None = '"a"'):
    """What a server that knows its trade says: status and headers; None where it refuses."""
    headers = {} if etag is None else {"etag": etag}
    if wanted.start is None:
        return 200, {**headers, "content-length": str(size)}
    start = max(size + wanted.start, 0) if wanted.start < 0 else wanted.start
    stop = size if wanted.stop is None else min(wanted.stop, size)
    if start >= stop:
        return None
    return 206, {**headers, "content-length": str(stop - start), "content-range": f"bytes {start}-{stop - 1}/{size}"}


@given(ranges)
def test_an_honest_answer_is_accepted(asked):
    wanted = Wanted(*(asked or (None, None)), None)
    answer = honest(wanted)
    if answer is not None:
        found = expectation(*answer, wanted)
        assert found.problem is None
        assert found.length == int(answer[1]["content-length"])


@given(st.tuples(positions, positions).filter(lambda one: one[0] < min(one[1], SIZE)), positions, positions)
def test_another_range_is_refused(asked, first, length):
    """Whatever the answer says: accepted are only the bytes that were asked for, as far as the object has them."""
    wanted = Wanted(*asked, None)
    headers = {"content-range": f"bytes {first}-{first + length}/{SIZE}"}
    right = (first, first + length + 1) == (asked[0], min(asked[1], SIZE))
    assert (expectation(206, headers, wanted).problem is None) == right


@given(ranges.filter(lambda one: one is not None), st.integers(0, 200))
def test_an_ignored_range_is_refused_unless_the_whole_object_is_what_was_asked_for(asked, size):
    wanted = Wanted(*asked, None)
    start, stop = asked
    whole = (start == 0 and (stop is None or size <= stop)) or (start < 0 and size <= -start)
    problem = expectation(200, {"content-length": str(size)}, wanted).problem
    assert (problem is None) == whole


@pytest.mark.parametrize("asked", [(0, 10), (5, None), (-5, None)])
def test_an_ignored_range_is_refused_where_nobody_knows_how_much_will_come(asked):
    assert expectation(200, {}, Wanted(*asked, None)).problem is not None


def test_a_part_that_nobody_asked_for_is_refused():
    answer = {"content-range": "bytes 0-9/100", "content-length": "10"}
    assert expectation(206, answer, Wanted(None, None, None)).problem is not None
    assert expectation(206, {"content-length": "10"}, Wanted(0, 10, None)).problem is not None


def test_the_end_of_an_object_has_to_be_its_end():
    assert expectation(206, {"content-range": "bytes 5-8/100"}, Wanted(5, None, None)).problem is not None
    assert expectation(206, {"content-range": "bytes 90-98/100"}, Wanted(-10, None, None)).problem is not None
    assert expectation(206, {"content-range": "bytes 5-99/*"}, Wanted(5, None, None)).problem is None


@given(etags, etags, st.booleans())
def test_another_version_is_refused(wanted, found, resumed):
    headers = {"content-length": "100"} | ({} if found is None else {"etag": found})
    answer = expectation(200, headers, Wanted(None, None, wanted, resumed))
    if wanted is None or found == wanted or (found is None and not resumed):
        assert answer.problem is None
    else:
        assert answer.moved


def test_any_version_is_any_version():
    assert expectation(200, {"etag": '"a"'}, Wanted(None, None, "*")).problem is None


@given(st.text(max_size=30) | st.from_regex(r"(bytes )?[0-9*-]{0,8}[-/][0-9*]{0,30}(/[0-9*]{0,30})?"))
@example("bytes 0-9/" + "9" * 5000)
@example("bytes 0-" + "9" * 5000 + "/*")
def test_any_text_is_parsed_or_refused(text):
    found = parse_content_range(text)
    if re.fullmatch(r"bytes [0-9]{1,9}-[0-9]{1,9}/[0-9]{1,9}", text):
        first, last, total = map(int, re.findall("[0-9]+", text))
        assert found == (first, last + 1, total)
    expectation(206, {"content-range": text}, Wanted(0, 10, None))
    expectation(200, {"content-length": text}, Wanted(None, None, None))


@given(ranges, st.integers(0, 99), st.sampled_from([None, '"a"']), st.sampled_from([None, '"a"']))
def test_a_resumed_request_asks_for_just_the_rest(asked, received, if_match, pin):
    request = get("http://x/", range=asked, if_match=if_match)
    before = wanted_of(request, first=None, received=0, pin=None)
    answer = honest(before)
    if answer is None or received >= int(answer[1]["content-length"]):
        return
    first = expectation(*answer, before).start
    rest = wanted_of(request, first=first, received=received, pin=pin)
    assert rest.etag == (if_match or (pin if received else None))
    following = honest(rest)
    assert following is not None
    found = expectation(*following, rest)
    assert found.problem is None
    assert (found.length or 0) + received == int(answer[1]["content-length"])
    if received:
        assert found.start == first + received


@pytest.mark.parametrize(
    ("wanted", "header"),
    [((0, 10), "bytes=0-9"), ((5, None), "bytes=5-"), ((-7, None), "bytes=-7"), ((None, None), None)],
)
def test_the_header(wanted, header):
    assert Wanted(*wanted, None).header == header
