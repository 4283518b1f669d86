"""Takes the figures: `make bench`; or compares those of two commits: `make bench-compare AGAINST=<commit>`."""

import sys

from tests.bench import compare, main

if sys.argv[1:2] == ["compare"]:
    compare.app(sys.argv[2:])
main.app()
