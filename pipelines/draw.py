"""Draw a demo category into data/demo/<category>: the embedded default, no network and no download.

Run by DVC as: python -m pipelines.draw --category weave        (a few seconds)
"""

from pipelines.core.params import Params
from pipelines.core.paths import DEMO
from pipelines.core.run import run_category_stage
from pipelines.core.stage import log
from pipelines.demo.generate import write_category


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
    run_category_stage(draw, doc=__doc__)
