"""The page in a real browser: keys and buttons do what they say, hostile names are text, nothing foreign is fetched."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.chromium import Page, chromium
from pipelines.review.store import opened
from tests.conftest import write_plates
from tests.review.kit import Server, judged, keep, reviewing
from tests.stages import write_tiny_params

pytestmark = [pytest.mark.slow, pytest.mark.skipif(chromium() is None, reason="no Chromium in PATH")]
ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
HOSTILE = "<img src=x onerror=alert(1)>"
WATCH = """
window.faults = [];
addEventListener("error", (event) => faults.push(`error ${event.message} ${event.target.src || ""}`), true);
addEventListener("unhandledrejection", (event) => faults.push(`rejected ${event.reason}`));
addEventListener("securitypolicyviolation", (event) => faults.push(`policy ${event.violatedDirective}`));
window.alert = (text) => faults.push(`alert ${text}`);
"""
READY = "typeof item !== 'undefined' && item && !busy && seen"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    write_plates(folder / "images/plates")
    (folder / f"images/plates/test/{HOSTILE}").mkdir()
    write_tiny_params(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        keep(*(judged(n, score=0.9, defect=True, path=f"/mnt/{HOSTILE}{n}.png") for n in range(9)))
    return folder


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[Server]:
    with reviewing(project) as server:
        yield server


@pytest.fixture(scope="module")
def page(project: Path, server: Server) -> Iterator[Page]:
    with Page(project / "profile", script=WATCH, seconds=240, options=[ALONE]) as browser:
        browser.open(server.address, width=1280, height=800)
        browser.wait("document.readyState === 'complete' && document.title === 'Review plates'")
        browser.value("at('inspector').value = 'Ana'; at('inspector').dispatchEvent(new Event('change')); undefined")
        browser.wait(READY)
        yield browser


def key(page: Page, name: str, more: str = "") -> None:
    page.value(f"document.body.dispatchEvent(new KeyboardEvent('keydown', {{key: '{name}', bubbles: true, {more}}}))")
    time.sleep(0.1)
    page.wait("!busy")


def said(project: Path) -> list[tuple[str, str, str]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        with opened("plates") as base:
            rows = base.execute("SELECT * FROM decisions ORDER BY id").fetchall()
    return [(row["inspector"], row["action"], row["kind"]) for row in rows]


def test_keys_decide_undo_and_skip(page: Page, project: Path) -> None:
    first = page.value("item.sha256")
    key(page, "g", "ctrlKey: true")  # the browser's own
    assert said(project) == []
    key(page, "g")
    page.wait(READY)
    assert page.value("item.sha256") != first
    key(page, "d")
    assert page.value("at('kinds').hidden") is False
    key(page, "1")  # the hostile folder of the test set
    page.wait(READY)
    key(page, "S")
    page.wait(READY)
    key(page, "u")
    page.wait(READY)
    assert said(project) == [
        ("Ana", "good", ""), ("Ana", "defect", HOSTILE), ("Ana", "skip", ""), ("Ana", "undo", ""),
    ]  # fmt: skip


def test_a_kind_is_typed_and_no_letter_of_it_is_a_key(page: Page, project: Path) -> None:
    before = len(said(project))
    key(page, "d")
    page.value("at('other').focus()")
    page.value("at('other').dispatchEvent(new KeyboardEvent('keydown', {key: 'g', bubbles: true}))")
    assert len(said(project)) == before
    page.value("at('other').value = 'good'; at('keep').click()")
    page.wait("!busy && !at('problem').hidden")
    assert "cannot be a kind of defect" in page.value("at('problem').innerText")
    page.value("at('other').value = 'deep scratch'; at('keep').click()")
    page.wait(f"{READY} && at('problem').hidden && at('kinds').hidden")
    assert said(project)[before:] == [("Ana", "defect", "deep_scratch")]


def test_map_outlines_and_zoom_are_turned_on_and_off(page: Page) -> None:
    shown = "!at('heat').hidden && at('heat').naturalWidth > 0"
    assert page.value("at('heat').hidden") is True
    key(page, "m")
    page.wait(shown)
    assert page.value("document.querySelectorAll('#outlines path.line').length") == 1
    key(page, "o")
    assert page.value("getComputedStyle(at('outlines')).display") == "none"
    key(page, "o")
    key(page, "z")
    assert page.value("at('frame').getBoundingClientRect().width > 1.5 * at('stage').clientWidth") is True
    key(page, "z")
    key(page, "m")
    assert page.value("at('heat').hidden") is True
    page.wait("at('nearest').naturalWidth > 0")


def test_nothing_fails_and_hostile_names_are_text(page: Page, server: Server) -> None:
    assert HOSTILE in page.value("document.body.innerText")
    assert page.value("document.querySelectorAll('img[src=x]').length") == 0
    fetched = page.value("performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert {one for one in fetched if not one.startswith((server.address, "data:"))} == set()
    assert page.value("faults") == []


def test_what_is_not_on_the_screen_can_only_be_skipped(page: Page, project: Path) -> None:
    before = said(project)
    page.value("show({...item, sha256: 'f'.repeat(64)})")
    assert page.value("getComputedStyle(at('frame')).visibility") == "hidden"
    for name in ("g", "d"):
        key(page, name)
    assert page.value("at('kinds').hidden && at('good').disabled && at('defect').disabled") is True
    page.wait("at('problem').innerText.startsWith('This picture cannot be shown; skip it')")
    key(page, "g")
    page.value("at('good').click(); decide('defect', 'dent')")
    page.wait("!busy")
    assert said(project) == before
    key(page, "s")  # of a picture that is gone: the next one comes
    page.wait(f"{READY} && item.sha256 !== 'f'.repeat(64)")
    assert page.value("getComputedStyle(at('frame')).visibility") == "visible"
    assert "no longer kept" in page.value("at('problem').innerText")
    assert said(project) == before


def test_a_tablet_has_buttons_for_fingers_and_no_sideways_scrolling(page: Page, server: Server) -> None:
    page.open(server.address, width=820, height=1180)
    page.wait(READY)
    assert page.value("document.documentElement.scrollWidth") <= 820
    sizes = "[...document.querySelectorAll('%s')].map((one) => [one.offsetWidth, one.offsetHeight])"
    every = page.value(sizes % "header button, header input, header select, #actions button, #views button")
    assert len(every) == 10
    assert min(min(one) for one in every) >= 44
    assert min(one[1] for one in page.value(sizes % "#actions button")) >= 60
    bottom = page.value("at('actions').getBoundingClientRect().bottom")
    assert bottom <= 1180  # in sight with the whole picture


def test_a_page_of_another_site_changes_nothing(page: Page, server: Server, project: Path) -> None:
    """A form and a fetch without leave, from another origin on this machine: what the browser itself sends."""
    before = said(project)
    hostile = project / "hostile.html"
    hostile.write_text(
        f"""<iframe name=f></iframe><form method=post target=f action="{server.address}/undo" enctype="text/plain">
        <input name='{{"inspector":"Ana","x":"' value='"}}'></form><script>document.forms[0].submit();
        window.done = 0;
        for (const headers of [{{}}, {{"Content-Type": "application/json", "FastFlow-Review": "1"}}])
          fetch("{server.address}/undo", {{method: "POST", body: '{{"inspector": "Ana"}}', headers}})
            .then((answer) => answer.text(), () => "").then(() => {{ done += 1; }});</script>"""
    )
    page.open(hostile.as_uri(), width=800, height=600)
    page.wait("window.done === 2")
    time.sleep(0.5)
    assert said(project) == before
