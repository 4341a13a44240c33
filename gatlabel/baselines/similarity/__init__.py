"""The choice of label similarity, and of how much similar labels share, from the training set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.baselines.similarity.choice import SimilarityChoice
    from gatlabel.baselines.similarity.choosing import choose_similarity
    from gatlabel.baselines.similarity.evidence import SourceEvidence
    from gatlabel.baselines.similarity.sources import (
        SimilaritySource,
        candidate_sources,
        source_from_matrix,
        source_from_vectors,
    )
    from gatlabel.baselines.similarity.start import similarity_start
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "SimilarityChoice",
    "SimilaritySource",
    "SourceEvidence",
    "candidate_sources",
    "choose_similarity",
    "similarity_start",
    "source_from_matrix",
    "source_from_vectors",
]
