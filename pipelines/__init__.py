"""The programs around `fastflow`, which is imported first: it sets how torch's threads wait."""

import fastflow  # noqa: F401
