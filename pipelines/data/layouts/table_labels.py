"""What a table's row says of its image: a number, a word for good or bad, or the kind of defect."""

from fastflow.errors import BadData
from fastflow.index import GOOD
from fastflow.sources import squashed
from pipelines.data.layouts.classes import DEFECT
from pipelines.data.words import denies, not_sorted, tokens, word_of

NOTHING = ("", "nan", "<na>", "nat", "null", "nil", "n/a", "na", "-", "--")  # an empty cell, as programs write it
NO_DEFECT = {"keine", "kein", "ohnebefund", "keinbefund", "nofinding", "nofindings", "aucun", "ninguno", "nessuno"}
ALLOWED = (
    "good are, in gt_label, 0, false and words such as good, OK, i.O. or normal; in defect_type none, or such a word"
)
FLAGS = ("0", "0.0", "false", "1", "1.0", "true")


def kind_of_row(label: str, defect_type: str, where: str) -> str:
    """Good or the kind of defect; `where` begins the message. Raises BadData where it is unclear."""
    kind = "" if is_empty(defect_type) or _is_none(defect_type) or is_good(defect_type, where) else defect_type
    match "" if is_empty(label) or _is_none(label) else label.casefold():
        case "0" | "0.0" | "false":
            good = True
        case "1" | "1.0" | "true":
            good = False
        case "" if kind or (not label and not is_empty(defect_type)):
            _refuse_unsure(defect_type, where)
            good = not kind
        case "":
            stated = f"{label!r}, which says nothing" if label else "empty"
            raise BadData(f"{where}: gt_label is {stated}; allowed: 0 for good, 1 for defective")
        case _:
            _refuse_unsure(label, where)
            good = is_good(label, where)
            kind = kind or ("" if good or word_of(label).meaning == "bad" else label)
    if good and kind:
        raise BadData(f"{where}: gt_label says good and defect_type says {kind!r}")
    return GOOD if good else (kind if any(map(str.isalnum, kind)) else DEFECT).replace("/", "_")


def says_good(label: str) -> bool | None:
    """Whether a label says good; None where it says nothing, or cannot be understood."""
    try:
        return kind_of_row(label.strip(), "", "") == GOOD
    except BadData:
        return None


def is_empty(text: str) -> bool:
    """Whether a cell is empty, or as good as that."""
    return text.casefold() in NOTHING


def _is_none(text: str) -> bool:
    """Whether a cell says none: no defect, in defect_type; in gt_label, nothing."""
    return text.casefold() == "none"


def _refuse_unsure(text: str, where: str) -> None:
    """Raises BadData where a value says that nobody knows: ?, unknown, todo."""
    if not_sorted(text) or not any(map(str.isalnum, text)):
        raise BadData(
            f"{where}: {text!r} does not say what the image is; write 0 or good, or what the defect is, or leave the "
            "image out of the table and of the folder"
        )


def is_good(text: str, where: str) -> bool:
    """Whether a value says good and nothing else: OK, i.O. or no defect, but not OK (scratch), which is refused."""
    if squashed(text) in NO_DEFECT:
        return True
    word = word_of(text)
    if word.meaning != "good":
        return False
    words = tokens(text)
    if "?" in text or not (word.exact or (len(words) == 2 and denies(words))):
        raise BadData(
            f"{where}: {text!r} begins or ends as good does, and says more; write 0 or good, or what the defect is"
        )
    return True
