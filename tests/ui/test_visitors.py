"""Who asks: the address a request came from."""

from types import SimpleNamespace
from typing import Any

import pytest

from ui.visitors import address_of

HERE, THERE = "8.8.4.4", "9.9.9.9"


def asked_by(client: str, *forwarded: str) -> Any:
    headers = {"x-forwarded-for": ", ".join(forwarded)} if forwarded else {}
    return SimpleNamespace(headers=headers, client=SimpleNamespace(host=client))


@pytest.mark.parametrize(
    ("request_", "address"),
    [
        (asked_by("127.0.0.1"), ""),
        (asked_by("192.168.1.7"), ""),
        (asked_by(HERE), HERE),
        (asked_by("10.0.0.2", THERE, HERE), HERE),  # the client wrote the first one itself
        (asked_by("10.0.0.2", THERE, "10.0.0.9"), THERE),
        (asked_by("10.0.0.2", "<b>", ""), ""),
        (asked_by("not an address"), ""),
        (asked_by("2a00:1450:4001:1::7"), "2a00:1450:4001:1::/64"),
        (asked_by("2a00:1450:4001:1:ffff::8"), "2a00:1450:4001:1::/64"),
    ],
)
def test_the_address_is_what_the_nearest_proxy_saw(request_: Any, address: str) -> None:
    assert address_of(request_) == address
