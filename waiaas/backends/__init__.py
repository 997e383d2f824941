"""What differs between database engines: connections, transactions and locks."""
