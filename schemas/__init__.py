"""Wire contracts: signals, indicators, facts, cases, the envelope, topics, the codec. Imports none of our other packages."""
