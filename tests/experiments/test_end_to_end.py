"""End-to-end runs: trials scale the recipe, and images are read once."""

from pathlib import Path

import pytest

from gatlabel.experiments import end_to_end
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Condition
from gatlabel.training import TrainConfig
from tests.experiments.synthetic import SMALL

ALL = Condition()


@pytest.fixture
def backend(tiny_csv: Path) -> end_to_end.EndToEndBackend:
    train = TrainConfig().with_options(
        {
            "data": "csv",
            "data.root": tiny_csv,
            "encoder.backbone": "mobilenet_v3_small",
            "encoder.weights": "none",
            "images.size": 32,
            "run.epochs": 1,
            "run.batch_size": 8,
            "images.augmentation": "none",
            "run.workers": 0,
        }
    )
    return end_to_end.EndToEndBackend(train, SMALL)


def test_trials_are_factors_on_the_recipe_and_evaluated_on_held_out_images(backend) -> None:
    usual = {"lr": 1.0, "weight_decay": 1.0, "shrinkage": 1.0}
    config = backend._config(Method("gat"), ALL, {**usual, "lr": 0.3}, 7)
    assert config.optimizer.lr == pytest.approx(0.3 * backend.train.optimizer.lr)
    assert config.head.residual_decay == pytest.approx(0.1)
    assert (config.run.seed, config.run.keep) == (7, "last")
    first = backend.tune(Method("gat", "conditional"), ALL, usual, 7)
    assert 0 < first <= 1
    assert backend.tune(Method("gat", "conditional"), ALL, usual, 7) == first


def test_images_are_read_once_a_process(backend, monkeypatch) -> None:
    end_to_end._task.cache_clear()
    read, reads = end_to_end.read_task, []
    monkeypatch.setattr(end_to_end, "read_task", lambda c: (reads.append(c), read(c))[1])
    usual = {"lr": 1.0, "weight_decay": 1.0, "shrinkage": 1.0}
    whole, cut = backend.run(Method("gat", "conditional"), ALL, usual, 0, True)
    assert cut.method.edges == "ablated"
    assert whole.logits.shape == cut.logits.shape
    backend.tune(Method("linear"), ALL, usual, 0)
    assert len(reads) == 1
