"""Takes the figures: `make bench`."""

from tests.bench.main import app

app()
