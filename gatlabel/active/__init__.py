"""Active learning: chooses questions about images, and updates a model by the answers.

Example:
    >>> import torch
    >>> from gatlabel.active import PairwiseModel, choose_questions
    >>> logits = torch.tensor([[4.0, -4.0], [0.1, -3.0]])  # of two images and two labels
    >>> nothing_yet = torch.full((2, 2), -1.0)
    >>> [first] = choose_questions(logits, nothing_yet, PairwiseModel.none(), 1)
    >>> first.row, first.label
    (1, 0)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.active.answers import Answer, AnswerFile, read_answers
    from gatlabel.active.choosing import Question, choose_questions, rank_images
    from gatlabel.active.information import PairwiseModel, expected_information
    from gatlabel.active.options import SuggestConfig
    from gatlabel.active.run_updates import Update, update_run
    from gatlabel.active.suggesting import Pool, open_pool, write_questions
    from gatlabel.active.updating import updated_classifiers
    from gatlabel.active.variance import LogitVariance
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "Answer",
    "AnswerFile",
    "LogitVariance",
    "PairwiseModel",
    "Pool",
    "Question",
    "SuggestConfig",
    "Update",
    "choose_questions",
    "expected_information",
    "open_pool",
    "rank_images",
    "read_answers",
    "update_run",
    "updated_classifiers",
    "write_questions",
]
