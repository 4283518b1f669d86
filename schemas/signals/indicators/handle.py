"""Accounts on platforms as `platform:handle`: `wechat:wxid_abc123`, `qq:10001`, `telegram:somebody`.

Invariant: a platform has one name here, whatever people call it. The case of a handle is dropped if the platform ignores it.
"""

from __future__ import annotations

import re
import unicodedata

from schemas.signals.indicators.fold import drop_invisible
from schemas.signals.indicators.lookalike import is_lookalike

_PLAIN = re.compile(r"[a-z0-9]{1,32}:[a-z0-9_-]{1,128}", re.ASCII)
_FORM = re.compile(r"([^\s:]{1,32})\s*:\s*@*([^\s:/\\@][^\s:/\\]{0,127})")
_PLATFORM = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
_LINK = re.compile(
    r"(?:(?:https?:)?//)?(?:www\.)?(?:t\.me|telegram\.me|telegram\.dog)/(?:s/)?@?(\+?[A-Za-z0-9_-]{2,64})/?(?:\?\S*)?"
    r"|tg://resolve/?\?domain=([A-Za-z0-9_]{2,64})(?:&\S*)?",
    re.ASCII | re.IGNORECASE,
)
_NO_NAMES = frozenset(re.findall(r"\w+", "joinchat addstickers addemoji share proxy socks c s iv login setlanguage bg"))
"""First path segments of Telegram links that name no account."""

_ALIASES = {
    "wechat": "微信 微信号 微信帐号 微信账号 微信id 加微信 加微 加v 加vx v信 v信号 微 威信 薇信"
    " weixin weixin号 wx wx号 vx vx号 wechat wechatid",
    "qq": "qq qq号 qq号码 腾讯qq 扣扣 扣扣号 企鹅 企鹅号 加qq q号",
    "alipay": "支付宝 支付宝账号 支付宝帐号 支付宝账户 支付宝号 zfb zhifubao alipay",
    "douyin": "抖音 抖音号 douyin dy tiktokcn",
    "kuaishou": "快手 快手号 kuaishou ks",
    "xiaohongshu": "小红书 小红书号 xiaohongshu rednote red xhs",
    "weibo": "微博 新浪微博 weibo",
    "telegram": "电报 电报号 飞机 飞机号 纸飞机 纸飞机号 telegram tg tg号 telegramme tele",
    "xianyu": "闲鱼 闲鱼号 咸鱼 xianyu",
    "taobao": "淘宝 淘宝号 淘宝旺旺 旺旺 taobao",
    "whatsapp": "whatsapp wa whatsapp号 瓦次普",
    "momo": "陌陌 陌陌号 momo",
    "soul": "soul soul号",
    "line": "line line号",
    "potato": "土豆 potato pt",
    "batchat": "蝙蝠 蝙蝠号 batchat",
    "skype": "skype",
    "signal": "signal",
    "dingtalk": "钉钉 钉钉号 dingtalk",
    "feishu": "飞书 feishu lark",
    "facebook": "脸书 facebook fb",
}
_NAMES = {name: platform for platform, names in _ALIASES.items() for name in names.split()}
_ANY_NAME = "|".join(sorted(map(re.escape, _NAMES), key=len, reverse=True))
_SPACED = re.compile(rf"({_ANY_NAME})(?:\s+|(?<=[\u4e00-\u9fff]))@*([A-Za-z0-9_.+-]{{2,64}})", re.IGNORECASE)
"""The name of a known platform, then a blank (optional after Chinese), then the handle: `微信 abc123`, `微信号abc123`."""
_QQ = re.compile(r"qq\s*([1-9]\d{4,11})", re.ASCII | re.IGNORECASE)
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_ONE_CASE = frozenset(re.findall(r"\w+", "wechat qq alipay telegram weibo xiaohongshu douyin whatsapp skype line facebook"))
_RULE = "a handle must be platform:handle, for example wechat:wxid_abc123, without spaces"


def canonical(text: str) -> str:
    """`微信：WXID_abc`, `vx wxid_abc` -> `wechat:wxid_abc`. ValueError if it is not a platform and handle."""
    if _PLAIN.fullmatch(text) and _NAMES.get(name := text.partition(":")[0], name) == name:
        return text
    plain = unicodedata.normalize("NFKC", drop_invisible(unicodedata.normalize("NFKC", drop_invisible(text)))).strip()
    platform, handle = _split(plain)
    if not handle.isprintable():
        raise ValueError(f"{_RULE}; this value contains an invisible character")
    platform = _NAMES.get(platform.lower(), platform.lower())
    if not _PLATFORM.fullmatch(platform):
        raise ValueError("the platform of a handle must be a short name in letters and digits, for example wechat:wxid_abc123")
    if platform in _ONE_CASE and not (platform == "telegram" and handle.startswith("+")):  # but for an invitation's
        handle = handle.translate(_LOWER)
    return f"{platform}:{unicodedata.normalize('NFKC', handle)}"  # again: a small letter may join a mark that the capital did not


def _split(plain: str) -> tuple[str, str]:
    if link := _LINK.fullmatch(plain):
        name = link[1] or link[2]
        if name.lower() not in _NO_NAMES:
            return "telegram", name
        raise ValueError(f"{_RULE}; this link names no account; send it as the kind url")
    form = _FORM.fullmatch(plain) or _SPACED.fullmatch(plain)
    if form is not None:
        return form[1], form[2]
    if number := _QQ.fullmatch(plain):
        return "qq", number[1]
    if "://" in plain:
        raise ValueError(f"{_RULE}; this value is a link; send it as the kind url")
    fault = "it contains a blank, a slash or a second colon" if ":" in plain else "it has no platform before a colon"
    raise ValueError(f"{_RULE}; {fault}")


def advisories(value: str) -> tuple[str, ...]:
    """`mixed_script`: a handle mixes similar letters of several alphabets."""
    return ("mixed_script",) if is_lookalike(value.partition(":")[2]) else ()
