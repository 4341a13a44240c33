"""The report's section on labels that share classifiers."""

from __future__ import annotations

from gatlabel.report.content import ReportContent, Sharing
from gatlabel.report.markup import (
    Cell,
    number,
    number_cell,
    section,
    table,
    text,
    text_cell,
)

_CAPTION = "Weights of similar labels' classifiers, in addition to a label's own"


def similarity_section(content: ReportContent) -> str:
    """Returns the section; empty if no labels share classifiers."""
    if not content.sharing:
        return ""
    rows = [
        [text_cell(each.label), number_cell(each.strength), Cell(_similar(each))]
        for each in content.sharing
    ]
    head = ["label", "strength", "similar labels"]
    return section("similarity", "Shared classifiers", table(head, rows, caption=_CAPTION))


def _similar(each: Sharing) -> str:
    named = ", ".join(f"{text(name)} {number(weight)}" for name, weight in each.similar.items())
    more = each.others - len(each.similar)
    return f"{named} and {more} more" if more > 0 else named
