"""The report: one file that loads nothing and runs nothing foreign, whatever the names in it."""

import base64
import hashlib
import json
import re
from pathlib import Path

import html5lib
import pytest

from fastflow.errors import BadData
from pipelines.reporting.choice import choose_cases
from pipelines.reporting.pages.result import read_result
from tests.reporting.report_kit import (
    HOSTILE,
    THRESHOLD,
    TYPES,
    Parsed,
    page_of,
    scores_of,
    write_bare_result,
    write_result,
)


def test_the_page_is_html_without_a_parse_error(tmp_path: Path) -> None:
    for folder in (write_result(tmp_path / "full"), write_bare_result(tmp_path / "bare")):
        html5lib.HTMLParser(strict=True).parse(page_of(folder, missing={"cable": "no masks"}))


def test_page_loads_nothing(page: str) -> None:
    assert not re.search(r"https?:|//\w+\.|@import|url\(", page)
    parsed = Parsed(page)
    for tag, attributes in parsed.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/webp;base64,")), (tag, name, value)
    assert not {tag for tag, _ in parsed.tags} & {"link", "iframe", "object", "embed", "base", "form"}


def test_policy_allows_this_style_and_script_and_nothing_else(page: str) -> None:
    parsed = Parsed(page)
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
    parsed = Parsed(page_of(write_result(tmp_path / "one"), write_result(tmp_path / "two")))
    ids = [a["id"] for _, a in parsed.tags if "id" in a]
    assert len(set(ids)) == len(ids)
    links = {a["href"] for t, a in parsed.tags if t == "a"}
    assert len(links) == 2
    assert links <= {f"#{name}" for name in ids}


def test_every_picture_has_an_alternative(page: str) -> None:
    tags = Parsed(page).tags
    pictures = [a for t, a in tags if t == "img"]
    scores = scores_of(TYPES)
    groups = choose_cases(scores, threshold=THRESHOLD)
    explained = sum(scores["gt_label"][row] == 1 for rows in groups.values() for row in rows)
    shown = sum((1 if name == "good" else 3) * len(rows) for name, rows in groups.items())
    assert len(pictures) == shown + 2 * explained
    assert all(a["alt"] for a in pictures)
    assert all(a.get("aria-label") or a.get("aria-hidden") for t, a in tags if t == "svg")


def test_hostile_names_show_as_text(tmp_path: Path) -> None:
    folder = write_result(
        tmp_path / "bottle",
        names=(HOSTILE, "$x^{2$", "\x00\x1b[31m\n", "瓶", "NA", "]]>&lt;"),
        about={HOSTILE: HOSTILE},
        category=HOSTILE,
        undefined={"aupro": HOSTILE},
    )
    page = page_of(folder, about={HOSTILE: HOSTILE}, missing={HOSTILE: HOSTILE})
    parsed = Parsed(page)
    assert "<img src=x" not in page
    assert not [a for _, a in parsed.tags if any(name.startswith("on") for name in a)]
    assert parsed.text.count(HOSTILE) >= 10
    assert {"$x^{2$", "瓶", "NA"} <= set(parsed.text.split())


def test_name_that_is_no_text_can_be_written(tmp_path: Path) -> None:
    page = page_of(write_bare_result(tmp_path / "bottle"), missing={"caf\udce9": "not UTF-8"})
    (tmp_path / "page.html").write_text(page, encoding="utf-8")


def test_only_metrics_and_scores_are_needed(tmp_path: Path) -> None:
    folder = write_bare_result(tmp_path / "bottle")
    (folder / "about.json").unlink()
    text = Parsed(page_of(folder)).text
    assert "No ROC" in text
    assert "No training curve" in text


def test_category_without_test_images(tmp_path: Path) -> None:
    folder = write_bare_result(tmp_path / "bottle", image_auroc=None, pixel_auroc=None)
    scores_of(TYPES).iloc[:0].to_csv(folder / "scores.csv", index=False)
    (folder / "roc.csv").write_text("fpr,tpr,threshold\n")
    assert "No test image was scored" in Parsed(page_of(folder)).text


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
    folder = write_bare_result(tmp_path / "bottle")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(BadData, match=r"bottle.*; run its evaluate stage again"):
        read_result(folder)


def test_a_case_says_why_beside_what_is_like_it_and_others_do_not(tmp_path: Path) -> None:
    """Defective ones have a reason here; where names are hostile, the page shows them as text."""
    folder = write_result(tmp_path / "bottle", names=(HOSTILE, "dent", "hole"))
    index = json.loads((folder / "pictures/index.json").read_text())
    page = Parsed(page_of(folder))
    explained = [n for name in ("misses", "false_rejects", "borderline", "defect_types") for n in index["groups"][name]]
    explained = [n for n in explained if index["cases"][n]["why"]]
    assert len(explained) > 1
    assert len([1 for tag, of in page.tags if tag == "details" and of.get("class") == "why"]) == len(explained)
    assert page.text.count("most similar: train/good/007.png") == len(explained)
    assert "It comes from dent. Good pictures score 0.2 on average." in page.text
