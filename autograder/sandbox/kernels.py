"""A Jupyter kernel manager whose kernels live in the sandbox, for callers that need no kernelspec on disk."""

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager

from autograder.sandbox.client import Place, WarmParent
from autograder.sandbox.limits import Limits
from autograder.sandbox.provisioner import SandboxProvisioner

NAME = "unmagic-sandbox"


class _OneSpec(KernelSpecManager):
    """Knows the sandbox's kernel only, whatever a user has installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(argv=["python3"], name=NAME, display_name="Python 3 in the sandbox", language="python")


def kernel_manager(parent: Place | WarmParent, limits: Limits, **traits) -> KernelManager:
    """A manager (not started) whose kernels `parent` makes, within `limits`. `traits`: of the manager's class."""
    manager_class = traits.pop("manager_class", KernelManager)
    manager = manager_class(kernel_spec_manager=_OneSpec(), kernel_name=NAME, **traits)
    manager.provisioner = SandboxProvisioner(
        kernel_id="sandbox", kernel_spec=manager.kernel_spec, parent=manager, kernels=parent, limits=limits
    )
    return manager
