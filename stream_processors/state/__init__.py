"""The Redis side. Kafka is the truth; all that is here is a fold of it and can be thrown away (DESIGN, laws of the state)."""
