"""Which addresses may be told that a job has ended? None by which something private is reached."""

import ipaddress
import urllib.parse
from collections.abc import Collection


def refusal(address: str, *, own_hosts: Collection[str]) -> str:
    """Return why nothing is sent to that address; nothing if it may be told.

    `own_hosts` are those that the farm's engineer allows though they are private or speak plain
    http. A host's name is looked at again when it has been resolved (`is_public`).
    """
    try:
        parts = urllib.parse.urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError as malformed:
        return f"it is no address ({malformed})"
    if not host or parts.username is not None or parts.scheme not in ("http", "https"):
        return "it is no https address, or it holds a user name"
    if host in own_hosts:
        return ""
    if parts.scheme != "https":
        return "it is not https"
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return ""
    return "" if is_public(str(literal)) else f"{host} is a private or local address"


def is_public(address: str) -> bool:
    """Tell whether an IP address is one that anybody on the internet may be reached at."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        # Addresses that only wrap one of IPv4, by which a private one could be reached.
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None or ip in ipaddress.ip_network("64:ff9b::/96"):
            return False
    return ip.is_global and not ip.is_multicast
