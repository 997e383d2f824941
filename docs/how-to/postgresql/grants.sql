-- As the owner of the tables, who creates and upgrades them; `app` is the role of the service, `auditor` only reads.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO auditor;
-- For `waiaas check`.
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO app, auditor;
