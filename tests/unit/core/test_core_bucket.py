"""The words both ways of pacing share: round trips and the user's own limit."""

from __future__ import annotations

import pytest

from bulkdelete.core.bucket import RoundTrip, UserLimit, narrow


def test_round_trips_are_estimated_as_rfc_6298_says() -> None:
    """The first is the mean, and half of it the deviation; then an eighth and a quarter of what is new."""
    trips = RoundTrip().with_sample(0.4)
    assert (trips.mean_s, trips.dev_s) == (0.4, 0.2)
    for rtt_s, mean_s, dev_s in ((0.8, 0.45, 0.25), (0.05, 0.4, 0.2875)):
        trips = trips.with_sample(rtt_s)
        assert (trips.mean_s, trips.dev_s) == pytest.approx((mean_s, dev_s))


@pytest.mark.parametrize(("rate_per_s", "bucket"), [(0.5, 1.01), (5.0, 1.1), (50.0, 2.0), (1000.0, 21.0)])
def test_a_narrow_bucket_makes_up_for_twenty_milliseconds(rate_per_s: float, bucket: float) -> None:
    """One token, and what comes while the loop is late."""
    assert narrow(rate_per_s) == pytest.approx(bucket)


def test_the_users_own_limit_is_a_narrow_bucket() -> None:
    """One call at once; then it refills with time, and never backwards; what comes back does not make it wider."""
    cap = UserLimit(10.0, 5.0)
    assert cap.tokens == 1.0
    cap = cap.sent().refilled(10.1)
    assert (cap.at_s, cap.tokens) == pytest.approx((10.1, 0.5))
    assert cap.refilled(9.0) == cap
    assert cap.not_sent().tokens == cap.refilled(99.0).tokens == narrow(5.0)
    assert cap.sent().not_sent().tokens == pytest.approx(cap.tokens)
