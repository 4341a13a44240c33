"""Label similarity in a run: its sources, its choice, and its options."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from gatlabel.baselines.similarity import (
    SimilarityChoice,
    SimilaritySource,
    candidate_sources,
    choose_similarity,
)
from gatlabel.baselines.similarity.assembly import Used, assembled
from gatlabel.errors import MissingExtraError, unknown_choice
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.graph.hierarchy import read_hierarchy
from gatlabel.graph.node_features import resolve
from gatlabel.graph.spec import GraphSpec
from gatlabel.labels import LabelSet
from gatlabel.logs import Log
from gatlabel.nn import HEADS, GraphAblatable, Head, LinearHead
from gatlabel.nn.heads.protocols import starts_linear
from gatlabel.nn.heads.shared_classifier import SharedClassifierHead
from gatlabel.nn.options import (
    CHOOSE,
    NOTHING,
    SIMILARITY_PART,
    HeadOptions,
    SharedClassifiers,
)
from gatlabel.training.config import TrainConfig
from gatlabel.training.label_vectors import kept_name_vectors

#: Minimum gain of similarity, the same as for a larger image size.
LEAST_GAIN = 0.002
#: Label vectors from co-occurrence, which do not describe similarity.
_NOT_LIKENESS = ("svd", "names", "learned")


#: Logged for heads on a similarity graph for which :func:`ignores_similarity` is true.
SIMILARITY_IGNORED = (
    "the head {} cannot share classifiers between similar labels (gat, gatv2 and pyg can); "
    "similarity edges are treated as co-occurrence"
)


def ignores_similarity(head: HeadOptions) -> bool:
    """Whether a head uses a graph, but cannot share classifiers between similar labels."""
    kind = HEADS.get(head.name, LinearHead)
    plain = getattr(head, "base", "classifiers") == "nodes"
    return issubclass(kind, GraphAblatable) and (
        plain or not issubclass(kind, SharedClassifierHead)
    )


#: Logged if a given graph rules similarity out; see :func:`graph_given`.
GRAPH_GIVEN = (
    "similarity is not chosen from the images, as the graph {} was given: only for conditional"
)


def may_share(config: TrainConfig, head: Head) -> bool:
    """Whether a run may choose similarity: the head can share, with no weight given."""
    weight = getattr(config.head, "similarity_weight", None)
    return weight is None and isinstance(head, SharedClassifierHead) and starts_linear(head)


def graph_given(config: TrainConfig) -> bool:
    """Whether the graph is another than the default, which similarity edges may replace."""
    return GraphSpec.parse(config.graph).name != "conditional"


def given_hierarchy(config: TrainConfig, labels: LabelSet) -> LabelGraph | None:
    """Reads the hierarchy that the options name, if any.

    Raises:
        InputError: If the file cannot be read, or a label is not in it.
    """
    path = getattr(config.head, "hierarchy", None)
    return None if path is None else read_hierarchy(path, labels)


def choose(
    config: TrainConfig,
    features: Tensor,
    targets: Tensor,
    counts: Cooccurrence,
    log: Log,
    groups: Sequence[str] | None = None,
) -> SimilarityChoice:
    """Chooses the similarity of a run, or builds the one that its options name.

    Args:
        config: The options; ``similarity`` is ``auto``, or a text of :func:`text_of`.
        features: Features of the training images, ``(N, D)``.
        targets: Targets of the training images that are evidence, ``(N, L)``, -1 for unknown
            (:meth:`~gatlabel.missing.Completion.observed_targets`).
        counts: Label counts of the training images.
        log: Called with the choice and the reason.
        groups: The group of each image; images of one group are left out together.

    Raises:
        InputError: If the text names an unknown source.
    """
    sources = _sources(config, counts, log)
    text = config.head.similarity if isinstance(config.head, SharedClassifiers) else None
    if text in (None, CHOOSE):
        seed = config.run.seed
        choice = choose_similarity(features, targets, sources, groups=groups, seed=seed)
    else:
        choice = _made(text, features, targets, sources)
    for line in choice.explain(counts.labels)[: 1 if bool(choice.seen.all()) else 2]:
        log(line)
    return choice


def _sources(config: TrainConfig, counts: Cooccurrence, log: Log) -> list[SimilaritySource]:
    names = given = None
    try:
        names = kept_name_vectors(counts.labels, config.images.cache_folder)
    except MissingExtraError:
        log(
            "note: the extra names (pip install gatlabel[names]) is not installed, so label names "
            "are not used as a source of similarity; other sources are tried"
        )
    vectors = getattr(config.head, "node_features", "svd")
    if vectors not in _NOT_LIKENESS:
        given, _ = resolve(vectors, counts.graph("conditional"))
    hierarchy = given_hierarchy(config, counts.labels)
    return candidate_sources(
        counts.labels, name_vectors=names, given_vectors=given, hierarchy=hierarchy
    )


def replaces_graph(choice: SimilarityChoice) -> bool:
    """Whether similarity gains enough to replace the co-occurrence graph in attention.

    It does if labels without known presences and absences get classifiers, or if the squared
    leave-one-image-out error decreases by at least :data:`LEAST_GAIN` of a label's variance.
    """
    if choice.strength_unseen and not choice.seen.all():
        return True
    gains = [one.seen.effect * choice.strength for one in choice.evidence]
    names = [one.name for one in choice.evidence]
    return bool(choice.strength) and (
        choice.source not in names or gains[names.index(choice.source)] >= LEAST_GAIN
    )


def text_of(choice: SimilarityChoice) -> str:
    """Returns a choice as the text of the option that reproduces it."""
    parts = []
    if choice.strength:
        parts.append(f"seen:{choice.source}={choice.strength!r}")
    if choice.strength_unseen:
        parts.append(f"unseen:{choice.source_unseen}={choice.strength_unseen!r}")
        if choice.map_penalty is not None:
            parts.append(f"map={choice.map_penalty!r}")
    return " ".join(parts) or NOTHING


def _made(
    text: str, features: Tensor, targets: Tensor, sources: Sequence[SimilaritySource]
) -> SimilarityChoice:
    by_name = {source.name: source for source in sources}
    used: dict[str, Used] = {}
    penalty = None
    for part in text.split():
        found = SIMILARITY_PART.fullmatch(part)
        if found is None:  # none
            continue
        if found[4]:
            penalty = float(found[4])
            continue
        which, name, strength = found[1], found[2], float(found[3])
        if name not in by_name:
            raise unknown_choice("source of similarity", name, by_name)
        source = by_name[name]
        matrix = source.at(features, targets)
        used[which] = Used(name, strength, matrix, source.vectors)
    return assembled(targets, used.get("seen"), used.get("unseen"), penalty)
