"""The loop over HTTP: what is done about a case by its officers and by the institutions that it concerns."""
