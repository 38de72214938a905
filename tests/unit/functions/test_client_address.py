"""Where does a request come from, whatever its client writes into its headers?"""

import pytest
from starlette.requests import HTTPConnection

from functions import client_address


def connection(*forwarded: str, client: tuple[str, int] | None = None) -> HTTPConnection:
    """Return a request with these X-Forwarded-For headers."""
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return HTTPConnection({"type": "http", "headers": headers, "client": client})


@pytest.mark.parametrize(
    ("forwarded", "proxies", "address"),
    [
        pytest.param(["198.51.100.7"], 1, "198.51.100.7", id="one"),
        pytest.param(["198.51.100.7:51234"], 1, "198.51.100.7", id="port"),
        pytest.param(["203.0.113.1, 198.51.100.7"], 1, "198.51.100.7", id="spoofed"),
        pytest.param(["203.0.113.1", "198.51.100.7"], 1, "198.51.100.7", id="spoofed-by-header"),
        pytest.param(["203.0.113.1,198.51.100.7, 10.0.0.4"], 2, "198.51.100.7", id="two-proxies"),
        pytest.param(["198.51.100.7"], 2, "unknown", id="past-a-proxy"),
        pytest.param(["198.51.100.7"], 0, "unknown", id="no-proxy-trusted"),
        pytest.param([], 1, "unknown", id="none"),
        pytest.param(["", " , "], 1, "unknown", id="blank"),
        pytest.param(["evil, "], 1, "unknown", id="no-address"),
        pytest.param(["::ffff:198.51.100.7"], 1, "198.51.100.7", id="mapped"),
        pytest.param(["2001:db8:1:2:aaaa::1"], 1, "2001:db8:1:2::", id="ipv6"),
        pytest.param(["[2001:db8:1:2:bbbb::9]:443"], 1, "2001:db8:1:2::", id="same-site"),
        pytest.param(["2001:0DB8:1:3::1"], 1, "2001:db8:1:3::", id="another-site"),
        pytest.param(["fe80::1%eth0"], 1, "fe80::", id="zone"),
    ],
)
def test_only_our_own_proxies_are_believed(
    forwarded: list[str], proxies: int, address: str
) -> None:
    """Counted from the right; what stands further left may be made up."""
    assert client_address.of(connection(*forwarded), trusted_proxies=proxies) == address


def test_without_proxies_the_connection_says_it() -> None:
    """Where there is one: behind the Functions host there is none."""
    direct = connection("203.0.113.1", client=("127.0.0.1", 1))
    assert client_address.of(direct, trusted_proxies=0) == "127.0.0.1"
