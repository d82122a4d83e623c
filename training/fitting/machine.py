"""What a training was computed on, as far as its weights' last digits may follow from it."""

import platform
from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A device with what uses it.

    Attributes
    ----------
    device : "cpu" or "cuda"
    device_name : str
        The GPU's, or the processor's architecture.
    threads : int
        That torch computes on in this process.
    torch_version : str
    """

    device: str
    device_name: str
    threads: int
    torch_version: str

    @classmethod
    def here(cls, device: torch.device) -> "Machine":
        """Describe what this process computes on."""
        cuda = device.type == "cuda"
        return cls(
            device=device.type,
            device_name=torch.cuda.get_device_name(device) if cuda else platform.machine(),
            threads=torch.get_num_threads(),
            torch_version=torch.__version__,
        )
