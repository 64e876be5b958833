"""Where tensors live."""

import torch


def choose_device(name: str) -> torch.device:
    """`auto` takes a GPU where there is one. Raises ValueError if a GPU is asked for and there is none."""
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"params.yaml: device is {name!r}, but this machine has no usable GPU; use auto or cpu")
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
