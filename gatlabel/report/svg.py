"""Chart frames in SVG: scales, ticks and grid. Colours come from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gatlabel.report.markup import number, text


@dataclass(frozen=True)
class Scale:
    """Maps data values to positions along an axis.

    Attributes:
        low: Data value at ``start``.
        high: Data value at ``end``; greater than ``low``.
        start: Position of ``low``, in SVG units.
        end: Position of ``high``.
        log: Whether the axis is logarithmic (then ``low`` > 0).
        whole: Whether ticks are whole numbers.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    whole: bool = False

    def __call__(self, value: float) -> float:
        """Returns the position of a value; values outside the axis are clipped to its ends."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Returns at most about six round values on the axis."""
        if self.log:
            return _log_ticks(self.low, self.high)
        step = _round_step((self.high - self.low) / 5)
        if self.whole:
            step = max(1.0, step)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(m for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for mantissas in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), tuple(map(float, range(1, 10)))):
        ticks = [m * 10.0**d for d in decades for m in mantissas]
        ticks = [t for t in ticks if low * (1 - 1e-9) <= t <= high * (1 + 1e-9)]
        if len(ticks) >= 3:
            break
    return ticks[:: math.ceil(len(ticks) / 6)] if ticks else []


def spread(values: Sequence[float], *, zero: bool = False) -> tuple[float, float]:
    """Returns axis ends around the finite values, never equal.

    Args:
        values: Data values; NaN and infinities are ignored.
        zero: Whether the axis must include 0.
    """
    finite = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-30):
        margin = abs(high) / 2 or 0.5
        return (low if zero and low == 0 else low - margin), high + margin
    margin = 0.05 * (high - low)
    return (low if zero and low == 0 else low - margin), high + margin


def tick_text(value: float) -> str:
    """Returns the short text of a tick: 0.25, 40, 1e−05."""
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", "−")
    return f"{value:.6g}".replace("-", "−")


def frame(x: Scale, y: Scale, x_name: str, y_name: str, *, x_percent: bool = False) -> str:
    """Returns grid lines, tick texts and axis names for a chart."""
    parts = []
    for value in y.ticks():
        at = y(value)
        parts.append(f'<path class="grid" d="M{x.start:.1f} {at:.1f}H{x.end:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{x.start - 6:.1f}" y="{at + 4:.1f}" text-anchor="end">'
            f"{tick_text(value)}</text>"
        )
    for value in x.ticks():
        at = x(value)
        shown = f"{tick_text(100 * value)} %" if x_percent else tick_text(value)
        parts.append(f'<path class="grid" d="M{at:.1f} {y.start:.1f}V{y.end:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{at:.1f}" y="{y.start + 17:.1f}" text-anchor="middle">'
            f"{shown}</text>"
        )
    middle = (x.start + x.end) / 2
    parts.append(
        f'<text class="axis" x="{middle:.1f}" y="{y.start + 36:.1f}" text-anchor="middle">'
        f"{text(x_name)}</text>"
        f'<text class="axis" x="{x.start - 40:.1f}" y="{y.end - 10:.1f}">{text(y_name)}</text>'
    )
    return "".join(parts)


def drawing(width: float, height: float, alt: str, body: str) -> str:
    """Returns an SVG image that scales to its container, with an alternative text."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{text(alt)}">'
        f"<title>{text(alt)}</title>{body}</svg>"
    )


def dot(x: float, y: float, radius: float, kind: str, title: str) -> str:
    """Returns a point with a tooltip."""
    return (
        f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}">'
        f"<title>{text(title)}</title></circle>"
    )


def figures(**values: float) -> str:
    """Returns ``name value, name value`` for tooltips and alternative texts."""
    return ", ".join(f"{name.replace('_', ' ')} {number(v)}" for name, v in values.items())
