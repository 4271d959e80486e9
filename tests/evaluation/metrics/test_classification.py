import torch

from mvdet.evaluation.metrics.classification import correct_at


def test_top_1_and_top_5_against_sorting() -> None:
    logits = torch.randn(200, 9)
    labels = torch.randint(9, (200,))
    for found, row, label in zip(correct_at(logits, labels), logits, labels.tolist(), strict=True):
        ranks = sorted(range(9), key=lambda k: -float(row[k])).index(label)
        assert found == (ranks == 0, ranks < 5)


def test_few_classes_and_nan() -> None:
    labels = torch.tensor([1, 1, 0])
    logits = torch.tensor([[0.0, 1.0], [1.0, 0.0], [torch.nan, torch.nan]])
    assert correct_at(logits, labels) == [(True, True), (False, True), (False, False)]
