"""The head of a support vector machine: its probabilities are normalised sigmoids of its scores."""

import torch

from backbones.head.linear_svm import LinearSVM


def test_softmax_of_the_logits_is_the_normalised_sigmoids():
    torch.manual_seed(0)
    head = LinearSVM(5, 3)
    with torch.no_grad():
        head.slope.copy_(torch.tensor([2.0, 0.5, 1.0]))
        head.offset.copy_(torch.tensor([-1.0, 0.3, 0.0]))
    x = torch.randn(10, 5)
    sigmoids = torch.sigmoid(head.slope * head.planes(x) + head.offset)
    expected = sigmoids / sigmoids.sum(dim=1, keepdim=True)
    torch.testing.assert_close(head(x).softmax(dim=1), expected)


def test_scores_far_out_stay_finite():
    head = LinearSVM(2, 3)
    assert head(torch.full((1, 2), 1e6)).isfinite().all()
