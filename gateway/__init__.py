"""HTTP for institutions and officers. The gateway writes requests to the log and reads the views; it owns no state."""
