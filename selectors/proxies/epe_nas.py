"""EPE-NAS: how differently an untrained network reacts to changes of the images of one class."""

import math

from torch import nn
from torch.nn import functional

from opselect.selectors.proxies.jacob_cov import STABILIZER, correlation, input_gradients
from opselect.spaces.images import LabelledImages

MANY_CLASSES = 100
"""With more classes than this, the score compares the classes with each other."""


def epe_nas(network: nn.Module, batch: LabelledImages) -> float:
    """Low correlation of the input gradients of images of one class, summed over classes; larger is better.

    With r_ij the correlation of the input gradients of two images (see `jacob_cov`), k = 1e-5 and e_c the sum of
    log(|r_ij| + k) over all pairs i, j of images of class c, the score is the sum of |e_c| over the classes. With more
    than 100 classes, e_c is divided by the number of images of the class, and the score is the sum of |e_c - e_d| over
    all ordered pairs of classes, divided by the number of classes. One batch with its labels, train mode. The number of
    classes that decides between the forms is the number of logits. The score depends on the size and the labels of the
    batch.

    NaN where the gradient of an image is the same at all pixels, and where no class has two images.

    Both forms and their constants are those of the published code; the text of the paper was not available. Differs
    from the code: a class with a single image is left out in both forms (the code adds log(1 + k) for it in the first).
    The code as released passes no labels and cannot run.

    Source: Lopes et al., EPE-NAS, ICANN 2021 (arXiv 2102.08099), section 3, and eval_score_perclass in its search.py.
    """
    gradients, classes = input_gradients(network, batch.images)
    logarithms = (correlation(gradients).abs() + STABILIZER).log()
    # One row per class, 1 for its images and 0 for the others; rows of a single image are left out.
    in_class = functional.one_hot(batch.labels.long()).to(logarithms).T
    in_class = in_class[in_class.sum(1) > 1]
    if not logarithms.isfinite().all() or not len(in_class):
        return math.nan
    scores = ((in_class @ logarithms) * in_class).sum(1)
    if classes <= MANY_CLASSES:
        return float(scores.abs().sum())
    scores = scores / in_class.sum(1)
    return float((scores[:, None] - scores).abs().sum() / len(scores))
