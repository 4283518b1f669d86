"""Derived indicators: the host of an address, the site of a host, the phone behind a handle. Pure.

Two reporters seldom name the same page of a fraud, but often the same host. A derived subject is matched, searched and confirmed
like any suspect, but it is never the primary subject, so it opens no case.

The site of a host (its registrable domain) is derived only if its owner certainly controls the host: after `www.`, and under a
suffix in the private part of the public suffix list (`shop.a.github.io` -> `a.github.io`). Elsewhere hosts of one domain may
belong to strangers, as on shared hosting that the list does not know. Invariant: a derived value is canonical, follows from the
value alone, and is never the value itself.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import cache
from urllib.parse import urlsplit

from publicsuffixlist import PublicSuffixList

from schemas.signals.indicators import IndicatorKind, domain, phone
from schemas.signals.indicators.memo import remembered

_MOBILE = re.compile(r"alipay:(?:\+?86)?(1[3-9][0-9]{9})", re.ASCII)
Derived = tuple[IndicatorKind, str]


def derive(kind: str, value: str) -> tuple[Derived, ...]:
    """Returns the things that a suspect of this kind and canonical value implies: at most two."""
    if kind == IndicatorKind.URL:
        return tuple(_of_host(urlsplit(value).hostname or ""))
    if kind == IndicatorKind.DOMAIN:
        return tuple(_site_of(value))
    if kind == IndicatorKind.HANDLE and (mobile := _MOBILE.fullmatch(value)) is not None:
        return ((IndicatorKind.PHONE, phone.canonical(mobile[1])),)
    return ()


def _of_host(host: str) -> Iterator[Derived]:
    if not host:
        return
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        yield IndicatorKind.DOMAIN, host
        yield from _site_of(host)
        return
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    yield IndicatorKind.IP, str(inner or address)


def _site_of(host: str) -> Iterator[Derived]:
    site = controlled_site(host)
    if site is not None and site != host:
        yield IndicatorKind.DOMAIN, site


@remembered
def controlled_site(host: str) -> str | None:
    """Returns the registrable domain that certainly has the same owner as the host; None if that is not certain."""
    site = domain.registrable(host)
    if site is None:
        return None
    by_www = host in (site, f"www.{site}")
    return site if by_www or _public().privatesuffix(host) != site else None


@cache
def _public() -> PublicSuffixList:
    """The list without its private part."""
    return PublicSuffixList(accept_unknown=False, only_icann=True)
