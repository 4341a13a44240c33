"""The recipe ``auto``: sets unset options and initialises the head."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable
from functools import partial

from gatlabel.baselines.similarity import SimilarityChoice
from gatlabel.baselines.similarity.edges import share_as_chosen, similarity_graph
from gatlabel.data import DataSplits
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.labels import LabelSet
from gatlabel.logs import Log
from gatlabel.missing import Completion
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn.heads.protocols import starts_linear
from gatlabel.nn.heads.shared_classifier import SharedClassifierHead
from gatlabel.nn.options import NOTHING, LinearStart, SharedClassifiers
from gatlabel.training.auto_table import choices, sizes_of
from gatlabel.training.budget import Budget, preset_of
from gatlabel.training.building import build_model
from gatlabel.training.clock import Clock
from gatlabel.training.config import TrainConfig
from gatlabel.training.effects import given_for_epochs, without_ineffective
from gatlabel.training.given import Given
from gatlabel.training.similarity import (
    GRAPH_GIVEN,
    choose,
    given_hierarchy,
    graph_given,
    may_share,
    replaces_graph,
    text_of,
)
from gatlabel.training.stage_choice import with_stages
from gatlabel.training.starting import (
    Start,
    features,
    regression,
    start_in_closed_form,
    validation_map,
)


def plan(
    model: MultiLabelClassifier,
    config: TrainConfig,
    splits: DataSplits,
    completion: Completion | None,
    counts: Cooccurrence,
    graph: LabelGraph,
    clock: Clock,
    log: Log,
    given: Given | None = None,
    on_similarity: Callable[[SimilarityChoice, LabelSet], None] = lambda choice, labels: None,
) -> tuple[MultiLabelClassifier, TrainConfig, Start | None]:
    """Sets unset options and initialises the head.

    Args:
        model: The new model; its head is initialised and its image size is set.
        config: The options; those that are not ``None`` are kept.
        splits: The data.
        completion: Provides targets of unknown training labels.
        counts: Label counts of the training images.
        graph: The label graph.
        clock: The clock with the time limit.
        log: Called with measurements and choices, one line each.
        given: Objects from Python.
        on_similarity: Called with the choice of similarity and the labels, if it is made.

    Returns:
        The model (another one if it uses several stages of the encoder or similar labels share
        classifiers), the resolved options, and the closed-form initialisation of the head, if it
        has one.

    Raises:
        InputError: If the number of epochs is 0 and the head has no closed-form initialisation.
    """
    start_given = config.head.start if isinstance(config.head, LinearStart) else "random"
    if config.run.epochs == 0 and (start_given == "random" or not starts_linear(model.head)):
        raise InputError(
            "run.epochs=0: only with a closed-form initialisation (head.start=ridge, or the recipe "
            "auto with a head that can be initialised as a linear classifier)"
        )
    given_hierarchy(config, counts.labels)  # refused before features are extracted
    auto = config.recipe.name == "auto"
    begins = start_given or _start(model, config)
    start = None
    budget = Budget(config, len(splits.train), len(splits.val), clock)
    if begins == "ridge":
        sizes = sizes_of(model, config) if auto and config.images.size is None else ()
        start = start_in_closed_form(
            model, config, splits, completion, log, sizes=sizes, allows=budget.allows_size
        )
    elif auto and config.images.size is None:
        model.image_size = budget.size(model, sizes_of(model, config))
    own = given is not None and given.encoder is not None
    if start is not None and config.encoder.stages is None and not own:
        build = partial(build_model, graph=graph, given=given)
        model, start = with_stages(model, start, config, splits, completion, build, budget, log)
    may_share = isinstance(config.head, SharedClassifiers) and config.head.similarity != NOTHING
    if start is not None and may_share:
        staged = config.with_options({"encoder.stages": model.encoder.stages})
        model, choice = _with_similarity(
            model, staged, splits, completion, counts, log, given, on_similarity
        )
        start = dataclasses.replace(start, choice=choice)
        text = NOTHING if choice is None else text_of(choice)
        config = config.with_options({"head.similarity": text})
    elif (hierarchy := getattr(config.head, "hierarchy", None)) is not None:
        log(
            f"head.hierarchy={hierarchy} has no effect: similarity is chosen only with a "
            "closed-form initialisation and without head.similarity=none"
        )
    if not auto:
        return model, config, start
    chosen = choices(config, splits, model, start, budget)
    chosen["images.size"] = model.image_size
    if isinstance(config.head, LinearStart):
        chosen["head.start"] = begins
    left_open = {n: v for n, v in chosen.items() if operator.attrgetter(n)(config) is None}
    resolved = config.with_options(left_open)
    if start is not None and not start.informative:
        trains = resolved.run.epochs and resolved.encoder.freeze != "encoder"
        log(
            f"the features explain little (error {start.linear.frequent_error:.2f} of frequent "
            f"labels): the encoder is {'trained' if trains else 'not trained'}"
        )
    if left_open:
        listed = ", ".join(f"{name}={value}" for name, value in left_open.items())
        log(f"auto ({preset_of(config)}): {listed}")
    if resolved.run.epochs == 0 and (given_options := given_for_epochs(config)):
        log(f"no effect without epochs (--epochs N): {', '.join(given_options)}")
    return model, without_ineffective(resolved, log), start


def _with_similarity(
    model: MultiLabelClassifier,
    config: TrainConfig,
    splits: DataSplits,
    completion: Completion | None,
    counts: Cooccurrence,
    log: Log,
    given: Given | None,
    on_similarity: Callable[[SimilarityChoice, LabelSet], None],
) -> tuple[MultiLabelClassifier, SimilarityChoice | None]:
    """Makes similar labels share classifiers if this helps on the training images.

    Returns:
        The model, with another head if labels share classifiers, and the choice if they do.
    """
    if not may_share(config, model.head):
        return model, None
    if graph_given(config):
        log(GRAPH_GIVEN.format(config.graph))
        return model, None
    found = features(model, splits.train, config)
    targets = splits.train.targets.to_dense()
    observed = targets if completion is None else completion.observed_targets()
    choice = choose(config, found, observed, counts, log, splits.train.groups)
    on_similarity(choice, counts.labels)
    if choice.linear:
        return model, None
    if not replaces_graph(choice):
        log("similarity edges would gain too little to replace the co-occurrence graph")
        return model, None
    own = similarity_graph(choice, counts.labels, counts)
    shared = build_model(config, own, given=given)
    shared.encoder.load_state_dict(model.encoder.state_dict())
    shared.pool.load_state_dict(model.pool.state_dict())
    shared.image_size = model.image_size
    assert isinstance(shared.head, SharedClassifierHead)
    share_as_chosen(shared.head, choice)
    start = regression(found, targets, completion, shared.head, splits.train.groups, choice)
    shared.head.init_linear(start.weight, start.bias)
    figure = validation_map(start, features(model, splits.val, config), splits.val)
    log(f"with classifiers shared between similar labels: val mAP {figure:.4f}")
    return shared, choice


def _start(model: MultiLabelClassifier, config: TrainConfig) -> str:
    """Returns ridge if the head can be initialised as linear and the features are not random."""
    encoder = config.encoder
    learned = encoder.weights not in (None, "none") or encoder.freeze == "encoder"
    starts = starts_linear(model.head) and encoder.init is None and learned
    return "ridge" if starts else "random"
