"""One program for each type of institution: `LIANDONG_URL=… LIANDONG_TOKEN=… python -m connectors.client.examples.bank`."""
