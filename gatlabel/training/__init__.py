"""Training: recipes return a typed config, and :func:`train` writes a run folder from one.

>>> from gatlabel.training import TrainConfig, plain, train
>>> config = plain().with_options(
...     {"data.train_images": 32, "data.test_images": 16, "images.size": 32, "run.epochs": 1,
...      "encoder.backbone": "shufflenet_v2_x0_5", "encoder.weights": "none",
...      "run.compare": "no", "run.progress": False, "run.output": "demo"})
>>> result = train(config)
>>> sorted(path.name for path in result.folder.iterdir())[:3]
['checkpoints', 'choices.json', 'config.yaml']
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.training.config import TrainConfig
    from gatlabel.training.evaluation import Evaluation, evaluate
    from gatlabel.training.recipes import RECIPES, asl, auto, mlgcn, plain
    from gatlabel.training.run import RunResult, resume, train
    from gatlabel.training.run_folder import RunFinishedError
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "RECIPES",
    "Evaluation",
    "RunFinishedError",
    "RunResult",
    "TrainConfig",
    "asl",
    "auto",
    "evaluate",
    "mlgcn",
    "plain",
    "resume",
    "train",
]
