"""Text in the cells of a CSV that people open in a spreadsheet: none of it is taken for a formula.

It begins with a quote mark ' where it would be (=, +, -, @), or where it begins with one itself; reading takes it away.
"""

import pandas as pd

FORMULA_PREFIXES = tuple("=+-@\t\r'")  # starts of formulas, and the mark of text
TEXTS = ("image_path", "defect_type")  # columns with names that people gave


def marked(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA_PREFIXES) else text


def unmarked(text: str) -> str:
    return text.removeprefix("'")


def marked_texts(table: pd.DataFrame) -> pd.DataFrame:
    """The table as it is written: the columns `TEXTS` that it has, marked."""
    return table.assign(**{name: table[name].map(marked) for name in TEXTS if name in table})


def unmarked_texts(table: pd.DataFrame) -> pd.DataFrame:
    """A table of `marked_texts` as it was."""
    return table.assign(**{name: table[name].map(unmarked) for name in TEXTS if name in table})
