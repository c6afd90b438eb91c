"""Looking inside a net: what flows through it, what its filters are, where it looks, and how it is fooled.

    from unmagic import look
    maps = look.grad_cam(net, images, "stages.2")          # (N, h, w)
    look.pointing_game(look.resized(maps, (32, 32)), masks)  # (N,): 1 where the peak lies on the object

Every function leaves the net as it was: mode, gradients and hooks.
"""

from unmagic.look.activations import evaluating, find_layer, recording, sparsity
from unmagic.look.codes import codes, tsne
from unmagic.look.filters import Health, grid, health
from unmagic.look.fooling import adversarial, adversarial_loss, fgsm, fooling_image, minimal_change, pgd
from unmagic.look.inputs import Firing, receptive_box, strongest
from unmagic.look.maps import cam, grad_cam, grad_cam_plus_plus, occlusion, resized, saliency
from unmagic.look.sanity import Randomised, randomisation_test, rank_correlation
from unmagic.look.scores import area, best_iou, deletion, energy_inside, insertion, pointing_game
from unmagic.look.synthesis import alpha_prior, class_model, invert, perceptual_loss, total_variation

__all__ = [
    "Firing",
    "Health",
    "Randomised",
    "adversarial",
    "adversarial_loss",
    "alpha_prior",
    "area",
    "best_iou",
    "cam",
    "class_model",
    "codes",
    "deletion",
    "energy_inside",
    "evaluating",
    "fgsm",
    "find_layer",
    "fooling_image",
    "grad_cam",
    "grad_cam_plus_plus",
    "grid",
    "health",
    "insertion",
    "invert",
    "minimal_change",
    "occlusion",
    "perceptual_loss",
    "pgd",
    "pointing_game",
    "randomisation_test",
    "rank_correlation",
    "receptive_box",
    "recording",
    "resized",
    "saliency",
    "sparsity",
    "strongest",
    "total_variation",
    "tsne",
]
