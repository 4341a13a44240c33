"""Losses of a head beyond the first change nothing of what the first one teaches."""

import math

import torch

from gatlabel.graph import LabelGraph
from gatlabel.nn.identity import KEY
from gatlabel.training.building import build_model
from gatlabel.training.config import TrainConfig
from gatlabel.training.data import loaders, read_data
from gatlabel.training.fitting import fit

CONFIG = TrainConfig().with_options(
    {
        "data": "scenes",
        "data.train_images": 24,
        "data.test_images": 8,
        "images.size": 32,
        "encoder.backbone": "resnet18",
        "encoder.weights": "none",
        "head": "conditioned",
        "head.hidden": 16,
        "head.heads": 2,
        "run.epochs": 2,
        "run.batch_size": 8,
        "optimizer.encoder_lr": 1.0,
        "optimizer.lr": 0.01,
        "optimizer.clip_gradient": 0.05,
        "run.keep": "last",
        "run.progress": False,
        "run.device": "cpu",
    }
)


def trained(edges: bool) -> dict[str, torch.Tensor]:
    config = CONFIG.resolved()
    splits = read_data(config)
    names = list(splits.train.labels)
    pairs = [(a, b) for a in names[:6] for b in names[:6] if a != b]
    graph = LabelGraph.from_edges(pairs if edges else [], names=names)
    torch.manual_seed(0)
    model = build_model(config, graph)
    with torch.no_grad():
        model.head.messages.out.normal_()
    rows = fit(model, config, loaders(splits, model, config), None)
    assert all(math.isfinite(row["train_loss"]) for row in rows)
    return {**model.state_dict(), "train_loss": torch.tensor([r["train_loss"] for r in rows])}


def test_messages_do_not_train_encoder_and_unary_logits_without_edges() -> None:
    """Bit for bit, over clipping, optimiser and moving average."""
    full, alone = trained(True), trained(False)
    # and the state says over which edges it was learned
    context = ("head.messages", "head.coupling", "head.prior_logit", f"head.{KEY}")
    for name, value in alone.items():
        if not name.startswith(context):
            assert value.equal(full[name]), name
    assert full["head.coupling"].abs().max() > 0
    assert not full["head.prior_logit"].equal(alone["head.prior_logit"])
