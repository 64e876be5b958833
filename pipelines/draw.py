"""Draw a demo category into data/demo/<category>: the embedded default, no network and no download.

Run by DVC as: python -m pipelines.draw --category weave        (a few seconds)
"""

import sys

from pipelines.demo.generate import write_category
from pipelines.params import Params
from pipelines.paths import DEMO
from pipelines.run import run_category_stage
from pipelines.stage import log


def draw(category: str, params: Params) -> None:
    demo = params.demo
    write_category(
        category,
        DEMO,
        seed=params.seed,
        image_size=demo.image_size,
        num_train=demo.num_train,
        num_good=demo.num_good,
        num_per_defect=demo.num_per_defect,
    )
    log.info("drew %s", DEMO / category)


if __name__ == "__main__":
    sys.exit(run_category_stage(draw, doc=__doc__))
