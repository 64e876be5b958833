"""Renders every page: one HTML file that opens from disk, prints, and loads nothing.

Every name in it is escaped, and its content security policy allows only its own style, its own script and inlined
images: a defect type named like a tag shows as text.
"""

import base64
import hashlib
import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipelines.reporting.pages.drawing import DEFECTIVE, GOOD
from pipelines.reporting.pictures import PREDICTED_COLOUR, TRUTH_COLOUR

TEMPLATES = Path(__file__).parent / "templates"
LABELS = {"git_dirty": "changed since that commit", "data_dvc_md5": "images, by DVC's hash"}
NONE = "\u2013"  # shown for what is undefined: a dash


def page(template: str, **values: Any) -> str:
    """The page of a template, which gets style, script, policy and colours besides its own `values`."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (fraction, number, words, percent, change)
    environment.filters |= {function.__name__: function for function in filters}
    style, script = (Markup((TEMPLATES / name).read_text()) for name in ("page.css", "page.js"))
    text = environment.get_template(template).render(
        style=style, script=script, policy=policy(style, script), colours=colours(), **values
    )
    return text.encode(errors="replace").decode()  # a file name that is not UTF-8 must not stop the page


def policy(style: str, script: str) -> str:
    """Content security policy: nothing but this style, this script and inlined images."""
    hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (style, script)]
    return (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def colours() -> dict[str, str]:
    css = {
        name: "#{:02x}{:02x}{:02x}".format(*rgb)
        for name, rgb in (("truth", TRUTH_COLOUR), ("predicted", PREDICTED_COLOUR))
    }
    return css | {"good": GOOD, "defective": DEFECTIVE}


def picture(file: Path) -> str:
    """A WebP file as a data URI."""
    return webp(file.read_bytes())


def webp(content: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(content).decode()}"


def fraction(value: float | None) -> str:
    """Three digits; what is not 1 is never rounded to it, and what is undefined is a dash."""
    if value is None or math.isnan(value):
        return NONE
    return ">0.999" if 0.9995 <= value < 1 else f"{value:.3f}"


def number(value: float | None) -> str:
    """Up to four significant digits, integers in full; a dash for none."""
    if value is None or math.isnan(value):
        return NONE
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def percent(value: float | None) -> str:
    """A fraction as a percentage with one digit."""
    return NONE if value is None or math.isnan(value) else f"{100 * value:.1f} %"


def change(value: float | None, digits: int = 3) -> str:
    """A difference with its sign, of fractions with three digits; a dash for none."""
    if value is None or math.isnan(value):
        return NONE
    return f"±{0:.{digits}f}" if abs(value) < 0.5 * 10**-digits else f"{value:+.{digits}f}".replace("-", "\u2212")


def words(name: str) -> str:
    return LABELS.get(name, name.replace("_", " "))
