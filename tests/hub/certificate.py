"""A certificate signed by nobody but itself, for 127.0.0.1 and localhost until 2120, and its key: for tests alone."""

import ssl
from pathlib import Path

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBdDCCARmgAwIBAgIBATAKBggqhkjOPQQDAjAaMRgwFgYDVQQDDA9mb3IgdGVz
dHMgYWxvbmUwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBoxGDAW
BgNVBAMMD2ZvciB0ZXN0cyBhbG9uZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA
BPnc2NgzcDgnwZJt+yIzK3GBp0Sx/80XKcRdPcAVMAKqaEnp1mL1Hp0Zh64j5zEh
JzN1kegmpkMH2oLLdP/uOcCjTjBMMBoGA1UdEQQTMBGHBH8AAAGCCWxvY2FsaG9z
dDAPBgNVHRMBAf8EBTADAQH/MB0GA1UdDgQWBBRMVCNHo2+7GL0Ht6J9Oeb19cPk
IDAKBggqhkjOPQQDAgNJADBGAiEAiN9ql3Uxck3pYWFmhkxTFJ/zB4mfe3Eo/0O0
r/QTJccCIQCZlzxA+L5tPd32NA3uKmogtqHxd47gSVWMwG6LPQ3EGw==
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg3xrJv22nNp1vkzNP
MVxQn0v2gTmJal0MbwRXqMHlJSGhRANCAAT53NjYM3A4J8GSbfsiMytxgadEsf/N
FynEXT3AFTACqmhJ6dZi9R6dGYeuI+cxISczdZHoJqZDB9qCy3T/7jnA
-----END PRIVATE KEY-----
"""


def as_server(folder: Path) -> ssl.SSLContext:
    """What a server shows itself with."""
    (both := folder / "server.pem").write_text(CERTIFICATE + KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context
