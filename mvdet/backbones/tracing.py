"""Whether a graph is being recorded."""

import torch


def exporting() -> bool:
    """Whether `torch.export`, `torch.jit.trace` or an ONNX export is recording a graph."""
    return torch.jit.is_tracing() or torch.compiler.is_exporting()
