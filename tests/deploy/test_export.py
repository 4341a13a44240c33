"""Exported files give the logits of the model, hold what they should, and nothing appears else."""

import copy
import dataclasses
import importlib
import importlib.metadata
import json
import math
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gatlabel
from gatlabel.deploy import FORMATS, Export, ExportedModel, export_model
from gatlabel.deploy.parity import compare, sample_images
from gatlabel.encoders import Encoder, create_encoder
from gatlabel.errors import InputError, MissingExtraError
from gatlabel.graph import LabelGraph
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import HEADS, Foldable, LinearHead
from tests.deploy.models import LABELS, SIZE, encoder, make, random_images, similarity_graph
from tests.nn.head_cases import perturbed

SIMILARITY = ["gat of similarity", "pyg of similarity"]
STATIC = [*(kind for kind, head in HEADS.items() if issubclass(head, Foldable)), *SIMILARITY]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Model, bundle and what was reported, of a head in a format; each is exported once."""
    root = tmp_path_factory.mktemp("bundles")
    found: dict[tuple[str, str], tuple[MultiLabelClassifier, Path, Export]] = {}

    def get(kind: str, form: str) -> tuple[MultiLabelClassifier, Path, Export]:
        if (kind, form) not in found:
            torch.manual_seed(0)
            head, _, similarity = kind.partition(" of ")
            model = make(head, graph=similarity_graph() if similarity else None)
            folder = root / f"{kind}-{form}"
            found[kind, form] = model, folder, export_model(model, folder, format=form)
        return found[kind, form]

    return get


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", [*HEADS, *SIMILARITY])
class TestEveryHead:
    def test_gives_the_logits_of_the_model_for_any_batch(self, kind, form, exported) -> None:
        model, folder, _ = exported(kind, form)
        loaded = ExportedModel.load(folder)
        for batch in (1, 2, 5):
            images = random_images(batch)
            logits = loaded(images)
            assert logits.dtype == torch.float32
            with torch.no_grad():
                torch.testing.assert_close(logits, model(images), rtol=1e-5, atol=1e-4)
        last = images.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(loaded(last), logits, rtol=1e-5, atol=1e-5)

    def test_repr_describes_it(self, kind, form, exported) -> None:
        _, folder, export = exported(kind, form)
        assert {path.name for path in folder.iterdir()} == {"bundle.json", f"model.{form}"}
        content = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        assert content["labels"] == list(content["thresholds"]) == LABELS
        assert content["input"]["shape"] == ["batch", 3, SIZE, SIZE]
        assert content["output"]["shape"] == ["batch", len(LABELS)]
        assert (content["head"], content["folded"]) == (kind.split()[0], kind in STATIC)
        assert content["parity"]["greatest_difference"] == export.parity.greatest_difference < 1e-5
        assert content["versions"]["gatlabel"] == gatlabel.__version__
        for name in ("torch", *FORMATS[form].libraries):
            assert content["versions"][name] == str(importlib.import_module(name).__version__)
        assert content["model"]["bytes"] == export.file.stat().st_size == export.size

    def test_contains_nothing_about_the_environment(self, kind, form, exported) -> None:
        content = exported(kind, form)[2].file.read_bytes()
        for part in (str(Path(gatlabel.__file__).parent), str(Path(torch.__file__).parent)):
            assert part.encode() not in content


@pytest.mark.parametrize("kind", STATIC)
class TestStaticHeads:
    def test_are_one_linear_layer_after_pooling_in_pt2(self, kind, exported) -> None:
        model, folder, _ = exported(kind, "pt2")
        program = torch.export.load(folder / "model.pt2")
        called = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
        assert called[-2:] == ["aten.mean.dim", "aten.linear.default"]
        assert called.count("aten.linear.default") == 1
        parameters = sum(value.numel() for value in program.parameters())
        own = sum(value.numel() for value in model.encoder.parameters())
        width, count = model.encoder.out_features, len(model.labels)
        assert parameters == own + count * width + count

    def test_are_the_program_of_a_linear_head(self, kind, exported) -> None:
        """Nothing of a graph is left: the same operators in the same order, of the same shapes."""
        programs = [torch.export.load(exported(k, "pt2")[2].file) for k in (kind, "linear")]
        ours, theirs = (
            [(str(node.target), node.meta["val"].shape) for node in p.graph.nodes if node.users]
            for p in programs
        )
        assert [name for name, _ in ours] == [name for name, _ in theirs]
        assert [s[1:] for _, s in ours] == [s[1:] for _, s in theirs]

    def test_are_one_gemm_in_onnx(self, kind, exported) -> None:
        onnx = pytest.importorskip("onnx")
        graphs = [onnx.load(exported(k, "onnx")[2].file).graph for k in (kind, "linear")]
        ours, theirs = ([node.op_type for node in graph.node] for graph in graphs)
        assert ours == theirs
        assert ours[-2:] == ["ReduceMean", "Gemm"]
        assert Counter(ours)["Gemm"] == 1
        assert "MatMul" not in ours


@pytest.mark.parametrize("kind", SIMILARITY)
def test_contributions_of_similar_labels_are_in_the_file(kind: str, exported) -> None:
    model, folder, _ = exported(kind, "pt2")
    assert model.head.mixing is not None
    alone = copy.deepcopy(model)
    alone.head.mixing = None
    images = random_images(3)
    with torch.no_grad():
        contribution = model(images) - alone(images)
        found = ExportedModel.load(folder)(images) - alone(images)
    assert contribution.abs().max() > 0.005
    torch.testing.assert_close(found, contribution, rtol=1e-3, atol=1e-5)


def test_a_lone_onnx_file_can_be_used(exported) -> None:
    runtime = pytest.importorskip("onnxruntime")
    model, _, export = exported("gat", "onnx")
    session = runtime.InferenceSession(export.file, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["labels"]) == LABELS
    assert json.loads(facts["normalisation"])["mean"] == pytest.approx(model.encoder.mean)
    assert json.loads(facts["resize"]) == "squash"
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (taken.name, taken.type, taken.shape) == (
        "images",
        "tensor(uint8)",
        ["batch", 3, 24, 24],
    )
    assert (given.name, given.type, given.shape) == ("logits", "tensor(float)", ["batch", 6])


def test_a_lone_pt2_file_can_be_used(exported) -> None:
    file = exported("gat", "pt2")[2].file
    extra = {"bundle.json": ""}
    program = torch.export.load(file, extra_files=extra)
    assert json.loads(extra["bundle.json"])["labels"] == LABELS
    assert program.module()(random_images(4)).shape == (4, 6)
    assert not any(
        part.file_size for part in zipfile.ZipFile(file).filelist if "sample" in part.filename
    )


# ResNet-18 is exported as pt2 in test_bundles.py, from a run folder; up to stride 8 the other has
# all its kinds of blocks
@pytest.mark.parametrize(("name", "stride"), [("resnet18", None), ("efficientnet_lite0", 8)])
def test_networks_of_every_day(name: str, stride: int | None, tmp_path: Path) -> None:
    model = make("gat", create_encoder(name, stride=stride), image_size=64, pooling="gem")
    export_model(model, tmp_path / "bundle", format="onnx")
    loaded = ExportedModel.load(tmp_path / "bundle")
    for batch in (1, 4):
        images = sample_images(batch, 64, seed=5)
        with torch.no_grad():
            torch.testing.assert_close(loaded(images), model(images), rtol=1e-4, atol=1e-4)
    assert repr(loaded) == f"ExportedModel(6 labels, {name}, 64 px, {loaded.device})"


@pytest.mark.parametrize("form", FORMATS)
def test_a_large_sparse_graph_with_labels_not_seen(form: str, tmp_path: Path) -> None:
    """Another form of attention than in small graphs, in operators that other runtimes have."""
    names = [f"label {k}" for k in range(150)]
    edges = [(names[k - step], names[k], 0.5) for k in range(150) for step in (1, 7)]
    model = MultiLabelClassifier.create(
        encoder(), "conditioned", graph=LabelGraph.from_edges(edges, names=names)
    )
    with torch.no_grad():
        perturbed(model.head)
        model.head.label_bias()[::2] = -12
    assert not model.head.messages.attend.dense
    export_model(model.eval(), tmp_path / "bundle", format=form)
    images = random_images(2)
    logits = ExportedModel.load(tmp_path / "bundle")(images)
    with torch.no_grad():
        torch.testing.assert_close(logits, model(images), rtol=1e-4, atol=1e-4)


def test_the_model_stays_as_it_is(tmp_path: Path) -> None:
    model = make("gat").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    export_model(model, tmp_path / "bundle", format="pt2")
    assert all(module.training for module in model.modules())
    assert not isinstance(model.head, LinearHead)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_models_of_other_precision_become_float32(tmp_path: Path) -> None:
    model = make("gat").double()
    export_model(model, tmp_path / "bundle", format="pt2")
    assert ExportedModel.load(tmp_path / "bundle")(random_images(2)).dtype == torch.float32
    assert next(model.parameters()).dtype == torch.float64


@pytest.mark.parametrize("form", FORMATS)
def test_other_logits_are_refused(form: str, tmp_path: Path, monkeypatch) -> None:
    """The file is run before it appears: one bias that is off by a hundredth is found."""
    honest = FORMATS[form]

    def tamper(program: Any, description: Any, path: Path) -> None:
        with torch.no_grad():
            program.state_dict["model.head.linear.bias"][3] += 0.01
        honest.write(program, description, path)

    monkeypatch.setitem(FORMATS, form, dataclasses.replace(honest, write=tamper))
    with pytest.raises(InputError, match=r"exported model differ .* by up to 0\.01"):
        export_model(make("gat"), tmp_path / "bundle", format=form)
    assert not list(tmp_path.iterdir())
    export_model(make("gat"), tmp_path / "bundle", format=form, tolerance=0.1)


def test_a_fold_that_goes_wrong_is_refused(tmp_path: Path, monkeypatch) -> None:
    def fold(self: MultiLabelClassifier) -> MultiLabelClassifier:
        head = LinearHead(self.head.in_features, labels=self.labels)
        return MultiLabelClassifier(self.encoder, head, self.labels)

    monkeypatch.setattr(MultiLabelClassifier, "fold", fold)
    with pytest.raises(InputError, match="logits of the exported model differ"):
        export_model(make("gat"), tmp_path / "bundle", format="pt2")


def test_what_the_comparison_finds() -> None:
    def model(images: Tensor) -> Tensor:
        return images.float().mean((2, 3)) / 100

    def late(images: Tensor) -> Tensor:  # wrong for the last image of a batch only
        return model(images) + 0.01 * (torch.arange(len(images)) == 2)[:, None]

    def diverged(images: Tensor) -> Tensor:
        return model(images) * float("nan")

    assert compare(model, model, 16).greatest_difference == 0
    assert compare(model, model, 16).ok
    assert compare(late, model, 16).greatest_difference == pytest.approx(0.01, rel=1e-4)
    assert not compare(late, model, 16).ok
    assert not compare(lambda x: model(x)[:, :2], model, 16).ok
    assert not compare(lambda x: model(x) * float("nan"), model, 16).ok
    assert not compare(
        lambda x: model(x) * float("nan"), lambda x: x[:, :, 0, 0] * float("nan"), 16
    ).ok


def test_sample_images_use_the_whole_range() -> None:
    images = sample_images(3, 64)
    assert (int(images.min()), int(images.max())) == (0, 255)
    assert 30 < float(images.float().std()) < 110
    assert not torch.equal(images[0], images[1])
    assert not torch.equal(images, sample_images(3, 64, seed=1))


class BranchesOnBatch(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(images, 1)
        return pooled if len(images) == 2 else pooled + 1


class BranchesOnPixels(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(images, 1)
        return pooled if float(images.mean()) > 0 else pooled + 1


class TestMistakes:
    """One clear error, and nothing on the disk but what was there."""

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"format": "onx"}, "unknown export format 'onx'; did you mean 'onnx'"),
            ({"tolerance": math.inf}, "tolerance inf: expected a finite number, at least 0"),
            ({"tolerance": math.nan}, "tolerance nan: expected"),
            ({"tolerance": -1e-9}, "tolerance -1e-09: expected"),
            ({"threshold": 2}, "threshold 2: expected a probability"),
            ({"threshold": {"chat noir": 0.5}}, "labels of the thresholds do not match; missing"),
        ],
    )
    def test_options(self, options: dict[str, Any], message: str, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=message):
            export_model(make("linear"), tmp_path / "bundle", **{"format": "pt2", **options})
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(("kind", "message"), [("gat", "contain NaN"), ("csra", "gives NaN")])
    def test_models_that_give_nan(self, kind, message, tmp_path: Path) -> None:
        model = make(kind)
        with torch.no_grad():
            next(model.head.parameters()).fill_(float("nan"))
        with pytest.raises(InputError, match=message):
            export_model(model, tmp_path / "bundle", format="pt2")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("trunk", [BranchesOnBatch(), BranchesOnPixels()])
    def test_encoders_that_cannot_be_written_down(self, trunk, tmp_path: Path) -> None:
        own = Encoder("module", trunk, 3, image_size=16)
        model = MultiLabelClassifier.create(own, "linear", labels=LABELS)
        with pytest.raises(InputError, match="cannot trace the model with encoder 'module'"):
            export_model(model, tmp_path / "bundle", format="pt2")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("missing", ["onnx", "onnxscript", "onnxruntime"])
    def test_a_missing_extra_is_named(self, missing, tmp_path: Path, monkeypatch) -> None:
        find = importlib.import_module

        def without(name: str, package: str | None = None) -> Any:
            if name == missing:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            return find(name, package)

        monkeypatch.setattr(importlib, "import_module", without)
        message = rf"{missing} is not installed; install it with: pip install 'gatlabel\[onnx\]'"
        with pytest.raises(MissingExtraError, match=message):
            export_model(tmp_path / "run", tmp_path / "bundle", format="onnx")  # first of all
        assert not list(tmp_path.iterdir())

    def test_libraries_are_known_by_module_not_by_distribution(self, monkeypatch) -> None:
        """``onnxruntime-gpu`` and others install the module too."""

        def version(name: str) -> str:
            raise importlib.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(importlib.metadata, "version", version)
        assert set(FORMATS["onnx"].versions()) == {
            "gatlabel",
            "torch",
            "onnx",
            "onnxscript",
            "onnxruntime",
        }

    def test_taken_places(self, tmp_path: Path) -> None:
        model, folder = make("linear"), tmp_path / "taken"
        folder.mkdir()
        (folder / "thesis.tex").write_text("mine")
        with pytest.raises(InputError, match=r"not empty: give another output, or .*--overwrite"):
            export_model(model, folder, format="pt2")
        with pytest.raises(InputError, match="is not a bundle: --overwrite does not replace it"):
            export_model(model, folder, format="pt2", overwrite=True)
        with pytest.raises(InputError, match="is a file: give a folder"):
            export_model(model, folder / "thesis.tex", format="pt2")
        with pytest.raises(InputError, match=r"cannot write the folder .*thesis"):
            export_model(model, folder / "thesis.tex" / "bundle", format="pt2")
        assert [path.name for path in tmp_path.rglob("*")] == ["taken", "thesis.tex"]

    def test_a_bundle_is_replaced_as_a_whole_or_stays(self, tmp_path: Path, monkeypatch) -> None:
        model, folder = make("linear"), tmp_path / "bundle"
        export_model(model, folder, format="pt2", threshold=0.3)
        (folder / "model.onnx").write_text("of another format")

        def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(torch.export, "save", fail)
            with pytest.raises(RuntimeError, match="the disk is full"):
                export_model(model, folder, format="pt2", overwrite=True)
        assert ExportedModel.load(folder).description.thresholds["猫"] == 0.3
        export_model(model, folder, format="pt2", overwrite=True)
        assert ExportedModel.load(folder).description.thresholds["猫"] == 0.5
        assert {path.name for path in folder.iterdir()} == {"bundle.json", "model.pt2"}
        assert [path.name for path in tmp_path.iterdir()] == ["bundle"]

    @pytest.mark.parametrize("foreign", ["note.txt", "photos/a.jpg", "model.onnx/a.jpg"])
    def test_a_bundle_among_other_files_is_left_alone(self, foreign: str, tmp_path: Path) -> None:
        model, mine = make("linear"), tmp_path / foreign
        export_model(model, tmp_path, format="pt2", threshold=0.3)
        mine.parent.mkdir(exist_ok=True)
        mine.write_text("mine")
        first = foreign.partition("/")[0]
        with pytest.raises(InputError, match=f"also contains {first}, which is not replaced"):
            export_model(tmp_path / "no run", tmp_path, format="pt2", overwrite=True)  # at once
        assert mine.read_text() == "mine"
        assert ExportedModel.load(tmp_path).description.thresholds["猫"] == 0.3

    def test_an_empty_folder_is_filled(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.chdir(tmp_path)
        export_model(make("linear"), ".", format="pt2")
        assert {path.name for path in Path().iterdir()} == {"bundle.json", "model.pt2"}

    def test_other_things_than_runs(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="there is no run folder"):
            export_model(tmp_path / "nothing", tmp_path / "bundle")
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match=r"model\.json"):
            export_model(tmp_path / "empty", tmp_path / "bundle")
        export_model(make("linear"), tmp_path / "bundle", format="pt2")
        with pytest.raises(InputError, match="is an exported bundle already"):
            export_model(tmp_path / "bundle", tmp_path / "again")

    def test_a_saved_model_with_a_user_network(self, tmp_path: Path) -> None:
        make("linear", encoder()).save_pretrained(tmp_path / "run")
        with pytest.raises(InputError, match="your own network"):
            export_model(tmp_path / "run", tmp_path / "bundle")
