"""Makes `import torchvision` work beside a torch that its compiled operators were not built for.

The torchvision wheel on the package index is built for the CUDA torch. Beside a CPU torch its shared library does not
load, and `import torchvision` then stops at "operator torchvision::nms does not exist", because its Python part
attaches gradients and shapes to operators that nobody defined. The course needs its models, transforms and data sets,
none of which needs those operators, so where they are absent we define their schemas: names without an implementation.
Calling `torchvision.ops.nms` then still fails with a clear error.
"""

import importlib.util
import pathlib
import sys

import torch

# The operators that `import torchvision` itself refers to, as torchvision's own C++ source declares them.
SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}

_library: torch.library.Library | None = None  # the definitions last as long as this object


def ensure_importable() -> list[str]:
    """Define the operators that `import torchvision` needs, only where torchvision's own library does not bring them.

    Returns:
        the names that were defined: empty beside a matching torchvision, without torchvision, and on a second call.
    """
    global _library
    if "torchvision" in sys.modules or _library is not None:
        return []
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return []
    _load_compiled(pathlib.Path(next(iter(spec.submodule_search_locations))))
    missing = [name for name in SCHEMAS if not hasattr(torch.ops.torchvision, name)]
    if missing:
        _library = torch.library.Library("torchvision", "FRAGMENT")
        for name in missing:
            _library.define(SCHEMAS[name])
    return missing


def _load_compiled(package: pathlib.Path) -> None:
    """Load torchvision's own operators, if they load; `import torchvision` does it again at no cost."""
    for library in [path for path in sorted(package.glob("_C*")) if path.suffix in {".so", ".pyd", ".dylib"}]:
        try:
            torch.ops.load_library(str(library))
        except (OSError, ImportError):  # built for another torch: what is missing gets defined
            continue
