"""Make a CPU build of torch believe that it has CUDA and one device."""

import ctypes
import importlib.util
import subprocess
import sys
from pathlib import Path

_SOURCE = Path(__file__).parent / "cuda.cpp"


def build(library: Path) -> None:
    """Compile cuda.cpp against the installed torch."""
    spec = importlib.util.find_spec("torch")
    assert spec is not None
    (torch,) = spec.submodule_search_locations
    command = ["g++", "-std=c++20", "-shared", "-fPIC", str(_SOURCE), "-o", str(library)]
    command += [f"-I{torch}/include", f"-I{torch}/include/torch/csrc/api/include"]
    command += [f"-L{torch}/lib", "-lc10", "-ltorch_cpu", f"-Wl,-rpath,{torch}/lib"]
    subprocess.run(command, check=True)


def load(library: Path) -> None:
    """Load what `build` made; torch must not have been imported."""
    assert "torch" not in sys.modules
    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    import torch

    answers = {
        "_lazy_init": None,
        "device_count": 1,
        "get_device_name": "pretended GPU",
        "get_rng_state": torch.zeros(16, dtype=torch.uint8),
        "is_available": True,
        "is_bf16_supported": True,
        "max_memory_allocated": 0,
        "mem_get_info": (1 << 30, 1 << 30),
        "set_rng_state": None,
        "synchronize": None,
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, lambda *_, answer=answer, **__: answer)
    # the parameters of a module that moves are made anew: their class becomes another
    torch.__future__.set_overwrite_module_params_on_conversion(True)
