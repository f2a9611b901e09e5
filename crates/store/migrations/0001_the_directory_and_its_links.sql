-- One text for PostgreSQL and SQLite: BIGINT and TEXT only, times in milliseconds since 1970 (UTC),
-- truth values as 0 and 1, JSON as TEXT. Keys and case-folded columns are made by the program (R5).

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- The directory: what should exist. A group's document holds no members (R1).
CREATE TABLE resources (
    id              TEXT PRIMARY KEY,
    kind            TEXT NOT NULL,
    external_id     TEXT,
    name_key        TEXT NOT NULL,
    display_key     TEXT,
    manager_key     TEXT,
    active          BIGINT NOT NULL,
    service_account BIGINT NOT NULL,
    document        TEXT NOT NULL,
    source          TEXT NOT NULL,
    generation      BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    deleted_at      BIGINT
);
CREATE UNIQUE INDEX resources_external_id ON resources (kind, external_id) WHERE deleted_at IS NULL AND external_id IS NOT NULL;
CREATE INDEX resources_external_id_ever ON resources (kind, external_id) WHERE external_id IS NOT NULL;
CREATE UNIQUE INDEX resources_user_name ON resources (name_key) WHERE deleted_at IS NULL AND kind = 'user';
CREATE INDEX resources_kind ON resources (kind, id) WHERE deleted_at IS NULL;
CREATE INDEX resources_name ON resources (kind, name_key);
CREATE INDEX resources_display ON resources (display_key) WHERE deleted_at IS NULL AND kind = 'user' AND display_key IS NOT NULL;
CREATE INDEX resources_manager ON resources (manager_key) WHERE manager_key IS NOT NULL;
CREATE INDEX resources_source ON resources (source, id);
CREATE INDEX resources_tombstones ON resources (deleted_at) WHERE deleted_at IS NOT NULL;

-- The only truth about members (R1).
CREATE TABLE memberships (
    group_id  TEXT NOT NULL,
    member_id TEXT NOT NULL,
    PRIMARY KEY (group_id, member_id)
);
CREATE INDEX memberships_member ON memberships (member_id, group_id);

-- Members that were named before they arrived: externalId, userName or id.
CREATE TABLE membership_references (
    group_id  TEXT NOT NULL,
    reference TEXT NOT NULL,
    folded    TEXT NOT NULL,
    PRIMARY KEY (group_id, reference)
);
CREATE INDEX membership_references_reference ON membership_references (reference);
CREATE INDEX membership_references_folded ON membership_references (folded);

CREATE TABLE providers (
    id             TEXT PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    settings       TEXT NOT NULL,
    generation     BIGINT NOT NULL,
    state          TEXT NOT NULL,
    state_reason   TEXT,
    state_since    BIGINT NOT NULL,
    announced      TEXT,
    announced_at   BIGINT,
    remembered     TEXT NOT NULL,
    scope_due      BIGINT NOT NULL,
    secret_at      BIGINT,
    reconcile_due  BIGINT NOT NULL DEFAULT 0,
    created_at     BIGINT NOT NULL
);

CREATE TABLE mappings (
    name       TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    expression TEXT NOT NULL,
    origin     TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- One object at one provider.
CREATE TABLE links (
    provider_id        TEXT NOT NULL,
    resource_id        TEXT NOT NULL,
    kind               TEXT NOT NULL,
    wanted             TEXT NOT NULL,
    leaving            BIGINT NOT NULL DEFAULT 0,
    state              TEXT NOT NULL,
    park_reason        TEXT,
    remote_id          TEXT,
    ownership          TEXT,
    version            TEXT,
    sent_digest        TEXT,
    sent_document      TEXT,
    shown_digest       TEXT,
    repaired_digest    TEXT,
    drift_digest       TEXT,
    synced_generation  BIGINT NOT NULL,
    dirty              BIGINT NOT NULL,
    marked             BIGINT NOT NULL,
    marked_at          BIGINT NOT NULL,
    queued_at          BIGINT,
    attempts           BIGINT NOT NULL,
    due_at             BIGINT NOT NULL,
    lease_holder       TEXT,
    lease_until        BIGINT NOT NULL,
    fencing            BIGINT NOT NULL,
    intent             TEXT,
    last_error         TEXT,
    last_run           TEXT,
    held_by            TEXT,
    approved_mark      BIGINT,
    members_whole      BIGINT NOT NULL DEFAULT 1,
    created_at         BIGINT NOT NULL,
    updated_at         BIGINT NOT NULL,
    PRIMARY KEY (provider_id, resource_id)
);
CREATE UNIQUE INDEX links_remote_id ON links (provider_id, kind, remote_id) WHERE remote_id IS NOT NULL;
CREATE INDEX links_dirty ON links (provider_id, kind, resource_id) WHERE dirty = 1;
-- What is owed, apart by how it is looked for: leavers first, retries when they fall due, the rest by age;
-- what was published long ago and is still dirty was lost on the way.
CREATE INDEX links_leavers ON links (provider_id, marked_at, kind DESC, resource_id) WHERE dirty = 1 AND leaving = 1;
CREATE INDEX links_retries ON links (provider_id, due_at) WHERE dirty = 1 AND leaving = 0 AND attempts > 0;
CREATE INDEX links_owed ON links (provider_id, marked_at, kind DESC, resource_id)
    WHERE dirty = 1 AND leaving = 0 AND attempts = 0 AND queued_at IS NULL;
CREATE INDEX links_queued ON links (provider_id, queued_at) WHERE dirty = 1 AND leaving = 0 AND queued_at IS NOT NULL;
CREATE INDEX links_resource ON links (resource_id);
CREATE INDEX links_parked ON links (provider_id, park_reason) WHERE park_reason IS NOT NULL;

-- Members that a provider was sent (R21).
CREATE TABLE sent_memberships (
    provider_id TEXT NOT NULL,
    group_id    TEXT NOT NULL,
    member_id   TEXT NOT NULL,
    remote_id   TEXT NOT NULL,
    PRIMARY KEY (provider_id, group_id, member_id)
);
CREATE INDEX sent_memberships_member ON sent_memberships (provider_id, member_id);

-- Members of a group of which a provider may have been told something else than what is so: what a task
-- compares, so that one member more costs the same in a group of any size (R1). Groups whose link says
-- `members_whole` are compared as a whole. `marked` counts the reasons.
CREATE TABLE owed_memberships (
    provider_id TEXT NOT NULL,
    group_id    TEXT NOT NULL,
    member_id   TEXT NOT NULL,
    marked      BIGINT NOT NULL,
    PRIMARY KEY (provider_id, group_id, member_id)
);

-- Who waits for whom at a provider (R24), and which groups would hold a member that has no account.
CREATE TABLE link_waits (
    provider_id TEXT NOT NULL,
    waiting_id  TEXT NOT NULL,
    needed_id   TEXT NOT NULL,
    PRIMARY KEY (provider_id, waiting_id, needed_id)
);
CREATE INDEX link_waits_needed ON link_waits (provider_id, needed_id);

-- Accounts seen at a provider that no link names: candidates for adoption.
CREATE TABLE remote_resources (
    provider_id TEXT NOT NULL,
    kind        TEXT NOT NULL,
    remote_id   TEXT NOT NULL,
    external_id TEXT,
    name_key    TEXT,
    seen_run    TEXT NOT NULL,
    PRIMARY KEY (provider_id, kind, remote_id)
);
CREATE INDEX remote_resources_external_id ON remote_resources (provider_id, kind, external_id);
CREATE INDEX remote_resources_name ON remote_resources (provider_id, kind, name_key);

-- What changed, written together with the change (R6).
CREATE TABLE outbox (
    id          TEXT PRIMARY KEY,
    resource_id TEXT NOT NULL,
    kind        TEXT NOT NULL,
    change      TEXT NOT NULL,
    added       TEXT,
    removed     TEXT,
    traceparent TEXT,
    created_at  BIGINT NOT NULL
);

CREATE TABLE runs (
    id           TEXT PRIMARY KEY,
    provider_id  TEXT NOT NULL,
    kind         TEXT NOT NULL,
    slot         BIGINT,
    state        TEXT NOT NULL,
    cause        TEXT NOT NULL,
    open_tasks   BIGINT NOT NULL,
    untasked     BIGINT NOT NULL,
    listings     TEXT NOT NULL,
    error        TEXT,
    created_at   BIGINT NOT NULL,
    started_at   BIGINT,
    phase_at     BIGINT,
    finished_at  BIGINT
);
CREATE UNIQUE INDEX runs_running ON runs (provider_id) WHERE state IN ('observing', 'users', 'groups', 'references', 'clean-up');
CREATE UNIQUE INDEX runs_queued ON runs (provider_id) WHERE state = 'queued';
CREATE UNIQUE INDEX runs_slot ON runs (provider_id, kind, slot) WHERE slot IS NOT NULL;
CREATE INDEX runs_by_age ON runs (created_at);

CREATE TABLE run_tasks (
    id           TEXT PRIMARY KEY,
    run_id       TEXT NOT NULL,
    provider_id  TEXT NOT NULL,
    phase        TEXT NOT NULL,
    kind         TEXT NOT NULL,
    lane         TEXT NOT NULL,
    cause        TEXT NOT NULL,
    objects      TEXT NOT NULL,
    objects_n    BIGINT NOT NULL,
    state        TEXT NOT NULL,
    position     TEXT,
    counts       TEXT NOT NULL,
    worker       TEXT,
    due_at       BIGINT NOT NULL,
    tries        BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    finished_at  BIGINT
);
CREATE INDEX run_tasks_run ON run_tasks (run_id, phase);
CREATE INDEX run_tasks_open ON run_tasks (due_at) WHERE state = 'open';

-- What the guard withheld (R28, R29).
CREATE TABLE holds (
    id          TEXT PRIMARY KEY,
    provider_id TEXT NOT NULL,
    run_id      TEXT,
    state       TEXT NOT NULL,
    reason      TEXT NOT NULL,
    items       TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    decided_at  BIGINT,
    decided_by  TEXT
);
CREATE INDEX holds_provider ON holds (provider_id, state);

-- Append-only: one row for every write sent to a provider.
CREATE TABLE provisioning_log (
    id          TEXT PRIMARY KEY,
    at          BIGINT NOT NULL,
    provider_id TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    kind        TEXT NOT NULL,
    operation   TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    removal     BIGINT NOT NULL,
    remote_id   TEXT,
    attributes  TEXT NOT NULL,
    status      BIGINT,
    detail      TEXT,
    cause       TEXT NOT NULL,
    run_id      TEXT,
    task_id     TEXT,
    duration_ms BIGINT NOT NULL
);
CREATE INDEX provisioning_log_resource ON provisioning_log (resource_id, at);
CREATE INDEX provisioning_log_provider ON provisioning_log (provider_id, at);
CREATE INDEX provisioning_log_removals ON provisioning_log (provider_id, at) WHERE removal > 0;

-- AEAD ciphertext; the key is elsewhere.
CREATE TABLE sealed_secrets (
    owner      TEXT NOT NULL,
    name       TEXT NOT NULL,
    key_id     TEXT NOT NULL,
    sealed     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (owner, name)
);

-- Erased when they are old, whoever still lacks them.
CREATE INDEX sealed_secrets_passwords ON sealed_secrets (created_at) WHERE name = 'password';

-- Which provider was not sent which password yet; the password itself is sealed above.
CREATE TABLE pending_passwords (
    provider_id TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    version     TEXT NOT NULL,
    PRIMARY KEY (provider_id, resource_id)
);
CREATE INDEX pending_passwords_resource ON pending_passwords (resource_id);

CREATE TABLE api_tokens (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    scope        TEXT NOT NULL,
    hash         TEXT NOT NULL UNIQUE,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT,
    revoked_at   BIGINT
);

CREATE TABLE leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    token      BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
