"""Streams of images through ``gatlabel predict`` and ``Predictor.stream``.

    python benchmarks/speed/prediction.py [--quick]

SqueezeNet 1.1 up to its stride of 8, a linear head of 20 labels, 64 pixels, untrained: labels do
not matter here. 100,000 symbolic links to 300 JPEG files of 96 x 128 pixels (drawn scenes) go
through ``gatlabel predict FOLDER --format jsonl``: memory along the way, processor time. Then 1,000
images in five rounds, in turn: ``Predictor.stream``, and the loop that one would write otherwise
(Pillow, torchvision's Resize with antialias on the same pixels, batches of 32, the same model,
sigmoid), one thread each. Then 5,000 links of which 1 % lead to broken files; and an output that is
interrupted by SIGINT, SIGTERM and SIGKILL while it is written.
Writes benchmarks/results/prediction.json.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from measuring import RESULTS, against, arguments, timed
from PIL import Image
from torchvision.transforms import v2

from gatlabel import MultiLabelClassifier, Predictor
from gatlabel.data.scenes import SceneImages, scene_config
from gatlabel.experiments.environment import environment
from gatlabel.files import write_json

SIZE, LABELS, BATCH, FILES = 64, [f"label {k}" for k in range(20)], 32, 300
COMMAND = [sys.executable, "-c", "import sys; from gatlabel.cli import main; sys.exit(main())"]


def make_photos(folder: Path) -> list[Path]:
    """Writes the JPEG files."""
    source = SceneImages(scene_config("voc"), "val", FILES, seed=0)
    resize = v2.Resize((96, 128), antialias=True)
    paths = []
    for k in range(FILES):
        paths.append(folder / f"{k}.jpg")
        pixels = resize(source.load(k)).permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(paths[-1], quality=90)
    return paths


def link(folder: Path, targets: list[Path], count: int) -> Path:
    """Makes so many links to the files in turn."""
    folder.mkdir()
    for k in range(count):
        (folder / f"{k:06d}.jpg").symlink_to(targets[k % len(targets)])
    return folder


def predict(run: Path, folder: Path, out: Path) -> dict[str, Any]:
    """Runs the command in a process of its own; returns its peak memory and processor time."""
    code = (
        "import sys, resource; from gatlabel.cli import main; code = main(sys.argv[1:]); "
        "u = resource.getrusage(resource.RUSAGE_SELF); "
        "print(u.ru_maxrss, u.ru_utime + u.ru_stime, file=sys.stderr); sys.exit(code)"
    )
    words = ["predict", str(run), str(folder), "--format", "jsonl", "-o", str(out)]
    start = time.perf_counter()
    memory: list[tuple[int, float]] = []  # bytes written, MiB
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None:
        with suppress(OSError, IndexError):
            status = Path(f"/proc/{process.pid}/status").read_text()
            kib = int(status.split("VmRSS:")[1].split()[0])
            memory.append((out.stat().st_size, round(kib / 1024, 1)))
        time.sleep(0.5)
    assert process.stderr is not None
    peak, seconds = process.stderr.read().split()[-2:]
    count = errors = 0
    names = []
    with out.open() as lines:
        for line in lines:
            record = json.loads(line)
            count, errors = count + 1, errors + ("error" in record)
            names.append(Path(record["source"]).name)
    per_record = out.stat().st_size / count
    marks = [count // 10 * k for k in range(1, 11)]
    return {
        "exit_code": process.returncode,
        "records": count,
        "errors": errors,
        "MiB_at": {
            mark: min(memory, key=lambda pair: abs(pair[0] / per_record - mark))[1]
            for mark in marks
        },
        "in_order": names == sorted(path.name for path in folder.iterdir()),
        "peak_MiB": round(int(peak) / 1024, 1),
        "processor_seconds": round(float(seconds), 1),
        "wall_seconds": round(time.perf_counter() - start, 1),
    }


def bare_loop(model: MultiLabelClassifier, paths: list[Path]) -> int:
    """The loop that one would write without this package."""
    resize = v2.Resize((SIZE, SIZE), antialias=True)
    to_image = v2.PILToTensor()
    found = 0
    with torch.inference_mode():
        for start in range(0, len(paths), BATCH):
            images = [
                resize(to_image(Image.open(path).convert("RGB")))
                for path in paths[start : start + BATCH]
            ]
            probabilities = model(torch.stack(images)).sigmoid().tolist()
            rows = [dict(zip(LABELS, row, strict=True)) for row in probabilities]
            found += sum(len([n for n, p in row.items() if p >= 0.5]) for row in rows)
    return found


def interrupted(run: Path, folder: Path, out: Path, number: int) -> dict[str, Any]:
    """Stops the command while it writes, and looks at the lines that it has written."""
    words = ["predict", str(run), str(folder), "--format", "jsonl"]
    with out.open("wb") as file:
        process = subprocess.Popen([*COMMAND, *words], stdout=file, stderr=subprocess.DEVNULL)
        while out.stat().st_size < 2_000_000 and process.poll() is None:
            time.sleep(0.02)
        os.kill(process.pid, number)
        process.wait()
    text = out.read_text()
    records = [json.loads(line) for line in text.splitlines()]
    return {
        "signal": signal.Signals(number).name,
        "exit_code": process.returncode,
        "records": len(records),
        "whole_lines": text.endswith("\n") and all("labels" in record for record in records),
    }


def main() -> None:
    """Measures everything."""
    options = arguments(__doc__ or "")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = MultiLabelClassifier.create(
        "squeezenet1_1", "linear", labels=LABELS, image_size=SIZE, stride=8
    ).eval()
    few, many = (500, 2_000) if options.quick else (5_000, 100_000)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "photos").mkdir()
        photos = make_photos(place / "photos")
        model.save_pretrained(place / "run")
        result: dict[str, Any] = {"environment": environment(0)}
        folder = link(place / "links", photos, many)
        result["stream"] = predict(place / "run", folder, place / "out.jsonl")
        print(result["stream"], flush=True)
        predictor = Predictor(model, batch_size=BATCH, device="cpu")
        paths = (photos * 4)[:1000]
        times = timed(
            {
                "Predictor.stream": lambda: sum(len(p.labels) for p in predictor.stream(paths)),
                "bare loop": lambda: bare_loop(model, paths),
            },
            2 if options.quick else 5,
        )
        result["loop"] = against("1,000 images", times["Predictor.stream"], times["bare loop"], 1.0)
        print(json.dumps(result["loop"], indent=1, default=str))
        broken = place / "broken.jpg"
        broken.write_bytes(photos[0].read_bytes()[:400])
        bad = [*photos[:99], broken]
        bad_folder = link(place / "bad", bad, few)
        result["broken"] = predict(place / "run", bad_folder, place / "bad.jsonl")
        print(result["broken"])
        result["interrupted"] = [
            interrupted(place / "run", folder, place / "cut.jsonl", number)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
        ]
        print(result["interrupted"])
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    result["processor_seconds_in_all"] = round(
        usage.ru_utime + usage.ru_stime + time.process_time()
    )
    if not options.quick:
        write_json(RESULTS / "prediction.json", result)


if __name__ == "__main__":
    main()
