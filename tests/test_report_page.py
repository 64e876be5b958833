"""The report: one file that loads nothing and runs nothing foreign, and says what it does not know."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fastflow.errors import BadData
from fastflow.metrics.image import roc_curve
from pipelines import charts
from pipelines.pictures import Case, choose_cases, write_pictures
from pipelines.report_page import fraction, number, read_result, render

HOSTILE = "<img src=x onerror=alert(1)>"
Names = tuple[str, ...]
Facts = dict[str, str]
TYPES: Names = ("crack", "dent", "hole")
VOID = {"meta", "img", "br", "hr", "link", "input"}
METRICS = {
    "image_auroc": 0.97123,
    "pixel_auroc": 0.96,
    "aupro": None,
    "num_train": 10,
    "num_good": 6,
    "num_defective": 9,
    "milliseconds_per_image": 41.3,
    "undefined": {"aupro": "a defective image without mask"},
}


def _scores(names: Names) -> pd.DataFrame:
    types = np.repeat(["good", *names], [6, *[3] * len(names)])
    score = np.random.default_rng(1).normal(size=len(types)) + 1.5 * (types != "good")
    score = score.astype(np.float32)  # as models give it: its text and its double are not the same number
    paths = [f"test/{name}/{i:03}.png" for i, name in enumerate(types)]
    label = (types != "good").astype(int)
    return pd.DataFrame({"image_path": paths, "defect_type": types, "gt_label": label, "pred_score": score})


def _write(folder: Path, *, names: Names = TYPES, per_defect: int = 1, good: int = 1, **bare: Any) -> Path:
    """A result folder as the evaluate stage leaves it."""
    _write_bare(folder, names=names, **bare)
    scores = _scores(names)
    curve = roc_curve(scores["pred_score"], scores["gt_label"])
    curve.to_csv(folder / "roc.csv", index=False)
    training = pd.DataFrame({"epoch": [1, 2], "loss": [0.5, -0.25], "seconds": 1.0})
    training.to_csv(folder / "training.csv", index=False)
    cases = [_case(scores.iloc[i]) for i in choose_cases(scores, per_defect=per_defect, good=good)]
    write_pictures(folder / "pictures", cases=cases, low=0, threshold=1)
    return folder


def _write_bare(folder: Path, *, names: Names = TYPES, about: Facts | None = None, **metrics: Any) -> Path:
    """A result without curves and pictures."""
    folder.mkdir(parents=True)
    _scores(names).to_csv(folder / "scores.csv", index=False)
    (folder / "metrics.json").write_text(json.dumps({"category": folder.name, **METRICS, **metrics}))
    (folder / "about.json").write_text(json.dumps({"weights": "pretrained", "seed": "0"} | (about or {})))
    return folder


def _case(row: "pd.Series[Any]") -> Case:
    mask = np.zeros((32, 32), bool)
    mask[4:9, 4:9] = row["gt_label"] == 1
    image = np.full((32, 32, 3), 120, np.uint8)
    about = (row["image_path"], row["defect_type"], int(row["gt_label"]), float(row["pred_score"]))
    return Case(*about, image, 2 * mask.astype(np.float32), mask)


def _page(*folders: Path, about: Facts | None = None, missing: Facts | None = None) -> str:
    results = [read_result(folder) for folder in folders]
    return render(results, title="Report", subtitle="A test", about=about or {}, missing=missing)


class _Page(HTMLParser):
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


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _page(_write(tmp_path_factory.mktemp("reports") / "bottle"), about={"made by": "a test"})


def test_page_loads_nothing(page: str) -> None:
    assert not re.search(r"https?:|//\w+\.|@import|url\(", page)
    parsed = _Page(page)
    for tag, attributes in parsed.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/webp;base64,")), (tag, name, value)
    assert not {tag for tag, _ in parsed.tags} & {"link", "iframe", "object", "embed", "base", "form"}


def test_policy_allows_this_style_and_script_and_nothing_else(page: str) -> None:
    parsed = _Page(page)
    policy = next(a["content"] for t, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    for name in ("style", "script"):
        content = "".join(parsed.parts[name]).encode()
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        assert rules[f"{name}-src"] == f"'sha256-{digest}'"
    assert (rules["default-src"], rules["img-src"]) == ("'none'", "data:")
    assert not [a for _, a in parsed.tags if "style" in a or any(name.startswith("on") for name in a)]


def test_ids_are_unique_and_links_lead_somewhere(tmp_path: Path) -> None:
    parsed = _Page(_page(_write(tmp_path / "one"), _write(tmp_path / "two")))
    ids = [a["id"] for _, a in parsed.tags if "id" in a]
    assert len(set(ids)) == len(ids)
    links = {a["href"] for t, a in parsed.tags if t == "a"}
    assert len(links) == 2
    assert links <= {f"#{name}" for name in ids}


def test_every_picture_has_an_alternative(page: str) -> None:
    tags = _Page(page).tags
    pictures = [a for t, a in tags if t == "img"]
    assert len(pictures) == 3 * 4
    assert all(a["alt"] for a in pictures)
    assert all(a.get("aria-label") or a.get("aria-hidden") for t, a in tags if t == "svg")


def test_hostile_names_show_as_text(tmp_path: Path) -> None:
    folder = _write(
        tmp_path / "bottle",
        names=(HOSTILE, "$x^{2$", "\x00\x1b[31m\n", "瓶", "NA", "]]>&lt;"),
        about={HOSTILE: HOSTILE},
        category=HOSTILE,
        undefined={"aupro": HOSTILE},
    )
    page = _page(folder, about={HOSTILE: HOSTILE}, missing={HOSTILE: HOSTILE})
    parsed = _Page(page)
    assert "<img src=x" not in page
    assert not [a for _, a in parsed.tags if any(name.startswith("on") for name in a)]
    assert parsed.text.count(HOSTILE) >= 10
    assert {"$x^{2$", "瓶", "NA"} <= set(parsed.text.split())


def test_name_that_is_no_text_can_be_written(tmp_path: Path) -> None:
    page = _page(_write_bare(tmp_path / "bottle"), missing={"caf\udce9": "not UTF-8"})
    (tmp_path / "page.html").write_text(page, encoding="utf-8")


def test_undefined_metric_is_a_dash_with_its_reason(page: str) -> None:
    text = _Page(page).text
    assert "AUPRO \u2013 a defective image without mask" in text
    assert "AUPRO is undefined: a defective image without mask" in text
    assert "0.971" in text


def test_mean_is_over_the_categories_that_have_the_metric(tmp_path: Path) -> None:
    values = {"one": (0.5, 0.25), "two": (0.75, 0.5), "three": (1.0, None)}
    folders = [_write_bare(tmp_path / n, image_auroc=a, aupro=p) for n, (a, p) in values.items()]
    assert "mean 0.750 0.960 0.375 of 2" in _Page(_page(*folders)).text


def test_types_are_told_from_good_by_auroc(page: str) -> None:
    scores = _scores(TYPES)
    text = _Page(page).text
    for name in TYPES:
        rows = scores[scores["defect_type"].isin(["good", name])]
        expected = roc_auc_score(rows["gt_label"], rows["pred_score"])
        median = rows.loc[rows["gt_label"] == 1, "pred_score"].median()
        assert re.search(rf"{name} 3 {expected:.3f} \S+ {median:.4g} ", text)


def test_place_of_a_case_is_counted(tmp_path: Path) -> None:
    scores = _scores(TYPES)
    good = scores.loc[scores["gt_label"] == 0, "pred_score"]
    bad = scores.loc[scores["gt_label"] == 1, "pred_score"]
    text = _Page(_page(_write(tmp_path / "bottle", per_defect=3, good=6))).text
    for name in TYPES:
        ranked = scores[scores["defect_type"] == name].sort_values("pred_score")
        for place, (_, row) in zip(("lowest", "rank 2", "highest"), ranked.iterrows(), strict=True):
            score, path = row["pred_score"], row["image_path"]
            end = f"{place} of 3 {path} · {(good >= score).sum()} of 6 good images score as high"
            assert f"{name} {score:.4g} {end}" in text
    worst = f"{good.max():.4g} highest of 6"
    assert worst in text
    confused = f"{(bad <= good.max()).sum()} of 9 defective images score no higher"
    assert confused in text.partition(worst)[2][:120]


def test_equal_scores_count_as_confused(tmp_path: Path) -> None:
    folder = _write(tmp_path / "bottle", names=("dent",), per_defect=3, good=6)
    pd.read_csv(folder / "scores.csv").assign(pred_score=0.5).to_csv(folder / "scores.csv", index=False)
    text = _Page(_page(folder)).text
    assert text.count("6 of 6 good images score as high") == 3
    assert text.count("3 of 3 defective images score no higher") == 6


def test_cost_of_a_threshold_is_counted(page: str) -> None:
    scores = _scores(TYPES)
    good = scores.loc[scores["gt_label"] == 0, "pred_score"]
    bad = scores.loc[scores["gt_label"] == 1, "pred_score"]
    text = _Page(page).text
    assert f"0 of 6 (0.0 %) {(bad <= good.max()).sum()} of 9" in text
    assert re.search(rf"{(good >= bad.min()).sum()} of 6 \(\S+ %\) 0 of 9", text)


def test_missing_categories_come_first_with_their_reason(tmp_path: Path) -> None:
    text = _Page(_page(_write_bare(tmp_path / "bottle"), missing={"cable": "out of memory"})).text
    assert text.index("cable out of memory") < text.index("Overview")
    assert "cable out of memory" in _Page(_page(missing={"cable": "out of memory"})).text


@pytest.mark.parametrize(("weights", "told"), [("random", True), ("pretrained", False)])
def test_random_weights_are_told(tmp_path: Path, weights: str, told: bool) -> None:
    text = _Page(_page(_write_bare(tmp_path / "bottle", about={"weights": weights}))).text
    assert ("weights are random" in text) == told


def test_metrics_and_verdicts_show_their_95_percent_limits(tmp_path: Path) -> None:
    counts: dict[str, Any] = {"false_rejects": 2, "false_reject_rate": 0.1, "misses": 0, "miss_rate": None}
    folder = _write_bare(tmp_path / "bottle", **counts)
    limits = {"image_auroc": [0.91, 0.9996], "false_reject_rate": [0.0123, 0.317]}
    (folder / "intervals.json").write_text(json.dumps(limits))
    text = _Page(_page(folder)).text
    assert "95 %: 0.910 to >0.999" in text
    assert "good parts rejected 2 = 10.0 % at the threshold; 95 %: 1.2 to 31.7 %" in text
    assert "defective parts missed" not in text


def test_figures_unknown_today_are_shown(tmp_path: Path) -> None:
    assert "pixel f1 0.1234" in _Page(_page(_write_bare(tmp_path / "bottle", pixel_f1=0.12341))).text


def test_only_metrics_and_scores_are_needed(tmp_path: Path) -> None:
    folder = _write_bare(tmp_path / "bottle")
    (folder / "about.json").unlink()
    text = _Page(_page(folder)).text
    assert "No ROC" in text
    assert "No training curve" in text


def test_category_without_test_images(tmp_path: Path) -> None:
    folder = _write_bare(tmp_path / "bottle", image_auroc=None, pixel_auroc=None)
    _scores(TYPES).iloc[:0].to_csv(folder / "scores.csv", index=False)
    (folder / "roc.csv").write_text("fpr,tpr,threshold\n")
    assert "No test image was scored" in _Page(_page(folder)).text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.json", None),
        ("metrics.json", "{"),
        ("metrics.json", "[]"),
        ("metrics.json", "{}"),
        ("scores.csv", "a,b\n"),
    ],
)
def test_unreadable_result_is_named(tmp_path: Path, name: str, content: str | None) -> None:
    folder = _write_bare(tmp_path / "bottle")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(BadData, match=r"bottle: .*; run its evaluate stage again"):
        read_result(folder)


def test_nothing_undefined_or_imperfect_looks_perfect() -> None:
    assert [fraction(v) for v in (1.0, 0.99996, 0.9994, 0.0, None, float("nan"))] == [
        "1.000",
        ">0.999",
        "0.999",
        "0.000",
        "\u2013",
        "\u2013",
    ]
    assert [number(v) for v in (12345, 41.3, 0.00012345, None)] == ["12,345", "41.3", "0.0001234", "\u2013"]


def test_charts_are_deterministic_and_take_the_colour_of_the_page() -> None:
    scores = _scores(("crack",))
    svg = charts.score_histogram(scores)
    assert svg == charts.score_histogram(scores)
    assert 'fill="currentColor"' in svg or 'stroke="currentColor"' in svg
    assert not re.search(r"#000000|black|font-family|style=| id=|href", svg)


def test_histogram_counts_every_image() -> None:
    scores = pd.DataFrame({"defect_type": "good", "gt_label": 0, "pred_score": [2.0] * 5})
    assert "good (5)" in charts.score_histogram(scores)
    assert "defective (0)" in charts.score_histogram(scores)
