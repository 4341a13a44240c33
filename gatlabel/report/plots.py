"""The report's charts: learning curves, baselines, AP against frequency."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gatlabel.report.content import Baseline, LabelResult
from gatlabel.report.markup import figure, number, percent, significant, text
from gatlabel.report.svg import Scale, dot, drawing, frame, spread, tick_text

_WIDTH, _HEIGHT = 460.0, 290.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 14.0, 34.0, 44.0


def learning_curves(rows: Sequence[Mapping[str, float]]) -> str:
    """Returns charts of the losses, the metrics and the learning rates.

    Args:
        rows: One per epoch; keys with ``loss`` in them are losses, with ``lr`` learning rates.
    """
    names = list(dict.fromkeys(key for row in rows for key in row if key not in ("epoch", "step")))
    groups: dict[str, list[str]] = {"Loss": [], "Metrics": [], "Learning rate": []}
    for name in names:
        parts = name.lower().replace("-", "_").replace("/", "_").split("_")
        kind = "Loss" if "loss" in parts else "Learning rate" if "lr" in parts else "Metrics"
        groups[kind].append(name)
    charts = [_lines(title, rows, keys) for title, keys in groups.items() if keys]
    return f'<div class="charts">{"".join(charts)}</div>' if any(charts) else ""


def _lines(title: str, rows: Sequence[Mapping[str, float]], keys: Sequence[str]) -> str:
    series: list[tuple[str, list[tuple[float, float]]]] = []
    for key in keys:
        points = [
            (float(row.get("epoch", k + 1)), float(row[key]))
            for k, row in enumerate(rows)
            if key in row
        ]
        points = [(x, y) for x, y in points if math.isfinite(y)]
        if points:
            series.append((key, points))
    if not series:
        return ""
    values = [y for _, points in series for _, y in points]
    epochs = [x for _, points in series for x, _ in points]
    x = Scale(*_epoch_ends(epochs), _LEFT, _WIDTH - _RIGHT, whole=True)
    y = Scale(*spread(values, zero=title != "Loss" or min(values) < 0), _HEIGHT - _BOTTOM, _TOP)
    parts = [frame(x, y, "epoch", title)]
    for k, (key, points) in enumerate(series):
        path = "M" + "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in points)
        parts.append(f'<path class="line c{k % 6}" d="{path}"><title>{text(key)}</title></path>')
        parts += [
            dot(x(a), y(b), 2.5, f"mark c{k % 6}", f"{key}, epoch {tick_text(a)}: {significant(b)}")
            for a, b in points
        ]
    ends = "; ".join(f"{key} ends at {significant(points[-1][1])}" for key, points in series)
    key_list = "".join(
        f'<li><i class="swatch c{k % 6}"></i>{text(key)} '
        f"<span>{significant(points[-1][1])}</span></li>"
        for k, (key, points) in enumerate(series)
    )
    image = drawing(_WIDTH, _HEIGHT, f"{title} by epoch: {ends}", "".join(parts))
    return f'<figure class="chart">{image}<ul class="key">{key_list}</ul></figure>'


def _epoch_ends(epochs: Sequence[float]) -> tuple[float, float]:
    low, high = min(epochs), max(epochs)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def baseline_bars(name: str, value: float, baselines: Sequence[Baseline]) -> str:
    """Returns bars of the model's mAP and those of the baselines.

    Args:
        name: Name of the model.
        value: Its mAP, 0 to 1.
        baselines: The baselines.
    """
    rows = [(name, value, "own"), *((b.name, b.value, "other") for b in baselines)]
    items = "".join(
        f'<div class="{kind}"><dt>{text(title)}</dt><dd><span class="bar">'
        f'<i style="width:{0 if math.isnan(v) else 100 * min(max(v, 0), 1):.1f}%"></i></span>'
        f"<b>{number(v)}</b></dd></div>"
        for title, v, kind in rows
    )
    return f'<dl class="bars">{items}</dl>'


def ap_against_frequency(results: Sequence[LabelResult], split: str) -> str:
    """Returns a scatter of per-label AP over training frequency (log axis), chance level dashed.

    Random scores have an expected AP close to the label's frequency, so the dashed curve is the mAP
    of guessing.
    """
    known = [r for r in results if math.isfinite(r.ap)]
    if not known:
        return ""
    width, height = 940.0, 420.0
    seen = [r.train_frequency for r in known if r.train_frequency > 0] or [0.1]
    low, high = min(seen) / 1.25, min(1.0, max(seen) * 1.25)
    if high < 4 * low:  # too narrow for round ticks
        low, high = low / 2, min(1.0, high * 2)
    x = Scale(low, high, _LEFT, width - 24, log=True)
    y = Scale(0.0, 1.0, height - _BOTTOM, _TOP)
    parts = [frame(x, y, "share of the training images (log)", f"AP, {split}", x_percent=True)]
    curve = [low * (high / low) ** (k / 60) for k in range(61)]
    chance = "M" + "L".join(f"{x(f):.1f} {y(f):.1f}" for f in curve)
    parts.append(f'<path class="chance" d="{chance}"><title>chance level</title></path>')
    mean = sum(r.ap for r in known) / len(known)
    parts.append(
        f'<path class="mean" d="M{x.start} {y(mean):.1f}H{x.end}"/>'
        f'<text class="tick" x="{x.end:.1f}" y="{y(mean) - 5:.1f}" text-anchor="end">'
        f"mean {number(mean)}</text>"
    )
    spots = [(x(max(r.train_frequency, low)), y(r.ap)) for r in known]
    for r, (a, b) in zip(known, spots, strict=True):
        title = (
            f"{r.label}: AP {number(r.ap)}, {r.positives} positives, {percent(r.train_frequency)}"
        )
        parts.append(dot(a, b, 5 if len(known) <= 100 else 3, "spot", title))
    mean_box = (x.end - 70, y(mean) - 16, x.end, y(mean) - 2)
    parts += _spot_names([r.label for r in known], spots, x.end, mean_box)
    left_out = len(results) - len(known)
    alt = f"Average precision of {len(known)} labels against their training frequency"
    caption = (
        f"Each point is a label ({len(known)} of {len(results)}"
        + (f"; {left_out} without a positive in the {split} split have no AP" if left_out else "")
        + "). Dashed: AP of random scores, the mAP of guessing. Labels not in the training set are "
        "at the left edge."
    )
    return figure(drawing(width, height, alt, "".join(parts)), caption, "wide")


def _spot_names(
    names: Sequence[str],
    spots: Sequence[tuple[float, float]],
    end: float,
    taken: tuple[float, float, float, float],
) -> list[str]:
    """Labels as many points as possible, starting with those far from the mean position."""
    middle = sorted(b for _, b in spots)[len(spots) // 2]
    boxes = [*((a - 5, b - 5, a + 5, b + 5) for a, b in spots), taken]
    parts = []
    for k in sorted(range(len(spots)), key=lambda k: -abs(spots[k][1] - middle)):
        a, b = spots[k]
        shown = names[k] if len(names[k]) <= 18 else names[k][:17] + "…"
        width = sum(12.0 if ord(c) > 0x2E80 else 6.6 for c in shown)
        for left, top in ((a + 7, b - 7), (a - 7 - width, b - 7), (a - width / 2, b - 20)):
            box = (left, top, left + width, top + 14)
            free = all(
                box[2] < o[0] or o[2] < box[0] or box[3] < o[1] or o[3] < box[1]
                for j, o in enumerate(boxes)
                if j != k
            )
            if free and left > _LEFT and left + width < end and top > _TOP - 10:
                boxes.append(box)
                parts.append(
                    f'<text class="name" x="{left:.1f}" y="{top + 11:.1f}">{text(shown)}</text>'
                )
                break
    return parts
