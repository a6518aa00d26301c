"""Long listings in parallel, over a service in memory: every name once, in order, with few requests too many."""

import random
from bisect import bisect_right
from concurrent.futures import Future

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastore import fanning
from datastore.fanning import ahead
from datastore.providers.s3.documents import Listing

SIZE = 50
CHANCE = random.Random(1)


def words(count):
    letters = "abcdefghijklmnopqrstuvwxyz-_ é日"
    return ["".join(CHANCE.choices(letters, k=CHANCE.randint(1, 9))) for _ in range(count)]


def dates(count):
    days = ((2020 + n // 9000, n // 700 % 12 + 1, n // 30 % 28 + 1, n % 30) for n in range(count))
    return [f"{year}/{month:02}/{day:02}/part-{part:05}.parquet" for year, month, day, part in days]


SHAPES = {
    "flat numbers": [f"img_{n:07}.jpg" for n in range(40_000)],
    "folders": [f"data/class_{n % 173:03}/image_{n:07}.jpg" for n in range(40_000)],
    "dates": dates(40_000),
    "uuids": [f"{CHANCE.getrandbits(128):032x}" for _ in range(40_000)],
    "words": words(40_000),
    "one large folder among small ones": [f"{n:04}/x" for n in range(3000)] + [f"1500/y{n:06}" for n in range(37_000)],
    "a jump after each page": [f"{n % 800:03}-{n:06}" for n in range(40_000)],
    "all at the end": [f"a{n:04}" for n in range(2000)] + [f"z/{n:06}" for n in range(38_000)],
}


def fan_out(ask, page):
    return fanning.fan_out(ask, lambda answer: answer, page.names, first=Listing.first)


def service(names, *, size=SIZE):
    """A page after each name, as S3 gives it, and the list of what was asked."""
    names, asked = sorted(set(names)), []

    def page(after):
        begin = bisect_right(names, after)
        found = names[begin : begin + size]
        more = begin + size < len(names)
        return Listing(found, [len(name) for name in found], [0] * len(found), found, (), "more" if more else None)

    def ask(after):
        asked.append(after)
        future: Future[Listing] = Future()
        future.set_result(page(after))
        return future

    return names, page, ask, asked


@pytest.mark.parametrize("shape", SHAPES)
def test_every_name_comes_once_and_few_requests_are_wasted(shape):
    names, page, ask, asked = service(SHAPES[shape])
    first = page("")
    found = [name for one in fan_out(ask, first) for name in one.names]
    assert [*first.names, *found] == names
    assert len(asked) <= 1.35 * len(names) / SIZE


@pytest.mark.parametrize("shape", SHAPES)
def test_several_pages_are_asked_for_at_a_time(shape, monkeypatch):
    names, page, _, _ = service(SHAPES[shape])
    flying, rounds = [], []

    def slow(after):
        flying.append((Future(), page(after)))
        return flying[-1][0]

    def answer_all(futures, return_when):
        rounds.append(len(flying))
        for future, answer in flying:
            future.set_result(answer)
        flying.clear()
        return set(futures), set()

    monkeypatch.setattr(fanning, "wait", answer_all)
    assert sum(len(one.names) for one in fan_out(slow, page(""))) == len(names) - SIZE
    assert len(rounds) < 0.45 * len(names) / SIZE
    assert max(rounds) <= 8


@settings(max_examples=200)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), min_size=2, max_size=200),
    st.integers(1, 7),
)
def test_names_of_any_kind_come_once_and_in_order(names, size):
    names, page, ask, _ = service(names, size=size)
    first = page("")
    if first.token is None:
        return
    rest = list(fan_out(ask, first))
    assert [*first.names, *(name for one in rest for name in one.names)] == names
    assert all(one.etags == one.names and one.sizes == [len(name) for name in one.names] for one in rest)


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), min_size=2, unique=True),
    st.floats(0.25, 64),
)
def test_a_guess_is_a_name_after_the_anchor_that_can_be_asked_for(names, pages):
    names.sort()
    guess = ahead(names, names[-1], pages=pages)
    assert guess is None or (guess > names[-1] and guess.encode())


def test_what_goes_wrong_in_a_page_goes_wrong_in_the_listing():
    _, page, ask, asked = service(SHAPES["flat numbers"])

    def failing(after):
        if len(asked) > 20:
            future: Future[Listing] = Future()
            future.set_exception(ConnectionError("gone"))
            return future
        return ask(after)

    with pytest.raises(ConnectionError):
        list(fan_out(failing, page("")))


def test_what_the_parent_asked_for_is_asked_for_again_in_a_child(monkeypatch):
    names, page, ask, asked = service(SHAPES["flat numbers"])
    first = page("")
    listing = fan_out(ask, first)
    found = [*first.names, *next(listing).names]
    before = len(asked)
    real = fanning.os.getpid()
    monkeypatch.setattr(fanning.os, "getpid", lambda: real + 1)
    found += next(listing).names
    assert len(asked) >= before + 2, "all that were on their way"
    assert found + [name for one in listing for name in one.names] == names
