"""Where does a request come from, as far as that can be believed?"""

import ipaddress

from starlette.requests import HTTPConnection

_UNKNOWN = "unknown"
_IPV6_SITE = 64  # bits: one client has all addresses below


def of(connection: HTTPConnection, *, trusted_proxies: int) -> str:
    """Return an address, or one word for all requests of which it is not known.

    Each proxy appends who it got the request from to `X-Forwarded-For`. What stands further left
    than our own proxies have written, the client may have made up.
    """
    if trusted_proxies:
        values = connection.headers.getlist("x-forwarded-for")
        hops = [hop.strip() for value in values for hop in value.split(",") if hop.strip()]
        return _plain(hops[-trusted_proxies]) if len(hops) >= trusted_proxies else _UNKNOWN
    # Behind the Functions host there is none: the host itself would be the client.
    return _plain(connection.client.host) if connection.client else _UNKNOWN


def _plain(hop: str) -> str:
    """Return an address without port, and in one spelling; of IPv6 only what names the site."""
    host = hop
    if hop.startswith("["):
        host = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        host = hop.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _UNKNOWN
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    site = int(address) >> (128 - _IPV6_SITE) << (128 - _IPV6_SITE)
    return str(ipaddress.IPv6Address(site))
