"""A GPU that is none: its tensors say they are on ``cuda:0``, and a CPU computes their values.

`Gpu` raises where an operation mixes devices, and counts where the host would wait for a GPU. It
needs what `tests.pretended.load` loads. What CUDA's own kernels compute, and how fast, it cannot
tell.
"""

import sys
from collections import Counter

import torch
from torch.optim import optimizer
from torch.utils import _foreach_utils
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

CUDA, CPU = torch.device("cuda:0"), torch.device("cpu")

_aten = torch.ops.aten

_COPIES = {_aten.copy_, _aten._foreach_copy_}
_INDEXING = {_aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_}
_TELLING = {
    _aten._coalesce,
    _aten._local_scalar_dense,
    _aten._unique2,
    _aten.bincount,
    _aten.equal,
    _aten.histc,
    _aten.linalg_eigh,
    _aten._linalg_svd,
    _aten.masked_select,
    _aten.nonzero,
    _aten.unique_consecutive,
    _aten.unique_dim,
}
"""Operations that tell the host a value of the GPU, if only the size of their result."""


class OnGpu(torch.Tensor):
    """A tensor on ``cuda:0``, whose values are those of ``held``, a tensor of the CPU."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held):
        sizes = {"layout": held.layout}
        if held.layout == torch.strided:
            sizes |= {"strides": held.stride(), "storage_offset": held.storage_offset()}
        with torch.inference_mode(held.is_inference()):
            made = torch.Tensor._make_wrapper_subclass(
                cls, held.shape, dtype=held.dtype, device=CUDA, **sizes
            )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        raise AssertionError(f"{operation} outside of a Gpu")

    def __repr__(self):
        return f"OnGpu({self.held!r})"

    def tolist(self):
        return self.cpu().tolist()


for supported in (optimizer._foreach_supported_types, _foreach_utils._foreach_supported_types):
    supported.append(OnGpu)

torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(values, device=...) asks a Gpu, too


def _place() -> str:
    """The innermost function of findna that is being run, as ``module.function``."""
    frame = sys._getframe()
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith("findna."):
            return f"{name.removeprefix('findna.')}.{frame.f_code.co_name}"
        frame = frame.f_back
    return "elsewhere"


class Gpu(TorchDispatchMode):
    """A context in which ``cuda:0`` is there.

    Attributes
    ----------
    waits : Counter
        How often the host would have waited, by the function of findna that made it wait.
    """

    def __init__(self):
        super().__init__()
        self.waits = Counter()
        self._twins = {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        packet = operation.overloadpacket
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        here = [x for x in tensors if isinstance(x, OnGpu)]
        there = [x for x in tensors if not isinstance(x, OnGpu)]
        if operation._can_decompose():  # which has been done unless gradients are off throughout
            with self:
                return operation.decompose(*args, **kwargs)
        if packet is _aten._pin_memory:  # all memory of the host is as good here
            return args[0].clone()
        device = kwargs.get("device")
        on_gpu = bool(here) if device is None else torch.device(device).type == "cuda"
        if here and packet not in _COPIES | _INDEXING and any(x.dim() for x in there):
            raise RuntimeError(f"{operation} mixes tensors of {CUDA} and of the CPU")
        if self._waits(packet, args, kwargs, here, there, on_gpu):
            self.waits[_place()] += 1
        if device is not None:
            kwargs["device"] = CPU
        results = operation(*self._held(args), **self._held(kwargs))
        given = {id(x.held): x for x in here} | {id(x): x for x in there}

        def returned(result):
            if not isinstance(result, torch.Tensor):
                return result
            known = given.get(id(result))  # of an operation in place
            if known is not None:
                return known
            return OnGpu(result) if on_gpu else result

        return tree_map(returned, results)

    @staticmethod
    def _waits(packet, args, kwargs, here, there, on_gpu):
        if packet in _TELLING:
            return bool(here)
        if packet in _INDEXING:
            indices = [x for x in args[1] if x is not None]
            masks = any(x.dtype in (torch.bool, torch.uint8) for x in indices)
            return bool(here) and (masks or any(not isinstance(x, OnGpu) for x in indices))
        if packet is _aten.repeat_interleave:
            return bool(here) and kwargs.get("output_size") is None
        if packet is _aten._to_copy:
            return on_gpu != bool(here) and not kwargs.get("non_blocking")
        if packet in _COPIES:
            return bool(here and there) and not kwargs.get("non_blocking", (*args, False)[2])
        return False

    def _held(self, values):
        """Arguments with CPU tensors in place of pretended ones."""

        def held(value):
            if isinstance(value, OnGpu):
                return value.held
            if isinstance(value, torch.Generator) and value.device == CUDA:
                if id(value) not in self._twins:
                    seeded = torch.Generator().manual_seed(value.initial_seed())
                    self._twins[id(value)] = value, seeded
                return self._twins[id(value)][1]
            return value

        return tree_map(held, values)
