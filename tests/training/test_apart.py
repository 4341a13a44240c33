"""Losses of a head beyond the first change nothing of what the first one teaches."""

import math

import torch

from gatlabel.graph import LabelGraph
from gatlabel.nn.identity import KEY
from gatlabel.training.building import build_model
from gatlabel.training.config import TrainConfig
from gatlabel.training.data import loaders, read_data
from gatlabel.training.fitting import fit

CONFIG = TrainConfig(
    data="scenes", train_pictures=24, test_pictures=8, image_size=32, backbone="resnet18",
    weights="none", head="conditioned", hidden=16, heads=2, epochs=2, batch_size=8, encoder_lr=1.0,
    lr=0.01, clip_gradient=0.05, keep="last", progress=False, device="cpu",
)  # fmt: skip


def trained(edges: bool) -> dict[str, torch.Tensor]:
    config = CONFIG.resolved()
    splits = read_data(config)
    names = list(splits.train.labels)
    pairs = [(a, b) for a in names[:6] for b in names[:6] if a != b]
    graph = LabelGraph.from_edges(pairs if edges else [], names=names)
    torch.manual_seed(0)
    model = build_model(config, graph, "conditioned")
    with torch.no_grad():
        model.head.messages.out.normal_()
    rows = fit(model, config, loaders(splits, model, config), None)
    assert all(math.isfinite(row["train_loss"]) for row in rows)
    return {**model.state_dict(), "train_loss": torch.tensor([r["train_loss"] for r in rows])}


def test_company_leaves_encoder_and_sight_as_they_are_without_edges() -> None:
    """Bit for bit, over clipping, optimiser and moving average."""
    full, alone = trained(True), trained(False)
    # and the state says over which edges it was learned
    company = ("head.messages", "head.coupling", "head.prior_logit", f"head.{KEY}")
    for name, value in alone.items():
        if not name.startswith(company):
            assert value.equal(full[name]), name
    assert full["head.coupling"].abs().max() > 0
    assert not full["head.prior_logit"].equal(alone["head.prior_logit"])
