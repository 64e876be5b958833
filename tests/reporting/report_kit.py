"""Results as the evaluate stage leaves them, and their page, parsed."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastflow.metrics.image import roc_curve
from pipelines.reporting.choice import choose_cases
from pipelines.reporting.pages.report import render
from pipelines.reporting.pages.result import read_result
from pipelines.reporting.pictures import Case, Why, write_pictures

HOSTILE = "<img src=x onerror=alert(1)>"
Names = tuple[str, ...]
Facts = dict[str, str]
TYPES: Names = ("crack", "dent", "hole")
VOID = {"meta", "img", "br", "hr", "link", "input"}
THRESHOLD = 1.0
METRICS = {
    "image_auroc": 0.97123,
    "pixel_auroc": 0.96,
    "aupro": None,
    "num_train": 10,
    "num_good": 6,
    "num_defective": 9,
    "milliseconds_per_image": 41.3,
    "threshold": THRESHOLD,
    "undefined": {"aupro": "a defective image without mask"},
}


def scores_of(names: Names) -> pd.DataFrame:
    types = np.repeat(["good", *names], [6, *[3] * len(names)])
    score = np.random.default_rng(1).normal(size=len(types)) + 1.5 * (types != "good")
    score = score.astype(np.float32)  # as models give it: its text and its double are not the same number
    paths = [f"test/{name}/{i:03}.png" for i, name in enumerate(types)]
    label = (types != "good").astype(int)
    return pd.DataFrame({"image_path": paths, "defect_type": types, "gt_label": label, "pred_score": score})


def write_result(folder: Path, *, names: Names = TYPES, **bare: Any) -> Path:
    """A result folder as the evaluate stage leaves it."""
    write_bare_result(folder, names=names, **bare)
    scores = scores_of(names)
    curve = roc_curve(scores["pred_score"], scores["gt_label"])
    curve.to_csv(folder / "roc.csv", index=False)
    training = pd.DataFrame({"epoch": [1, 2], "loss": [0.5, -0.25], "seconds": 1.0})
    training.to_csv(folder / "training.csv", index=False)
    groups = choose_cases(scores, threshold=THRESHOLD)
    cases = [case_of(scores.iloc[i]) for i in range(len(scores))]
    write_pictures(folder / "pictures", cases=cases, groups=groups, low=0, threshold=1)
    (folder / "gate.json").write_text(json.dumps(decision_of("refused", names)))
    (folder / "dataset.json").write_text(json.dumps(images_of(names)))
    tradeoff().to_csv(folder / "tradeoff.csv", index=False)
    return folder


def decision_of(verdict: str, names: Names = TYPES) -> dict[str, Any]:
    rules = [
        {
            "name": "image_auroc",
            "outcome": "passed",
            "sentence": "as good",
            "figures": {"challenger": 0.9, "champion": 0.88},
        },
        {"name": "defects", "outcome": "failed", "sentence": f"loses {names[0]}", "figures": {"lost": {names[0]: 4}}},
    ]
    return {"verdict": verdict, "challenger": "3", "champion": "2", "reason": "", "rules": rules}


def images_of(names: Names = TYPES) -> dict[str, Any]:
    findings = [
        {"policy": "quarantine", "path": f"test/{names[0]}/000.png", "message": "cannot be read"},
        {"policy": "report", "path": "train/good/001.png", "message": "seen twice"},
    ]
    counts = [{"split": "test", "defect_type": name, "images": 3} for name in names]
    about = {"source": "data/mvtec_ad/bottle", "licence": "CC BY-NC-SA 4.0", "dvc_md5": "abc.dir"}
    return about | {"counts": counts, "left_out": 1, "noted": 1, "findings": findings, "more": 7}


def tradeoff() -> pd.DataFrame:
    counted = {f"{what}_{name}": 1.0 for what in ("false_reject", "miss") for name in ("count", "total", "low", "high")}
    row = {"rate": 0.02, "threshold": 1.25} | counted
    row |= {"miss_count": 2, "miss_total": 8, "miss_low": 0.032, "miss_high": 0.651}
    return pd.DataFrame([row])


def write_bare_result(folder: Path, *, names: Names = TYPES, about: Facts | None = None, **metrics: Any) -> Path:
    """A result without curves and pictures."""
    folder.mkdir(parents=True)
    scores_of(names).to_csv(folder / "scores.csv", index=False)
    (folder / "metrics.json").write_text(json.dumps({"category": folder.name, **METRICS, **metrics}))
    (folder / "about.json").write_text(json.dumps({"weights": "imagenet", "seed": "0"} | (about or {})))
    return folder


def case_of(row: "pd.Series[Any]") -> Case:
    mask = np.zeros((32, 32), bool)
    mask[4:9, 4:9] = row["gt_label"] == 1
    image = np.full((32, 32, 3), 120, np.uint8)
    about = (row["image_path"], row["defect_type"], int(row["gt_label"]), float(row["pred_score"]))
    return Case(*about, image, 2 * mask.astype(np.float32), mask, why=why_of(row) if row["gt_label"] else None)


def why_of(row: "pd.Series[Any]") -> Why:
    cutting = np.full((10, 12, 3), 90, np.uint8)
    said = [f"It comes from {row['defect_type']}", "Good pictures score 0.2 on average"]
    return Why(said, cutting, cutting, "train/good/007.png")


def page_of(*folders: Path, about: Facts | None = None, missing: Facts | None = None) -> str:
    results = [read_result(folder) for folder in folders]
    return render(results, title="Report", subtitle="A test", about=about or {}, missing=missing)


class Parsed(HTMLParser):
    """Tags with their attributes, and the text outside style and script; checks that tags nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.parts: dict[str, list[str]] = {"style": [], "script": [], "text": []}
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open and self.open[-1] in ("style", "script") else "text"
        self.parts[inside].append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts["text"]).split())
