"""Decides whether a URL may be called, and at which of its addresses. Pure: the resolved addresses are an argument.

The URL is read here and nowhere else, by one strict grammar, so no second reader can see another host in it. Invariant: one
forbidden address of a name refuses the name; the returned address is the one to connect to, so a later change of the name does
not matter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from stream_processors.domain.refusal import Refusal
from stream_processors.webhooks import blocked_ranges as addresses
from stream_processors.webhooks.policy import Calls

SLUG = "endpoint-refused"
DEFAULT_PORTS = {"https": 443, "http": 80}
MOST_ADDRESSES = 64

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?]*)(?P<target>[/?].*)?", re.ASCII)
_PLAIN = re.compile(r"[!$-;=?-\[\]_a-z~]*", re.ASCII)
"""Characters of a URL: printable ASCII without characters that are invalid in a URI, without a fragment and a backslash."""
_AUTHORITY = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>[1-9][0-9]{0,4}))?", re.ASCII)
_NAME = re.compile(r"(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])", re.ASCII)
"""A fully qualified name. Its last label begins with a letter, which excludes `127.1` and `0x7f.0.0.1`."""
_LOCAL = re.compile(r"(?:.*\.)?(?:localhost|local|localdomain|internal|intranet|lan|home\.arpa|in-addr\.arpa|ip6\.arpa|onion)")


class Target(NamedTuple):
    """A parsed URL. `host`: a name in lower case, or an address without brackets; `path`: from its `/` on, with the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def target_of(url: str, calls: Calls) -> Target | Refusal:
    """The parts of a URL that may be called, as far as is known before it is resolved."""
    if len(url) > calls.longest_url:
        return _refused(f"a URL may have at most {calls.longest_url} characters")
    if not _PLAIN.fullmatch(url):
        return _refused("a URL must be ASCII without spaces, backslash and fragment; write a Chinese name in its xn-- form")
    match = _URL.fullmatch(url)
    if match is None:
        return _refused("a URL must be https://name/path")
    scheme, target = match["scheme"].lower(), match["target"] or "/"
    if scheme != "https" and not (calls.plain_http and scheme == "http"):
        return _refused("a URL must use https")
    if "@" in match["authority"]:
        return _refused("a URL must not contain a user or password")
    parts = _AUTHORITY.fullmatch(match["authority"])
    if parts is None:
        return _refused("a URL requires a host, and a port must be from 1 to 65535")
    port = int(parts["port"] or DEFAULT_PORTS[scheme])
    if port not in calls.ports:
        return _refused(f"port {port} is not allowed; allowed ports: {', '.join(map(str, calls.ports))}")
    host = _host(parts["v6"] or parts["name"].lower(), calls)
    return host if isinstance(host, Refusal) else Target(scheme, host, port, target if target[0] == "/" else f"/{target}")


def _host(host: str, calls: Calls) -> str | Refusal:
    address = addresses.parse(host)
    if address is None:
        if not _NAME.fullmatch(host):
            return _refused("the host must be a fully qualified name, such as hooks.bank.example")
        return _refused("the host must not be a local name") if _LOCAL.fullmatch(host) else host
    if not calls.literals:
        return _refused("the host must be a name, not an address")
    what = addresses.refusal(address, calls)
    return str(address) if what is None else _refused(f"the address is not allowed: {what}")


def pin(resolved: Sequence[str], calls: Calls) -> str | Refusal:
    """The address to connect to: the resolver's first. All must be permitted, or a name could have one for each reader."""
    if not 1 <= len(resolved) <= MOST_ADDRESSES:
        return _refused(f"the name has {len(resolved)} addresses, but 1 to {MOST_ADDRESSES} are allowed")
    chosen = []
    for text in resolved:
        address = addresses.parse(text)
        what = "not an IP address" if address is None else addresses.refusal(address, calls)
        if what is not None:
            return _refused(f"an address of the name is not allowed: {what}")
        chosen.append(str(address))
    return chosen[0]


def _refused(why: str) -> Refusal:
    return Refusal(SLUG, why)
