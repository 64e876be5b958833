"""Fixtures of the line's loop."""

from tests.line.watch_kit import base as base
from tests.line.watch_kit import detector as detector
from tests.line.watch_kit import start as start
