"""Images with their predictions, as cards that distinguish hits, errors and unknown labels."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gatlabel.report.content import ReportContent, as_array, scored
from gatlabel.report.markup import section, text
from gatlabel.report.selection import Mistake, probabilities, sample, worst_mistakes

THUMBNAIL_PIXELS = 160  # longer side; twice the size on small screens
MOST_CHIPS = 8

_MARKS = {
    "hit": ("✓", "predicted and present"),
    "wrong": ("✗", "predicted, but absent"),
    "missed": ("○", "present, but not predicted"),
    "unknown": ("?", "predicted, truth unknown"),
}


def gallery_section(content: ReportContent, most: int = 12) -> str:
    """Returns a random sample of images, each with predicted and true labels."""
    if not content.ids:
        return ""
    chosen = sample(len(content.ids), most)
    cards = "".join(_card(content, int(index)) for index in chosen)
    intro = (
        f"<p>{len(chosen)} of the {len(content.ids)} images of the {text(content.split)} split, "
        f"drawn at random.</p>{legend()}"
    )
    return section("images", "Images and predictions", intro, f'<div class="cards">{cards}</div>')


def mistakes_section(content: ReportContent, most: int = 12) -> str:
    """Returns the most confident false positives and false negatives."""
    if not content.ids:
        return ""
    parts = [
        "<p>The most confident wrong predictions; at most one mistake per image and two per label. "
        "Look for labels that are correct in the image but missing in the annotation.</p>"
    ]
    logits, limits = scored(content)
    for present, title in ((False, "Predicted, but absent"), (True, "Present, but missed")):
        found = worst_mistakes(
            logits,
            as_array(content.targets),
            limits,
            present=present,
            most=most,
        )
        parts.append(f"<h3>{title}</h3>")
        if found:
            cards = "".join(_card(content, mistake.image, mistake) for mistake in found)
            parts.append(f'<div class="cards">{cards}</div>')
        else:
            parts.append("<p>None.</p>")
    return section("mistakes", "Worst mistakes", *parts)


def legend() -> str:
    """Returns the key to the chips under the images."""
    chips = " ".join(
        f'<li class="chip {kind}"><b aria-hidden="true">{mark}</b> {meaning}</li>'
        for kind, (mark, meaning) in _MARKS.items()
    )
    return f'<ul class="chips legend">{chips}</ul>'


def _card(content: ReportContent, index: int, mistake: Mistake | None = None) -> str:
    name = text(content.ids[index])
    heading = ""
    if mistake is not None:
        score = float(probabilities(scored(content)[0][index, mistake.label]))
        label = text(content.labels[mistake.label])
        heading = f'<p class="claim"><b>{label}</b> <span>{_probability(score)}</span></p>'
    return (
        f'<article class="card">{_image(content, index)}{heading}{_chips(content, index)}'
        f'<p class="id" title="{name}">{name}</p></article>\n'
    )


def _image(content: ReportContent, index: int) -> str:
    if content.thumbnail is None:
        return ""
    image = content.thumbnail(index)
    targets = as_array(content.targets)[index]
    true = [name for name, target in zip(content.labels, targets, strict=True) if target >= 0.5]
    shows = ", ".join(true[:MOST_CHIPS]) or "no known label"
    pixels = np.ascontiguousarray(image.detach().cpu().numpy().transpose(1, 2, 0))
    return (
        f'<img src="{jpeg_uri(pixels)}" loading="lazy" '
        f'alt="{text(content.ids[index])}: {text(shows)}">'
    )


def jpeg_uri(pixels: NDArray[np.uint8]) -> str:
    """Returns an image ``(height, width, 3)`` as a small JPEG as a ``data:`` URI."""
    image = Image.fromarray(pixels, mode=None)
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _chips(content: ReportContent, index: int) -> str:
    logits, limits = scored(content)
    scores = probabilities(logits[index])
    targets = as_array(content.targets)[index]
    predicted = scores >= limits
    shown = [
        int(k) for k in np.argsort(-scores, kind="stable") if predicted[k] or targets[k] >= 0.5
    ]
    chips = [_chip(content.labels[k], scores[k], targets[k], predicted[k]) for k in shown]
    more = len(chips) - MOST_CHIPS
    if more > 0:
        rest = text(", ".join(content.labels[k] for k in shown[MOST_CHIPS:]))
        chips[MOST_CHIPS:] = [f'<li class="chip more" title="{rest}">and {more} more</li>']
    if not chips:
        chips = ['<li class="chip more">nothing predicted, nothing true</li>']
    return f'<ul class="chips">{"".join(chips)}</ul>'


def _chip(label: str, score: float, target: float, predicted: bool) -> str:
    if target < 0:
        kind = "unknown"
    elif target >= 0.5:
        kind = "hit" if predicted else "missed"
    else:
        kind = "wrong"
    mark, meaning = _MARKS[kind]
    return (
        f'<li class="chip {kind}" title="{meaning}"><b aria-label="{meaning}">{mark}</b> '
        f"{text(label)} <span>{_probability(score)}</span></li>"
    )


def _probability(score: float) -> str:
    if 0 < score < 0.01:
        return "&lt; 1 %"
    if 0.99 < score < 1:
        return "&gt; 99 %"
    return f"{100 * score:.0f} %"
