"""Models judged on data sets and at work on pictures: metrics, runs, reports, predictions."""
