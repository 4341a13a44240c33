"""The report of a run: one HTML file with metrics, protocol, curves, images and label graph.

Fill in a :class:`ReportContent` and pass it to :func:`write_report`::

    write_report(ReportContent(title="voc, gat head", …), "runs/voc/report.html")

The file is self-contained: styles, drawings and images are inside, and nothing is fetched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.report.content import Baseline, GraphLike, LabelResult, ReportContent, Sharing
    from gatlabel.report.page import write_report
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = ["Baseline", "GraphLike", "LabelResult", "ReportContent", "Sharing", "write_report"]
