"""Generated data: a stream of signals of any size for chaos and benches, and the demo's day with its planted schemes."""
