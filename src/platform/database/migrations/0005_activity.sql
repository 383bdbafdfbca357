-- The activity log and the record of socket connections, when no MongoDB is configured. Neither refers to other tables:
-- an entry outlives its author, and a project's entries are removed in batches after the project.

create table activity (
  id uuid primary key,
  project_id uuid not null,
  user_id uuid,
  type text not null,
  -- json keeps the text as it came; jsonb refuses U+0000 in a string, and one such entry would hold up all behind it.
  payload json not null,
  created_at timestamptz not null
);

create index activity_project_recent on activity (project_id, created_at desc, id desc);
create index activity_project_type_recent on activity (project_id, type, created_at desc, id desc);
create index activity_project_user_recent on activity (project_id, user_id, created_at desc, id desc);
create index activity_created_at on activity (created_at);

create table connection_sessions (
  id uuid primary key,
  project_id uuid not null,
  user_id uuid not null,
  node_id text not null,
  connected_at timestamptz not null,
  disconnected_at timestamptz,
  close_code integer
);

create index connection_sessions_project_recent on connection_sessions (project_id, connected_at desc, id desc);
create index connection_sessions_connected_at on connection_sessions (connected_at);
create index connection_sessions_disconnected_at on connection_sessions (disconnected_at) where disconnected_at is not null;
