"""Cases over HTTP: actions of officers and of involved institutions."""
