"""Web addresses: scheme and host in lower case, default port and fragment dropped; `hxxp` and `[.]` are accepted."""

from __future__ import annotations

import ipaddress
from urllib.parse import quote, urlsplit

from schemas.indicators import domain, ip
from schemas.indicators.remembered import remembered

_PORTS = {"http": 80, "https": 443}
_SAFE = "/%:@!$&'()*+,;=~-._"


@remembered
def canonical(text: str) -> str:
    """`hxxps://Pay[.]Example.com:443/a b?x=1#top` -> `https://pay.example.com/a%20b?x=1`. ValueError when it is none."""
    plain = text.strip().replace("[.]", ".").replace("(.)", ".").replace("[:]", ":")
    if plain[:4].lower() == "hxxp":
        plain = "http" + plain[4:]
    if "://" not in plain:
        plain = "http://" + plain
    try:
        parts = urlsplit(plain)
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError("a URL is http or https with a host and, if any, a port up to 65535") from error
    if scheme not in _PORTS or not host:
        raise ValueError("a URL is http or https with a host, for example https://example.com/pay")
    host = _host(host)
    where = host if port in (None, _PORTS[scheme]) else f"{host}:{port}"
    query = "?" + quote(parts.query, safe=_SAFE + "?[]") if parts.query else ""
    return f"{scheme}://{where}{quote(parts.path or '/', safe=_SAFE)}{query}"


def _host(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return domain.canonical(host)
    return f"[{address}]" if address.version == 6 else str(address)


def advisories(value: str) -> tuple[str, ...]:
    """What is to be said of its host."""
    host = urlsplit(value).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return domain.advisories(host)
    return ip.advisories(host)
