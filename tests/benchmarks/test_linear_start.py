"""Rows of the study on the linear start, with intervals and without."""


def row(p: float | None, interval: list[float] | None, why: str = "") -> dict:
    return {
        "data": "photos",
        "fraction": 0.1,
        "mAP": {"random": [40.0, 42.0], "ridge": [43.0, 45.0]},
        "points": 3.0,
        "interval": interval,
        "p": p,
        "why": why,
    }


def test_rows_without_an_interval_say_why_and_are_not_corrected_for(load) -> None:
    script = load("linear_start")
    rows = [row(0.01, [1.0, 5.0]), row(None, None, "no interval: too few"), row(0.5, [-1.0, 7.0])]
    script.correct(rows)
    assert [each["p_holm"] for each in rows] == [0.02, None, 0.5]
    assert script.line(rows[0]).endswith("10% of the images: 44.0 against 41.0, +3.00 "
                                         "[+1.00, +5.00], p 0.020")  # fmt: skip
    assert script.line(rows[1]).endswith("44.0 against 41.0, +3.00, no interval: too few")
