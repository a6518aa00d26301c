"""How fast we are beside our peers: ratios measured in the same run. Not tests: `python -m benchmarks --help`."""
