"""Where tensors live."""

import torch


def choose_device(name: str) -> torch.device:
    """`auto` takes a GPU where there is one. Raises ValueError if a GPU is asked for that is not there."""
    count, index = torch.cuda.device_count(), int(name.partition(":")[2] or 0)
    if name.startswith("cuda") and index >= count:
        raise ValueError(f"params.yaml: device is {name!r}, but this machine has {count} usable GPUs; use auto or cpu")
    return torch.device(("cuda" if count else "cpu") if name == "auto" else name)
