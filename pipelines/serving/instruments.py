"""The metrics that the server exposes to Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENCY_BUCKETS_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
SCORE_BUCKETS = [i / 20 for i in range(21)]


class Instruments:
    def __init__(self) -> None:
        self.registry = r = CollectorRegistry()
        self.requests = Counter("fastflow_requests", "Requests to /score", ["category", "status"], registry=r)
        self.seconds = Histogram(
            "fastflow_seconds", "To the answer", ["category"], buckets=LATENCY_BUCKETS_SECONDS, registry=r
        )
        self.batch = Histogram("fastflow_batch_size", "Scored at once", buckets=(1, 2, 4, 8, 16, 32), registry=r)
        self.verdicts = Counter("fastflow_verdicts", "Images by verdict", ["category", "pred_label"], registry=r)
        self.scores = Histogram("fastflow_pred_score", "Image scores", ["category"], buckets=SCORE_BUCKETS, registry=r)
        self.waiting = Gauge("fastflow_waiting", "Images that wait for their turn", registry=r)
        self.model = Gauge("fastflow_model", "The model that serves", ["category", "version"], registry=r)
