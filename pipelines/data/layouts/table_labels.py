"""What a table's row says of its image: a number, a word for good or bad, or the kind of defect."""

from fastflow.errors import BadData
from fastflow.index import GOOD
from pipelines.data.layouts.classes import DEFECT
from pipelines.data.words import denies, tokens, word_of

NOTHING = ("nan", "none")  # as a defect_type
ALLOWED = (
    "good are, in gt_label, 0, false and words such as good, OK, i.O. or normal; in defect_type none, or such a word"
)
FLAGS = ("0", "0.0", "false", "1", "1.0", "true")


def kind_of_row(label: str, defect_type: str, where: str) -> str:
    """Good or the kind of defect; `where` begins the message. Raises BadData where it is unclear."""
    kind = "" if defect_type.casefold() in NOTHING or _is_good(defect_type, where) else defect_type
    match label.casefold():
        case "0" | "0.0" | "false":
            good = True
        case "1" | "1.0" | "true":
            good = False
        case "" if defect_type:
            good = not kind
        case "":
            raise BadData(f"{where}: gt_label is empty; allowed: 0 for good, 1 for defective")
        case _:
            good = _is_good(label, where)
            kind = kind or (label if word_of(label).meaning not in ("good", "bad") else "")
    if good and kind:
        raise BadData(f"{where}: gt_label says good and defect_type says {kind!r}")
    return GOOD if good else (kind or DEFECT).replace("/", "_")


def _is_good(text: str, where: str) -> bool:
    """Whether a value says good and nothing else: OK, i.O. or no defect, but not OK (scratch), which is refused."""
    word = word_of(text)
    if word.meaning != "good":
        return False
    words = tokens(text)
    if "?" in text or not (word.exact or (len(words) == 2 and denies(words))):
        raise BadData(
            f"{where}: {text!r} begins or ends as good does, and says more; write 0 or good, or what the defect is"
        )
    return True
