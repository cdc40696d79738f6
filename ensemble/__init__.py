"""Members vote: specs, predictions, fusion rules, the committee tree, perturbation plans and metrics.

Pure numpy and pydantic: importing this package, and fusing stored probabilities with it, does not import torch.
"""
