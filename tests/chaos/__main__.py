"""Runs the breaks: `make chaos`."""

from tests.chaos.main import app

app()
