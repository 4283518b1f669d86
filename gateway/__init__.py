"""HTTP: what institutions and officers talk to. It writes requests to the log and reads the views; it owns no state."""
