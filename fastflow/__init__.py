"""FastFlow (arXiv 2111.07677): defects from images of good parts alone. `fastflow.model` is the place to begin."""

import os

# OpenMP reads this when torch loads it. Threads that wait sleep instead of spinning: a spinning one takes the core that
# the other waits for, once anything else runs here (benchmarks/contention.py). A setting of the user stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
