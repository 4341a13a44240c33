"""The complete model, from images to one logit per label."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from gatlabel.batch import IMAGE, LABELS
from gatlabel.encoders import Encoder, create_encoder
from gatlabel.encoders.encoder import OWN_MODULE
from gatlabel.encoders.sizes import MOST_PIXELS, SAFE_PIXELS
from gatlabel.errors import InputError, MissingExtraError, first_line, unknown_choice
from gatlabel.files import atomic_folder, write_json
from gatlabel.labels import LabelSet
from gatlabel.model.description import (
    FILE,
    FORMAT,
    ModelDescription,
    check_companions,
    read_graph,
    read_model_file,
    refuse_other_labels,
    require_finished,
)
from gatlabel.model.extending import Likeness, extended_head
from gatlabel.model.head_file import build_head, check_sizes
from gatlabel.model.head_folding import folded_head
from gatlabel.model.network import Inputs, Network
from gatlabel.nn import HEADS, Foldable, GraphAblatable, Head, LinearHead
from gatlabel.nn.identity import Identity
from gatlabel.nn.pooling import POOLINGS, StagePool
from gatlabel.saving import Shapes, read_shapes, read_state, write_state
from gatlabel.tasks import Loss, MultiLabelTask, Task
from gatlabel.values import whole_number

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph


class MultiLabelClassifier(Network):
    """Encoder, pooling and head.

    Args:
        encoder: From images to a feature map.
        head: From features to logits.
        labels: The L label names, in the order of the logits.
        pooling: Name of a pooling (``average``, ``max``, ``gem``); unused by heads that take maps.
        graph: The label graph the head was built with, if any; saved with the model.
        resize: How whole images are resized to ``image_size`` (``squash``, ``pad``, ``crop``).
        image_size: Side of the images in pixels; default: the encoder's preferred one.

    Raises:
        InputError: If widths or labels do not fit together, or a name is unknown.

    Shapes:
        images uint8 ``(B, 3, H, W)``, 0 to 255 (normalised here, on the model's device), or float
        ``(B, 3, H, W)`` already normalised -> logits ``(B, L)``.
    """

    def __init__(
        self,
        encoder: Encoder,
        head: Head,
        labels: Sequence[str],
        *,
        pooling: str = "average",
        graph: LabelGraph | None = None,
        resize: str = "squash",
        image_size: int | None = None,
    ) -> None:
        super().__init__()
        size = encoder.image_size if image_size is None else image_size
        self.preprocessing = replace(encoder.preprocessing, size=size, resize=resize)
        if pooling not in POOLINGS:
            raise unknown_choice("pooling", pooling, POOLINGS)
        if head.needs_map and encoder.stages > 1:
            raise InputError(
                f"stages={encoder.stages}: the head {head.kind!r} takes the last map only, "
                "earlier stages are for heads that take pooled features"
            )
        if encoder.pooled_features != head.in_features:
            raise InputError(
                f"the head takes {head.in_features} features, but encoder {encoder.name!r} gives "
                f"{encoder.pooled_features}"
            )
        self.labels = labels if isinstance(labels, LabelSet) else LabelSet(labels)
        if head.out_features != len(self.labels):
            raise InputError(f"{len(self.labels)} labels for a head of {head.out_features}")
        graph_labels = None if graph is None else graph.labels
        for what, names in (("head", head.labels), ("graph", graph_labels)):
            if names is not None and names != self.labels:
                refuse_other_labels(names, self.labels, f"the {what} of the model", "the model")
        # Channels-last memory format: training steps on a CPU are 1.3 times faster with
        # EfficientNet-Lite0 and slightly with ResNet-18, and tensor cores of GPUs prefer it.
        self.encoder = encoder.to(memory_format=torch.channels_last)
        self.head, self.graph = head, graph
        # in tuples, so that they are not registered as submodules and saved
        self._loss: tuple[Loss | None] = (None,)
        self._task: tuple[MultiLabelTask, tuple[object, ...]] | None = None  # and what it is of
        self.pooling_name = pooling
        self.pool: nn.Module
        if head.needs_map:
            self.pool = nn.Identity()
        elif encoder.stages > 1:
            self.pool = StagePool(pooling, encoder.stages)
        else:
            self.pool = POOLINGS[pooling]()

    @property
    def image_size(self) -> int:
        """Side of the images in pixels; may be set."""
        return self.preprocessing.size

    @image_size.setter
    def image_size(self, size: int) -> None:
        self.preprocessing = replace(self.preprocessing, size=size)

    @property
    def loss(self) -> Loss:
        """The loss of the only task, ``labels``; default: binary cross-entropy."""
        return self._loss[0] or self.tasks[LABELS].loss

    @property
    def has_loss(self) -> bool:
        """Whether a loss was set."""
        return self._loss[0] is not None

    def set_loss(self, loss: Loss) -> None:
        """Changes the loss of the only task; see :class:`~gatlabel.tasks.Task`."""
        self._loss = (loss,)

    @property
    def encoders(self) -> Mapping[str, nn.Module]:
        """The encoder, of the input ``image``."""
        return {IMAGE: self.encoder}

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The only task, ``labels``."""
        loss = self._loss[0]
        parts = self.labels, self.head, loss, self.graph
        if self._task is None or any(a is not b for a, b in zip(self._task[1], parts, strict=True)):
            task = MultiLabelTask(LABELS, self.labels, self.head, loss, graph=self.graph)
            self._task = task, parts
        return {LABELS: self._task[0]}

    @property
    def resize(self) -> str:
        """How whole images are resized."""
        return self.preprocessing.resize

    @classmethod
    def create(
        cls,
        encoder: str | Encoder,
        head: str | type[Head] = "gat",
        *,
        graph: LabelGraph | None = None,
        labels: Sequence[str] | None = None,
        weights: str | os.PathLike[str] | None = None,
        head_options: Mapping[str, Any] | None = None,
        pooling: str = "average",
        resize: str = "squash",
        image_size: int | None = None,
        stride: int | None = None,
        stages: int = 1,
    ) -> Self:
        """Builds a model from names.

        Args:
            encoder: Name of an encoder (see :func:`gatlabel.encoders.create_encoder`) or one.
            head: Name of a head (see :data:`gatlabel.nn.HEADS`) or its class.
            graph: The label graph; its labels are the model's.
            labels: The label names if there is no graph (heads without edges need none).
            weights: Weights of an encoder given by name: a name, a local file, or ``None`` for
                random ones.
            head_options: Further options of the head.
            pooling: Name of a pooling.
            resize: How images are resized.
            image_size: Side of the images in pixels.
            stride: Pixels per cell of the map, to truncate an encoder given by name.
            stages: Number of last stages of an encoder given by name that are pooled and
                concatenated; 1 for heads that take maps.

        Raises:
            InputError: If a name is unknown, an option does not fit, the graph is missing, or the
                encoder does not take images of that size.
        """
        if isinstance(encoder, str):
            encoder = create_encoder(encoder, weights=weights, stride=stride, stages=stages)
        elif weights is not None or stride is not None or stages != 1:
            raise InputError(
                "weights, stride and stages are for an encoder given by name: this one exists "
                "already"
            )
        if image_size is not None:
            image_size = whole_number(image_size, "image_size", 1, MOST_PIXELS)
            if image_size < SAFE_PIXELS:
                encoder.require_size(image_size)
        if isinstance(head, str):
            if head not in HEADS:
                raise unknown_choice("head", head, HEADS)
            head = HEADS[head]
        names = graph.names if graph is not None else labels
        if names is None:
            raise InputError("a model needs its labels: give graph=… or labels=…")
        if graph is not None and labels is not None:
            LabelSet(labels).require_same_names(graph.names, "the graph")
            graph = graph.reorder(labels)
            names = labels
        built = build_head(head, encoder.pooled_features, names, graph, head_options or {})
        return cls(
            encoder,
            built,
            names,
            pooling=pooling,
            graph=graph if isinstance(built, GraphAblatable) else None,
            resize=resize,
            image_size=image_size,
        )

    def identity(self) -> Identity:
        """Labels and other properties that change logits; the head has its own."""
        pooling = None if self.head.needs_map else self.pooling_name
        fed = {"mean": list(self.encoder.mean), "std": list(self.encoder.std)}
        stages = {} if self.encoder.stages == 1 else {"stages": self.encoder.stages}
        return {"labels": list(self.labels), "pooling": pooling, **fed, **stages}

    def features(self, inputs: Inputs) -> Tensor:
        """Returns the input of the head: pooled ``(B, D)``, or the map ``(B, D, h, w)``.

        For an encoder with several stages, D is the sum of their channels, the last stage first.

        Args:
            inputs: Images ``(B, 3, H, W)``, or the input ``image`` of a batch.
        """
        images = inputs if isinstance(inputs, Tensor) else inputs[IMAGE]
        pooled: Tensor = self.pool(self.encoder.of_images(images))
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits ``(B, L)``."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def fold(self) -> MultiLabelClassifier:
        """Returns a model with the same encoder whose head is a plain linear layer.

        A head that depends on the image cannot be folded; the model is then returned unchanged.
        The head is replaced only if the logits agree.

        Raises:
            InputError: If the folded head's logits differ from the head's.
        """
        if not isinstance(self.head, Foldable) or isinstance(self.head, LinearHead):
            return self
        folded = folded_head(self.head, self.labels)
        model = MultiLabelClassifier(
            self.encoder,
            folded,
            self.labels,
            pooling=self.pooling_name,
            resize=self.resize,
            image_size=self.image_size,
        )
        model.pool = self.pool
        return model.train(self.training)

    def add_labels(
        self,
        names: Sequence[str],
        *,
        like: Likeness | None = None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> MultiLabelClassifier:
        """Returns a model with additional labels; its head is the folded classifier of this one.

        The rows of the old labels are copied bit for bit. Classifiers of the new labels are given,
        or are the mean of the classifiers of similar labels. To learn them from a few images, use
        :func:`gatlabel.fewshot.learn_label`.

        Args:
            names: The M new labels; they are appended.
            like: Similar labels of each new label, a list with equal shares or a mapping to shares;
                used if ``weight`` is not given.
            weight: ``(M, D)``.
            bias: ``(M,)``; with a given weight, the default is 0.

        Raises:
            InputError: If the model has a label already, the head depends on the image, or a new
                label has neither similar labels nor a weight.
        """
        folded = self.fold().head
        if not isinstance(folded, LinearHead):
            raise InputError(
                f"the head {self.head.kind!r} depends on the image, so no label can be added to "
                "it: train a head that folds, such as gat or linear"
            )
        head = extended_head(folded, self.labels, names, like, weight, bias)
        model = MultiLabelClassifier(
            self.encoder,
            head,
            LabelSet([*self.labels, *names]),
            pooling=self.pooling_name,
            resize=self.resize,
            image_size=self.image_size,
        )
        model.pool = self.pool
        return model.train(self.training)

    @property
    def config(self) -> dict[str, Any]:
        """Primitives that, with graph and weights, restore the model."""
        return {
            "format": FORMAT,
            "labels": list(self.labels),
            "encoder": self.encoder.config,
            "head": {"kind": self.head.kind, **self.head.config},
            "pooling": self.pooling_name,
            "resize": self.resize,
            "image_size": self.image_size,
        }

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Writes ``model.json``, ``model.safetensors`` and ``graph.json`` if the head has a graph.

        All files appear together, ``model.json`` last, and replace those of another model. Other
        files in the folder are kept.

        Raises:
            InputError: If they cannot be written; existing files are kept then.
        """
        names = [FILE, "model.safetensors"] + ["graph.json"] * (self.graph is not None)
        with atomic_folder(folder, last=FILE, replaces=names, others=True) as place:
            if self.graph is not None:
                self.graph.save(place / "graph.json")
            write_state(self, place / "model.safetensors")
            write_json(place / FILE, self.config)

    @classmethod
    def from_pretrained(
        cls, folder: str | os.PathLike[str], *, encoder: Encoder | None = None
    ) -> Self:
        """Loads a model that :meth:`save_pretrained` wrote, in evaluation mode on the CPU.

        Args:
            folder: The folder, or the run folder of a training run.
            encoder: The encoder, if it was your own module (its weights are loaded).

        Raises:
            InputError: If a file is missing, damaged, or of another format.
        """
        place = Path(folder)
        require_finished(place)
        described = read_model_file(place)
        weights = place / "model.safetensors"
        shapes = read_shapes(weights)
        graph = read_graph(place, described)
        check_companions(place, described.labels)
        try:
            model = cls._described(described, shapes, graph, encoder)
        except MissingExtraError:
            raise
        except InputError as error:
            raise InputError(f"{place / FILE}: {error}") from error
        except Exception as error:  # raised by a network that does not take the options
            raise InputError(f"{place / FILE} is damaged: {first_line(error)}") from error
        read_state(model, weights)
        return model.eval()

    @classmethod
    def _described(
        cls,
        described: ModelDescription,
        shapes: Shapes,
        graph: LabelGraph | None,
        encoder: Encoder | None,
    ) -> Self:
        """Makes the model that a file describes, with random weights."""
        check_sizes(described.head, shapes)
        if encoder is None:
            encoder = described.encoder.make()
        elif described.encoder.name == OWN_MODULE:
            described.encoder.require(encoder)
        if described.image_size < SAFE_PIXELS or encoder.name == OWN_MODULE:
            encoder.require_size(described.image_size)
        if encoder.pooled_features != described.head.in_features:
            raise InputError(
                f"head.in_features={described.head.in_features}, but the encoder has "
                f"{encoder.pooled_features}"
            )
        head = described.head.make(described.labels, graph)
        return cls(
            encoder,
            head,
            described.labels,
            pooling=described.pooling,
            graph=graph,
            resize=described.resize,
            image_size=described.image_size,
        )
