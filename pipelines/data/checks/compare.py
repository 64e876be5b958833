"""Findings that need all images of a category: odd ones, copies, leaks from train to test."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fastflow.frame import ASPECT_TOLERANCE_FRACTION
from fastflow.index import GOOD
from pipelines.data.checks.finding import Finding, finding
from pipelines.data.checks.pictures import ImageFacts

Thumbnails = NDArray[Any]  # (N, 1024) grey levels
Rows = NDArray[np.intp]
SIZE_FACTOR = 1.25  # height or width beyond this many times the median, or below its inverse
# Root mean square of the difference of two 32x32 thumbnails, in grey levels. The same shot saved again as JPEG of
# quality 75 differs by 0.4; MVTec's bottles, all alike, by at least 2.1 within train and 4.6 from train to test.
NEAR_RMS_GREY_LEVELS = 1.0
IMAGES_COMPARED = 1000  # at most, among one another, to see how far two usually are
PROJECTED_FROM, PROJECTED_TO = 64, 16  # images that give the axes, and how many axes
ROWS_TOGETHER = 64  # training images that are compared with the same test images
VALUES_PER_BLOCK = 2_000_000  # pixels that are in memory together in double precision
SUSPICIOUS_SD = 8.0  # from the usual distance to the median image, robust; MVTec's bottles reach 5.9


def compare_findings(index: pd.DataFrame, seen: Sequence[ImageFacts]) -> Iterator[Finding]:
    """Findings of the images taken together; `seen` has one look for each row."""
    thumbnails = [look.thumbnail for look in seen if look.thumbnail is not None]
    index = index[[look.thumbnail is not None for look in seen]].reset_index(drop=True)
    if thumbnails:
        yield from _odd(index, [look for look in seen if look.thumbnail is not None])
        yield from _copies(index)
        yield from _near(index, np.stack(thumbnails))
        yield from _suspicious(index, np.stack(thumbnails))


def _odd(index: pd.DataFrame, looks: Sequence[ImageFacts]) -> Iterator[Finding]:
    modes = pd.Series([look.mode for look in looks])
    usual = modes.value_counts().index[0]
    sizes = np.array([look.size for look in looks], float)
    median = np.median(sizes, axis=0)
    ratio = np.maximum(sizes / median, median / sizes).max(axis=1)
    aspect = sizes[:, 0] / sizes[:, 1]
    trained = (index["split"] == "train").to_numpy()
    usual_aspect = float(np.median(aspect[trained] if trained.any() else aspect))
    padded = np.abs(np.log(aspect / usual_aspect)) > ASPECT_TOLERANCE_FRACTION
    for path, mode, size, far, pads in zip(index["image_path"], modes, sizes, ratio, padded, strict=True):
        if mode != usual:
            yield finding("odd_mode", path, f"mode {mode}, most images have {usual}", image=path)
        if far > SIZE_FACTOR:
            height, width = size.astype(int)
            message = f"{height}x{width} pixels (height x width), the median is {median[0]:.0f}x{median[1]:.0f}"
            yield finding("odd_size", path, message, image=path)
        if pads:
            height, width = size.astype(int)
            message = f"{height}x{width} pixels (height x width), most are {usual_aspect:.3g} times as high as wide"
            yield finding("odd_shape", path, f"{message}: it is padded, not squeezed", image=path)


def _copies(index: pd.DataFrame) -> Iterator[Finding]:
    """Byte-identical images: leakage where train and test share one, else duplicates."""
    for _, group in index[index.duplicated("sha256", keep=False)].groupby("sha256", sort=False):
        train = group.loc[group["split"] == "train", "image_path"].tolist()
        test = group.loc[group["split"] == "test", "image_path"].tolist()
        if train and test:
            yield from (finding("leakage", p, f"byte-identical to {test[0]}", image=p) for p in train)
        for copies in ([] if train and test else train, test):
            yield from (finding("duplicate", p, f"byte-identical to {copies[0]}", image=p) for p in copies[1:])
    trained = index.loc[index["split"] == "train", "sha256"]
    if len(trained) > 1 and trained.nunique() == 1:
        yield finding("layout", f"train/{GOOD}", f"holds {len(trained)} copies of one image; 2 that differ are needed")


def _near(index: pd.DataFrame, thumbnails: Thumbnails) -> Iterator[Finding]:
    """Training images that look like a test image, far nearer than two training images usually are.

    Any two, not neighbours: where each training image has its twin, as in bursts, neighbours say nothing.
    """
    train, test = (np.flatnonzero(index["split"] == split) for split in ("train", "test"))
    if len(train) < 2 or not len(test):
        return
    some = thumbnails[train[:: -(-len(train) // IMAGES_COMPARED)]]
    among = rms(some, some)[np.triu_indices(len(some), 1)]
    limit = min(NEAR_RMS_GREY_LEVELS, float(np.median(among)) / 3)
    sha256, paths = index["sha256"].to_numpy(), index["image_path"].to_numpy()
    for some_train, some_test in _perhaps_nearer(thumbnails[train], thumbnails[test], limit):
        rows, columns = train[some_train], test[some_test]
        distances = rms(thumbnails[rows], thumbnails[columns])
        distances[sha256[rows][:, None] == sha256[columns][None]] = np.inf  # copies are findings of their own
        for row, far in zip(rows, distances, strict=True):
            if count := int((far < limit).sum()):
                more = f" and {count - 1:,} more" if count > 1 else ""
                message = f"looks like {paths[columns[far.argmin()]]}{more}"
                yield finding("near_identical", str(paths[row]), message, image=str(paths[row]))


def _perhaps_nearer(a: Thumbnails, b: Thumbnails, limit: float) -> Iterator[tuple[Rows, Rows]]:
    """Rows of `a`, and rows of `b` of which some may be nearer to them than `limit`: no other is.

    A projection on orthonormal axes never lengthens a distance, whichever axes these are; those along which the images
    differ most leave the fewest. Few axes can be searched by a tree, all 1024 cannot.
    """
    few = a[:: -(-len(a) // PROJECTED_FROM)].astype(np.float64)
    mean = few.mean(0)
    axes = np.linalg.svd(few - mean, full_matrices=False)[2][:PROJECTED_TO].T
    of_a, of_b = (np.concatenate([(rows - mean) @ axes for rows in _blocks(x, x.shape[1])]) for x in (a, b))
    radius = limit * a.shape[1] ** 0.5 + 1e-6  # rounding
    order, tree = cKDTree(of_a).indices, cKDTree(of_b)
    for rows in np.split(
        order, range(ROWS_TOGETHER, len(order), ROWS_TOGETHER)
    ):  # in a tree's order, alike ones follow
        if near := set().union(*tree.query_ball_point(of_a[rows], radius)):
            yield rows, np.array(sorted(near), np.intp)


def _blocks(rows: NDArray[Any], values_per_row: int) -> list[NDArray[Any]]:
    """The rows in parts that have at most `VALUES_PER_BLOCK` values, none of them empty."""
    parts = -(-len(rows) * values_per_row // VALUES_PER_BLOCK)
    return np.array_split(rows, parts) if parts else []


def rms(a: Thumbnails, b: Thumbnails) -> NDArray[np.float64]:
    """Root mean square difference of each row of `a` (N, D) from each of `b` (M, D): (N, M)."""
    first, second = a.astype(np.float64), b.astype(np.float64)
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2 * first @ second.T
    return np.asarray(np.sqrt(np.maximum(squares, 0) / a.shape[1]))


def _suspicious(index: pd.DataFrame, thumbnails: Thumbnails) -> Iterator[Finding]:
    """Training images far from the median training image, by the spread that the others show."""
    train = index["split"] == "train"
    if train.sum() < 5:
        return
    trained = thumbnails[train]
    median = np.median(trained, axis=0)[None]
    distance = np.concatenate([rms(rows, median)[:, 0] for rows in _blocks(trained, trained.shape[1])])
    usual = np.median(distance)
    spread = max(1.4826 * float(np.median(np.abs(distance - usual))), 0.1)
    for path, far in zip(index.loc[train, "image_path"], (distance - usual) / spread, strict=True):
        if far > SUSPICIOUS_SD:
            message = f"{far:.0f} robust standard deviations further from the median training image than usual"
            yield finding("suspicious", path, message, image=path)
