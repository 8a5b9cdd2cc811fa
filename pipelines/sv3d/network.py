"""The video UNet as SV3D uses it: a camera of its own for each frame, and one thing only to attend to.

diffusers' own `forward` takes one set of numbers for a whole video, all of one width; here each frame has its own.
And what all layers attend to across is a single vector, the photo's embedding. Attention to a single thing is that
thing, whatever asks: a linear function of it, which is the same at every step, so it is worked out once a run.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

RESIDUAL_EPS = 1e-5  # SV3D, openaimodel; diffusers has 1e-6 in some of its blocks
# Apple's GPUs keep how much each token asks of each other, which the others never write down; past 4 GiB the process
# is aborted (pytorch, issue 149261)
KEEPS_SCORES, MOST_SCORES_BYTES = "mps", 2**30


class Answer:
    """In the place of attention across: the same for whatever asks, but of each thread's own run."""

    def __init__(self) -> None:
        self._given = threading.local()

    def give(self, answer: "Tensor | None") -> None:
        """[V, C], one for each video."""
        self._given.answer = answer

    def __call__(self, attention: Any, hidden_states: "Tensor", *_: Any, **__: Any) -> "Tensor":
        answer: Tensor = self._given.answer
        return answer.repeat_interleave(len(hidden_states) // len(answer), dim=0)[:, None]  # [rows, 1, C]


class InParts:
    """Attention among a frame's own tokens, or a place's over time: of all of them together, or as many as there is
    room for their scores.
    """

    def __init__(self) -> None:
        from diffusers.models.attention_processor import AttnProcessor2_0

        self._attend = AttnProcessor2_0()

    def __call__(self, attention: Any, hidden_states: "Tensor", *_: Any, **__: Any) -> "Tensor":
        import torch

        if hidden_states.device.type != KEEPS_SCORES:
            return self._attend(attention, hidden_states)
        tokens = hidden_states.shape[1]
        at_once = max(1, MOST_SCORES_BYTES // (4 * attention.heads * tokens**2))
        return torch.cat([self._attend(attention, some) for some in hidden_states.split(at_once)])


def equip(unet: Any) -> Any:
    from torch import nn

    for name, module in unet.named_modules():
        if name.endswith(("spatial_res_block", "temporal_res_block")):
            module.norm1.eps = module.norm2.eps = RESIDUAL_EPS
    for block in _attending(unet):
        block.attn1.set_processor(InParts())
        block.attn2.set_processor(Answer())
        block.norm2 = block.attn2.to_q = block.attn2.to_k = nn.Identity()  # they readied the questions
    for layer in unet.modules():
        if isinstance(layer, nn.Conv3d) and layer.kernel_size == (3, 1, 1):
            layer.__dict__["forward"] = partial(_over_time, layer)
    return unet


def _over_time(layer: Any, video: "Tensor") -> "Tensor":
    """A convolution over time alone [V, C, T, h, w], as one of two dimensions, for which there are faster kernels."""
    from torch.nn import functional

    flat = functional.conv2d(video.flatten(3), layer.weight[..., 0], layer.bias, padding=(1, 0))
    return flat.unflatten(3, video.shape[3:])


def answers_to(unet: Any, context: "Tensor") -> "list[Tensor]":
    """What each attention across answers to `context` [V, 1024], one for each video: [V, C] each."""
    attentions = [block.attn2 for block in _attending(unet)]
    return [attention.to_out[0](attention.to_v(context)) for attention in attentions]


@contextmanager
def attending(unet: Any, answers: "list[Tensor]") -> Iterator[None]:
    """All that this thread asks of the network meanwhile is answered so."""
    attentions = [block.attn2 for block in _attending(unet)]
    try:
        for attention, answer in zip(attentions, answers, strict=True):
            attention.processor.give(answer)
        yield
    finally:
        for attention in attentions:
            attention.processor.give(None)


def predicted(unet: Any, videos: "Tensor", noise_level: "Tensor", cameras: "Tensor") -> "Tensor":
    """[V, T, 8, h, w] to [V, T, 4, h, w]. `cameras` [T, 1280] is what `add_embedding` made of each frame's numbers."""
    import torch

    count, frames = videos.shape[:2]
    level = unet.time_embedding(unet.time_proj(noise_level[None]).to(videos.dtype))  # [1, 1280]
    told: dict[str, Any] = {
        "temb": (level + cameras).repeat(count, 1),  # [V * T, 1280], the frames of a video together
        "image_only_indicator": torch.zeros(count, frames, dtype=videos.dtype, device=videos.device),
    }
    # Its answers are given; blocks only look at its shape
    context = {"encoder_hidden_states": videos.new_zeros(count * frames, 1, 1)}

    def through(block: Any, hidden: "Tensor", **more: Any) -> Any:
        attends = context if hasattr(block, "attentions") else {}
        return block(hidden_states=hidden, **told, **attends, **more)

    hidden = unet.conv_in(videos.flatten(0, 1))
    passed = [hidden]
    for block in unet.down_blocks:
        hidden, more = through(block, hidden)
        passed += more
    hidden = through(unet.mid_block, hidden)
    for block in unet.up_blocks:
        count_passed = len(block.resnets)
        more, passed = tuple(passed[-count_passed:]), passed[:-count_passed]
        hidden = through(block, hidden, res_hidden_states_tuple=more)
    hidden = unet.conv_out(unet.conv_act(unet.conv_norm_out(hidden)))
    return hidden.unflatten(0, (count, frames))


def _attending(unet: Any) -> list[Any]:
    return [module for module in unet.modules() if getattr(module, "attn2", None) is not None]
