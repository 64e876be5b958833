"""The page for inspectors: fastflow review NAME

On this machine alone; other addresses need a token, FASTFLOW_TOKEN. It shows what `fastflow watch` has kept.
"""

import os
from pathlib import Path

from pipelines.core.params import Params
from pipelines.core.stage import log
from pipelines.review.app import Review, build_app
from pipelines.review.decisions import counts
from pipelines.review.rule import Rule
from pipelines.review.store import opened
from pipelines.serving.decoding import Decoders
from pipelines.serving.guard import check_token, is_local
from pipelines.serving.serve import bind, run_server
from pipelines.serving.uploads import MAX_PIXELS


def review(category: str, params: Params, rule: Rule, *, host: str, port: int) -> None:
    """Serves until a signal ends it.

    Raises:
        ValueError: an address beyond this machine without a token, or one that cannot be bound.
        BadData: a damaged store. ServerAway: its disk is full.
    """
    token = os.environ.get("FASTFLOW_TOKEN", "")
    with bind(host, port) as bound:
        check_token(token, host=host, local=is_local(str(bound.getsockname()[0])))
        with opened(category) as base:
            total = sum(one["total"] for one in counts(base).values())
        if not total:
            log.info("nothing is kept for review yet; pictures come from: fastflow watch %s DIR", category)
        decoders = Decoders(max_pixels=MAX_PIXELS)
        app = build_app(Review(category, Path(params.data.root) / category, rule, decoders), token=token)
        try:
            run_server(app, bound, host=host)
        finally:
            decoders.end()
            log.info("ended")
