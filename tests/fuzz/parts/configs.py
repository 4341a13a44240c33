"""Config files: read as options, and by ``train`` up to the first step."""

from __future__ import annotations

from typing import Any

from gatlabel.options import leaves
from gatlabel.training import TrainConfig
from gatlabel.training.recipes import read_config
from tests.fuzz.case import Case
from tests.fuzz.raw_bytes import corrupt
from tests.fuzz.training import begin_training
from tests.fuzz.trees import corrupt_tree, yaml_bytes

WORDS: tuple[Any, ...] = (
    *TrainConfig().to_dict(),
    *(leaf.path.rpartition(".")[2] for leaf in leaves(TrainConfig)),
    *("gat", "linear", "query", "csra", "pyg", "csv", "coco", "voc", "json", "scenes", "names"),
    *("asl", "focal", "best", "turned", "onecycle", "random", "knn", "../graph.json", "GATConv"),
    *("timm:resnet18", "resnet18", "cuda", "disk", "single", "none", None, True, 2, 0.3, -1),
)
TEXTS = (
    b"a: &a [1]\nb: *a\n", b"a: &a [*a]\n", b"!!python/object/apply:os.system [touch x]\n",
    b"run: {epochs: 2026-99-99}\n", b"run: {seed: 1_000}\n", b"optimizer: {lr: 1e-3}\n",
    b"? [a]\n: b\n", b"--- a\n--- b\n",
    b"<<: {seed: 1}\n", b"%YAML 9.9\n---\nseed: 1\n", b"seed: 0x10\n", b"seed: 12:30:45\n",
    b"a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b]\n",
)  # fmt: skip


def configs(case: Case) -> None:
    """Corrupts a config and reads it."""
    rng = case.rng
    base = (
        TrainConfig()
        .with_options(
            {
                "data": "csv",
                "data.root": case.samples.data,
                "encoder.backbone": "shufflenet_v2_x0_5",
                "encoder.weights": "none",
                "images.size": 32,
                "head.hidden": 8,
                "head.heads": 2,
                "run.batch_size": 4,
                "run.workers": 0,
                "run.progress": False,
            }
        )
        .to_dict()
    )
    short = {name: base[name] for name in rng.sample(sorted(base), 5)} | {
        name: base[name] for name in ("data", "images", "encoder")
    }
    kind = rng.choice(("tree", "tree", "tree", "option", "option", "text", "special"))
    tree = rng.choice((base, short))
    if kind == "tree":
        data = yaml_bytes(rng, corrupt_tree(rng, tree, WORDS))
    elif kind == "option":
        data = yaml_bytes(rng, {**short, rng.choice(sorted(base)): rng.choice(WORDS)})
    elif kind == "text":
        data = corrupt(rng, yaml_bytes(rng, tree))
    else:
        data = rng.choice((b"", yaml_bytes(rng, short))) + rng.choice(TEXTS)
    path = case.put("config.yaml", data)
    if rng.random() < 0.5:
        config = case.call(read_config, path)
        if config is not None:
            config.save(case.folder / "again.yaml")
            again = case.call(read_config, case.folder / "again.yaml")
            assert again == config, (again, config)
        return
    begin_training(case, "--config", path)
