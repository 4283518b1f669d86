"""The local launcher: real Kafka, real Redis, the workers and the gateway, on 127.0.0.1; no root, no Docker, no Java.

`stack.Stack` is the Python API, and `liandong up | down | status` the command line. A profile (demo, test, bench, ...) is a
folder under the home with its own data, logs and ports; profiles share only the cache of downloaded jars.
"""
