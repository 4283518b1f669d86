"""The Redis side. Kafka is the truth; everything here is a projection of it and can be thrown away (docs/laws.md)."""
