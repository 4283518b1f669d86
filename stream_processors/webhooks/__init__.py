"""Signed webhooks: how orders and early warnings reach an institution that asked to be called (docs/guide/webhooks.md).

`sign`, `guard`, `answers`, `schedule` and `endpoints` are pure; `post` alone touches the network.
"""
