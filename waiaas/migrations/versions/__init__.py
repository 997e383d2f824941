"""One module per schema version: how a database gets there from the version before."""
