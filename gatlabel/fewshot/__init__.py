"""Learning new labels from few or no images, with the help of known labels.

Example:
    >>> import torch
    >>> from gatlabel.fewshot import support_rows
    >>> targets = torch.tensor([[1, 0], [1, 1], [1, 0], [0, 1]]).numpy()
    >>> support_rows(targets, novel=[1], shots=2, seed=0, episode=0)
    array([1, 3])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.fewshot.episodes import support_rows
    from gatlabel.fewshot.evaluation import LabelledFeatures, run_episodes
    from gatlabel.fewshot.extending import Extension, extend_run
    from gatlabel.fewshot.learners import LEARNERS, Knowledge
    from gatlabel.fewshot.new_labels import NewLabel, learn_label
    from gatlabel.fewshot.options import ExtendConfig, FewShotConfig, FewShotOptions
    from gatlabel.fewshot.results import FewShotResult
    from gatlabel.fewshot.splits import LabelSplit, drawn_split, laso_split, named_split
    from gatlabel.fewshot.strengths import Strengths
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "LEARNERS",
    "ExtendConfig",
    "Extension",
    "FewShotConfig",
    "FewShotOptions",
    "FewShotResult",
    "Knowledge",
    "LabelSplit",
    "LabelledFeatures",
    "NewLabel",
    "Strengths",
    "drawn_split",
    "extend_run",
    "laso_split",
    "learn_label",
    "named_split",
    "run_episodes",
    "support_rows",
]
