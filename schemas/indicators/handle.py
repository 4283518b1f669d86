"""Accounts on platforms, as `platform:handle`: `wechat:wxid_abc123`, `qq:10001`, `telegram:somebody`.

Invariant: a platform has one name here whatever it is called; the case of a handle is dropped where the platform drops it.
"""

from __future__ import annotations

import re
import unicodedata

_FORM = re.compile(r"([^\s:]{1,32})\s*:\s*@*([^\s:/\\@][^\s:/\\]{0,127})")
_PLATFORM = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)

_NAMES = {
    **dict.fromkeys(("微信", "weixin", "wx", "wechat"), "wechat"),
    **dict.fromkeys(("qq", "腾讯qq"), "qq"),
    **dict.fromkeys(("支付宝", "zhifubao", "alipay"), "alipay"),
    **dict.fromkeys(("抖音", "douyin"), "douyin"),
    **dict.fromkeys(("快手", "kuaishou"), "kuaishou"),
    **dict.fromkeys(("小红书", "xiaohongshu", "rednote", "red"), "xiaohongshu"),
    **dict.fromkeys(("微博", "weibo"), "weibo"),
    **dict.fromkeys(("电报", "telegram", "tg"), "telegram"),
    **dict.fromkeys(("闲鱼", "xianyu"), "xianyu"),
    **dict.fromkeys(("淘宝", "taobao"), "taobao"),
}
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_ONE_CASE = frozenset({"wechat", "qq", "alipay", "telegram", "weibo", "xiaohongshu", "douyin"})


def canonical(text: str) -> str:
    """`微信：WXID_abc` -> `wechat:wxid_abc`. ValueError when it is no platform and handle."""
    found = _FORM.fullmatch(unicodedata.normalize("NFKC", text).strip())
    if found is None or not found[2].isprintable():
        raise ValueError("a handle is platform:handle, for example wechat:wxid_abc123, without spaces")
    platform = _NAMES.get(found[1].lower(), found[1].lower())
    if not _PLATFORM.fullmatch(platform):
        raise ValueError("the platform of a handle is a short name in letters and digits, for example wechat:wxid_abc123")
    handle = found[2].translate(_LOWER) if platform in _ONE_CASE else found[2]
    return f"{platform}:{unicodedata.normalize('NFKC', handle)}"  # again: a small letter may join a mark that the capital did not
