"""Reference attention: how Zero123++ looks at the photo (section 3.2 of the paper, "reference attention").

Each denoising step runs the UNet twice. The first pass sees the photo's latent, as noisy as the step is, and every
self-attention layer leaves here what it attended to. In the second pass, over the six views, every self-attention layer
attends to that as well: its keys and values come from its own tokens and the photo's, one after the other.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from torch import Tensor

SELF_ATTENTION = "attn1.processor"  # how diffusers names those layers; "attn2" attends to the prompt


class References:
    """What passes between the two passes of one step: for each self-attention layer its tokens, used up by reading."""

    def __init__(self) -> None:
        self.kept: dict[str, Tensor] = {}
        self.reading = False

    def met(self, layer: str, tokens: "Tensor") -> "Tensor":
        """What the layer attends to, given its own `tokens` [B, N, C]: these in the first pass, both in the second."""
        if not self.reading:
            self.kept[layer] = tokens
            return tokens
        import torch

        return torch.cat([tokens, self.kept.pop(layer)], dim=1)  # [B, N + M, C]


class AttentionWithReferences:
    """An attention processor for diffusers' `Attention`; it has no state of its own, so one UNet may serve anyone."""

    def __init__(self, layer: str) -> None:
        self.layer = layer

    def __call__(
        self,
        attn: Any,
        hidden_states: "Tensor",
        encoder_hidden_states: "Tensor | None" = None,
        attention_mask: "Tensor | None" = None,
        references: References | None = None,
    ) -> "Tensor":
        from torch.nn.functional import scaled_dot_product_attention

        if attention_mask is not None:
            raise ValueError("Zero123++ masks nothing")
        attended = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        if references is not None and self.layer.endswith(SELF_ATTENTION):
            attended = references.met(self.layer, attended)
        query, key, value = (
            projection(tokens).unflatten(-1, (attn.heads, -1)).transpose(1, 2)  # [B, heads, N, C / heads]
            for projection, tokens in ((attn.to_q, hidden_states), (attn.to_k, attended), (attn.to_v, attended))
        )
        mixed = scaled_dot_product_attention(query, key, value, scale=attn.scale)
        return attn.to_out[0](mixed.transpose(1, 2).flatten(2))  # [B, N, C]; to_out[1] is dropout, for training


def equip(unet: "UNet2DConditionModel") -> None:
    """Give every attention layer of the UNet our processor."""
    unet.set_attn_processor({name: AttentionWithReferences(name) for name in unet.attn_processors})  # pyright: ignore[reportArgumentType]
