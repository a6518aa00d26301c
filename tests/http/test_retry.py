from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.calls import HttpResponse
from datastore.http.retry import DEFAULT, Congestion, Policy, delay_before, judge, repeatable, retry_after
from tests.http.requests import get, post, put

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
FAILURES = ["connect", "transport", "integrity", "retry", "slow", "reauthorize"]


def answer(status: int) -> HttpResponse:
    return HttpResponse(status=status, headers={})


@pytest.mark.parametrize("status", [408, 500, 502, 504, 509])
def test_what_passes_is_tried_again(status):
    assert judge(get("http://x/"), answer(status)) == "retry"
    assert judge(put("http://x/"), answer(status)) == "retry"


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_has_too_much_to_do_is_asked_again_and_less_even_by_a_post(status):
    assert judge(get("http://x/"), answer(status)) == "slow"
    assert judge(post("http://x/"), answer(status)) == "slow"


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_post_that_may_have_been_carried_out_is_not_sent_again_unless_it_says_that_it_may(status):
    assert judge(post("http://x/"), answer(status)) == "final"
    assert judge(post("http://x/", repeatable=True), answer(status)) == "retry"
    assert judge(put("http://x/", repeatable=False), answer(status)) == "final"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 411, 412, 413, 416, 501, 505])
def test_what_would_be_the_same_next_time_is_final(status):
    assert judge(get("http://x/"), answer(status)) == "final"


def test_what_is_expected_is_final_whatever_it_is():
    assert judge(get("http://x/", statuses=frozenset({503})), answer(503)) == "final"


def test_http_says_what_may_be_repeated_unless_the_request_does():
    assert repeatable(get("http://x/"))
    assert repeatable(put("http://x/"))
    assert not repeatable(post("http://x/"))
    assert repeatable(post("http://x/", repeatable=True))


@given(st.integers(min_value=0, max_value=10**6))
def test_seconds_to_wait(seconds):
    assert retry_after({"retry-after": str(seconds)}, now=NOW) == seconds


@given(st.integers(min_value=-(10**6), max_value=10**6))
def test_a_date_to_wait_for(seconds):
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after({"retry-after": date}, now=NOW) == max(seconds, 0)


def test_amazons_own_header_counts_milliseconds():
    assert retry_after({"x-amz-retry-after": "1500"}, now=NOW) == 1.5
    assert retry_after({"x-amz-retry-after": "1500", "retry-after": "4"}, now=NOW) == 4


@given(
    st.text(max_size=40)
    | st.sampled_from(["nan", "inf", "-1", "1e3", "²", "9" * 5000, "Sat, 21 Nov 99999 12:00:00 GMT"])
)
def test_nonsense_is_no_time_to_wait(text):
    for name in ("retry-after", "x-amz-retry-after"):
        seconds = retry_after({name: text}, now=NOW)
        assert seconds is None or seconds >= 0


policies = st.builds(
    Policy,
    base=st.floats(0.001, 10),
    cap=st.floats(0.001, 100),
    patience=st.floats(0, 100),
    budget=st.floats(0, 1000),
    attempts=st.fixed_dictionaries({failure: st.integers(1, 5000) for failure in FAILURES}),
)


@given(
    st.integers(1, 6000),
    st.sampled_from(FAILURES),
    st.tuples(st.floats(0, 2000), st.none() | st.floats(0, 200), st.floats(0, 1)),
    policies,
)
def test_waits_keep_to_the_policy(attempt, failure, wait, policy):
    elapsed, asked, chance = wait
    delay = delay_before(attempt, failure, elapsed=elapsed, asked=asked, chance=chance, policy=policy)
    if attempt >= policy.attempts[failure] or elapsed > policy.budget:
        assert delay is None
    elif failure == "reauthorize":
        assert delay == 0
    elif asked is not None and asked > policy.patience:
        assert delay is None
    else:
        assert delay is not None
        assert (asked or 0) <= delay <= max(asked or 0, policy.cap)
        if attempt == 1:
            assert delay <= max(asked or 0, policy.base)


def test_the_bound_of_waits_doubles_up_to_the_cap():
    bounds = [delay_before(n, "slow", elapsed=0, asked=None, chance=1) for n in range(1, 12)]
    assert bounds[:8] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8])
    assert set(bounds[8:]) == {DEFAULT.cap}


def test_a_server_that_restarts_is_waited_for_whatever_the_dice_say():
    waits = [delay_before(n, "connect", elapsed=0, asked=None, chance=0) or 0 for n in range(1, 5)]
    assert sum(waits) == pytest.approx(0.75)
    assert delay_before(5, "connect", elapsed=0, asked=None, chance=0) is None


def test_credentials_are_asked_for_anew_after_several_failures_of_another_kind():
    assert delay_before(7, "reauthorize", elapsed=0, asked=None, chance=1) == 0


def test_the_window_is_halved_once_for_all_answers_of_a_round():
    window = Congestion(64)
    for _ in range(64):  # all were sent at 1.0 and refused at 2.0
        window.slow_down(began=1.0, now=2.0)
    assert window.limit == 32
    window.slow_down(began=2.5, now=3.0)
    assert window.limit == 16


def test_the_window_grows_by_one_in_a_round_of_answers():
    window = Congestion(64)
    window.slow_down(began=1.0, now=2.0)
    window.slow_down(began=2.0, now=3.0)
    for expected in (17, 18, 19):
        for _ in range(window.limit + 1):
            window.answered()
        assert window.limit == expected


@given(st.lists(st.booleans(), max_size=500), st.integers(1, 200))
def test_there_is_always_room_for_one_and_never_for_more_than_the_limit(answers, most):
    window = Congestion(most)
    for now, slow in enumerate(answers):
        if slow:
            window.slow_down(began=now, now=now + 0.5)
        else:
            window.answered()
        assert 1 <= window.limit <= most
