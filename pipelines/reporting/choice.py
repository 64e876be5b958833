"""Which test images a report shows, and under which heading."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

GROUP_SIZE, SHOWN_PER_TYPE, GOOD_SHOWN = 6, 3, 8  # images: of a group, of each defect type, of good ones
SEED = 0


def choose_cases(scores: pd.DataFrame, *, threshold: float) -> dict[str, list[int]]:
    """Positions of the rows to show by group, from columns defect_type, gt_label, pred_score.

    misses: defective images that are not flagged, lowest score first. false_rejects: good ones that are, highest
    first. borderline: those closest to the threshold. defect_types: of each, images spread evenly over its ranking.
    good: drawn at random among all good ones, whatever their score. Only there may an image be shown again.
    """
    table = scores.reset_index(drop=True).sort_values("pred_score", kind="stable")
    defective, flagged = table["gt_label"] == 1, table["pred_score"] > threshold
    near = (table["pred_score"] - threshold).abs().sort_values(kind="stable").index
    groups = {
        "misses": table.index[defective & ~flagged][:GROUP_SIZE],
        "false_rejects": table.index[~defective & flagged][::-1][:GROUP_SIZE],
    }
    seen = {row for rows in groups.values() for row in rows}
    groups["borderline"] = pd.Index([row for row in near if row not in seen][:GROUP_SIZE])
    seen |= set(groups["borderline"])
    left = table[defective & ~table.index.isin(seen)]
    groups["defect_types"] = pd.Index(list(_spread(left)))
    good = np.sort(table.index[~defective].to_numpy())
    groups["good"] = pd.Index(np.sort(np.random.default_rng(SEED).permutation(good)[:GOOD_SHOWN]))
    return {name: [int(row) for row in rows] for name, rows in groups.items()}


def _spread(table: pd.DataFrame) -> Iterator[int]:
    """Of each defect type, lowest score to highest."""
    for _, rows in table.groupby("defect_type", sort=True):
        places = np.linspace(0, len(rows) - 1, min(SHOWN_PER_TYPE, len(rows)))
        yield from (int(rows.index[round(place)]) for place in places)
