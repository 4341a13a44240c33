"""A bundle predicts as its run does, and a damaged one is one clear error."""

import json
import os
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gatlabel import devices
from gatlabel.deploy import FORMATS, ExportedModel, Predictor, export_model
from gatlabel.encoders import Preprocessing
from gatlabel.errors import InputError
from tests.deploy.models import LABELS, encoder, make, photos, random_images

THRESHOLDS = dict(zip(LABELS, (0.1, 0.3, 0.5, 0.7, 0.9, 0.45), strict=True))


@pytest.fixture(scope="module", params=FORMATS)
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of each format, made from a run folder's model; not to be changed."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    export_model(make("gat"), folder, format=request.param, threshold=THRESHOLDS)
    return folder


def model() -> Any:
    """The model that ``bundle`` was made from."""
    torch.manual_seed(0)
    return make("gat")


def test_predictions_are_those_of_the_run(bundle: Path, tmp_path: Path) -> None:
    paths = photos(tmp_path)
    ours = Predictor.load(bundle, batch_size=2)
    theirs = Predictor(model(), threshold=THRESHOLDS, batch_size=2)
    for one, other in zip(ours(paths), theirs(paths), strict=True):
        assert (one.source, one.labels, one.thresholds) == (
            other.source,
            other.labels,
            other.thresholds,
        )
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    assert len({prediction.labels for prediction in ours(paths)}) > 1
    assert repr(ours) == f"Predictor(6 labels, module, 24 px, {ours.device})"


def test_a_given_threshold_overrides_that_of_the_bundle(bundle: Path, tmp_path: Path) -> None:
    path = photos(tmp_path)[0]
    assert set(Predictor.load(bundle)(path).thresholds.values()) == set(THRESHOLDS.values())
    assert set(Predictor.load(bundle, threshold=0.0)(path).labels) == set(LABELS)


def test_bad_images_are_named(bundle: Path, tmp_path: Path) -> None:
    mixed = [tmp_path / "gone.jpg", *photos(tmp_path)[:2], b"no image"]
    found = Predictor.load(bundle)(mixed, on_error="skip")
    assert [prediction.ok for prediction in found] == [False, True, True, False]


@pytest.mark.parametrize("form", FORMATS)
def test_ties_and_extreme_logits_give_the_same_decisions(form: str, tmp_path: Path) -> None:
    tied = make("linear", resize="pad")
    with torch.no_grad():
        tied.head.linear.weight[1:4] = tied.head.linear.weight[0]
        tied.head.linear.bias[1:4] = tied.head.linear.bias[0]
        tied.head.linear.bias[4:] = torch.tensor([300.0, -300.0])
    export_model(tied, tmp_path / "bundle", format=form)
    paths = photos(tmp_path)
    for one, other in zip(
        Predictor.load(tmp_path / "bundle", threshold=0.0)(paths),
        Predictor(tied, threshold=0.0)(paths),
        strict=True,
    ):
        assert one.labels == other.labels  # in the order of the labels where they tie
        assert one.labels[:2] == (LABELS[4], LABELS[0])
        assert one.probabilities[LABELS[0]] == one.probabilities[LABELS[3]]


def test_a_run_folder_is_exported_like_its_model(tmp_path: Path) -> None:
    from gatlabel.model import MultiLabelClassifier

    named = MultiLabelClassifier.create(
        "resnet18", "linear", labels=LABELS, image_size=32, resize="crop", pooling="gem"
    ).eval()
    named.save_pretrained(tmp_path / "run")
    export_model(tmp_path / "run", tmp_path / "run" / "pt2", format="pt2")
    loaded = ExportedModel.load(tmp_path / "run" / "pt2")
    images = random_images(2, 32)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), named(images), rtol=1e-5, atol=1e-5)
    assert loaded.preprocessing == Preprocessing(32, "crop")
    assert isinstance(Predictor.load(tmp_path / "run").model, MultiLabelClassifier)


def edited(**changes: Any) -> Callable[[Path], None]:
    """Replaces values of ``bundle.json``."""

    def damage(folder: Path) -> None:
        path = folder / "bundle.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**content, **changes}), encoding="utf-8")

    return damage


def fewer_labels(folder: Path) -> None:
    content = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    output = content["output"] | {"shape": ["batch", 5]}
    thresholds = dict.fromkeys(LABELS[:5], 0.5)
    edited(labels=LABELS[:5], thresholds=thresholds, output=output)(folder)


def truncate(folder: Path) -> None:
    (file,) = folder.glob("model.*")
    file.write_bytes(file.read_bytes()[:-100])


def truncate_and_hide_it(folder: Path) -> None:
    import hashlib

    truncate(folder)
    (file,) = folder.glob("model.*")
    kind = file.suffix[1:]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    edited(model={"kind": kind, "file": file.name, "sha256": digest})(folder)


def other_kind(folder: Path) -> None:
    content = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    edited(model=content["model"] | {"kind": "onyx"})(folder)


def remove_model(folder: Path) -> None:
    next(folder.glob("model.*")).unlink()


def no_json(folder: Path) -> None:
    (folder / "bundle.json").write_text("{")


def resized(size: int) -> Callable[[Path], None]:
    """Another size, and an input that goes with it."""

    def damage(folder: Path) -> None:
        content = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        shape = ["batch", 3, size, size]
        edited(image_size=size, input=content["input"] | {"shape": shape})(folder)

    return damage


def with_mean(mean: list[float]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        edited(normalisation=content["normalisation"] | {"mean": mean})(folder)

    return damage


def with_bytes(content: bytes) -> Callable[[Path], None]:
    return lambda folder: next(folder.glob("model.*")).write_bytes(content) and None


def link_out(folder: Path) -> None:
    (file,) = folder.glob("model.*")
    file.rename(folder.parent / "elsewhere")
    file.symlink_to(folder.parent / "elsewhere")


def pipe(folder: Path) -> None:
    (file,) = folder.glob("model.*")
    file.unlink()
    os.mkfifo(file)


def as_folder(folder: Path) -> None:
    (file,) = folder.glob("model.*")
    file.unlink()
    file.mkdir()


OUTSIDE = {"kind": "onnx", "file": "../model.onnx", "sha256": ""}
DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "model file gone": (remove_model, "lacks its model file 'model"),
    "model file cut off": (truncate, r"model\.\w+ is not the file that bundle\.json describes"),
    "cut off, sum adjusted": (truncate_and_hide_it, r"model\.\w+.*\(written with gatlabel"),
    "no json": (no_json, r"bundle\.json is not JSON: line 1"),
    "other format": (
        edited(format="gatlabel-bundle-9"),
        "is not of the format 'gatlabel-bundle-1'",
    ),
    "no list": (edited(labels=None), r"bundle\.json is damaged"),
    "a text": (edited(labels="abcdef"), r"bundle\.json is damaged .*labels='abcdef': give a list"),
    "a number": (edited(labels=[*LABELS[:5], 6]), r"bundle\.json is damaged .label 5: 6 is no"),
    "thresholds in a list": (edited(thresholds=[0.5] * 6), "thresholds has no value for each"),
    "label too few": (fewer_labels, "other labels than .*6 labels there, 5 here"),
    "label twice": (edited(labels=LABELS[:5] * 2), "appears twice"),
    "thresholds of others": (edited(labels=[*LABELS[:5], "dog"]), "missing: 'dog'"),
    "threshold too large": (
        edited(thresholds=dict.fromkeys(LABELS, 3)),
        "threshold 3 of label 'chat noir'",
    ),
    "no size": (edited(image_size=0), "image_size=0: must be at least 1"),
    "other size": (resized(32), "has image_size=32, but .* has 24"),
    "size beyond all memory": (resized(1_000_000), "image_size=1000000: must be at most 8192"),
    "no way to resize": (edited(resize="squish"), "did you mean 'squash'"),
    "no model": (edited(model=None), r"bundle\.json is damaged"),
    "unknown kind": (
        edited(model={"kind": "tflite", "file": "x", "sha256": ""}),
        "lacks its model",
    ),
    "other kind": (other_kind, r"bundle\.json: unknown export format 'onyx'; did you mean 'onnx'"),
    "a way out": (edited(model=OUTSIDE), "lacks its model file"),
    "a way out by a link": (link_out, "lacks its model file"),
    "an absolute way": (
        edited(model=OUTSIDE | {"file": "/dev/zero"}),
        "lacks its model file '/dev/zero'",
    ),
    "a pipe for a model": (pipe, "lacks its model file"),
    "a folder for a model": (as_folder, "lacks its model file"),
    "an empty model": (with_bytes(b""), "is not the file that bundle.json describes"),
    "labels in another order": (
        edited(labels=[LABELS[1], LABELS[0], *LABELS[2:]]),
        r"model\.\w+ has other labels than .*number 0 is 'chat noir' there and 'a \"quoted\" name' "
        "here, the same labels in another order",
    ),
    "another label": (
        edited(labels=["dog", *LABELS[1:]], thresholds=dict.fromkeys(["dog", *LABELS[1:]], 0.5)),
        "number 0 is 'chat noir' there and 'dog' here;",
    ),
    "another way to resize": (edited(resize="pad"), "has resize='pad', but .* has 'squash'"),
    "another mean": (with_mean([0.5, 0.5, 0.5]), r"has mean=\(0.5, 0.5, 0.5\), but"),
    "a mean that is none": (with_mean([0.5, float("nan"), 0.5]), "mean=nan: give a finite"),
    "two means": (with_mean([0.5, 0.5]), "mean=.*: give three numbers"),
    "a truth value for a size": (edited(image_size=True), "image_size=True: give a whole number"),
    "a text for a truth value": (edited(folded="no"), "folded='no': give true or false"),
    "a text for a threshold": (
        edited(thresholds=dict.fromkeys(LABELS, "0.5")),
        "threshold '0.5' of label 'chat noir'",
    ),
    "a huge size": (resized(10**40), "the number 10000.* is beyond 64 bits"),
    "an input of its own": (edited(input={"name": "images"}), "input does not match its"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_bundles(damage: str, bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(bundle, folder)
    change, message = DAMAGES[damage]
    change(folder)
    with pytest.raises(InputError, match=message) as caught:
        Predictor.load(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_calls(bundle: Path) -> None:
    with pytest.raises(InputError, match="is a bundle with its encoder: omit encoder"):
        Predictor.load(bundle, encoder=encoder())
    with pytest.raises(InputError, match="cannot use the device 'gpu'"):
        Predictor.load(bundle, device="gpu")
    loaded = ExportedModel.load(bundle, device="cpu")
    for wrong in (random_images(1, 32), random_images(1)[0], random_images(1).float()):
        with pytest.raises(InputError, match=r"takes uint8 images \(B, 3, 24, 24\), got"):
            loaded(wrong)
    with pytest.raises(InputError, match="cannot use the device 'meta'"):
        Predictor(loaded, device="meta")
    with pytest.raises(InputError, match="cannot use the device 'gpu'"):
        Predictor(loaded, device="gpu")


def test_an_exported_model_is_not_taken_for_one_on_another_gpu(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two GPUs, of which the second is the current one."""
    empty = torch.empty

    def allocate(*size: int, device: torch.device) -> Any:
        if device.type != "cuda":
            return empty(*size, device=device)
        index = 1 if device.index is None else device.index
        return types.SimpleNamespace(device=torch.device("cuda", index))

    loaded = ExportedModel.load(bundle, device="cpu")
    on_first, on_second = (ExportedModel(loaded, loaded.description, f"cuda:{k}") for k in (0, 1))
    monkeypatch.setattr(torch, "empty", allocate)
    for device in ("cuda:1", "cuda"):
        assert Predictor(on_second, device=device).device == "cuda:1"
        with pytest.raises(InputError, match=f"loaded for the device 'cuda:0', not for '{device}'"):
            Predictor(on_first, device=device)


def test_onnx_runs_on_the_cpu_only(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if (bundle / "model.onnx").exists():
        chosen = torch.device("cuda:1")
        monkeypatch.setattr(devices, "choose_device", lambda device, *, gpu=True: chosen)
        with pytest.raises(InputError, match="format onnx runs on the CPU, not on 'cuda:1'"):
            Predictor.load(bundle, device="cuda:1")


@pytest.mark.gpu
def test_pt2_runs_on_the_gpu(tmp_path: Path) -> None:
    for kind in ("gat", "csra", "query", "conditioned"):
        export_model(make(kind), tmp_path / kind, format="pt2")
        on_cpu = ExportedModel.load(tmp_path / kind, device="cpu")
        on_gpu = ExportedModel.load(tmp_path / kind, device="cuda")
        for batch in (1, 5):
            images = random_images(batch)
            torch.testing.assert_close(on_gpu(images).cpu(), on_cpu(images), rtol=1e-3, atol=1e-3)
        for device in ("cuda", "cuda:0", "auto"):
            assert Predictor(on_gpu, device=device).device == "cuda:0"


def test_predicting_with_an_onnx_bundle_loads_no_torch(tmp_path: Path) -> None:
    """Its labels are those of the run; the formats of images are the same."""
    pytest.importorskip("onnxruntime")
    export_model(model(), tmp_path / "bundle", format="onnx")
    files = [tmp_path / f"{kind}.{kind}" for kind in ("png", "jpg", "webp")]
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    for file in files:
        Image.fromarray(noise).save(file)
    words = ["predict", str(tmp_path / "bundle"), *map(str, files), "--json", "--device", "cpu"]
    code = (
        "import sys; from gatlabel.cli import main\n"
        f"assert main({words!r}) == 0\n"
        "print('\\n', *sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    printed, _, modules = out.stdout.rstrip().rpartition("\n")
    heavy = {"torch", "torchvision", "lightning", "scipy", "networkx", "matplotlib", "onnx"}
    assert not heavy & set(modules.split())
    assert not any(name.startswith("gatlabel.training.run") for name in modules.split())
    expected = Predictor(model())(files)
    for found, prediction in zip(json.loads(printed), expected, strict=True):
        assert found["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-5)
