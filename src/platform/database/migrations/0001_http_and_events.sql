-- Replies kept for repeated Idempotency-Keys (encrypted by the application).
create table idempotency_keys (
  scope        text primary key,
  request_hash text not null,
  reply        bytea not null,
  expires_at   timestamptz not null
);
create index idempotency_keys_expiry on idempotency_keys (expires_at);

-- Typed events, written in the transaction that causes them. `position` is given by one sequencer after COMMIT, so it
-- has no holes that could still be filled: a consumer that has seen n has seen everything up to n.
create table outbox (
  id         uuid primary key,
  position   bigint,
  type       text not null,
  project_id uuid,
  user_id    uuid,
  payload    jsonb not null,
  created_at timestamptz not null
);
create unique index outbox_position on outbox (position) where position is not null;
create index outbox_unnumbered on outbox (id) where position is null;

-- How far each consumer of the outbox has come; the row with name '' holds the last position given out.
create table outbox_cursors (
  consumer text primary key,
  position bigint not null
);
insert into outbox_cursors (consumer, position) values ('', 0);

-- What took access away or changed it, in commit order (writers hold an advisory lock until COMMIT).
create table authz_log (
  seq        bigserial primary key,
  kind       text not null check (kind in ('session', 'user', 'membership', 'project')),
  subject    uuid not null,
  project_id uuid,
  reason     text not null,
  created_at timestamptz not null default now()
);
create index authz_log_created on authz_log (created_at);

-- How far each node has applied authz_log; a node that stops writing is out of its lease.
create table authz_nodes (
  node_id     uuid primary key,
  applied_seq bigint not null,
  seen_at     timestamptz not null
);
