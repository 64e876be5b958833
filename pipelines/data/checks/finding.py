"""What is wrong with a category: one finding names one file or folder, what it is, and how to cure it."""

from typing import NamedTuple

from fastflow.files import printable


class Finding(NamedTuple):
    """`path` is the file at fault, `image` the index's row to leave out where the kind is quarantined ("": none)."""

    kind: str
    path: str
    message: str
    remedy: str
    image: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}; {self.remedy}"


REMEDIES = {
    "unreadable": "restore the file or remove it",
    "unset_alpha": "alpha counts for nothing there; save the images without",
    "bit_depth": "to state another range: --value-range LOW HIGH of fastflow init, or pixels in params.yaml",
    "out_of_range": "what is beyond is black or white; to have more: --value-range LOW HIGH, or pixels in params.yaml",
    "odd_mode": "save all images of a category alike",
    "odd_size": "check that it shows the same view as the others",
    "odd_shape": "the padding counts for nothing, but the part is smaller in it; better take all photographs alike",
    "missing_mask": "draw it, or remove the folder ground_truth to do without pixel metrics",
    "extra_mask": "rename it to <image>_mask.png, or remove it",
    "mask_size": "redraw the mask",
    "empty_mask": "redraw it, or move the image to good",
    "full_mask": "redraw it, unless the whole image is defect",
    "non_binary_mask": "any value above 0 counts as defect, in a lossy file from 128; save it with two values",
    "leakage": "remove one of the two: a test on training images says nothing",
    "duplicate": "remove one of the two",
    "near_identical": "look at both: the same shot must go from one; a small defect on a like part may stay",
    "suspicious": "look whether it shows a good part in the usual view",
    "layout": "move or remove it",
    "empty_class": "add images or remove the folder",
    "foreign_file": "convert, rename or remove it",
    "name_clash": "rename one: on other systems they would be one file, or share a mask",
    "roi_shape": "take all photographs alike, or draw the region on one of them: fastflow roi",
    "outside_roi": "the image counts as defective, and nothing of it is seen: enlarge the region, or quarantine these",
    "name_form": "rename it in plain letters, digits, - and _",
}
"""Every kind of finding, and its usual cure; params.yaml, section findings, says what each kind means for a run."""


def finding(kind: str, path: str, message: str, *, image: str = "", remedy: str = "") -> Finding:
    """`remedy`: where it is another than that of the kind."""
    return Finding(kind, printable(path), printable(message), printable(remedy) or REMEDIES[kind], image)
