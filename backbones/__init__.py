"""Backbones: an image batch becomes a feature vector, then logits.

Adapters of pretrained nets, scratch CNNs, layers, heads and losses, all in torch. Knows nothing of files, members or
committees. Importing this package, its registries and its errors does not import torch.
"""
