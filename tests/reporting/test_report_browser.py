"""The pages in a real browser without a network: nothing is asked for, nothing fails, everything works."""

from collections.abc import Iterator
from typing import Any

import pytest

from docs.chromium import NO_NETWORK, Page, chromium
from tests.reporting.report_kit import HOSTILE, page_of, write_result

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium in PATH"),
]
WATCH = """
window.faults = [];
addEventListener("error", (event) => faults.push(`error ${event.message}`), true);
addEventListener("securitypolicyviolation", (event) => faults.push(`policy ${event.violatedDirective}`));
for (const level of ["error", "warn"]) console[level] = (...said) => faults.push(`${level} ${said}`);
window.alert = (text) => faults.push(`alert ${text}`);
"""
CATEGORIES = ("gear", "<img src=x onerror=alert(1)>", "bottle")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("browser")
    aurocs = (0.75, None, 0.875)
    made = [
        write_result(folder / f"{i}", names=("crack", HOSTILE), category=name, image_auroc=value)
        for i, (name, value) in enumerate(zip(CATEGORIES, aurocs, strict=True))
    ]
    (folder / "report.html").write_text(page_of(*made, about={"made by": HOSTILE}, missing={HOSTILE: HOSTILE}))
    with Page(folder / "profile", script=WATCH, seconds=200, options=NO_NETWORK) as browser:
        browser.open((folder / "report.html").as_uri(), width=1200, height=900)
        browser.wait("document.readyState === 'complete'")
        yield browser


def test_nothing_fails_and_nothing_is_fetched(page: Page) -> None:
    page.value("document.querySelectorAll('img').forEach((image) => image.loading = 'eager')")
    page.wait("[...document.images].every((image) => image.complete)")
    assert page.value("[...document.images].filter((image) => image.naturalWidth === 0).length") == 0
    assert page.value("document.images.length") > 20
    fetched = page.value("performance.getEntriesByType('resource').map((entry) => entry.name.slice(0, 5))")
    assert set(fetched) <= {"data:"}
    assert page.value("faults") == []


def test_hostile_names_are_text(page: Page) -> None:
    assert page.value("document.body.innerText.split('<img src=x onerror=alert(1)>').length") > 10
    assert page.value("document.querySelectorAll('img[src=x]').length") == 0


def test_a_policy_refuses_what_is_not_ours(page: Page) -> None:
    page.value("document.body.insertAdjacentHTML('beforeend', '<img id=probe src=\"https://example.com/x.png\">')")
    page.wait("faults.some((fault) => fault.startsWith('policy img-src'))")
    page.value("document.getElementById('probe').remove(); faults.length = 0")


def column(page: Page) -> list[Any]:
    return list(page.value("[...document.querySelectorAll('#overview tbody th')].map((cell) => cell.innerText)"))


def test_a_click_sorts_undefined_last(page: Page) -> None:
    click = "document.querySelectorAll('#overview thead button')[2].click()"
    page.value(click)
    assert column(page) == ["gear", "bottle", CATEGORIES[1]]
    page.value(click)
    assert column(page) == ["bottle", "gear", CATEGORIES[1]]
    assert page.value("document.querySelectorAll('#overview th[aria-sort=descending]').length") == 1


def test_dark_follows_the_reader_and_the_button_turns_it(page: Page) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    page.emulate(dark=False)
    light = page.value(paper)
    page.emulate(dark=True)
    dark = page.value(paper)
    assert light != dark
    page.value("document.querySelector('button.theme').click()")
    assert page.value(paper) == light
    page.value("document.querySelector('button.theme').click()")
    assert page.value(paper) == dark
    page.emulate(media="print", dark=True)
    assert page.value(paper) == "rgb(255, 255, 255)"
    page.emulate()


def test_a_phone_shows_it_without_scrolling_sideways(page: Page) -> None:
    page.open(str(page.value("location.href")), width=390, height=800)
    page.wait("document.readyState === 'complete'")
    assert page.value("document.documentElement.scrollWidth") <= 390


def test_it_prints(page: Page) -> None:
    content = page.pdf()
    assert content.startswith(b"%PDF")
    assert len(content) > 20_000
