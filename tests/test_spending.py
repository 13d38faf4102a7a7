from hypothesis import given
from hypothesis import strategies as st

from nasmith.spending import Purse, guess
from nasmith.types import Call, Completion, Request


def completion(tokens_in=100, tokens_out=50, cost=0.0):
    return Completion("p" * 300, "t", "m", tokens_in, tokens_out, cost)


def test_without_limits_there_is_always_room():
    purse = Purse()
    purse.note([completion(10**9, 10**9, 1e9)])
    assert purse.has_room and purse.spent == ""


def test_what_was_spent_closes_the_purse_and_says_which_limit():
    purse = Purse(tokens=150)
    purse.note([completion(99, 50)])
    assert purse.has_room and not purse.spent
    purse.note([Call("m", "truncated", tokens_out=1)])
    assert not purse.has_room and purse.spent == "the token budget was used up"
    purse = Purse(usd=0.5)
    purse.note([completion(cost=0.25), Call("m", "refused", cost=0.25)])
    assert purse.spent == "the dollar budget was used up"


def test_requests_under_way_are_counted_in_until_they_end():
    purse = Purse(tokens=400, usd=1.0, price=lambda tokens_in, tokens_out: tokens_out / 1000)
    purse.reserve(1, Request("p" * 350, n=2, max_tokens=160))  # 100 tokens of prompt, twice 160 of replies
    assert not purse.has_room
    assert purse.spent == ""  # nothing is spent yet: there may be room again
    purse.release(1)
    assert purse.has_room


def test_a_reply_is_guessed_from_those_that_came():
    purse = Purse(tokens=1000)
    purse.note([completion(100, 40), completion(0, 60)])  # 300 characters in 100 tokens; 50 tokens a reply
    purse.reserve(1, Request("p" * 300, n=13, max_tokens=4096))
    assert purse.has_room  # 200 spent, 100 + 650 under way
    purse.reserve(2, Request("p" * 300, n=1, max_tokens=4096))
    assert not purse.has_room


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), max_size=30), st.integers(1, 2000))
def test_a_limit_is_passed_by_what_was_under_way_and_no_more(replies, limit):
    purse, begun = Purse(tokens=limit), []
    for number, (tokens_in, tokens_out) in enumerate(replies):
        if not purse.has_room:
            break
        purse.reserve(number, Request("p", n=1))
        purse.note([completion(tokens_in, tokens_out)])
        purse.release(number)
        begun.append(tokens_in + tokens_out)
    assert sum(begun[:-1]) < limit


def test_an_estimate_scales_the_first_requests_to_all_replies():
    estimate = guess(100, [Request("p" * 350, n=4), Request("p" * 350, n=1)], lambda i, o: (i + 2 * o) / 1e6)
    assert (estimate.replies, estimate.tokens_in, estimate.tokens_out) == (100, 4000, 16000)
    assert estimate.usd == 0.036
    assert guess(1, [Request("p")], lambda i, o: None).usd is None
