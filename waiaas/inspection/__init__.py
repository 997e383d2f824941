"""Inspects a database and changes nothing in it: the check, and the rehearsal of an upgrade on a copy."""
