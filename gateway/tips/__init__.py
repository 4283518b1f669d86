"""Public tips (Art. 48): `model` what anybody may send, `number` the receipt, `desk` takes it, `pages` the form without a
script.
"""
