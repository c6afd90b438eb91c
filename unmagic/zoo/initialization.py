"""How the nets of the zoo begin, where their paper has nothing of its own."""

from torch import nn


def he_(net: nn.Module, mode: str = "fan_in") -> None:
    """Every convolution's weights from N(0, 2/n), n its inputs ("fan_in") or outputs ("fan_out"); its biases 0.

    K. He, X. Zhang, S. Ren, J. Sun: Delving deep into rectifiers. ICCV 2015, equations 10 and 14.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
