"""Codes: what a layer makes of whole images, and a map of them on which neighbours stay neighbours."""

from unmagic.look.activations import evaluating, recording

import torch
from torch import Tensor, nn


@torch.no_grad()
def codes(model: nn.Module, images: Tensor, layer: str | nn.Module, *, batch_size: int = 256) -> Tensor:
    """A layer's outputs as one row an image, (N, D): maps (C, h, w) are averaged over their places, so D = C there."""
    rows = []
    with evaluating(model), recording(model, layer) as seen:
        for part in images.split(batch_size):
            model(part)
            output = seen.layer  # (B, D) or (B, C, h, w)
            rows.append(output.mean(dim=(2, 3)) if output.ndim == 4 else output.flatten(1))
    return torch.cat(rows)


def tsne(rows: Tensor, *, perplexity: float = 30.0, seed: int = 0) -> Tensor:
    """Places in the plane for rows (N, D), (N, 2): rows that lie near each other stay near; far distances say little.

    L. van der Maaten, G. Hinton: Visualizing data using t-SNE. JMLR 9 (2008); scikit-learn's, begun with the two
    principal components. `perplexity` is about the number of neighbours that count and must be below N.
    """
    from sklearn.manifold import TSNE  # not for a page that only wants maps: it takes a second to import

    if perplexity >= len(rows):
        raise ValueError(
            f"tsne: a perplexity of {perplexity:g} for {len(rows)} rows; wanted fewer neighbours than rows."
        )
    embedding = TSNE(perplexity=perplexity, init="pca", random_state=seed)
    return torch.from_numpy(embedding.fit_transform(rows.detach().cpu().numpy()))
