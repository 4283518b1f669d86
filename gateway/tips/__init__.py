"""Public tips (Art. 48): requests, receipt numbers, the service, and the form without a script."""
