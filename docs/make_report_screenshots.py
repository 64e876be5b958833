"""Photograph the pages that `make demo` and the two commands of docs/report.md left: docs/report_*.webp and others.

Without a network. Needs Chromium, in PATH or named by CHROMIUM.
Run as: python docs/make_report_screenshots.py
"""

import io
import tempfile
from pathlib import Path

from chromium import NO_NETWORK, Page
from PIL import Image

DOCS = Path("docs")
FAULTS = "window.faults = []; for (const kind of ['error', 'securitypolicyviolation'])"
WATCH = f"{FAULTS} addEventListener(kind, (event) => faults.push(kind + ' ' + event.message), true);"
LOAD = "document.querySelectorAll('img').forEach((image) => image.loading = 'eager')"
SECTION = "document.querySelectorAll('section.category')[{number}].getBoundingClientRect().top + scrollY"


def photograph(
    page: Page, source: Path, name: str, *, width: int, height: int, top: str = "0", dark: bool = False, media: str = ""
) -> None:
    """A part of a page from a CSS pixel (a JavaScript expression) on, as docs/<name>.webp."""
    page.emulate(dark=dark, media=media)
    page.open(source.resolve().as_uri(), width=width, height=height)
    page.wait("document.readyState === 'complete'")
    page.value(LOAD)
    page.wait("[...document.images].every((image) => image.complete && image.naturalWidth)")
    assert page.value("faults") == [], page.value("faults")
    found = page.picture(top=int(page.value(top)), height=height, quiet=0.5)
    with Image.open(io.BytesIO(found)) as picture:
        picture.convert("RGB").save(DOCS / f"{name}.webp", quality=92, method=6)


def main() -> None:
    report, label, gear = Path("report.html"), SECTION.format(number=1), SECTION.format(number=2)
    with (
        tempfile.TemporaryDirectory() as profile,
        Page(Path(profile), script=WATCH, seconds=300, options=NO_NETWORK) as page,
    ):
        photograph(page, report, "report_overview", width=1240, height=1500)
        photograph(page, report, "report_pictures", width=1240, height=1500, top=f"{label} + 1250")
        photograph(page, report, "report_dark", width=1240, height=1300, top=gear, dark=True)
        photograph(page, report, "report_phone", width=390, height=1500, top=gear)
        photograph(page, report, "report_print", width=794, height=1123, top=gear, media="print")
        for name in ("compare", "drift/weave"):
            if Path(f"{name}.html").is_file():
                photograph(page, Path(f"{name}.html"), Path(name).parts[0] + "_page", width=1240, height=1300)


if __name__ == "__main__":
    main()
