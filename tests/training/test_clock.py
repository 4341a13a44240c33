"""Times on the command line, and what is left of them."""

import pytest

from gatlabel.errors import InputError
from gatlabel.training.clock import Clock
from gatlabel.training.options import seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("600", 600), ("90s", 90), ("10m", 600), ("1.5h", 5400), (" 2 m ", 120), (".5m", 30)],
)
def test_a_time_in_seconds(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0m", "-1m", "ten", "5d", "1m30s", "1e3", "9" * 400])
def test_invalid_times_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected a time above 0"):
        seconds_of(text)


def test_a_clock_without_a_limit_has_all_the_time() -> None:
    assert Clock().left == float("inf")
    clock = Clock(5.0)
    assert 0 < clock.left <= 5.0
    assert clock.spent >= 0
    assert Clock(1e-9).left < 0
