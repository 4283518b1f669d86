"""The pages for a tip: Chinese first, English beside it. Plain HTML that works without a script and loads nothing.

Invariant: every text of a sender is escaped, and the page's policy permits only its own style and form.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape

from starlette.responses import HTMLResponse

from schemas.policy import Policy
from schemas.signals.taxonomy import SignalKind

_STYLE = (
    "body{font:1rem/1.6 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}"
    "label{display:block;margin:1rem 0 .2rem;font-weight:600}input,select,textarea{width:100%;box-sizing:border-box;font:inherit;"
    "padding:.5rem;border:1px solid #767676;border-radius:.2rem}button{margin:1.5rem 0;padding:.6rem 2rem;font:inherit}"
    ".fault{color:#a80000}.hint{margin:0;color:#555;font-size:.9rem}.number{font:700 1.4rem ui-monospace,monospace}"
    ".trap{position:absolute;left:-100rem}"
)
_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
_BACK = '<p><a href="/tips">返回 · Back</a></p>'
_KINDS = {
    SignalKind.TELECOM_FRAUD: "电信网络诈骗 · Telecom or network fraud",
    SignalKind.ILLEGAL_FINANCE: "非法金融活动 · Illegal finance",
    SignalKind.ORGANIZED_CRIME: "有组织犯罪 · Organized crime",
}
_STATUS = {"received": "已收到 · Received", "being_examined": "正在核查 · Being examined", "closed": "已办结 · Closed"}
_INPUTS = (
    ("phone", "tel", "可疑电话 · Suspicious phone number", "例如 13800001234"),
    ("account", "text", "可疑账户 · Suspicious account", "银行账号或支付账号 · Bank or payment account"),
    ("site", "text", "可疑网址 · Suspicious web address", "以上三项至少填一项 · At least one of these three"),
    ("occurred_on", "date", "发生日期（可不填） · Date, if you know it", ""),
    ("amount_yuan", "text", "涉及金额（元，可不填） · Amount in yuan, if any", ""),
)


def form(policy: Policy, key: str, values: Mapping[str, str] | None = None, faults: Mapping[str, str] | None = None) -> str:
    """The form, with the entered values and their faults."""
    values, faults = values or {}, faults or {}
    parts = [
        "<h1>举报线索 · Report a suspicion</h1>",
        "<p>任何单位和个人均可举报。无需登录；紧急情况请直接拨打 110。<br>Anybody may report; no account is needed. "
        "In an emergency call 110.</p>",
        '<form method="post" action="/v1/tips" accept-charset="utf-8">',
        f'<input type="hidden" name="key" value="{escape(key)}">',
        _render_select("kind", "类型 · Kind", {kind.value: _KINDS.get(kind, kind.value) for kind in SignalKind}, values, faults),
        *(_render_input(*field, values, faults) for field in _INPUTS),
        _render_select("region", "地区 · District", {policy.city: "全市 · The city", **policy.counties}, values, faults),
        _render_label("narrative", "经过 · What happened", "5 至 2000 字 · 5 to 2000 characters", faults),
        f'<textarea id="narrative" name="narrative" rows="6" maxlength="2000" required{_describe_input("narrative", faults)}>'
        f"{escape(values.get('narrative', ''))}</textarea>",
        _render_input(
            "contact", "text", "联系方式（可不填，加密保存） · How to reach you (optional, kept sealed)", "", values, faults
        ),
        '<div class="trap" aria-hidden="true"><label for="website">请勿填写 · Leave empty</label>'
        '<input id="website" name="website" tabindex="-1" autocomplete="off"></div>',
        "<button>提交 · Send</button></form>",
        '<h2>查询 · Ask later</h2><form method="post" action="/tips/status"><label for="number">回执编号 · Receipt number</label>'
        '<input id="number" name="number" autocomplete="off" required><button>查询 · Ask</button></form>',
    ]
    if faults:
        message = faults.get("", "请更正标出的内容 · Please correct what is marked")
        parts.insert(1, f'<p class="fault" role="alert">{escape(message)}</p>')
    return "".join(parts)


def render_receipt(number: str) -> str:
    return (
        '<h1>已收到 · Received</h1><p role="status">请记下回执编号，凭此查询。'
        "· Keep this receipt number; it is the only way to ask.</p>"
        f'<p class="number">{escape(number)}</p>{_BACK}'
    )


def render_status(number: str, status: str) -> str:
    return f'<h1>{escape(_STATUS[status])}</h1><p class="number">{escape(number)}</p>{_BACK}'


def refused(title: str, detail: str) -> str:
    return f'<h1>未能受理 · Not taken</h1><p class="fault" role="alert">{escape(title)}: {escape(detail)}</p>{_BACK}'


def page(body: str, status: int = 200, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    text = (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>举报线索 · Report a suspicion</title><style>{_STYLE}</style></head><body><main>{body}</main></body></html>"
    )
    return HTMLResponse(text, status, {**HEADERS, **(headers or {})})


def _render_label(name: str, text: str, hint: str, faults: Mapping[str, str]) -> str:
    hint_html = f'<p class="hint" id="{name}-hint">{escape(hint)}</p>' if hint else ""
    wrong = f'<p class="fault" id="{name}-fault">{escape(faults[name])}</p>' if name in faults else ""
    return f'<label for="{name}">{escape(text)}</label>{hint_html}{wrong}'


def _describe_input(name: str, faults: Mapping[str, str]) -> str:
    return f' aria-invalid="true" aria-describedby="{name}-fault"' if name in faults else ""


def _render_input(name: str, kind: str, text: str, hint: str, values: Mapping[str, str], faults: Mapping[str, str]) -> str:
    value = escape(values.get(name, ""))
    field = f'<input id="{name}" name="{name}" type="{kind}" value="{value}" maxlength="500"{_describe_input(name, faults)}>'
    return _render_label(name, text, hint, faults) + field


def _render_select(name: str, text: str, options: Mapping[str, str], values: Mapping[str, str], faults: Mapping[str, str]) -> str:
    chosen = values.get(name)
    rows = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(shown)}</option>'
        for value, shown in options.items()
    )
    return (
        f'{_render_label(name, text, "", faults)}<select id="{name}" name="{name}"{_describe_input(name, faults)}>{rows}</select>'
    )
