-- What may take access away is relayed before everything else, however long the outbox is.
CREATE INDEX outbox_leaving ON outbox (id) WHERE change IN ('deactivated', 'deleted') OR removed IS NOT NULL;
