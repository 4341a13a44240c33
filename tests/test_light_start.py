"""What starts light stays light: no module is loaded that is not used."""

import subprocess
import sys

import pytest

#: Libraries that take long to load; any help, version or mistake does without them all.
SLOW = {"numpy", "torch", "scipy", "networkx", "PIL", "safetensors", "onnx", "onnxruntime"}
#: Libraries that no package needs that is about labels, graphs, heads, losses or metrics.
HEAVY = {"torch_geometric", "lightning", "torchmetrics", "torchvision", "matplotlib", "timm"}
#: Parts of gatlabel that train, which nobody needs who only uses a model.
TRAINING = {"gatlabel.training.run", "gatlabel.engine.module", "gatlabel.experiments.runner"}

HELPS = [
    "",
    "--help",
    "--version",
    "no-such-command",
    *(
        f"{command} --help"
        for command in ("train", "evaluate", "predict", "export", "explain", "graph", "benchmark")
    ),
    "graph build --help",
    "graph show --help",
    "graph compare --help",
    "benchmark summary --help",
    "predict run photo.jpg --treshold 0.5",
    "predict run photo.jpg --threshold high",
    "graph show graph.json --draw graph.docx",
    "graph build counts.json graph.json --graph npmi:topk=5",
    "graph compare counts.json --graphs npmi:given=source,complete",
    "train --epochs many",
]


def loaded(code: str) -> set[str]:
    """The modules that a program has loaded at its end, by their full and by their first names."""
    code += "\nimport sys; print('\\n', *sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = out.stdout.splitlines()[-1].split()
    return {*modules, *(module.partition(".")[0] for module in modules)}


def test_importing_packages_loads_no_library() -> None:
    rooms = "nn, losses, metrics, graph, data, encoders, deploy, explain, training, experiments"
    assert not (SLOW | HEAVY | TRAINING) & loaded(f"import gatlabel\nfrom gatlabel import {rooms}")


def test_names_of_packages_load_nothing_heavy() -> None:
    statements = [
        "from gatlabel import LabelSet, Cooccurrence, LabelGraph, MultiLabelClassifier, Predictor",
        *(f"from gatlabel.{room} import *" for room in ("nn", "losses", "graph", "data")),
        "from gatlabel.metrics import average_precision, evaluate_scores, f1_scores",
        *(f"from gatlabel.{room} import *" for room in ("encoders", "explain", "deploy")),
    ]
    assert not (HEAVY | TRAINING) & loaded("\n".join(statements))


@pytest.mark.parametrize("words", HELPS)
def test_help_and_mistakes_load_no_library(words: str) -> None:
    code = f"from gatlabel.cli import main\ntry: main({words.split()!r})\nexcept SystemExit: pass"
    assert not (SLOW | HEAVY | TRAINING) & loaded(code)
