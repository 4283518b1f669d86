"""File drop: CSV and NDJSON files, read by a mapping file, to signals. `liandong feed PATH --mapping m.yaml`."""
