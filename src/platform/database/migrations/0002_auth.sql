-- Accounts. `email` is canonical: lower case, one ASCII form per address.
create table users (
  id                uuid primary key,
  email             text not null,
  name              text not null,
  password_hash     text not null,
  email_verified_at timestamptz,
  version           integer not null default 1,
  disabled_at       timestamptz,
  created_at        timestamptz not null default now(),
  updated_at        timestamptz not null default now(),
  constraint users_email_key unique (email)
);

-- One row per device. Refresh tokens are derived from (id, counter, salt) and a key of the server, so no token is stored.
-- No index holds a column that a refresh changes: rotations stay heap-only updates.
create table auth_sessions (
  id                  uuid primary key,
  user_id             uuid not null references users (id) on delete cascade,
  state               text not null default 'active' check (state in ('active', 'revoked')),
  revoked_reason      text,
  revoked_at          timestamptz,
  counter             integer not null default 1,
  confirmed           boolean not null default false,
  rotated_at          timestamptz not null default now(),
  salt                bytea not null check (octet_length(salt) = 16),
  created_at          timestamptz not null default now(),
  last_used_at        timestamptz not null default now(),
  idle_expires_at     timestamptz not null,
  absolute_expires_at timestamptz not null,
  -- When the password was last proven on this device.
  auth_time           timestamptz not null default now(),
  name                text not null,
  user_agent          text not null,
  ip_prefix           text
) with (fillfactor = 80);
create index auth_sessions_user on auth_sessions (user_id);
create index auth_sessions_end on auth_sessions (absolute_expires_at);

-- Mails to send, at least once; the links in them hold tokens derived from (id, salt) and a key of the server.
create table auth_mails (
  id              uuid primary key,
  user_id         uuid not null references users (id) on delete cascade,
  kind            text not null check (kind in ('verify_email', 'reset_password', 'password_changed', 'session_reused')),
  salt            bytea not null check (octet_length(salt) = 16),
  created_at      timestamptz not null default now(),
  expires_at      timestamptz not null,
  -- The token was used, or a newer one took its place.
  void_at         timestamptz,
  attempts        integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  sent_at         timestamptz
);
create index auth_mails_user on auth_mails (user_id);
create index auth_mails_due on auth_mails (next_attempt_at) where sent_at is null and void_at is null;
create index auth_mails_end on auth_mails (expires_at);

-- What happened to accounts and sessions, written in the transaction of the effect.
create table auth_audit (
  id         uuid primary key,
  at         timestamptz not null default now(),
  action     text not null,
  user_id    uuid references users (id) on delete set null,
  session_id uuid,
  ip         text,
  request_id text,
  detail     text
);
create index auth_audit_user on auth_audit (user_id, at);
create index auth_audit_at on auth_audit (at);
