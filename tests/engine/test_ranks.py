"""Connected processes: metrics, batch norm and dropout over 2 and 4 of them, against one."""

import multiprocessing
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.functional.classification import (
    multilabel_average_precision,
    multilabel_f1_score,
)

from gatlabel.batch import Batch
from gatlabel.data.loading import share_of
from gatlabel.data.seeds import mixed
from gatlabel.engine.balancing import create_balancer
from gatlabel.engine.module import TrainingModule
from gatlabel.engine.options import OptimizerOptions
from gatlabel.engine.ranks import Ranks, SharedBatchNorm
from gatlabel.engine.specs import FitSpec
from gatlabel.engine.supervised import Supervised
from gatlabel.metrics import f1_scores
from gatlabel.model import Model
from gatlabel.nn import LinearHead
from gatlabel.tasks import MultiLabelTask

N, D, L, B = 13, 6, 3, 5  # batches of 5, 5 and 3: shares of all sizes from 2 down to 0
NAMES = ["a", "b", "c"]


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(N, D, generator=generator)
    targets = (features[:, :L] + torch.randn(N, L, generator=generator) > 0.3).float()
    return features, targets


def model() -> Model:
    torch.manual_seed(1)
    return Model({}, [MultiLabelTask("things", NAMES, LinearHead(D, NAMES))])


def collate(rows: list[tuple[Tensor, Tensor, Tensor]]) -> Batch:
    features, targets, index = map(torch.stack, zip(*rows, strict=True))
    return Batch({"features": features}, {"things": targets}, index)


def batches() -> DataLoader:
    return DataLoader(TensorDataset(*data(), torch.arange(N)), B, collate_fn=collate)


@torch.no_grad()
def validated(ranks: Ranks | None) -> dict[str, Any]:
    """What the objective finds, and F1 of what the processes gather."""
    network, objective, loader = model(), Supervised(), batches()
    objective.ranks = ranks
    objective.prepare(network, loader)
    logits, targets = torch.zeros(0, L), torch.zeros(0, L)
    for batch in loader if ranks is None else share_of(loader, ranks.rank, ranks.size):
        objective.validation_step(network, batch)
        logits = torch.cat([logits, network.outputs(batch.inputs)["things"].detach()])
        targets = torch.cat([targets, batch.targets["things"]])
    if ranks is not None:
        logits, targets = ranks.gather(logits), ranks.gather(targets)
    f1 = f1_scores(logits.sigmoid(), targets)
    figures = {name: float(value) for name, value in objective.validation_metrics(0).items()}
    return {"figures": figures, "rows": len(logits), "f1": (f1.of1, f1.macro_f1)}


def normalised(ranks: Ranks | None) -> dict[str, Tensor]:
    """Batch norm in training: rows, gradients of inputs and parameters, running statistics."""
    inputs, weights = data()[0], torch.arange(float(N * D)).reshape(N, D)
    norm, rows = nn.BatchNorm1d(D), torch.arange(N)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2, D))
    if ranks is not None:
        rows = rows[ranks.rank :: ranks.size]
    mine = inputs[rows].requires_grad_()
    if ranks is None:
        output = norm(mine)
    else:
        with SharedBatchNorm():
            output = norm(mine)
    (output * weights[rows]).sum().backward()
    assert mine.grad is not None
    found = {"output": output.detach(), "gradient": mine.grad}
    own = {"weight": norm.weight.grad, "bias": norm.bias.grad}
    if ranks is not None:
        order = ranks.gather(rows).argsort()
        found = {name: ranks.gather(value)[order] for name, value in found.items()}
        own = {name: ranks.mean(value) * ranks.size for name, value in own.items()}
    return found | own | {"mean": norm.running_mean, "variance": norm.running_var}


class Stepping(TrainingModule):
    """A module whose step is set by hand; else a trainer counts."""

    global_step = 0


def masks(ranks: Ranks | None) -> list[list[int]]:
    """What dropout keeps in the first steps."""
    objective, spec = Supervised(), FitSpec(epochs=1, seed=3)
    module = Stepping(model(), objective, OptimizerOptions(), spec, 1, ranks=ranks)
    found = []
    for step in range(3):
        module.global_step = step
        module.on_train_batch_start(next(iter(batches())), step)
        found.append(nn.functional.dropout(torch.ones(32), 0.5).bool().int().tolist())
    return found


def combined(ranks: Ranks) -> dict[str, Tensor]:
    """Weights and targets of GradVac, which draws the order of the tasks."""
    tasks = ["a", "b", "c", "d"]
    balancer = create_balancer("gradvac", tasks)
    balancer.total = lambda value: ranks.mean(value) * ranks.size
    for step in range(3):
        torch.manual_seed(mixed(step, ranks.rank))  # as the processes of a run
        features = torch.randn(2, 5, requires_grad=True)
        losses = {name: (features * torch.randn(2, 5)).sum() for name in tasks}
        balancer(losses, features)
    return {"weights": balancer.weights, "similarity": balancer.similarity}


def work(function: Callable[[Ranks], Any], rank: int, size: int, folder: str) -> None:
    """A process of the test: writes what it finds to the folder."""
    torch.set_num_threads(1)
    store = distributed.FileStore(f"{folder}/store", size)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=size)
    torch.save(function(Ranks(rank, size, rank, size)), f"{folder}/{rank}.pt")
    distributed.barrier()
    distributed.destroy_process_group()


def everything(ranks: Ranks) -> dict[str, Any]:
    return {
        "validated": validated(ranks), "norm": normalised(ranks), "masks": masks(ranks),
        "combined": combined(ranks),
    }  # fmt: skip


@pytest.fixture(scope="module", params=[2, 4])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What each of several processes finds."""
    folder = tmp_path_factory.mktemp("ranks")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # imports once for all processes
    processes = [
        context.Process(target=work, args=(everything, rank, request.param, str(folder)))
        for rank in range(request.param)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    return [torch.load(folder / f"{k}.pt", weights_only=True) for k in range(request.param)]


@pytest.mark.slow
def test_metrics_with_an_uneven_last_batch_are_torchmetrics_of_one_process(found: list) -> None:
    features, targets = data()
    logits = model().outputs({"features": features})["things"].detach()
    average = multilabel_average_precision(logits, targets.long(), L, average="macro")
    scores = [
        float(multilabel_f1_score(logits.sigmoid(), targets.long(), L, average=kind))
        for kind in ("micro", "macro")
    ]
    alone = validated(None)
    for each in found:
        own = each["validated"]
        assert own["rows"] == N
        assert own["figures"]["val_mAP"] == pytest.approx(float(average), abs=1e-6)
        assert own["f1"] == pytest.approx(scores, abs=1e-6)
        assert own["figures"] == pytest.approx(alone["figures"], abs=1e-7)


@pytest.mark.slow
def test_batch_norm_learns_as_on_the_whole_batch(found: list) -> None:
    alone = normalised(None)
    for each in found:
        for name, value in alone.items():
            torch.testing.assert_close(each["norm"][name], value, atol=2e-5, rtol=1e-5, msg=name)


@pytest.mark.slow
def test_processes_draw_dropout_of_their_own(found: list) -> None:
    drawn = [tuple(mask) for each in found for mask in each["masks"]]
    assert len(set(drawn)) == len(drawn)
    assert found[0]["masks"] == masks(None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["weights", "similarity"])
def test_processes_combine_gradients_alike(found: list, name: str) -> None:
    first = found[0]["combined"][name]
    assert first.std() > 0
    for each in found:
        assert torch.equal(each["combined"][name], first)
