"""One program for each kind of institution: `LIANDONG_URL=… LIANDONG_TOKEN=… python -m connectors.client.examples.bank`."""
