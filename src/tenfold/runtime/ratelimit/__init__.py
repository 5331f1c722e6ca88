"""Rate limits for services: four algorithms behind one API, over a store, with numbers that are true."""
