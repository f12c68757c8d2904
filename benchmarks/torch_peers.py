"""Public networks in PyTorch, also beside a PyTorch that their libraries were not built for."""

import torch

_LIBRARIES = []


def timm_model(name):
    stand_in()
    import timm

    return timm.create_model(name, num_classes=1000, drop_rate=0.5)


def torchvision_inception():
    stand_in()
    from torchvision.models import inception_v3

    return inception_v3(weights=None, aux_logits=False, init_weights=False)


def stand_in():
    """Schemas of operators that torchvision's CUDA build brings and its Python code expects.

    Beside CPU PyTorch they are not there; without an implementation, they are enough to import it.
    """
    if torch.version.cuda is not None or _LIBRARIES:
        return
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms", "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool",
                 "deform_conv2d", "qroi_align"):  # fmt: skip
        library.define(f"{name}(Tensor input) -> Tensor")
        library.define(f"_{name}_backward(Tensor input) -> Tensor")
    _LIBRARIES.append(library)  # keep it alive
