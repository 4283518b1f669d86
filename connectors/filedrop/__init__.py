"""File drop: CSV and NDJSON files to signals, by a mapping file. `liandong feed PATH --mapping m.yaml`."""
