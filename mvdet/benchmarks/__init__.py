"""How fast mvdet is, beside others: `scripts/benchmark.py`. Needs `pip install mvdet[bench]`."""
