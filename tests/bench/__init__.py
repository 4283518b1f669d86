"""Every number that the README or docs name is measured here, against the real Kafka, the real Redis and real processes."""
