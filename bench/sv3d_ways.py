"""Ways for SV3D's UNet to go, each while it lasts; what one yields is asked before the network itself, as in `draw`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

COMPILED_BLOCKS = {"SpatioTemporalResBlock", "BasicTransformerBlock", "TemporalBasicTransformerBlock"}


@contextmanager
def solid(parts: Any) -> Iterator[None]:
    flat = {layer: layer.__dict__.pop("forward") for layer in parts.unet.modules() if "forward" in layer.__dict__}
    try:
        yield
    finally:
        for layer, forward in flat.items():
            layer.forward = forward


@contextmanager
def channels_last(parts: Any) -> Iterator[None]:
    import torch

    flat = [module for module in parts.unet.modules() if isinstance(module, torch.nn.Conv2d)]
    for module in flat:
        module.to(memory_format=torch.channels_last)  # pyright: ignore
    try:
        yield
    finally:
        for module in flat:
            module.to(memory_format=torch.contiguous_format)  # pyright: ignore


@contextmanager
def fused(parts: Any) -> Iterator[None]:
    from diffusers.models.attention_processor import FusedAttnProcessor2_0

    attentions = [module.attn1 for module in parts.unet.modules() if hasattr(module, "attn1")]
    before = [attention.processor for attention in attentions]
    for attention in attentions:
        attention.fuse_projections()
        attention.set_processor(FusedAttnProcessor2_0())
    try:
        yield
    finally:
        for attention, processor in zip(attentions, before, strict=True):
            attention.fused_projections = False
            attention.set_processor(processor)
            del attention.to_qkv  # which would go on taking memory, and be given to what was compiled without it


@contextmanager
def compiled(parts: Any) -> Iterator[None]:
    """Block by block: each kind is compiled once, for minutes at the first run."""
    from torch._dynamo import config

    # Of all blocks of a kind, each with its own sizes, only so many are compiled
    config.recompile_limit = max(config.recompile_limit, len(list(parts.unet.modules())))
    blocks = [module for module in parts.unet.modules() if type(module).__name__ in COMPILED_BLOCKS]
    for block in blocks:
        block.compile(dynamic=False)
    try:
        yield
    finally:
        for block in blocks:
            block._compiled_call_impl = None


@contextmanager
def ahead_of_time(parts: Any) -> Iterator[Any]:
    from pipelines.runtime.report import Report
    from pipelines.sv3d.ahead import Quick, compile_where_it_pays, compiled_for

    print(compile_where_it_pays(parts, 2, Report()), flush=True)
    if not compiled_for(parts, 2):
        raise RuntimeError("nothing compiled is there")
    yield Quick(parts)


@contextmanager
def captured(parts: Any) -> Iterator[Any]:
    """All kernels of one question, launched at once."""
    import torch
    from torch.utils._pytree import tree_leaves, tree_map

    from pipelines.sv3d.ahead import Asked

    network, graph, kept, answer = Asked(parts.unet), torch.cuda.CUDAGraph(), None, None

    def replayed(*given: Any) -> Any:
        nonlocal kept, answer
        if kept is None:
            kept, aside = tree_map(torch.clone, given), torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):  # once before, as capturing wants it
                network(*kept)
            torch.cuda.current_stream().wait_stream(aside)
            with torch.cuda.graph(graph):
                answer = network(*kept)
        for place, value in zip(tree_leaves(kept), tree_leaves(given), strict=True):
            place.copy_(value)
        graph.replay()
        return answer.clone()  # pyright: ignore[reportOptionalMemberAccess]

    yield replayed


ALWAYS = {"convolutions of three dimensions": solid}
TRIES = {
    "channels last": channels_last,
    "queries, keys and values in one": fused,
    "all of it compiled ahead of time": ahead_of_time,
    "its kernels captured as a graph": captured,
    "its blocks compiled": compiled,
}
