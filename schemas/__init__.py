"""What is said: signals, indicators, facts, cases, envelope, topics, codec. Imports nothing of ours."""
