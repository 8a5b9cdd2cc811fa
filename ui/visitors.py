"""Who asks: the address on the network that a request came from. It only serves to share what there is among many."""

import ipaddress

import gradio as gr


def address_of(request: gr.Request) -> str:
    """Empty for this machine and its private network, whose people may do as they like, and where it is not known.

    A proxy adds who spoke to it at the end, behind whatever a client wrote there itself: the last address that belongs
    to the world is the one to believe.
    """
    told = request.headers.get("x-forwarded-for", "").split(",")
    for text in (request.client.host if request.client else "", *reversed(told)):
        try:
            address = ipaddress.ip_address(text.strip())
        except ValueError:
            continue
        if address.is_global:
            return str(address) if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))
    return ""
