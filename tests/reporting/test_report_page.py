"""The report: one file that loads nothing and runs nothing foreign, and says what it does not know."""

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import html5lib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import roc_auc_score

from fastflow.errors import BadData
from fastflow.metrics.image import roc_curve
from pipelines.reporting.choice import choose_cases
from pipelines.reporting.pages import charts
from pipelines.reporting.pages.drawing import png, svg
from pipelines.reporting.pages.page import change, fraction, number, percent
from pipelines.reporting.pages.report import render
from pipelines.reporting.pages.result import read_result
from pipelines.reporting.pictures import Case, write_pictures

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


def _scores(names: Names) -> pd.DataFrame:
    types = np.repeat(["good", *names], [6, *[3] * len(names)])
    score = np.random.default_rng(1).normal(size=len(types)) + 1.5 * (types != "good")
    score = score.astype(np.float32)  # as models give it: its text and its double are not the same number
    paths = [f"test/{name}/{i:03}.png" for i, name in enumerate(types)]
    label = (types != "good").astype(int)
    return pd.DataFrame({"image_path": paths, "defect_type": types, "gt_label": label, "pred_score": score})


def _write(folder: Path, *, names: Names = TYPES, **bare: Any) -> Path:
    """A result folder as the evaluate stage leaves it."""
    _write_bare(folder, names=names, **bare)
    scores = _scores(names)
    curve = roc_curve(scores["pred_score"], scores["gt_label"])
    curve.to_csv(folder / "roc.csv", index=False)
    training = pd.DataFrame({"epoch": [1, 2], "loss": [0.5, -0.25], "seconds": 1.0})
    training.to_csv(folder / "training.csv", index=False)
    groups = choose_cases(scores, threshold=THRESHOLD)
    cases = [_case(scores.iloc[i]) for i in range(len(scores))]
    write_pictures(folder / "pictures", cases=cases, groups=groups, low=0, threshold=1)
    (folder / "gate.json").write_text(json.dumps(_decision("refused", names)))
    (folder / "dataset.json").write_text(json.dumps(_images(names)))
    _tradeoff().to_csv(folder / "tradeoff.csv", index=False)
    return folder


def _decision(verdict: str, names: Names = TYPES) -> dict[str, Any]:
    rules = [
        {
            "name": "image_auroc",
            "passed": True,
            "sentence": "as good",
            "figures": {"challenger": 0.9, "champion": 0.88},
        },
        {"name": "defects", "passed": False, "sentence": f"loses {names[0]}", "figures": {"lost": {names[0]: 4}}},
    ]
    return {"verdict": verdict, "challenger": "3", "champion": "2", "reason": "", "rules": rules}


def _images(names: Names = TYPES) -> dict[str, Any]:
    findings = [
        {"policy": "quarantine", "path": f"test/{names[0]}/000.png", "message": "cannot be read"},
        {"policy": "report", "path": "train/good/001.png", "message": "seen twice"},
    ]
    counts = [{"split": "test", "defect_type": name, "images": 3} for name in names]
    about = {"source": "data/mvtec_ad/bottle", "licence": "CC BY-NC-SA 4.0", "dvc_md5": "abc.dir"}
    return about | {"counts": counts, "left_out": 1, "noted": 1, "findings": findings, "more": 7}


def _tradeoff() -> pd.DataFrame:
    counted = {f"{what}_{name}": 1.0 for what in ("false_reject", "miss") for name in ("count", "total", "low", "high")}
    row = {"rate": 0.02, "threshold": 1.25} | counted
    row |= {"miss_count": 2, "miss_total": 8, "miss_low": 0.032, "miss_high": 0.651}
    return pd.DataFrame([row])


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


def test_the_page_is_html_without_a_parse_error(tmp_path: Path) -> None:
    for folder in (_write(tmp_path / "full"), _write_bare(tmp_path / "bare")):
        html5lib.HTMLParser(strict=True).parse(_page(folder, missing={"cable": "no masks"}))


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
    scores = _scores(TYPES)
    groups = choose_cases(scores, threshold=THRESHOLD)
    assert len(pictures) == sum((1 if name == "good" else 3) * len(rows) for name, rows in groups.items())
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
    assert "no AUPRO: a defective image without mask" in text
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
        own = rows.loc[rows["gt_label"] == 1, "pred_score"]
        missed = (own <= THRESHOLD).sum()
        assert re.search(rf"{name} 3 {missed} {expected:.3f} \u2013 \u2013 \S+ {own.median():.4g} ", text)


def test_place_of_a_case_is_counted(page: str) -> None:
    scores = _scores(TYPES)
    good = scores.loc[scores["gt_label"] == 0, "pred_score"]
    bad = scores.loc[scores["gt_label"] == 1, "pred_score"]
    text = _Page(page).text
    shown = {row for name, rows in choose_cases(scores, threshold=THRESHOLD).items() if name != "good" for row in rows}
    for name in TYPES:
        ranked = scores[scores["defect_type"] == name].sort_values("pred_score")
        for place, (number_, row) in zip(("lowest", "rank 2", "highest"), ranked.iterrows(), strict=True):
            score, path = row["pred_score"], row["image_path"]
            end = f"{place} of 3 {path} · {(good >= score).sum()} of 6 good images score as high"
            assert (f"{name} {score:.4g} {end}" in text) == (number_ in shown)
    worst = f"{good.max():.4g} highest of 6"
    assert worst in text
    confused = f"{(bad <= good.max()).sum()} of 9 defective images score as low"
    assert confused in text.partition(worst)[2][:120]


def test_equal_scores_count_as_confused(tmp_path: Path) -> None:
    folder = _write(tmp_path / "bottle", names=("dent",))
    pd.read_csv(folder / "scores.csv").assign(pred_score=0.5).to_csv(folder / "scores.csv", index=False)
    text = _Page(_page(folder)).text
    assert text.count("6 of 6 good images score as high") == 3
    groups = choose_cases(_scores(("dent",)), threshold=THRESHOLD)
    good = [row for name, rows in groups.items() if name != "good" for row in rows if row < 6]  # the first six are good
    assert text.count("3 of 3 defective images score as low") == len(good) > 0


def test_what_another_threshold_would_do_has_its_limits(page: str) -> None:
    assert (
        "2.0 % 1.25 1 of 1 (100.0 %; 95 %: 100.0 % to 100.0 %) 2 of 8 (25.0 %; 95 %: 3.2 % to 65.1 %)"
        in _Page(page).text
    )


def test_rates_that_share_a_threshold_are_explained(tmp_path: Path, page: str) -> None:
    assert "where two rates share a threshold" not in _Page(page).text
    folder = _write(tmp_path / "bottle")
    pd.concat([_tradeoff(), _tradeoff().assign(rate=0.05)]).to_csv(folder / "tradeoff.csv", index=False)
    assert "where two rates share a threshold, there are too few" in _Page(_page(folder)).text


def test_the_threshold_in_use_stands_among_the_others(tmp_path: Path) -> None:
    """Marked where it is one of them; else in a row of its own, with the limits of the evaluation."""
    folder = _write(tmp_path / "bottle", threshold=1.25)
    assert "2.0 % in use 1.25" in _Page(_page(folder)).text
    folder = _write(tmp_path / "cable", false_rejects=3, misses=1)
    (folder / "intervals.json").write_text(json.dumps({"false_reject_rate": [0.12, 0.88], "miss_rate": [0.003, 0.48]}))
    wanted = (
        "the one in use 1 3 of 6 (50.0 %; 95 %: 12.0 % to 88.0 %) 1 of 9 (11.1 %; 95 %: 0.3 % to 48.0 %) 2.0 % 1.25"
    )
    assert wanted in _Page(_page(folder)).text


def test_the_gates_verdict_is_told_with_each_rule(page: str) -> None:
    text = _Page(page).text
    assert text.index("The gate refused 1 model") < text.index("Overview")
    assert "bottle defects: loses crack" in text
    assert "refused : version 3, against version 2" in text
    assert "passed image auroc as good failed defects loses crack" in text
    assert "refused 0.971 +0.020" in text  # the overview: metric, and its change against the champion


STANDINGS = {  # of the page's version, after version 3 was decided on, against version 2
    ("refused", "3"): ("refused", "against version 2 passed"),
    ("refused", "2"): ("champion", "against version 2; the figures here are version 2's passed"),
    ("promoted", "2"): ("replaced", "against version 2; the figures here are version 2's passed"),
    ("forced", "4"): ("not asked", "the figures here are version 4's, which the gate was not asked about"),
}


@pytest.mark.parametrize(("verdict", "version"), STANDINGS)
def test_a_verdict_says_what_it_means_for_the_pages_version(tmp_path: Path, verdict: str, version: str) -> None:
    folder = _write(tmp_path / "bottle", about={"version": version})
    (folder / "gate.json").write_text(json.dumps(_decision(verdict)))
    text = _Page(_page(folder)).text
    standing, words = STANDINGS[verdict, version]
    assert f"bottle {standing} 0.971" in text
    assert words in text
    assert ("The gate refused" in text) == ((verdict, version) == ("refused", "3"))


@pytest.mark.parametrize("version", ["2", "3"])
def test_a_rollback_is_the_last_word(tmp_path: Path, version: str) -> None:
    folder = _write(tmp_path / "bottle", about={"version": version})
    rolled = {"verdict": "rolled back", "challenger": "3", "champion": "2", "reason": "", "rules": []}
    (folder / "gate.json").write_text(json.dumps(rolled))
    text = _Page(_page(folder)).text
    assert "rolled back : version 2 is champion again, version 3 no longer" in text
    assert f"no longer; the figures here are version {version}'s" in text
    assert ("bottle champion 0.971" if version == "2" else "bottle rolled back 0.971") in text
    assert "not asked" not in text


def test_a_reason_is_told_once_for_all_metrics_that_it_concerns(tmp_path: Path) -> None:
    folder = _write(tmp_path / "bottle")
    why = dict.fromkeys(("pixel_auroc", "pixel_ap", "aupro", "aupro_005"), "no masks")
    (folder / "metrics.json").write_text(json.dumps({"category": "bottle"} | METRICS | {"undefined": why}))
    overview = _Page(_page(folder)).text.partition("Fractions, 1 is perfect")[0]
    assert overview.count("no masks") == 1
    assert "bottle: no pixel AUROC, AUPRO: no masks" in overview


@pytest.mark.parametrize(
    ("misses", "auroc", "told"),
    [(4, 0.99, ""), (5, 0.99, "--max-miss 5%"), (9, 0.6, "9 of 9 defective"), (9, 0.6, "pass")],
)
def test_a_threshold_that_lets_most_defects_pass_is_told_on_top(
    tmp_path: Path, misses: int, auroc: float, told: str
) -> None:
    folder = _write(tmp_path / "bottle")
    metrics = {"category": "bottle"} | METRICS | {"misses": misses, "image_auroc": auroc}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    top = _Page(_page(folder)).text.partition("Overview")[0]
    assert ("lets most defects pass" in top) == bool(told)
    assert told in top
    assert ("--max-miss" in top) == (told == "--max-miss 5%")


def test_a_threshold_that_was_chosen_on_test_images_is_told(tmp_path: Path) -> None:
    chosen = {"threshold guarantee": "none: chosen so that at most 0 of 9 labelled defective test images are missed"}
    told = _Page(_page(_write(tmp_path / "bottle", about=chosen))).text
    assert "threshold of bottle was chosen on labelled test images" in told
    assert "alone; no test image has a say in it" not in told
    assert "alone; no test image has a say in it" in _Page(_page(_write(tmp_path / "cable"))).text


def test_refused_categories_come_first(tmp_path: Path) -> None:
    folders = [_write(tmp_path / name) for name in ("one", "two")]
    (folders[0] / "gate.json").write_text(json.dumps(_decision("promoted")))
    text = _Page(_page(*folders)).text
    assert text.rindex("two refused") < text.rindex("one promoted")


def test_images_left_out_are_named(page: str) -> None:
    text = _Page(page).text
    assert "1 left out, 1 noted left out test/crack/000.png cannot be read noted train/good/001.png seen twice" in text
    assert "... and 7 more" in text
    assert "licence CC BY-NC-SA 4.0" in text


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
    assert "good parts rejected 2 = 10.0 % at the threshold; 95 %: 1.2 % to 31.7 %" in text
    assert "defective parts missed" not in text.partition("test images")[0].partition("image AUROC 0.971")[2]


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
    assert [percent(v) for v in (0.1234, None)] == ["12.3 %", "\u2013"]
    assert [change(v) for v in (0.02, -0.5, 0.0001, None)] == ["+0.020", "\u22120.500", "±0.000", "\u2013"]
    assert [number(v) for v in (12345, 41.3, 0.00012345, None)] == ["12,345", "41.3", "0.0001234", "\u2013"]


def test_charts_are_deterministic_and_take_the_colour_of_the_page() -> None:
    scores = _scores(("crack",))
    drawn = svg(charts.score_histogram(scores, threshold=THRESHOLD))
    assert drawn == svg(charts.score_histogram(scores, threshold=THRESHOLD))
    assert 'fill="currentColor"' in drawn or 'stroke="currentColor"' in drawn
    assert not re.search(r"#000000|black|font-family|style=| id=|href", drawn)


def test_a_chart_alone_is_a_picture_on_white() -> None:
    content = png(charts.score_histogram(_scores(("crack",)), threshold=THRESHOLD))
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.size[0] == 2 * 560
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_the_threshold_is_marked_where_it_lies() -> None:
    scores = pd.DataFrame({"defect_type": "good", "gt_label": 0, "pred_score": np.linspace(0, 1, 9)})
    figure = charts.score_histogram(scores, threshold=3.0).figure
    lines = [line for axes in figure.axes for line in axes.lines if line.get_linestyle() == "--"]
    assert [np.asarray(line.get_xdata()).tolist() for line in lines] == [[3, 3], [3, 3]]
    assert all(axes.get_xlim()[1] > 3 for axes in figure.axes)
    bars = [patch.get_extents() for patch in figure.axes[0].patches]
    assert all(figure.axes[0].bbox.x0 - 1 <= bar.x0 and bar.x1 <= figure.axes[0].bbox.x1 + 1 for bar in bars)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.floats(-5, 5), st.integers(12, 40))
def test_no_bar_stands_on_both_sides_of_the_threshold(values: list[float], threshold: float, bins: int) -> None:
    low, high = charts.span(values, threshold)
    edges = charts.bin_edges((low, high), bins, threshold)
    assert threshold in edges
    assert edges[0] <= low + 1e-6 * (high - low)
    assert edges[-1] >= high - 1e-6 * (high - low)
    assert np.diff(edges) == pytest.approx((high - low) / bins)
    assert bins <= len(edges) - 1 <= bins + 2
    assert np.histogram(values, edges)[0].sum() == len(values)


def test_histogram_counts_every_image() -> None:
    scores = pd.DataFrame({"defect_type": "good", "gt_label": 0, "pred_score": [2.0] * 5})
    drawn = svg(charts.score_histogram(scores, threshold=None))
    assert "good (5)" in drawn
    assert "defective (0)" in drawn
