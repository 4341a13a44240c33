"""Makes gatlabel/data/scenes/assets/silhouettes.json from two icon fonts and a few own shapes.

Needs fonttools and the fonts: Font Awesome Free 6.6 solid (PyPI: fontawesomefree) and Material
Design Icons 7 (PyPI: fonticon-materialdesignicons7). Run from the repository root:

    python benchmarks/assets/make_silhouettes.py fa-solid-900.ttf materialdesignicons-webfont.ttf

The fonts are needed here only; the package reads the outlines from the JSON file.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from fontTools.pens.basePen import decomposeQuadraticSegment
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.ttLib import TTFont

ASSET = Path(__file__).parents[2] / "gatlabel/data/scenes/assets/silhouettes.json"
UNIT = 500  # the longer side of a silhouette, in grid steps
Point = tuple[float, float]
Contour = list[Point]

# "f:" Font Awesome Free solid, "m:" Material Design Icons, "own:" drawn below
GLYPHS: dict[str, str] = {
    "airplane": "f:plane m:airplane-takeoff f:jet-fighter",
    "apple": "f:apple-whole m:food-apple",
    "backpack": "m:bag-personal own:backpack",
    "banana": "own:banana",
    "baseball bat": "m:baseball-bat",
    "baseball glove": "f:mitten",
    "bed": "f:bed m:bed-empty",
    "bench": "m:bench-back",
    "bicycle": "f:bicycle m:bicycle",
    "bird": "f:crow f:dove m:bird",
    "boat": "f:sailboat f:ship m:sail-boat",
    "book": "f:book f:book-open",
    "bottle": "f:wine-bottle m:bottle-soda-classic m:bottle-wine",
    "bowl": "f:bowl-food m:bowl",
    "broccoli": "own:broccoli",
    "bus": "f:bus f:bus-simple m:bus-side",
    "cake": "f:cake-candles m:cupcake",
    "car": "f:car-side f:car m:car-estate",
    "carrot": "f:carrot m:carrot",
    "cat": "f:cat m:cat",
    "cell phone": "f:mobile-screen-button",
    "chair": "f:chair m:seat m:chair-rolling",
    "clock": "f:clock m:alarm",
    "couch": "f:couch m:sofa",
    "cow": "f:cow m:cow",
    "cup": "f:mug-hot f:mug-saucer",
    "dining table": "own:table m:table-furniture",
    "dog": "f:dog m:dog-side",
    "donut": "own:donut",
    "elephant": "m:elephant",
    "fire hydrant": "m:fire-hydrant",
    "fork": "m:silverware-fork",
    "frisbee": "f:compact-disc",
    "giraffe": "own:giraffe",
    "handbag": "f:bag-shopping m:purse",
    "horse": "f:horse f:horse-head",
    "hot dog": "f:hotdog",
    "keyboard": "f:keyboard m:keyboard",
    "kite": "m:kite",
    "knife": "m:knife",
    "laptop": "f:laptop",
    "microwave": "m:microwave",
    "motorcycle": "f:motorcycle m:motorbike",
    "mouse": "f:computer-mouse",
    "orange": "m:fruit-citrus f:lemon",
    "oven": "m:stove",
    "person": "f:person f:person-walking f:person-running f:person-dress f:child-reaching",
    "pizza": "f:pizza-slice m:pizza",
    "potted plant": "own:plant own:cactus",
    "refrigerator": "m:fridge m:fridge-variant",
    "remote": "m:remote m:remote-tv",
    "sandwich": "f:burger",
    "sheep": "m:sheep",
    "sink": "f:sink f:faucet",
    "skateboard": "m:skateboard",
    "skis": "own:skis",
    "snowboard": "own:snowboard",
    "spoon": "f:spoon m:silverware-spoon",
    "sports ball": "f:futbol f:basketball f:volleyball",
    "stop sign": "own:stop",
    "suitcase": "f:suitcase f:suitcase-rolling",
    "surfboard": "own:surfboard",
    "teddy bear": "m:teddy-bear",
    "tennis racket": "own:racket m:tennis",
    "tie": "m:tie",
    "toilet": "f:toilet m:toilet",
    "traffic light": "f:traffic-light m:traffic-light",
    "train": "f:train m:train f:train-tram",
    "truck": "f:truck f:truck-pickup m:dump-truck",
    "tv": "f:tv m:television-classic",
    "umbrella": "f:umbrella m:umbrella-closed",
    "vase": "own:vase own:amphora",
    "wine glass": "f:wine-glass m:glass-wine",
}
DISTRACTORS = (
    "f:anchor f:star f:heart f:key f:gear f:bolt f:bell f:moon f:leaf f:cloud f:snowflake f:gem "
    "f:puzzle-piece f:ghost f:feather f:fish f:music f:magnet f:gavel f:crown f:hammer f:wrench "
    "f:trophy f:rocket f:paw f:droplet f:shield f:flag f:mosque f:chess-knight f:guitar "
    "f:hat-wizard"
)


def ellipse(cx: float, cy: float, rx: float, ry: float, *, hole: bool = False) -> Contour:
    steps = range(28) if not hole else range(27, -1, -1)
    angles = [2 * math.pi * k / 28 for k in steps]
    return [(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles]


def polygon(*points: float, hole: bool = False) -> Contour:
    pairs = list(zip(points[::2], points[1::2], strict=True))
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(pairs, pairs[1:] + pairs[:1], strict=True))
    return pairs[::-1] if (area < 0) != hole else pairs


def box(x0: float, y0: float, x1: float, y1: float, *, hole: bool = False) -> Contour:
    return polygon(x0, y0, x1, y0, x1, y1, x0, y1, hole=hole)


def stroke(x0: float, y0: float, x1: float, y1: float, width: float) -> Contour:
    length = math.hypot(x1 - x0, y1 - y0)
    dx, dy = (y1 - y0) / length * width / 2, (x0 - x1) / length * width / 2
    return polygon(x0 + dx, y0 + dy, x1 + dx, y1 + dy, x1 - dx, y1 - dy, x0 - dx, y0 - dy)


def arc(cx: float, cy: float, rx: float, ry: float, start: float, end: float) -> list[float]:
    """Points on an ellipse from ``start`` to ``end`` degrees, flattened to x, y, and so on."""
    out: list[float] = []
    for k in range(15):
        angle = math.radians(start + (end - start) * k / 14)
        out += [cx + rx * math.cos(angle), cy + ry * math.sin(angle)]
    return out


def lens(x0: float, y0: float, x1: float, y1: float, bulge: float) -> Contour:
    """A leaf between two points."""
    dx, dy = x1 - x0, y1 - y0
    points: list[float] = []
    for side in (1, -1):
        for k in range(10):
            t = k / 10 if side == 1 else 1 - k / 10
            b = bulge * math.sin(math.pi * t) * side
            points += [x0 + dx * t - dy * b, y0 + dy * t + dx * b]
    return polygon(*points)


# Own shapes on a 100 × 100 grid, y downwards; overlapping parts are united, `hole` parts cut out.
OWN: dict[str, list[Contour]] = {
    "backpack": [
        polygon(22, 95, 20, 40, *arc(50, 35, 30, 22, 180, 360), 80, 40, 78, 95),
        polygon(38, 16, 38, 5, 62, 5, 62, 16, 56, 16, 56, 11, 44, 11, 44, 16),
        box(30, 58, 70, 64, hole=True),
        box(30, 80, 70, 84, hole=True),
        box(8, 55, 17, 90),
        box(83, 55, 92, 90),
    ],
    "banana": [
        polygon(*arc(50, 10, 46, 66, 5, 165), *arc(52, 8, 33, 38, 165, 5)),
        polygon(86, 20, 88, 2, 98, 2, 97, 22),
    ],
    "broccoli": [
        ellipse(26, 40, 22, 20),
        ellipse(50, 25, 26, 22),
        ellipse(75, 40, 22, 20),
        ellipse(50, 46, 22, 16),
        polygon(38, 55, 62, 55, 58, 78, 64, 98, 36, 98, 42, 78),
        stroke(26, 56, 46, 76, 10),
        stroke(75, 56, 54, 76, 10),
    ],
    "table": [
        box(2, 25, 98, 37),
        polygon(10, 37, 20, 37, 17, 88, 9, 88),
        polygon(80, 37, 90, 37, 91, 88, 83, 88),
        box(16, 37, 84, 44),
    ],
    "donut": [
        ellipse(50, 50, 48, 46),
        ellipse(50, 50, 17, 16, hole=True),
        polygon(22, 30, 30, 24, 32, 28, 25, 34, hole=True),
        polygon(66, 20, 76, 26, 73, 30, 64, 24, hole=True),
        polygon(76, 60, 82, 58, 84, 68, 78, 69, hole=True),
        polygon(28, 72, 32, 68, 40, 76, 36, 80, hole=True),
        polygon(14, 52, 18, 52, 18, 61, 14, 61, hole=True),
        polygon(56, 80, 66, 77, 67, 81, 57, 84, hole=True),
    ],
    "giraffe": [
        polygon(
            62,
            8,
            84,
            14,
            86,
            20,
            70,
            22,
            58,
            58,
            56,
            66,
            54,
            98,
            48,
            98,
            46,
            72,
            28,
            72,
            26,
            98,
            20,
            98,
            18,
            62,
            12,
            78,
            9,
            76,
            16,
            54,
            40,
            50,
        ),
        stroke(64, 10, 62, 1, 3),
        stroke(70, 10, 70, 1, 3),
        polygon(56, 36, 60, 34, 60, 40, 56, 42, hole=True),
        polygon(50, 46, 54, 45, 53, 52, 49, 51, hole=True),
        polygon(26, 56, 33, 55, 33, 62, 26, 62, hole=True),
        polygon(39, 58, 46, 57, 45, 64, 38, 64, hole=True),
        polygon(61, 22, 65, 20, 64, 27, 60, 28, hole=True),
    ],
    "plant": [
        polygon(28, 66, 72, 66, 66, 98, 34, 98),
        box(24, 60, 76, 68),
        lens(50, 62, 50, 2, 0.2),
        lens(48, 62, 14, 18, 0.22),
        lens(52, 62, 86, 18, 0.22),
        lens(46, 62, 4, 46, 0.2),
        lens(54, 62, 96, 46, 0.2),
    ],
    "cactus": [
        polygon(28, 72, 72, 72, 66, 98, 34, 98),
        box(24, 66, 76, 74),
        polygon(42, 68, 42, 12, *arc(50, 12, 8, 8, 180, 360), 58, 68),
        stroke(44, 50, 26, 50, 11),
        polygon(20, 55, 20, 32, *arc(25.5, 32, 5.5, 6, 180, 360), 31, 55),
        stroke(56, 42, 74, 42, 11),
        polygon(69, 47, 69, 22, *arc(74.5, 22, 5.5, 6, 180, 360), 80, 47),
    ],
    "skis": [
        polygon(26, 98, 26, 14, 20, 2, 26, 0, 36, 14, 36, 98),
        polygon(54, 98, 54, 14, 48, 2, 54, 0, 64, 14, 64, 98),
        box(22, 52, 40, 66),
        box(50, 52, 68, 66),
        stroke(8, 20, 8, 96, 4),
        ellipse(8, 86, 8, 4),
        stroke(84, 20, 84, 96, 4),
        ellipse(84, 86, 8, 4),
    ],
    "snowboard": [
        polygon(
            35,
            82,
            37,
            50,
            35,
            18,
            *arc(50, 18, 15, 18, 180, 360),
            65,
            18,
            63,
            50,
            65,
            82,
            *arc(50, 82, 15, 18, 0, 180),
        ),
        polygon(28, 26, 72, 34, 71, 41, 27, 33, hole=False),
        polygon(28, 66, 72, 58, 73, 65, 29, 73, hole=False),
        box(47, 44, 53, 55, hole=True),
    ],
    "stop": [
        polygon(30, 0, 60, 0, 80, 20, 80, 46, 60, 66, 30, 66, 10, 46, 10, 20),
        polygon(22, 26, 68, 26, 68, 40, 22, 40, hole=True),
        box(41, 64, 49, 100),
    ],
    "surfboard": [
        lens(50, 0, 50, 96, 0.17),
        polygon(48.5, 14, 51.5, 14, 51.5, 80, 48.5, 80, hole=True),
        polygon(54, 76, 72, 98, 50, 94),
    ],
    "racket": [
        ellipse(50, 30, 26, 30),
        *[box(x, y, x + 7, y + 8, hole=True) for x in (32, 41, 50, 59) for y in (14, 24, 34)],
        box(41, 4.5, 57, 12, hole=True),
        box(41, 44, 57, 52, hole=True),
        polygon(38, 55, 62, 55, 54, 70, 54, 100, 46, 100, 46, 70),
    ],
    "vase": [
        polygon(
            36,
            2,
            64,
            2,
            60,
            12,
            58,
            24,
            *arc(50, 58, 32, 32, -70, 60),
            64,
            98,
            36,
            98,
            *arc(50, 58, 32, 32, 120, 250),
            42,
            24,
            40,
            12,
        ),
        polygon(20, 54, 80, 54, 80, 60, 20, 60, hole=True),
    ],
    "amphora": [
        polygon(
            38,
            2,
            62,
            2,
            58,
            10,
            58,
            26,
            76,
            38,
            74,
            62,
            58,
            88,
            64,
            98,
            36,
            98,
            42,
            88,
            26,
            62,
            24,
            38,
            42,
            26,
            42,
            10,
        ),
        polygon(42, 10, 16, 12, 12, 40, 26, 46, 26, 40, 19, 36, 22, 18, 42, 17),
        polygon(58, 10, 84, 12, 88, 40, 74, 46, 74, 40, 81, 36, 78, 18, 58, 17),
    ],
}


def glyph_contours(font: TTFont, name: str) -> list[Contour]:
    """The outline of a glyph as closed polygons, y downwards; curves in steps of a few units."""
    glyphs = font.getGlyphSet()
    pen = DecomposingRecordingPen(glyphs)
    glyphs[name].draw(pen)
    contours: list[Contour] = []
    for operator, points in pen.value:
        if operator == "moveTo":
            contours.append([points[0]])
        elif operator == "lineTo":
            contours[-1].append(points[0])
        elif operator == "qCurveTo":
            if points[-1] is None:  # a TrueType contour without an on-curve point
                offs = list(points[:-1])
                start = ((offs[-1][0] + offs[0][0]) / 2, (offs[-1][1] + offs[0][1]) / 2)
                contours.append([start])
                points = (*offs, start)
            for control, end in decomposeQuadraticSegment(points):
                contours[-1] += _quadratic(contours[-1][-1], control, end)
    return [[(x, -y) for x, y in contour] for contour in contours if len(contour) > 2]


def _quadratic(start: Point, control: Point, end: Point) -> Contour:
    steps = max(2, min(6, round(math.dist(start, end) / 24)))
    out = []
    for k in range(1, steps + 1):
        t = k / steps
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
        out.append(
            (a * start[0] + b * control[0] + c * end[0], a * start[1] + b * control[1] + c * end[1])
        )
    return out


def normalised(contours: Sequence[Contour]) -> list[list[int]]:
    """Scales to ``UNIT`` along the longer side, centred in the square; x, y, x, y, … a contour."""
    xs = [x for contour in contours for x, _ in contour]
    ys = [y for contour in contours for _, y in contour]
    side = max(max(xs) - min(xs), max(ys) - min(ys))
    x0 = (max(xs) + min(xs) - side) / 2
    y0 = (max(ys) + min(ys) - side) / 2
    rows = []
    for contour in contours:
        row: list[int] = []
        for x, y in contour:
            point = [round((x - x0) / side * UNIT), round((y - y0) / side * UNIT)]
            if row[-2:] != point:
                row += point
        if len(row) > 4:
            rows.append(row)
    return rows


def main(awesome: str, material: str) -> None:
    fonts = {"f": TTFont(awesome), "m": TTFont(material)}
    for font in fonts.values():
        names = set(font.getBestCmap().values())
        assert names, "a font without named glyphs"

    def outline(glyph: str) -> list[list[int]]:
        origin, name = glyph.split(":")
        return normalised(OWN[name] if origin == "own" else glyph_contours(fonts[origin], name))

    asset = {
        "source": "f: Font Awesome Free 6.6.0 solid (CC BY 4.0), m: Material Design Icons 7 "
        "(Apache 2.0), own: drawn for gatlabel; outlines flattened to polygons",
        "unit": UNIT,
        "labels": {
            label: {glyph: outline(glyph) for glyph in glyphs.split()}
            for label, glyphs in GLYPHS.items()
        },
        "distractors": {glyph: outline(glyph) for glyph in DISTRACTORS.split()},
    }
    ASSET.write_text(json.dumps(asset, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{ASSET}: {len(asset['labels'])} labels, {ASSET.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main(*sys.argv[1:])
