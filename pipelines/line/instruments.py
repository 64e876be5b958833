"""What a line exposes to Prometheus, to this machine alone."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

HOST = "127.0.0.1"


class Instruments:
    """`oldest`: when the picture that has waited longest was noticed, seconds since 1970; None where none waits."""

    def __init__(self, category: str) -> None:
        self.oldest: float | None = None
        self.registry = r = CollectorRegistry()
        self.judged = Counter("fastflow_line_judged", "Verdicts", ["category", "pred_label"], registry=r)
        self.errors = Counter("fastflow_line_errors", "Pictures without a verdict", ["category"], registry=r)
        self.overtaken = Gauge("fastflow_line_overtaken", "Overwritten unjudged", ["category"], registry=r)
        self.waiting = Gauge("fastflow_line_waiting", "Pictures in the queue", ["category"], registry=r)
        self.there = Gauge("fastflow_line_folder", "1 while the folder is there", ["category"], registry=r)
        self.backlog = Gauge("fastflow_line_backlog", "Verdicts to send", ["category", "output"], registry=r)
        self.refused = Gauge("fastflow_line_refused", "Verdicts that were refused", ["category", "output"], registry=r)
        self.age = Gauge("fastflow_line_oldest_seconds", "Age of the oldest picture", ["category"], registry=r)
        self.age.labels(category).set_function(self._age)
        for label in ("0", "1"):
            self.judged.labels(category, label)
        self.errors.labels(category)

    def _age(self) -> float:
        """Of now: it grows also where the loop hangs."""
        return 0.0 if self.oldest is None else max(0.0, time.time() - self.oldest)

    def serve(self, port: int) -> None:
        """Raises ValueError: the port is taken."""
        try:
            start_http_server(port, addr=HOST, registry=self.registry)
        except (OSError, OverflowError) as error:
            raise ValueError(f"{HOST}:{port} cannot be bound ({error}); choose another --metrics-port") from error
